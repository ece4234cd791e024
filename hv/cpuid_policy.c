/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPUID policy: allow-lists as const data, one builder, one reader.
 * Sources: Intel SDM volume 2 "CPUID"; AMD APM volume 3 "Obtaining Processor Information Via the
 * CPUID Instruction".
 */
#include "hv/cpuid_policy.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"
#include "hv/hyperv.h"

#define B(n) BIT32(n)

/* Leaf 1 ECX: SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND.
 */
#define LEAF1_ECX \
	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) | \
	 B(26) | B(28) | B(29) | B(30))
#define LEAF1_ECX_X2APIC B(21)
#define LEAF1_ECX_TSC_DEADLINE B(24)
#define LEAF1_ECX_XSAVE B(26)
#define LEAF1_ECX_HYPERVISOR B(31)
/* Leaf 1 EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX
 * FXSR SSE SSE2. No DS, ACPI, SS, TM, PBE. */
#define LEAF1_EDX \
	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) | \
	 B(13) | B(14) | B(15) | B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26))
#define LEAF1_EDX_HTT B(28)
/* Leaf 7.0 EBX: FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F/DQ RDSEED ADX SMAP AVX512IFMA
 * CLFLUSHOPT CLWB AVX512CD SHA AVX512BW/VL. */
#define LEAF7_EBX \
	(B(0) | B(3) | B(5) | B(7) | B(8) | B(9) | B(10) | B(16) | B(17) | B(18) | B(19) | B(20) | \
	 B(21) | B(23) | B(24) | B(28) | B(29) | B(30) | B(31))
#define LEAF7_EBX_TSC_ADJUST B(1)
#define LEAF7_EBX_ERMS B(9)
#define LEAF7_EBX_INVPCID B(10)
#define LEAF7_EBX_AVX512 (B(16) | B(17) | B(21) | B(28) | B(30) | B(31))
/* Leaf 7.0 ECX: AVX512VBMI UMIP PKU VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID MOVDIRI
 * MOVDIR64B. */
#define LEAF7_ECX \
	(B(1) | B(2) | B(3) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22) | B(27) | \
	 B(28))
#define LEAF7_ECX_OSPKE B(4)
#define LEAF7_ECX_RDPID B(22)
#define LEAF7_ECX_AVX512 (B(1) | B(6) | B(11) | B(12) | B(14))
/* Leaf 7.0 EDX: AVX512_4VNNIW AVX512_4FMAPS FSRM VP2INTERSECT MD_CLEAR SERIALIZE. */
#define LEAF7_EDX_FSRM B(4)
#define LEAF7_EDX (B(2) | B(3) | B(4) | B(8) | B(10) | B(14))
#define LEAF7_EDX_AVX512 (B(2) | B(3) | B(8))
/* Leaf 0xd.1 EAX: XSAVEOPT XSAVEC XGETBV(1). No XSAVES: IA32_XSS stays 0. */
#define LEAFD1_EAX (LEAFD1_EAX_XSAVEOPT | LEAFD1_EAX_XSAVEC | LEAFD1_EAX_XGETBV1)
/* Of a component: the compacted form puts it at a multiple of 64. */
#define LEAFD_ECX_ALIGNED B(1)
/* 0x80000001 ECX: LAHF CR8 ABM SSE4A MISALIGNSSE PREFETCHW XOP FMA4 TBM TOPOEXT. */
#define EXT1_ECX (B(0) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21) | B(22))
#define EXT1_ECX_CMP_LEGACY B(1)
#define EXT1_ECX_TOPOEXT B(22)
/* 0x80000001 EDX: SYSCALL NX MMXEXT FXSR FFXSR 1GB RDTSCP LM 3DNOWEXT 3DNOW and AMD's copy of
 * leaf 1. */
#define EXT1_EDX (B(11) | B(20) | B(22) | B(24) | B(25) | B(26) | B(27) | B(29) | B(30) | B(31))
#define EXT1_EDX_RDTSCP B(27)
#define EXT1_EDX_SHARED 0x0183f3ffu
#define EXT7_EDX_INVARIANT_TSC B(8)
/* 0x80000008 EBX: CLZERO, XSAVEERPTR. */
#define EXT8_EBX (B(0) | B(2))
#define LINEAR_BITS 48u

#define XCR0_ALLOWED (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

#define LEAF_CACHE 4u
#define LEAF_TOPOLOGY CPUID_LEAF_TOPOLOGY
#define LEAF_XSAVE CPUID_LEAF_XSAVE
#define LEAF_AMD_CACHE 0x8000001du
#define LEAF_AMD_TOPOLOGY 0x8000001eu

