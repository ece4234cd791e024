/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest sees of CPUID, on an AMD, an Intel and on impossible hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "hv/cpuid_policy.h"
#include "tests/fakes/fake_cpu.h"

#define B(n) BIT32(n)

static struct cpuid_table table;
static struct cpuid_config config;
static struct cpuid_vcpu_state vcpu;

static void host(uint32_t leaf, uint32_t sub, uint32_t eax, uint32_t ebx, uint32_t ecx,
		 uint32_t edx)
{
	fake_cpuid_set(leaf, sub, (struct cpuid_regs){eax, ebx, ecx, edx});
}

static void reset(void)
{
	fake_cpu_reset();
	config = (struct cpuid_config){
		.vcpu_count = 1,
		.tsc_hz = 2400000000,
		.apic_hz = 1000000000,
		.paravirt = true,
		.xcr0_supported = XCR0_X87 | XCR0_SSE | XCR0_AVX,
	};
	vcpu = (struct cpuid_vcpu_state){.xcr0 = XCR0_X87, .apic_enabled = true};
}

/* Every feature bit of the leaves with features is set. */
static void host_features(uint32_t max_extended)
{
	host(0x80000000, 0, max_extended, 0, 0, 0);
	host(1, 0, 0x00a20f10, 0xff100800, ~0u, ~0u);
	host(5, 0, 64, 64, 3, 0x11);
	host(6, 0, ~0u, ~0u, ~0u, ~0u);
	host(7, 0, 2, ~0u, ~0u, ~0u);
	host(7, 1, ~0u, ~0u, ~0u, ~0u);
	host(0xa, 0, 0x08300805, 0, 0, 0x603);
	host(0x80000001, 0, 0x00a20f10, 0x40000000, ~0u, ~0u);
	host(0x80000002, 0, 0x20444d41, 0, 0, 0);
	host(0x80000007, 0, 0x3b, ~0u, ~0u, ~0u);
	host(0x80000008, 0, 0x00303030, ~0u, 0x700f, ~0u);
}

/* AVX, the MPX that is hidden, AVX-512 and PKRU where Intel puts them. */
static void host_xsave(void)
{
	host(0xd, 0, 0x2ff, 2696, 2696, 0);
	host(0xd, 1, 0x1f, 2696, 0x1900, 0);
	host(0xd, 2, 256, 576, 0, 0);
	host(0xd, 3, 64, 960, 0, 0);
	host(0xd, 4, 64, 1024, 0, 0);
	host(0xd, 5, 64, 1088, 0, 0);
	host(0xd, 6, 512, 1152, 2, 0);
	host(0xd, 7, 1024, 1664, 2, 0);
	host(0xd, 9, 8, 2688, 0, 0);
}

