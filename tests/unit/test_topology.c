/* SPDX-License-Identifier: Apache-2.0 */
/* Thread bits out of what processors of many kinds report, in the fields that matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/cpu/topology.h"
#include "tests/fakes/fake_cpu.h"

#define HTT BIT32(28)
#define TOPOLOGY_EXTENSIONS BIT32(22)
#define THREADS(shift, cpus) \
	{ \
		(shift), (cpus), 0x100, 0 \
	}
#define CORES(shift, cpus) \
	{ \
		(shift), (cpus), 0x201, 0 \
	}

struct machine {
	const char *name;
	unsigned bits;
	struct topology_facts facts;
};

static const struct machine machines[] = {
	{"Core i7-8700: 6 cores, 12 threads",
	 1,
	 {.features = {0x906ea, 0x00100800, 0, HTT},
	  .cache = {0x1c004121, 0, 0, 0},
	  .v1 = {THREADS(1, 2), CORES(4, 12)}}},
	{"Core i5-9600K: 6 cores without threads, numbers as with them",
	 1,
	 {.features = {0x906ed, 0x00100800, 0, HTT},
	  .cache = {0x1c004121, 0, 0, 0},
	  .v1 = {THREADS(1, 1), CORES(4, 6)}}},
	{"Xeon Platinum 8380: 40 cores, 80 threads",
	 1,
	 {.features = {0x606a6, 0x00800800, 0, HTT},
	  .cache = {0xfc004121, 0, 0, 0},
	  .v1 = {THREADS(1, 2), CORES(7, 80)},
	  .v2 = {THREADS(1, 2), CORES(7, 80)}}},
	{"Core i9-12900K, seen from a small core",
	 1,
	 {.features = {0x90672, 0x00800800, 0, HTT},
	  .cache = {0xfc004121, 0, 0, 0},
	  .v1 = {THREADS(1, 1), CORES(7, 24)},
	  .v2 = {THREADS(1, 1), CORES(7, 24)}}},
	{"Xeon Phi 7210: four threads per core",
	 2,
	 {.features = {0x50671, 0x00ff0800, 0, HTT},
	  .cache = {0xfc004121, 0, 0, 0},
	  .v1 = {THREADS(2, 4), CORES(9, 256)}}},
	{"Xeon X3440 with leaf 0xB not there: 4 cores, 8 threads",
	 1,
	 {.features = {0x106e5, 0x00100800, 0, HTT}, .cache = {0x1c004121, 0, 0, 0}}},
	{"Core 2 Quad Q9550: 4 cores",
	 0,
	 {.features = {0x10677, 0x00040800, 0, HTT}, .cache = {0x0c000121, 0, 0, 0}}},
	{"Celeron 440: one core",
	 0,
	 {.features = {0x10661, 0x00010800, 0, 0}, .cache = {0x00000121, 0, 0, 0}}},
	{"Ryzen 7 1700: 8 cores, 16 threads, no leaf 0xB",
	 1,
	 {.features = {0x800f11, 0x00100800, 0, HTT},
	  .extended_features = {0, 0, 0x35c233ff, 0},
	  .sizes = {0, 0, 0x400f, 0},
	  .amd = {0, 0x100, 0, 0}}},
	{"Ryzen 7 1700, SMT off by firmware",
	 0,
	 {.features = {0x800f11, 0x00080800, 0, HTT},
	  .extended_features = {0, 0, 0x35c233ff, 0},
	  .sizes = {0, 0, 0x4007, 0},
	  .amd = {0, 0, 0, 0}}},
	{"EPYC 7763: 64 cores, 128 threads",
	 1,
	 {.features = {0xa00f11, 0x00800800, 0, HTT},
	  .v1 = {THREADS(1, 2), CORES(7, 128)},
	  .extended_features = {0, 0, 0x75c237ff, 0},
	  .sizes = {0, 0, 0x707f, 0},
	  .amd = {0, 0x100, 0, 0}}},
	{"FX-8350: 4 compute units of 2 cores",
	 1,
	 {.features = {0x600f20, 0x00080800, 0, HTT},
	  .extended_features = {0, 0, 0x01ebbfff, 0},
	  .sizes = {0, 0, 0x4007, 0},
	  .amd = {0, 0x100, 0, 0}}},
	{"Phenom II X6: cores and nothing told",
	 0,
	 {.features = {0x100fa0, 0x00060800, 0, HTT},
	  .extended_features = {0, 0, 0x000037ff, 0},
	  .sizes = {0, 0, 0x3005, 0}}},
	{"QEMU max, -smp 4,threads=2",
	 1,
	 {.features = {0x000f81, 0x00040800, 0, HTT},
	  .cache = {0x04000121, 0, 0, 0},
	  .v1 = {THREADS(1, 2), CORES(2, 4)},
	  .extended_features = {0, 0, 0x00400000, 0},
	  .sizes = {0, 0, 0x2003, 0},
	  .amd = {0, 0x100, 0, 0}}},
	{"QEMU qemu64, -smp 4: leaf 4 in range but empty",
	 0,
	 {.features = {0x000f81, 0x00040800, 0, HTT}}},
	{"nothing at all", 0, {.features = {0}}},
};

static void kinds_of_processors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		unsigned bits = topology_judge(&machines[i].facts);

		if (bits != machines[i].bits) {
			fail_msg("%s: %u", machines[i].name, bits);
		}
	}
}

static void nonsense_is_not_believed(void **state)
{
	struct topology_facts f = {.v1 = {THREADS(31, 2)}};

	(void)state;
	assert_int_equal(topology_judge(&f), 0);
	/* A level that is no thread's comes first, or no thread's comes at all. */
	f = (struct topology_facts){.v1 = {CORES(4, 8), THREADS(2, 4)}};
	assert_int_equal(topology_judge(&f), 2);
	f = (struct topology_facts){.v1 = {CORES(4, 8)}};
	assert_int_equal(topology_judge(&f), 0);
	/* No end of levels. */
	for (unsigned i = 0; i < TOPOLOGY_LEVELS; i++) {
		f.v1[i] = (struct cpuid_regs)CORES(4, 8);
	}
	assert_int_equal(topology_judge(&f), 0);
	/* The better leaf wins, unless it is empty. */
	f = (struct topology_facts){.v1 = {THREADS(1, 2)}, .v2 = {THREADS(2, 4)}};
	assert_int_equal(topology_judge(&f), 2);
	f.v2[0].ebx = 0;
	assert_int_equal(topology_judge(&f), 1);
	/* More threads per core than in the package; more than any core has. */
	f = (struct topology_facts){.extended_features.ecx = TOPOLOGY_EXTENSIONS, .amd.ebx = 0x100};
	assert_int_equal(topology_judge(&f), 0);
	f = (struct topology_facts){
		.extended_features.ecx = TOPOLOGY_EXTENSIONS, .amd.ebx = 0xff00, .sizes.ecx = 0xff};
	assert_int_equal(topology_judge(&f), 0);
	f = (struct topology_facts){.features = {0, 0x00ff0000, 0, HTT}, .cache.eax = 0x121};
	assert_int_equal(topology_judge(&f), 0);
}