/* Leaves passed through with a mask per register. */
struct mask_row {
	uint32_t leaf;
	struct cpuid_regs mask;
};

#define ALL \
	{ \
		~0u, ~0u, ~0u, ~0u \
	}

static const struct mask_row mask_rows[] = {
	{0x0, {0, ~0u, ~0u, ~0u}}, /* vendor; the maximum is computed */
	{0x1, {~0u, 0x0000ff00u, LEAF1_ECX, LEAF1_EDX}},
	{0x2, ALL}, /* cache descriptors */
	{0x80000000u, {0, ~0u, ~0u, ~0u}},
	{0x80000001u, {~0u, 0, EXT1_ECX, EXT1_EDX | EXT1_EDX_SHARED}},
	{0x80000002u, ALL}, /* brand string */
	{0x80000003u, ALL},
	{0x80000004u, ALL},
	{0x80000005u, ALL}, /* L1 caches and TLBs */
	{0x80000006u, ALL}, /* L2, L3 */
	{0x80000007u, {0, 0, 0, EXT7_EDX_INVARIANT_TSC}},
	{0x80000008u, {0x0000ffffu, EXT8_EBX, 0, 0}},
};

static struct cpuid_regs masked(struct cpuid_regs r, struct cpuid_regs mask)
{
	return (struct cpuid_regs){r.eax & mask.eax, r.ebx & mask.ebx, r.ecx & mask.ecx,
				   r.edx & mask.edx};
}

/* The host's leaf, zero when the host does not have it. */
static struct cpuid_regs host_leaf(uint32_t leaf, uint32_t subleaf)
{
	uint32_t base = leaf & 0xffff0000u;

	if (leaf > cpu_cpuid(base, 0).eax) {
		return (struct cpuid_regs){0};
	}
	return cpu_cpuid(leaf, subleaf);
}

static struct cpuid_regs *slot(struct cpuid_table *t, uint32_t leaf)
{
	if (leaf <= CPUID_BASIC_MAX) {
		return &t->basic[leaf];
	}
	if (leaf - CPUID_HYPERVISOR_BASE <= CPUID_HYPERVISOR_MAX) {
		return &t->hypervisor[leaf - CPUID_HYPERVISOR_BASE];
	}
	if (leaf - CPUID_EXTENDED_BASE <= CPUID_EXTENDED_MAX) {
		return &t->extended[leaf - CPUID_EXTENDED_BASE];
	}
	return NULL;
}

static unsigned first_slot(uint32_t leaf)
{
	return leaf <= CPUID_BASIC_MAX ? leaf : CPUID_BASIC_MAX + 1;
}

static void add_sub(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, struct cpuid_regs regs)
{
	if (t->sub_count < CPUID_SUBLEAVES_MAX) {
		if (t->sub_count == 0 || t->sub[t->sub_count - 1].leaf != leaf) {
			t->sub_first[first_slot(leaf)] = (uint8_t)t->sub_count;
		}
		t->sub[t->sub_count++] = (struct cpuid_subleaf){leaf, subleaf, regs};
	}
}

static unsigned bits_for(unsigned count)
{
	unsigned bits = 0;

	while ((1u << bits) < count) {
		bits++;
	}
	return bits;
}

static void build_features(struct cpuid_table *t, const struct cpuid_config *c)
{
	struct cpuid_regs *one = &t->basic[1];

	one->ebx |= (uint32_t)c->vcpu_count << 16;
	one->ecx |= LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_HYPERVISOR;
	one->ecx |= c->xapic_only ? 0 : LEAF1_ECX_X2APIC;
	one->edx |= CPUID_FEATURES_EDX_APIC | (c->vcpu_count > 1 ? LEAF1_EDX_HTT : 0);
	/* ARAT: the virtual LAPIC timer never stops. */
	t->basic[6] = (struct cpuid_regs){.eax = B(2)};
}