static void host_amd(void)
{
	reset();
	host(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
	host_features(0x80000028);
	host_xsave();
	host(0x8000000a, 0, 1, 0x8000, 0, ~0u);
	host(0x8000001d, 0, 0x00004121, 0x01c0003f, 0x3f, 0);
	host(0x8000001d, 1, 0x00004122, 0x01c0003f, 0x3f, 0);
	host(0x8000001d, 2, 0x00004143, 0x01c0003f, 0x3ff, 2);
	host(0x8000001d, 3, 0x0001c163, 0x03c0003f, 0x7fff, 1);
	host(0x8000001e, 0, 99, 0x155, 0x3, 7);
	host(0x8000001f, 0, ~0u, ~0u, ~0u, ~0u);
}

static void host_intel(void)
{
	reset();
	host(0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69);
	host_features(0x80000008);
	host_xsave();
	host(2, 0, 0x00feff01, 0xf0, 0, 0);
	host(4, 0, 0x1c004121, 0x02c0003f, 0x3f, 0);
	host(4, 1, 0x1c004122, 0x01c0003f, 0x3f, 0);
	host(4, 2, 0x1c004143, 0x0240003f, 0x7ff, 0);
	host(4, 3, 0x1c03c163, 0x03c0003f, 0x4fff, 4);
	host(0x14, 0, 1, 0xf, 7, 0);
	host(0x15, 0, 2, 188, 38400000, 0);
	host(0x16, 0, 3600, 4900, 100, 0);
}

static void host_of(bool intel)
{
	if (intel) {
		host_intel();
	} else {
		host_amd();
	}
}

static void build(void)
{
	cpuid_table_build(&table, &config);
}

static struct cpuid_regs leaf(uint32_t n, uint32_t sub)
{
	return cpuid_read(&table, &vcpu, n, sub);
}

static void assert_zero(struct cpuid_regs r)
{
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void assert_same(struct cpuid_regs a, struct cpuid_regs b)
{
	assert_memory_equal(&a, &b, sizeof(a));
}

/* --- hiding --- */

static void virtualization_and_counters_are_hidden(void **state)
{
	(void)state;
	for (int intel = 0; intel < 2; intel++) {
		host_of(intel != 0);
		build();
		/* MONITOR, VMX, SMX, EIST, TM2, SDBG, PDCM, DCA. */
		assert_int_equal(leaf(1, 0).ecx & (B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(10) |
						   B(11) | B(15) | B(18)),
				 0);
		/* DS, ACPI, SS, TM, PBE; one vCPU has no siblings. */
		assert_int_equal(leaf(1, 0).edx & (B(18) | B(21) | B(22) | B(27) | B(28) | B(29) |
						   B(30) | B(31)),
				 0);
		/* SVM, OSVW, IBS, SKINIT, WDT, LWP, performance counters, MONITORX. */
		assert_int_equal(leaf(0x80000001, 0).ecx & (B(2) | B(9) | B(10) | B(12) | B(13) |
							    B(15) | B(23) | B(24) | B(28) | B(29)),
				 0);
		/* SGX, TSX, MPX, RDT, PT. */
		assert_int_equal(
			leaf(7, 0).ebx & (B(2) | B(4) | B(11) | B(12) | B(14) | B(15) | B(25)), 0);
		/* LA57, shadow stacks, WAITPKG, keylocker, SGX_LC. */
		assert_int_equal(leaf(7, 0).ecx & (B(5) | B(7) | B(16) | B(23) | B(30) | B(31)), 0);
		/* IBT, SPEC_CTRL and its family, whose MSRs raise #GP. */
		assert_int_equal(leaf(7, 0).edx &
					 (B(20) | B(26) | B(27) | B(28) | B(29) | B(30) | B(31)),
				 0);
		assert_int_equal(leaf(7, 0).eax, 0);
		assert_zero(leaf(7, 1));
		assert_zero(leaf(3, 0));
		assert_zero(leaf(5, 0));
		assert_zero(leaf(0xa, 0));
		/* Beyond the end: each vendor's way. */
		assert_same(leaf(0x8000000a, 0), leaf(0x17, 0));
		/* ARAT alone; no APERF. */
		assert_int_equal(leaf(6, 0).eax, B(2));
		assert_int_equal(leaf(6, 0).ecx, 0);
	}
}

/* State and controls that no exit path switches: a guest must not find them. */
static void what_newer_cpus_have_is_hidden(void **state)
{
	/* Key locker, last branches, tiles twice, HRESET, counters, AVX10. */
	static const uint32_t leaves[] = {0x19, 0x1c, 0x1d, 0x1e, 0x20, 0x23, 0x24};

	(void)state;
	for (int intel = 0; intel < 2; intel++) {
		host_of(intel != 0);
		host(0, 0, 0x24, intel != 0 ? 0x756e6547 : 0x68747541, 0, 0);
		host(7, 2, ~0u, ~0u, ~0u, ~0u);
		for (size_t n = 0; n < ARRAY_SIZE(leaves); n++) {
			host(leaves[n], 0, ~0u, ~0u, ~0u, ~0u);
		}
		host(0xd, 0, 0x600ff, 11008, 11008, 0);
		host(0xd, 1, 0x1f, 11008, 0x1900, 0);
		host(0xd, 17, 64, 2752, 2, 0);
		host(0xd, 18, 8192, 2816, 6, 0);
		host(0x80000008, 0, 0x00303934, ~0u, 0x700f, ~0u);
		config.xcr0_supported = ~0ull;
		build();
		/* TME, bus locks, ENQCMD. */
		assert_int_equal(leaf(7, 0).ecx & (B(13) | B(24) | B(29)), 0);
		/* UINTR, TSX, hybrid, PCONFIG, last branches, AMX. */
		assert_int_equal(leaf(7, 0).edx & (B(5) | B(11) | B(13) | B(15) | B(16) | B(18) |
						   B(19) | B(22) | B(24) | B(25)),
				 0);
		/* FRED, LKGS, WRMSRNS, LASS, LAM, HRESET, MSRLIST, USER_MSR, CET_SSS, APX. */
		assert_zero(leaf(7, 1));
		assert_zero(leaf(7, 2));
		assert_zero(leaf(0x14, 0));
		for (size_t n = 0; n < ARRAY_SIZE(leaves); n++) {
			assert_same(leaf(leaves[n], 0), leaf(0x7fffffff, 0));
		}
		/* Neither XFD nor tiles, nor room for them; no fifth level. */
		assert_int_equal(leaf(0xd, 0).eax, 0x2e7);
		assert_int_equal(leaf(0xd, 0).ecx, 2696);
		assert_int_equal(leaf(0xd, 1).eax, 7);
		assert_zero(leaf(0xd, 17));
		assert_zero(leaf(0xd, 18));
		assert_int_equal(leaf(0x80000008, 0).eax, 0x3034);
	}
}

static void what_the_host_lacks_is_not_invented(void **state)
{
	struct cpuid_regs one;

	(void)state;
	reset();
	config.xcr0_supported = 3;
	build();
	one = leaf(1, 0);
	/* x2APIC, TSC deadline, hypervisor; APIC. */
	assert_int_equal(one.ecx, B(21) | B(24) | B(31));
	assert_int_equal(one.edx, B(9));
	assert_int_equal(leaf(7, 0).ebx, B(1));
	assert_zero(leaf(0xd, 0));
	assert_zero(leaf(0xd, 1));
	assert_int_equal(leaf(0x80000001, 0).ecx, 0);
	assert_int_equal(leaf(0x80000000, 0).eax, 0x80000000);
	assert_zero(leaf(0x80000008, 0));
}

static void state_that_is_not_kept_has_no_instructions(void **state)
{
	const uint32_t avx512_ebx = B(16) | B(17) | B(21) | B(28) | B(30) | B(31);
	const uint32_t avx512_ecx = B(1) | B(6) | B(11) | B(12) | B(14);
	const uint32_t avx512_edx = B(2) | B(3) | B(8);

	(void)state;
	host_intel();
	build();
	assert_int_equal(leaf(7, 0).ebx & avx512_ebx, 0);
	assert_int_equal(leaf(7, 0).ecx & avx512_ecx, 0);
	assert_int_equal(leaf(7, 0).edx & avx512_edx, 0);
	assert_int_equal(leaf(7, 0).ecx & B(3), 0); /* PKU */
	assert_true((leaf(7, 0).ebx & B(5)) != 0);  /* AVX2 */
	config.xcr0_supported |= XCR0_AVX512 | XCR0_PKRU;
	build();
	assert_int_equal(leaf(7, 0).ebx & avx512_ebx, avx512_ebx);
	assert_int_equal(leaf(7, 0).ecx & avx512_ecx, avx512_ecx);
	assert_int_equal(leaf(7, 0).edx & avx512_edx, avx512_edx);
	assert_true((leaf(7, 0).ecx & B(3)) != 0);
}

/* --- what follows the vCPU --- */

static void osxsave_and_ospke_follow_cr4(void **state)
{
	(void)state;
	host_intel();
	config.xcr0_supported |= XCR0_PKRU;
	build();
	assert_int_equal(leaf(1, 0).ecx & B(27), 0);
	assert_int_equal(leaf(7, 0).ecx & B(4), 0);
	vcpu.cr4 = CR4_OSXSAVE | CR4_PKE;
	assert_true((leaf(1, 0).ecx & B(27)) != 0);
	assert_true((leaf(7, 0).ecx & B(4)) != 0);
	/* Not in subleaves that are not there. */
	assert_zero(leaf(7, 1));
}

static void the_apic_shows_its_id_and_switch(void **state)
{
	(void)state;
	host_amd();
	config.vcpu_count = 6;
	build();
	vcpu.apic_id = 5;
	assert_int_equal(leaf(1, 0).ebx, 5u << 24 | 6u << 16 | 0x0800);
	assert_true((leaf(1, 0).edx & B(28)) != 0);
	assert_true((leaf(1, 0).edx & B(9)) != 0);
	vcpu.apic_enabled = false;
	assert_int_equal(leaf(1, 0).edx & B(9), 0);
	assert_int_equal(leaf(0x8000001e, 0).eax, 5);
	assert_int_equal(leaf(0x8000001e, 0).ebx, 5);
	assert_int_equal(leaf(0x8000001e, 0).ecx, 0);
	assert_int_equal(leaf(0x80000008, 0).ecx, 3u << 12 | 5);
}

static void topology_is_one_package_of_cores(void **state)
{
	(void)state;
	host_intel();
	config.vcpu_count = 3;
	build();
	vcpu.apic_id = 2;
	assert_same(leaf(0xb, 0), (struct cpuid_regs){0, 1, 0x100, 2});
	assert_same(leaf(0xb, 1), (struct cpuid_regs){2, 3, 0x201, 2});
	/* The x2APIC ID stands in every subleaf, the invalid ones too. */
	assert_same(leaf(0xb, 2), (struct cpuid_regs){0, 0, 2, 2});
	assert_same(leaf(0xb, 0x1ff), (struct cpuid_regs){0, 0, 0xff, 2});
}

static unsigned log2_up(unsigned n)
{
	unsigned bits = 0;

	while (1u << bits < n) {
		bits++;
	}
	return bits;
}

/* Counts of cores and widths of IDs, in whichever leaf a kernel looks. */
static void all_leaves_tell_the_same_topology(unsigned n, bool intel)
{
	unsigned width = log2_up(n);

	for (uint32_t id = 0; id < n; id++) {
		vcpu.apic_id = id;
		assert_int_equal(leaf(1, 0).ebx >> 24, id);
		assert_int_equal(leaf(1, 0).ebx >> 16 & 0xff, n);
		for (uint32_t sub = 0; sub < 4; sub++) {
			assert_int_equal(leaf(0xb, sub).edx, id);
		}
	}
	assert_int_equal((leaf(1, 0).edx & B(28)) != 0, n > 1);
	/* One thread a core, and all cores in the package. */
	assert_int_equal(leaf(0xb, 0).eax, 0);
	assert_int_equal(leaf(0xb, 0).ebx, 1);
	assert_int_equal(leaf(0xb, 1).eax, width);
	assert_int_equal(leaf(0xb, 1).ebx, n);
	if (intel) {
		assert_int_equal((leaf(4, 0).eax >> 26) + 1, 1u << width);
		assert_int_equal(log2_up((leaf(4, 3).eax >> 14 & 0xfff) + 1), width);
		assert_int_equal(leaf(4, 0).eax >> 14 & 0xfff, 0);
		return;
	}
	assert_int_equal((leaf(0x80000008, 0).ecx & 0xff) + 1, n);
	assert_int_equal(leaf(0x80000008, 0).ecx >> 12 & 0xf, width);
	assert_int_equal((leaf(0x80000001, 0).ecx & B(1)) != 0, n > 1);
	assert_int_equal(leaf(0x8000001d, 3).eax >> 14 & 0xfff, n - 1);
	assert_int_equal(leaf(0x8000001e, 0).eax, n - 1);
	assert_int_equal(leaf(0x8000001e, 0).ebx, n - 1);
	assert_int_equal(leaf(0x8000001e, 0).ecx, 0);
	/* Server 2022 loops for ever if the first is there without the second. */
	assert_true((leaf(0x80000001, 0).ecx & B(23)) == 0);
	assert_true((leaf(0x80000001, 0).ecx & B(22)) != 0);
}

static void a_guest_of_any_size_has_one_topology(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 64; n++) {
		host_intel();
		config.vcpu_count = n;
		build();
		all_leaves_tell_the_same_topology(n, true);
		host_amd();
		config.vcpu_count = n;
		build();
		all_leaves_tell_the_same_topology(n, false);
	}
}

/* What Windows 8.1 to 11 refuse to start without, where the CPU has it. */
static void what_windows_wants_is_shown(void **state)
{
	(void)state;
	for (unsigned intel = 0; intel < 2; intel++) {
		host_of(intel != 0);
		config.hyperv = true;
		build();
		/* SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT. */
		assert_int_equal(~leaf(1, 0).ecx & (B(0) | B(9) | B(13) | B(19) | B(20) | B(23)),
				 0);
		/* FPU PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA PAT CLFSH FXSR SSE SSE2. */
		assert_int_equal(~leaf(1, 0).edx & (B(0) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) |
						    B(9) | B(11) | B(12) | B(13) | B(14) | B(16) |
						    B(19) | B(24) | B(25) | B(26)),
				 0);
		/* LAHF PREFETCHW; SYSCALL NX LM; no SVM, no VMX. */
		assert_int_equal(~leaf(0x80000001, 0).ecx & (B(0) | B(8)), 0);
		assert_int_equal(~leaf(0x80000001, 0).edx & (B(11) | B(20) | B(29)), 0);
		assert_int_equal(leaf(0x80000001, 0).ecx & B(2), 0);
		assert_int_equal(leaf(1, 0).ecx & B(5), 0);
		assert_true((leaf(0x80000007, 0).edx & B(8)) != 0);
		assert_int_equal(leaf(0x40000001, 0).eax, 0x31237648);
		/* No performance counters: neither Intel's leaf nor APERF and MPERF. */
		assert_int_equal(leaf(0xa, 0).eax | (leaf(6, 0).ecx & 1), 0);
	}
}

