/* SPDX-License-Identifier: Apache-2.0 */
/* From CPUID to the bits of an APIC ID that number threads. */
#include "hv/cpu/topology.h"

#include <stdbool.h>

#include "hv/base/bits.h"

#define LEAF_FEATURES 0x1u
#define LEAF_CACHE 0x4u
#define LEAF_TOPOLOGY 0xbu
#define LEAF_TOPOLOGY_V2 0x1fu
#define LEAF_EXTENDED 0x80000000u
#define LEAF_EXTENDED_FEATURES 0x80000001u
#define LEAF_ADDRESS_SIZES 0x80000008u
#define LEAF_AMD_TOPOLOGY 0x8000001eu

#define FEATURES_EDX_HTT BIT32(28)
#define FEATURES_EBX_IDS MASK(23, 16) /* APIC IDs set aside for a package */
#define CACHE_EAX_TYPE MASK(4, 0)
#define CACHE_EAX_CORES MASK(31, 26) /* core numbers set aside for a package, less one */
#define LEVEL_EAX_SHIFT MASK(4, 0)
#define LEVEL_EBX_CPUS MASK(15, 0)
#define LEVEL_ECX_TYPE MASK(15, 8)
#define LEVEL_TYPE_NONE 0u
#define LEVEL_TYPE_THREAD 1u
#define AMD_ECX_TOPOLOGY BIT32(22)
#define AMD_EBX_THREADS MASK(15, 8) /* less one; before Zen the cores of a compute unit */
#define AMD_ECX_CORES MASK(7, 0)    /* less one: threads of a package, all told */

/* No core has more than eight threads: what says more is not believed. */
#define THREAD_BITS_MAX 3u

static unsigned thread_bits;

/* The bits that number `count` things. */
static unsigned bits_for(uint32_t count)
{
	unsigned bits = 0;

	while (bits < 31 && BIT32(bits) < count) {
		bits++;
	}
	return bits;
}

/* Leaves 0xB and 0x1F: a list of levels, of which one is the threads'. False when there is none. */
static bool judge_levels(const struct cpuid_regs level[TOPOLOGY_LEVELS], unsigned *bits)
{
	for (unsigned i = 0; i < TOPOLOGY_LEVELS; i++) {
		uint64_t type = bits_get(level[i].ecx, LEVEL_ECX_TYPE);

		if (type == LEVEL_TYPE_NONE || bits_get(level[i].ebx, LEVEL_EBX_CPUS) == 0) {
			return false;
		}
		if (type == LEVEL_TYPE_THREAD) {
			*bits = (unsigned)bits_get(level[i].eax, LEVEL_EAX_SHIFT);
			return *bits <= THREAD_BITS_MAX;
		}
	}
	return false;
}

/* AMD: threads per core. A compute unit's cores share so much that they count as threads. */
static bool judge_amd(const struct topology_facts *f, unsigned *bits)
{
	uint32_t threads = (uint32_t)bits_get(f->amd.ebx, AMD_EBX_THREADS) + 1;

	if ((f->extended_features.ecx & AMD_ECX_TOPOLOGY) == 0) {
		return false;
	}
	/* A core's threads are some of the package's. */
	if (threads > bits_get(f->sizes.ecx, AMD_ECX_CORES) + 1) {
		return false;
	}
	*bits = bits_for(threads);
	return *bits <= THREAD_BITS_MAX;
}

/* Intel of old: what is left of a package's IDs when its cores are numbered. */
static bool judge_old(const struct topology_facts *f, unsigned *bits)
{
	unsigned ids = bits_for((uint32_t)bits_get(f->features.ebx, FEATURES_EBX_IDS));
	unsigned cores = bits_for((uint32_t)bits_get(f->cache.eax, CACHE_EAX_CORES) + 1);

	if ((f->features.edx & FEATURES_EDX_HTT) == 0 ||
	    bits_get(f->cache.eax, CACHE_EAX_TYPE) == 0) {
		return false;
	}
	*bits = ids > cores ? ids - cores : 0;
	return *bits <= THREAD_BITS_MAX;
}

unsigned topology_judge(const struct topology_facts *f)
{
	unsigned bits;

	if (judge_levels(f->v2, &bits) || judge_levels(f->v1, &bits) || judge_amd(f, &bits) ||
	    judge_old(f, &bits)) {
		return bits;
	}
	return 0;
}

static void read_levels(uint32_t leaf, uint32_t max, struct cpuid_regs level[TOPOLOGY_LEVELS])
{
	for (uint32_t i = 0; leaf <= max && i < TOPOLOGY_LEVELS; i++) {
		level[i] = cpu_cpuid(leaf, i);
	}
}

static void read_leaf(uint32_t leaf, uint32_t max, struct cpuid_regs *out)
{
	if (leaf <= max) {
		*out = cpu_cpuid(leaf, 0);
	}
}

/* Asks the CPU it runs on. */
static void read_facts(struct topology_facts *f)
{
	uint32_t basic = cpu_cpuid(0, 0).eax;
	uint32_t extended = cpu_cpuid(LEAF_EXTENDED, 0).eax;

	/* Where there are no extended leaves the answer is that of the highest basic one. */
	extended = extended >> 16 == LEAF_EXTENDED >> 16 ? extended : 0;
	*f = (struct topology_facts){0};
	read_leaf(LEAF_FEATURES, basic, &f->features);
	read_leaf(LEAF_CACHE, basic, &f->cache);
	read_levels(LEAF_TOPOLOGY, basic, f->v1);
	read_levels(LEAF_TOPOLOGY_V2, basic, f->v2);
	read_leaf(LEAF_EXTENDED_FEATURES, extended, &f->extended_features);
	read_leaf(LEAF_ADDRESS_SIZES, extended, &f->sizes);
	read_leaf(LEAF_AMD_TOPOLOGY, extended, &f->amd);
}

void topology_init(void)
{
	struct topology_facts facts;

	read_facts(&facts);
	thread_bits = topology_judge(&facts);
}

unsigned topology_thread_bits(void)
{
	return thread_bits;
}

uint32_t topology_core_of(uint32_t apic_id)
{
	return apic_id >> thread_bits;
}