/* Leaf 7: only subleaf 0; AVX-512 only where its state may be enabled. */
static void build_leaf7(struct cpuid_table *t, const struct cpuid_config *c)
{
	struct cpuid_regs r =
		masked(host_leaf(7, 0), (struct cpuid_regs){0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX});

	r.ebx |= LEAF7_EBX_TSC_ADJUST;
	if ((t->xcr0_mask & XCR0_AVX512) == 0) {
		r.ebx &= ~LEAF7_EBX_AVX512;
		r.ecx &= ~LEAF7_ECX_AVX512;
		r.edx &= ~LEAF7_EDX_AVX512;
	}
	if ((t->xcr0_mask & XCR0_PKRU) == 0) {
		r.ecx &= ~B(3);
	}
	if (c->no_invpcid) {
		r.ebx &= ~LEAF7_EBX_INVPCID;
	}
	if (c->no_rdtscp) {
		r.ecx &= ~LEAF7_ECX_RDPID;
	}
	if (c->slow_movsb) {
		r.ebx &= ~LEAF7_EBX_ERMS;
		r.edx &= ~LEAF7_EDX_FSRM;
	}
	add_sub(t, 7, 0, r);
}

/* Deterministic cache parameters with sharing counted for this VM's topology. */
static void build_caches(struct cpuid_table *t, uint32_t leaf, const struct cpuid_config *c)
{
	for (uint32_t sub = 0; sub < 8; sub++) {
		struct cpuid_regs r = host_leaf(leaf, sub);
		uint32_t level = (r.eax >> 5) & 7;
		uint32_t sharing = level >= 3 ? (uint32_t)c->vcpu_count - 1 : 0;

		if ((r.eax & 0x1f) == 0) {
			break;
		}
		r.eax = (r.eax & 0x3fff) | (sharing << 14);
		if (leaf == LEAF_CACHE) {
			r.eax |= ((1u << bits_for(c->vcpu_count)) - 1) << 26;
		}
		add_sub(t, leaf, sub, r);
	}
}

static void build_topology(struct cpuid_table *t, const struct cpuid_config *c)
{
	/* One thread a core, all cores in one package. EDX is the x2APIC id, set by the reader. */
	add_sub(t, LEAF_TOPOLOGY, 0, (struct cpuid_regs){0, 1, 0x100, 0});
	add_sub(t, LEAF_TOPOLOGY, 1,
		(struct cpuid_regs){bits_for(c->vcpu_count), (uint32_t)c->vcpu_count, 0x201, 0});
}

/* Leaf 0xd. The sizes in EBX of subleaf 0 follow XCR0 and are computed by the reader. */
static void build_xsave(struct cpuid_table *t, const struct cpuid_config *c)
{
	uint32_t forms = LEAFD1_EAX & ~(c->no_xsavec ? LEAFD1_EAX_XSAVEC : 0);
	uint32_t largest = XSAVE_LEGACY_BYTES;

	if ((t->basic[1].ecx & LEAF1_ECX_XSAVE) == 0) {
		return;
	}
	for (uint32_t i = 2; i < 32; i++) {
		struct cpuid_regs r = host_leaf(LEAF_XSAVE, i);

		if ((t->xcr0_mask & BIT(i)) != 0) {
			largest = (uint32_t)max_u64(largest, (uint64_t)r.eax + r.ebx);
		}
	}
	add_sub(t, LEAF_XSAVE, 0,
		(struct cpuid_regs){(uint32_t)t->xcr0_mask, XSAVE_LEGACY_BYTES, largest,
				    (uint32_t)(t->xcr0_mask >> 32)});
	add_sub(t, LEAF_XSAVE, 1,
		(struct cpuid_regs){host_leaf(LEAF_XSAVE, 1).eax & forms, 0, 0, 0});
	for (uint32_t i = 2; i < 32; i++) {
		if ((t->xcr0_mask & BIT(i)) != 0) {
			struct cpuid_regs r = host_leaf(LEAF_XSAVE, i);

			r.edx = 0;
			t->xsave_end[i] = r.eax + r.ebx;
			add_sub(t, LEAF_XSAVE, i, r);
		}
	}
}

#define HZ_PER_MHZ 1000000u
#define KHZ(hz) ((hz) / 1000)

struct ratio {
	uint64_t num;
	uint64_t den;
};

static struct ratio mediant(struct ratio a, uint64_t times, struct ratio b)
{
	return (struct ratio){times * a.num + b.num, times * a.den + b.den};
}

/* The best of a / b's continued fraction with a numerator up to `max`; none is larger than a. */
static struct ratio approximate(uint64_t a, uint64_t b, uint64_t max)
{
	struct ratio before = {0, 1};
	struct ratio at = {1, 0};

	while (b != 0) {
		struct ratio next = mediant(at, a / b, before);
		uint64_t rest = a % b;

		if (next.num > max) {
			uint64_t times = (max - before.num) / at.num;

			return 2 * times > a / b ? mediant(at, times, before) : at;
		}
		before = at;
		at = next;
		a = b;
		b = rest;
	}
	return at;
}