static void caches_are_shared_within_the_vm(void **state)
{
	(void)state;
	host_intel();
	config.vcpu_count = 4;
	build();
	/* Bits 25:14 sharing, 31:26 cores, both less one. */
	assert_int_equal(leaf(4, 0).eax, 3u << 26 | 0x121);
	assert_int_equal(leaf(4, 0).ebx, 0x02c0003f);
	assert_int_equal(leaf(4, 3).eax, 3u << 26 | 3u << 14 | 0x163);
	assert_zero(leaf(4, 4));
	assert_same(leaf(0x8000001d, 0), leaf(0x17, 0));
	host_amd();
	config.vcpu_count = 4;
	build();
	assert_int_equal(leaf(0x8000001d, 0).eax, 0x121);
	assert_int_equal(leaf(0x8000001d, 3).eax, 3u << 14 | 0x163);
	assert_zero(leaf(0x8000001d, 4));
	assert_zero(leaf(4, 0));
}

/* --- XSAVE --- */

static void xsave_sizes_follow_xcr0(void **state)
{
	static const struct {
		uint64_t xcr0;
		uint32_t standard, compacted;
	} cases[] = {
		{1, 576, 576},
		{3, 576, 576},
		{7, 832, 832},
		{0xe7, 2688, 576 + 256 + 64 + 512 + 1024},
		{0x207, 2696, 576 + 256 + 8},
		/* 576 + 256 + 64, ZMM at the next 64 bytes, PKRU behind all. */
		{0x2e7, 2696, 576 + 256 + 64 + 512 + 1024 + 8},
		{0x201, 2696, 576 + 8},
	};

	(void)state;
	host_intel();
	config.xcr0_supported = ~0ull;
	build();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vcpu.xcr0 = cases[i].xcr0;
		assert_same(leaf(0xd, 0), (struct cpuid_regs){0x2e7, cases[i].standard, 2696, 0});
		/* XSAVEOPT, XSAVEC, XGETBV(1), but neither XSAVES nor anything it would save. */
		assert_same(leaf(0xd, 1), (struct cpuid_regs){7, cases[i].compacted, 0, 0});
	}
	assert_same(leaf(0xd, 2), (struct cpuid_regs){256, 576, 0, 0});
	assert_zero(leaf(0xd, 3)); /* MPX */
	assert_zero(leaf(0xd, 4));
	assert_zero(leaf(0xd, 8));
	assert_same(leaf(0xd, 9), (struct cpuid_regs){8, 2688, 0, 0});
	assert_zero(leaf(0xd, 64));
}