static void reads_what_is_there(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 0xd});
	fake_cpuid_set(0xb, 0, (struct cpuid_regs)THREADS(1, 2));
	fake_cpuid_set(0xb, 1, (struct cpuid_regs)CORES(4, 8));
	/* Out of range: what it answers is another leaf's. */
	fake_cpuid_set(0x1f, 0, (struct cpuid_regs)THREADS(2, 4));
	topology_init();
	assert_int_equal(topology_thread_bits(), 1);
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 0x1f});
	topology_init();
	assert_int_equal(topology_thread_bits(), 2);
	/* Extended leaves, where the answer to 0x80000000 is one. */
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 1});
	fake_cpuid_set(0x80000001, 0, (struct cpuid_regs){.ecx = TOPOLOGY_EXTENSIONS});
	fake_cpuid_set(0x80000008, 0, (struct cpuid_regs){.ecx = 3});
	fake_cpuid_set(0x8000001e, 0, (struct cpuid_regs){.ebx = 0x100});
	topology_init();
	assert_int_equal(topology_thread_bits(), 0);
	fake_cpuid_set(0x80000000, 0, (struct cpuid_regs){.eax = 0x8000001e});
	topology_init();
	assert_int_equal(topology_thread_bits(), 1);
}

static void threads_share_a_core(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 0xb});
	fake_cpuid_set(0xb, 0, (struct cpuid_regs)THREADS(1, 2));
	topology_init();
	assert_int_equal(topology_core_of(0), topology_core_of(1));
	assert_int_not_equal(topology_core_of(1), topology_core_of(2));
	assert_int_equal(topology_core_of(0x1000a), topology_core_of(0x1000b));
	assert_int_not_equal(topology_core_of(0x1000a), topology_core_of(0xa));
	assert_int_equal(topology_core_of(0xfffffffe), topology_core_of(0xffffffff));
	fake_cpuid_set(0xb, 0, (struct cpuid_regs)THREADS(0, 1));
	topology_init();
	assert_int_not_equal(topology_core_of(0), topology_core_of(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_of_processors),
		cmocka_unit_test(nonsense_is_not_believed),
		cmocka_unit_test(reads_what_is_there),
		cmocka_unit_test(threads_share_a_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
