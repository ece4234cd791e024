/* SPDX-License-Identifier: Apache-2.0 */
/* Taking CPUID apart. */
#include "hv/cpu/features.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"

#define LEAF_FEATURES 0x1u
#define LEAF_POWER 0x6u
#define LEAF_EXTENDED_FEATURES 0x7u
#define LEAF_TOPOLOGY 0xbu
#define LEAF_XSAVE 0xdu
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_EXTENDED 0x80000000u
#define LEAF_BRAND 0x80000002u
#define LEAF_BRAND_LAST 0x80000004u
#define LEAF_INVARIANT_TSC 0x80000007u
#define LEAF_ADDRESS_SIZES 0x80000008u

#define DEFAULT_PHYSICAL_BITS 36u
#define DEFAULT_LINEAR_BITS 48u

static struct cpu_features boot_features;

/* Twelve characters in the order of the registers given. */
static void vendor_text(char out[13], uint32_t a, uint32_t b, uint32_t c)
{
	memcpy(out, &a, 4);
	memcpy(out + 4, &b, 4);
	memcpy(out + 8, &c, 4);
	out[12] = '\0';
}

static enum cpu_vendor vendor_of(const char *name)
{
	if (str_eq(name, "GenuineIntel")) {
		return CPU_VENDOR_INTEL;
	}
	if (str_eq(name, "AuthenticAMD") || str_eq(name, "HygonGenuine")) {
		return CPU_VENDOR_AMD;
	}
	return CPU_VENDOR_OTHER;
}

static void read_brand(struct cpu_features *f)
{
	char text[49] = "";
	struct span s;

	if (f->max_extended < LEAF_BRAND_LAST) {
		return;
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid_regs r = cpu_cpuid(LEAF_BRAND + i, 0);

		memcpy(text + (size_t)i * 16, &r, 16);
	}
	text[48] = '\0';
	s = span_trim(span_of(text));
	memcpy(f->brand, s.p, s.n);
	f->brand[s.n] = '\0';
}

/* The family is extended when it is 15, the model when the family is 6 or 15. */
static void read_signature(struct cpu_features *f, uint32_t eax)
{
	uint32_t family = (uint32_t)bits_get(eax, MASK(11, 8));
	uint32_t model = (uint32_t)bits_get(eax, MASK(7, 4));

	if (family == 6 || family == 15) {
		model |= (uint32_t)bits_get(eax, MASK(19, 16)) << 4;
	}
	if (family == 15) {
		family += (uint32_t)bits_get(eax, MASK(27, 20));
	}
	f->family = family;
	f->model = model;
	f->stepping = eax & 0xf;
}

static void read_leaf_1(struct cpu_features *f)
{
	struct cpuid_regs r = cpu_cpuid(LEAF_FEATURES, 0);

	read_signature(f, r.eax);
	f->vmx = (r.ecx & BIT(5)) != 0;
	f->x2apic = (r.ecx & BIT(21)) != 0;
	f->tsc_deadline = (r.ecx & BIT(24)) != 0;
	f->xsave = (r.ecx & BIT(26)) != 0;
	f->rdrand = (r.ecx & BIT(30)) != 0;
	f->hypervisor = (r.ecx & BIT(31)) != 0;
	f->mce = (r.edx & BIT(7)) != 0;
	f->apic = (r.edx & BIT(9)) != 0;
	f->mtrr = (r.edx & BIT(12)) != 0;
	f->mca = (r.edx & BIT(14)) != 0;
	f->pat = (r.edx & BIT(16)) != 0;
	f->fxsr = (r.edx & BIT(24)) != 0;
}

static void read_leaves_6_and_7(struct cpu_features *f)
{
	struct cpuid_regs r;

	if (f->max_basic >= LEAF_POWER) {
		f->arat = (cpu_cpuid(LEAF_POWER, 0).eax & BIT(2)) != 0;
	}
	if (f->max_basic < LEAF_EXTENDED_FEATURES) {
		return;
	}
	r = cpu_cpuid(LEAF_EXTENDED_FEATURES, 0);
	f->fsgsbase = (r.ebx & BIT(0)) != 0;
	f->tsc_adjust = (r.ebx & BIT(1)) != 0;
	f->smep = (r.ebx & BIT(7)) != 0;
	f->smap = (r.ebx & BIT(20)) != 0;
	f->umip = (r.ecx & BIT(2)) != 0;
	f->pku = (r.ecx & BIT(3)) != 0;
	f->spec_ctrl = (r.edx & BIT(26)) != 0;
}