/* A component that asks for it starts at a multiple of 64 in the compacted form. */
static void compacted_components_are_aligned_where_asked(void **state)
{
	(void)state;
	host_intel();
	host(0xd, 5, 40, 1088, 0, 0);
	config.xcr0_supported = 0xe7;
	build();
	vcpu.xcr0 = 0xe7;
	assert_int_equal(leaf(0xd, 1).ebx, align_up(576 + 256 + 40, 64) + 512 + 1024);
}

static void without_xsavec_there_is_no_compacted_size(void **state)
{
	(void)state;
	host_intel();
	host(0xd, 1, 1, 0, 0, 0);
	build();
	assert_same(leaf(0xd, 1), (struct cpuid_regs){1, 0, 0, 0});
}

/* --- the ends of the ranges --- */

static void unknown_leaves_are_zero_on_amd(void **state)
{
	static const uint32_t unknown[] = {
		0xe,	    0xf,	0x10,	    0x1f,	0x20,	    0x3fffffff, 0x40000011,
		0x40000100, 0x7fffffff, 0x8000001f, 0x80000028, 0xc0000000, ~0u};

	(void)state;
	host_amd();
	build();
	assert_int_equal(leaf(0, 0).eax, 0xd);
	assert_int_equal(leaf(0x80000000, 0).eax, 0x8000001e);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_zero(leaf(unknown[i], 0));
	}
	/* Between the last and the first extended leaf that is shown. */
	for (uint32_t n = 0x80000009; n < 0x8000001d; n++) {
		assert_zero(leaf(n, 0));
	}
}