static bool within_ppm(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) <= b / 1000000;
}

/*
 * Leaf 0x15 says the TSC rate against the LAPIC clock, leaf 0x16 both again in MHz: Intel kernels
 * then calibrate nothing, with or without the hypervisor's leaves. Linux multiplies the LAPIC's
 * kHz by the numerator in 32 bits; where no ratio that small is good to a millionth, kernels
 * calibrate: MHz alone are too coarse.
 */
static void build_frequency(struct cpuid_table *t, const struct cpuid_config *c)
{
	struct ratio r;
	uint32_t mhz;

	if (!t->intel || KHZ(c->apic_hz) == 0 || c->apic_hz > UINT32_MAX) {
		return;
	}
	r = approximate(c->tsc_hz, c->apic_hz, UINT32_MAX / KHZ(c->apic_hz));
	if (r.num == 0 || r.den == 0 || r.den > UINT32_MAX ||
	    !within_ppm(clock_muldiv(c->apic_hz, r.num, r.den), c->tsc_hz)) {
		return;
	}
	t->basic[0x15] =
		(struct cpuid_regs){(uint32_t)r.den, (uint32_t)r.num, (uint32_t)c->apic_hz, 0};
	mhz = (uint32_t)((c->tsc_hz + HZ_PER_MHZ / 2) / HZ_PER_MHZ);
	t->basic[0x16] = (struct cpuid_regs){mhz, mhz, (uint32_t)(c->apic_hz / HZ_PER_MHZ), 0};
}

/* What hv/pv.h serves. Not asynchronous page faults: a guest's memory is all there. */
#define KVM_FEATURES \
	(B(KVM_FEATURE_CLOCKSOURCE) | B(KVM_FEATURE_NOP_IO_DELAY) | B(KVM_FEATURE_CLOCKSOURCE2) | \
	 B(KVM_FEATURE_STEAL_TIME) | B(KVM_FEATURE_PV_EOI) | B(KVM_FEATURE_PV_UNHALT) | \
	 B(KVM_FEATURE_PV_TLB_FLUSH) | B(KVM_FEATURE_PV_SEND_IPI) | B(KVM_FEATURE_POLL_CONTROL) | \
	 B(KVM_FEATURE_PV_SCHED_YIELD) | B(KVM_FEATURE_CLOCKSOURCE_STABLE))

/*
 * With `paravirt` off a name that no kernel knows, and no other leaf. That there is a hypervisor is
 * told all the same: kernels then leave microcode and the MSRs of a real CPU's errata alone.
 */
static void build_hypervisor(struct cpuid_table *t, const struct cpuid_config *c)
{
	struct cpuid_regs *h = t->hypervisor;

	if (c->hyperv) {
		hyperv_cpuid(h, c);
		return;
	}
	if (!c->paravirt) {
		/* "Bulkhead\0\0\0\0" */
		h[0] = (struct cpuid_regs){CPUID_HYPERVISOR_BASE, 0x6b6c7542u, 0x64616568u, 0};
		return;
	}
	/* "KVMKVMKVM\0\0\0": the interface that stock kernels know. */
	h[0] = (struct cpuid_regs){CPUID_HYPERVISOR_BASE + CPUID_HYPERVISOR_MAX, 0x4b4d564bu,
				   0x564b4d56u, 0x4du};
	h[1].eax = KVM_FEATURES;
	h[0x10] = (struct cpuid_regs){(uint32_t)(c->tsc_hz / 1000), (uint32_t)(c->apic_hz / 1000),
				      0, 0};
}