static void read_extended(struct cpu_features *f)
{
	struct cpuid_regs r;

	f->physical_bits = DEFAULT_PHYSICAL_BITS;
	f->linear_bits = DEFAULT_LINEAR_BITS;
	if (f->max_extended >= LEAF_EXTENDED + 1) {
		r = cpu_cpuid(LEAF_EXTENDED + 1, 0);
		f->svm = (r.ecx & BIT(2)) != 0;
		f->nx = (r.edx & BIT(20)) != 0;
		f->pages_1g = (r.edx & BIT(26)) != 0;
		f->rdtscp = (r.edx & BIT(27)) != 0;
		f->long_mode = (r.edx & BIT(29)) != 0;
	}
	if (f->max_extended >= LEAF_INVARIANT_TSC) {
		f->invariant_tsc = (cpu_cpuid(LEAF_INVARIANT_TSC, 0).edx & BIT(8)) != 0;
	}
	if (f->max_extended >= LEAF_ADDRESS_SIZES) {
		r = cpu_cpuid(LEAF_ADDRESS_SIZES, 0);
		f->physical_bits = (unsigned)bits_get(r.eax, MASK(7, 0));
		f->linear_bits = (unsigned)bits_get(r.eax, MASK(15, 8));
	}
}

static void read_xsave(struct cpu_features *f)
{
	struct cpuid_regs r;

	if (!f->xsave || f->max_basic < LEAF_XSAVE) {
		f->xsave = false;
		return;
	}
	r = cpu_cpuid(LEAF_XSAVE, 0);
	f->xcr0_mask = r.eax | (uint64_t)r.edx << 32;
	f->xsave_bytes = r.ecx;
	r = cpu_cpuid(LEAF_XSAVE, 1);
	f->xsaveopt = (r.eax & BIT(0)) != 0;
	f->xsavec = (r.eax & BIT(1)) != 0;
	f->xsaves = (r.eax & BIT(3)) != 0;
	f->xss_mask = f->xsaves ? r.ecx | (uint64_t)r.edx << 32 : 0;
}

static void read_hypervisor(struct cpu_features *f)
{
	struct cpuid_regs r;

	if (!f->hypervisor) {
		return;
	}
	r = cpu_cpuid(LEAF_HYPERVISOR, 0);
	/* KVM of old says 0 and means its first leaf behind this one. */
	f->max_hypervisor = r.eax == 0 ? LEAF_HYPERVISOR + 1 : r.eax;
	vendor_text(f->hypervisor_name, r.ebx, r.ecx, r.edx);
}

/*
 * Leaf 0xB knows all 32 bits, leaf 1 only eight. A CPU has 0xB when it is in range and its EBX is
 * not zero.
 */
uint32_t cpu_apic_id(void)
{
	if (cpu_cpuid(0, 0).eax >= LEAF_TOPOLOGY) {
		struct cpuid_regs r = cpu_cpuid(LEAF_TOPOLOGY, 0);

		if (r.ebx != 0) {
			return r.edx;
		}
	}
	return cpu_cpuid(LEAF_FEATURES, 0).ebx >> 24;
}

void cpu_features_read(struct cpu_features *f)
{
	struct cpuid_regs r = cpu_cpuid(0, 0);

	*f = (struct cpu_features){.max_basic = r.eax};
	vendor_text(f->vendor_name, r.ebx, r.edx, r.ecx);
	f->vendor = vendor_of(f->vendor_name);
	r = cpu_cpuid(LEAF_EXTENDED, 0);
	/* Where there are no extended leaves the answer is that of the highest basic one. */
	f->max_extended = r.eax >> 16 == LEAF_EXTENDED >> 16 ? r.eax : 0;
	read_leaf_1(f);
	read_leaves_6_and_7(f);
	read_extended(f);
	read_xsave(f);
	read_hypervisor(f);
	read_brand(f);
	f->apic_id = cpu_apic_id();
}

void cpu_features_init(void)
{
	cpu_features_read(&boot_features);
}

const struct cpu_features *cpu_features(void)
{
	return &boot_features;
}