static void x2apic_is_there_unless_the_guest_is_to_have_none(void **state)
{
	const uint32_t x2apic = 1u << 21;

	(void)state;
	host_amd();
	host(1, 0, 0x00a20f10, 0, 0, 0); /* the host's has none */
	build();
	assert_true((leaf(1, 0).ecx & x2apic) != 0);
	config.xapic_only = true;
	host(1, 0, 0x00a20f10, 0, ~0u, ~0u);
	build();
	assert_false((leaf(1, 0).ecx & x2apic) != 0);
}

static void unknown_leaves_repeat_the_last_basic_one_on_intel(void **state)
{
	static const uint32_t unknown[] = {0x17, 0x20, 0x3fffffff, 0x40000011, 0x80000009, ~0u};

	(void)state;
	host_intel();
	build();
	assert_int_equal(leaf(0, 0).eax, 0x16);
	assert_int_equal(leaf(0x80000000, 0).eax, 0x80000008);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_same(leaf(unknown[i], 0), leaf(leaf(0, 0).eax, 0));
	}
	for (uint32_t n = 0xe; n <= 0x14; n++) {
		assert_zero(leaf(n, 0));
	}
}

/* --- both vendors' own leaves --- */

static void amd_repeats_leaf_1(void **state)
{
	const uint32_t shared = 0x0183f3ff;

	(void)state;
	host_amd();
	build();
	assert_int_equal(leaf(0x80000001, 0).edx & shared, leaf(1, 0).edx & shared);
	assert_true((leaf(0x80000001, 0).edx & (B(11) | B(20) | B(26) | B(27) | B(29))) ==
		    (B(11) | B(20) | B(26) | B(27) | B(29)));
	assert_true((leaf(0x80000001, 0).ecx & B(22)) != 0);
}