static void build_extended(struct cpuid_table *t, const struct cpuid_config *c)
{
	struct cpuid_regs *e = t->extended;

	if (c->no_rdtscp) {
		e[1].edx &= ~EXT1_EDX_RDTSCP;
	}
	/*
	 * Below another hypervisor the bit is withheld because a VM might migrate, not because the
	 * TSC changes its rate; Bulkhead's own time stands on it there, so the guest's may, too.
	 */
	if ((cpu_cpuid(1, 0).ecx & LEAF1_ECX_HYPERVISOR) != 0) {
		e[7].edx |= EXT7_EDX_INVARIANT_TSC;
	}
	/* Of linear addresses: five-level tables are not offered. */
	e[8].eax = (e[8].eax & 0xffu) | (uint32_t)min_u64(e[8].eax >> 8, LINEAR_BITS) << 8;
	e[8].ecx = (uint32_t)c->vcpu_count - 1;
	if (c->vcpu_count > 1) {
		e[8].ecx |= bits_for(c->vcpu_count) << 12;
	}
	if (t->intel) {
		/* Intel has neither AMD's copies of leaf 1 nor its extra features there. */
		e[1].ecx &= B(0) | B(5) | B(8);
		e[1].edx &= B(11) | B(20) | B(26) | B(27) | B(29);
		e[8].ecx = 0;
	} else {
		e[1].edx = (e[1].edx & ~EXT1_EDX_SHARED) |
			   (t->basic[1].edx & e[1].edx & EXT1_EDX_SHARED) | CPUID_FEATURES_EDX_APIC;
		/* What leaf 1 counts are cores, not threads of one. */
		e[1].ecx |= c->vcpu_count > 1 ? EXT1_ECX_CMP_LEGACY : 0;
	}
}

static void build_maximums(struct cpuid_table *t)
{
	uint32_t host_extended = cpu_cpuid(CPUID_EXTENDED_BASE, 0).eax;
	uint32_t extended = (t->extended[1].ecx & EXT1_ECX_TOPOEXT) != 0 ? LEAF_AMD_TOPOLOGY
									 : CPUID_EXTENDED_BASE + 8;

	t->basic[0].eax = t->intel ? 0x16 : LEAF_XSAVE;
	if (host_extended < CPUID_EXTENDED_BASE) {
		host_extended = CPUID_EXTENDED_BASE;
	}
	t->extended[0].eax = (uint32_t)min_u64(host_extended, extended);
}

bool cpuid_is_dynamic(uint32_t leaf)
{
	return leaf == 1 || leaf == 7 || leaf == LEAF_TOPOLOGY || leaf == LEAF_XSAVE ||
	       leaf == LEAF_AMD_TOPOLOGY;
}

static bool has_subleaves(uint32_t leaf)
{
	return leaf == LEAF_CACHE || leaf == 7 || leaf == LEAF_TOPOLOGY || leaf == LEAF_XSAVE ||
	       leaf == LEAF_AMD_CACHE;
}

/* Of the leaves that are there. */
static void note_plain(struct cpuid_table *t)
{
	for (uint32_t i = 0; i <= CPUID_BASIC_MAX; i++) {
		if (i <= t->basic[0].eax && !cpuid_is_dynamic(i) && !has_subleaves(i)) {
			t->plain_basic |= BIT32(i);
		}
	}
	for (uint32_t i = 0; i <= CPUID_EXTENDED_MAX; i++) {
		uint32_t leaf = CPUID_EXTENDED_BASE + i;

		if (leaf <= t->extended[0].eax && !cpuid_is_dynamic(leaf) && !has_subleaves(leaf)) {
			t->plain_extended |= BIT32(i);
		}
	}
}

void cpuid_table_build(struct cpuid_table *t, const struct cpuid_config *config)
{
	*t = (struct cpuid_table){0};
	for (size_t i = 0; i < ARRAY_SIZE(mask_rows); i++) {
		const struct mask_row *row = &mask_rows[i];

		*slot(t, row->leaf) = masked(host_leaf(row->leaf, 0), row->mask);
	}
	t->intel = t->basic[0].ebx == 0x756e6547u; /* "Genu" */
	t->xcr0_mask = config->xcr0_supported & XCR0_ALLOWED;
	build_features(t, config);
	build_leaf7(t, config);
	if (t->intel) {
		build_caches(t, LEAF_CACHE, config);
	}
	build_topology(t, config);
	build_xsave(t, config);
	build_frequency(t, config);
	build_hypervisor(t, config);
	build_extended(t, config);
	if ((t->extended[1].ecx & EXT1_ECX_TOPOEXT) != 0) {
		build_caches(t, LEAF_AMD_CACHE, config);
	}
	build_maximums(t);
	note_plain(t);
}

static const struct cpuid_subleaf *find_sub(const struct cpuid_table *t, uint32_t leaf,
					    uint32_t subleaf)
{
	for (unsigned i = t->sub_first[first_slot(leaf)];
	     i < t->sub_count && t->sub[i].leaf == leaf; i++) {
		if (t->sub[i].subleaf == subleaf) {
			return &t->sub[i];
		}
	}
	return NULL;
}