static void intel_has_none_of_amds_bits(void **state)
{
	(void)state;
	host_intel();
	build();
	assert_int_equal(leaf(0x80000001, 0).edx, B(11) | B(20) | B(26) | B(27) | B(29));
	assert_int_equal(leaf(0x80000001, 0).ecx, B(0) | B(5) | B(8));
	assert_int_equal(leaf(0x80000008, 0).ecx, 0);
}

static void the_tsc_rate_is_told(void **state)
{
	struct cpuid_regs r;

	(void)state;
	host_intel();
	build();
	r = leaf(0x15, 0);
	assert_int_equal((uint64_t)r.ecx * r.ebx / r.eax, config.tsc_hz);
	assert_int_equal(r.ecx, config.apic_hz);
	assert_same(leaf(0x16, 0), (struct cpuid_regs){2400, 2400, 1000, 0});
	r = leaf(0x40000010, 0);
	assert_int_equal(r.eax, 2400000);
	assert_int_equal(r.ebx, 1000000);
	host_amd();
	build();
	assert_zero(leaf(0x15, 0));
	assert_zero(leaf(0x16, 0));
}

/* Linux, native_calibrate_tsc: all in 32 bits. */
static void linux_reads_the_tsc_rate_right(void **state)
{
	static const uint64_t rates[] = {50000000,   49999873,	 999999999,  1193182000,
					 1896012345, 2394461000, 2400000000, 2799998123,
					 3579545000, 4200000000, 5000000000};
	unsigned none = 0;

	(void)state;
	host_intel();
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct cpuid_regs r;
		uint32_t khz;

		config.tsc_hz = rates[i];
		build();
		r = leaf(0x15, 0);
		if (r.eax == 0) {
			print_message("%lu Hz: left to the kernel\n", rates[i]);
			assert_true(none++ == 0 || rates[i] > UINT32_MAX);
			assert_zero(leaf(0x16, 0));
			continue;
		}
		khz = r.ecx / 1000 * r.ebx / r.eax;
		assert_in_range(khz, rates[i] / 1000 - rates[i] / 1000000000 - 1,
				rates[i] / 1000 + rates[i] / 1000000000 + 1);
	}
}

static void the_hypervisor_leaves_are_kvms(void **state)
{
	struct cpuid_regs r;

	(void)state;
	host_amd();
	host(0x40000000, 0, 0x40000005, 0x7263694d, 0x666f736f, 0x76482074);
	host(0x40000001, 0, 0x31237648, 0, 0, 0);
	build();
	r = leaf(0x40000000, 0);
	assert_int_equal(r.eax, 0x40000010);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	/* No asynchronous page faults (4, 10, 14), no hint that vCPUs are never preempted (EDX). */
	assert_same(leaf(0x40000001, 0), (struct cpuid_regs){0x01003aeb, 0, 0, 0});
	for (uint32_t n = 2; n < 0x10; n++) {
		assert_zero(leaf(0x40000000 + n, 0));
	}
}

/* A hypervisor is still told of, by a name that is nobody's. */
static void without_paravirt_no_kvm_shows(void **state)
{
	struct cpuid_regs r;

	(void)state;
	host_amd();
	config.paravirt = false;
	build();
	assert_int_equal(leaf(1, 0).ecx & B(31), B(31));
	r = leaf(0x40000000, 0);
	assert_int_equal(r.eax, 0x40000000);
	assert_memory_equal(&r.ebx, "Bulkhead\0\0\0\0", 12);
	for (uint32_t n = 1; n <= 0x10; n++) {
		assert_zero(leaf(0x40000000 + n, 0));
	}
}

static void what_hardware_keeps_from_guests_is_hidden(void **state)
{
	(void)state;
	host_amd();
	build();
	assert_true((leaf(0x80000001, 0).edx & B(27)) != 0);
	assert_true((leaf(7, 0).ecx & B(22)) != 0);
	assert_true((leaf(7, 0).ebx & B(10)) != 0);
	config.no_rdtscp = true;
	build();
	assert_true((leaf(0x80000001, 0).edx & B(27)) == 0);
	assert_true((leaf(7, 0).ecx & B(22)) == 0);
	assert_true((leaf(7, 0).ebx & B(10)) != 0);
	config.no_rdtscp = false;
	config.no_invpcid = true;
	build();
	assert_true((leaf(0x80000001, 0).edx & B(27)) != 0);
	assert_true((leaf(7, 0).ebx & B(10)) == 0);
}

static void a_form_of_xsave_that_fails_is_hidden(void **state)
{
	(void)state;
	host_amd();
	build();
	assert_int_equal(leaf(0xd, 1).eax & 7, 7);
	config.no_xsavec = true;
	build();
	assert_int_equal(leaf(0xd, 1).eax & 7, 5);
	assert_int_equal(leaf(0xd, 1).ebx, 0);
}

static void fast_strings_are_told_of_where_they_are_fast(void **state)
{
	(void)state;
	host_amd();
	build();
	assert_true((leaf(7, 0).ebx & B(9)) != 0);
	assert_true((leaf(7, 0).edx & B(4)) != 0);
	config.slow_movsb = true;
	build();
	assert_true((leaf(7, 0).ebx & B(9)) == 0);
	assert_true((leaf(7, 0).edx & B(4)) == 0);
	assert_true((leaf(7, 0).ebx & B(8)) != 0);
}

static void the_tsc_is_invariant_where_ours_stands_on_it(void **state)
{
	(void)state;
	host_amd();
	host(0x80000007, 0, 0, 0, 0, 0);
	build();
	assert_int_equal(leaf(0x80000007, 0).edx, B(8)); /* below a hypervisor */
	host(1, 0, 0x00a20f10, 0, ~B(31), ~0u);
	build();
	assert_int_equal(leaf(0x80000007, 0).edx, 0);
	host(0x80000007, 0, ~0u, ~0u, ~0u, ~0u);
	build();
	assert_same(leaf(0x80000007, 0), (struct cpuid_regs){0, 0, 0, B(8)});
}