/* Bytes an XSAVE area needs for the components in `xcr0`, in the standard form. */
static uint32_t xsave_standard(const struct cpuid_table *t, uint64_t xcr0)
{
	uint32_t size = XSAVE_LEGACY_BYTES;

	for (uint32_t rest = (uint32_t)xcr0 & ~3u; rest != 0; rest &= rest - 1) {
		uint32_t end = t->xsave_end[__builtin_ctz(rest)];

		size = end > size ? end : size;
	}
	return size;
}

/* The same in the compacted form. */
static uint32_t xsave_compacted(const struct cpuid_table *t, uint64_t xcr0)
{
	uint64_t size = XSAVE_LEGACY_BYTES;

	for (unsigned i = t->sub_first[LEAF_XSAVE]; i < t->sub_count; i++) {
		const struct cpuid_subleaf *s = &t->sub[i];

		if (s->leaf != LEAF_XSAVE || s->subleaf < 2 || (xcr0 & BIT(s->subleaf)) == 0) {
			continue;
		}
		size = (s->regs.ecx & LEAFD_ECX_ALIGNED) != 0 ? align_up(size, 64) : size;
		size += s->regs.eax;
	}
	return (uint32_t)size;
}

static struct cpuid_regs sub_regs(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_subleaf *s = find_sub(t, leaf, subleaf);

	return s != NULL ? s->regs : (struct cpuid_regs){0};
}

struct cpuid_regs cpuid_topology(const struct cpuid_table *t, uint32_t apic_id, uint32_t subleaf)
{
	struct cpuid_regs r = sub_regs(t, LEAF_TOPOLOGY, subleaf);

	r.ecx = (r.ecx & ~0xffu) | (subleaf & 0xff);
	r.edx = apic_id;
	return r;
}

struct cpuid_regs cpuid_xsave(const struct cpuid_table *t, uint64_t xcr0, uint32_t subleaf)
{
	struct cpuid_regs r = sub_regs(t, LEAF_XSAVE, subleaf);

	if (subleaf == 0 && r.ebx != 0) {
		r.ebx = xsave_standard(t, xcr0);
	} else if (subleaf == 1 && (r.eax & LEAFD1_EAX_XSAVEC) != 0) {
		r.ebx = xsave_compacted(t, xcr0);
	}
	return r;
}

/* Puts the vCPU's own state into leaves that show it. */
static void apply_vcpu(const struct cpuid_table *t, const struct cpuid_vcpu_state *v, uint32_t leaf,
		       uint32_t subleaf, struct cpuid_regs *r)
{
	switch (leaf) {
	case 1:
		*r = cpuid_features(t, v->apic_id, v->cr4, v->apic_enabled);
		break;
	case 7:
		r->ecx |= subleaf == 0 && (v->cr4 & CR4_PKE) != 0 ? LEAF7_ECX_OSPKE : 0;
		break;
	case LEAF_AMD_TOPOLOGY:
		r->eax = v->apic_id;
		r->ebx = v->apic_id & 0xff;
		break;
	default:
		break;
	}
}

/* The leaf that answers: past the end Intel repeats its last basic leaf, AMD returns zeros. */
static uint32_t effective_leaf(const struct cpuid_table *t, uint32_t leaf)
{
	bool known = leaf <= t->basic[0].eax ||
		     leaf - CPUID_HYPERVISOR_BASE <= CPUID_HYPERVISOR_MAX ||
		     (leaf >= CPUID_EXTENDED_BASE && leaf <= t->extended[0].eax);

	if (known) {
		return leaf;
	}
	return t->intel ? t->basic[0].eax : ~0u;
}

struct cpuid_regs cpuid_read(const struct cpuid_table *t, const struct cpuid_vcpu_state *vcpu,
			     uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = {0};
	uint32_t from = effective_leaf(t, leaf);
	const struct cpuid_regs *plain = cpuid_plain(t, from);

	if (plain != NULL) {
		return *plain;
	}
	if (from == LEAF_TOPOLOGY) {
		return cpuid_topology(t, vcpu->apic_id, subleaf);
	}
	if (from == LEAF_XSAVE) {
		return cpuid_xsave(t, vcpu->xcr0, subleaf);
	}
	if (has_subleaves(from)) {
		r = sub_regs(t, from, subleaf);
	} else if (from <= CPUID_BASIC_MAX) {
		r = t->basic[from];
	} else if (from - CPUID_EXTENDED_BASE <= CPUID_EXTENDED_MAX) {
		r = t->extended[from - CPUID_EXTENDED_BASE];
	}
	apply_vcpu(t, vcpu, from, subleaf, &r);
	return r;
}