static void leaves_not_called_dynamic_do_not_change(void **state)
{
	struct cpuid_vcpu_state other = {7, ~0ull, 7, false};

	(void)state;
	for (int intel = 0; intel < 2; intel++) {
		host_of(intel != 0);
		build();
		for (uint32_t range = 0; range < 3; range++) {
			for (uint32_t n = 0; n < 0x30; n++) {
				uint32_t l = (uint32_t[]){0, 0x40000000, 0x80000000}[range] + n;

				if (!cpuid_is_dynamic(l)) {
					assert_same(leaf(l, 0), cpuid_read(&table, &other, l, 0));
				}
			}
		}
	}
}

/* The short ways say what the long one does. */
static void short_ways_say_the_same(void **state)
{
	(void)state;
	for (unsigned intel = 0; intel < 2; intel++) {
		if (intel) {
			host_intel();
		} else {
			host_amd();
		}
		build();
		vcpu = (struct cpuid_vcpu_state){
			.apic_id = 5, .cr4 = CR4_OSXSAVE | CR4_PKE, .xcr0 = 7};
		for (uint32_t n = 0; n < 3 * 0x30; n++) {
			uint32_t l = (uint32_t[]){0, 0x40000000, 0x80000000}[n / 0x30] + n % 0x30;
			const struct cpuid_regs *plain = cpuid_plain(&table, l);

			if (plain != NULL) {
				assert_false(cpuid_is_dynamic(l));
				assert_same(*plain, leaf(l, 0));
				assert_same(*plain, leaf(l, 3));
			}
		}
		assert_non_null(cpuid_plain(&table, 0));
		assert_non_null(cpuid_plain(&table, 0x40000001));
		assert_non_null(cpuid_plain(&table, 0x80000008));
		assert_same(cpuid_features(&table, vcpu.apic_id, vcpu.cr4, false), leaf(1, 0));
		for (uint32_t sub = 0; sub < 70; sub++) {
			assert_same(cpuid_topology(&table, vcpu.apic_id, sub), leaf(0xb, sub));
			assert_same(cpuid_xsave(&table, vcpu.xcr0, sub), leaf(0xd, sub));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(virtualization_and_counters_are_hidden),
		cmocka_unit_test(what_newer_cpus_have_is_hidden),
		cmocka_unit_test(what_the_host_lacks_is_not_invented),
		cmocka_unit_test(state_that_is_not_kept_has_no_instructions),
		cmocka_unit_test(osxsave_and_ospke_follow_cr4),
		cmocka_unit_test(the_apic_shows_its_id_and_switch),
		cmocka_unit_test(topology_is_one_package_of_cores),
		cmocka_unit_test(a_guest_of_any_size_has_one_topology),
		cmocka_unit_test(what_windows_wants_is_shown),
		cmocka_unit_test(caches_are_shared_within_the_vm),
		cmocka_unit_test(xsave_sizes_follow_xcr0),
		cmocka_unit_test(compacted_components_are_aligned_where_asked),
		cmocka_unit_test(without_xsavec_there_is_no_compacted_size),
		cmocka_unit_test(unknown_leaves_are_zero_on_amd),
		cmocka_unit_test(x2apic_is_there_unless_the_guest_is_to_have_none),
		cmocka_unit_test(unknown_leaves_repeat_the_last_basic_one_on_intel),
		cmocka_unit_test(amd_repeats_leaf_1),
		cmocka_unit_test(intel_has_none_of_amds_bits),
		cmocka_unit_test(the_tsc_rate_is_told),
		cmocka_unit_test(linux_reads_the_tsc_rate_right),
		cmocka_unit_test(the_hypervisor_leaves_are_kvms),
		cmocka_unit_test(without_paravirt_no_kvm_shows),
		cmocka_unit_test(what_hardware_keeps_from_guests_is_hidden),
		cmocka_unit_test(a_form_of_xsave_that_fails_is_hidden),
		cmocka_unit_test(fast_strings_are_told_of_where_they_are_fast),
		cmocka_unit_test(the_tsc_is_invariant_where_ours_stands_on_it),
		cmocka_unit_test(leaves_not_called_dynamic_do_not_change),
		cmocka_unit_test(short_ways_say_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
