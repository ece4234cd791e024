/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest's CPU says of itself, and what it starts with: nothing of the host's. */
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define HYPERVISOR_BASE 0x40000000u
#define GENU 0x756e6547u /* the vendor's name begins so: Intel */

static void expect_zero(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r = cpuid(leaf, subleaf);

	EXPECT((r.eax | r.ebx | r.ecx | r.edx) == 0, "CPUID 0x%x.%u is 0x%x 0x%x 0x%x 0x%x", leaf,
	       subleaf, r.eax, r.ebx, r.ecx, r.edx);
}

/* A leaf out of range: AMD says zero, Intel repeats its last basic leaf. */
static void expect_absent(uint32_t leaf)
{
	struct cpuid vendor = cpuid(0, 0);
	struct cpuid last = cpuid(vendor.eax, 0);
	struct cpuid r = cpuid(leaf, 0);

	if (vendor.ebx != GENU) {
		last = (struct cpuid){0};
	}
	EXPECT(memcmp(&r, &last, sizeof(r)) == 0, "CPUID 0x%x is 0x%x 0x%x 0x%x 0x%x", leaf, r.eax,
	       r.ebx, r.ecx, r.edx);
}

/* With `kvm=0` a name that no kernel knows, and nothing else. */
static void check_hypervisor_leaves(void)
{
	struct cpuid base = cpuid(HYPERVISOR_BASE, 0);
	bool kvm = rt_option("kvm", 1) != 0;
	const char *name = kvm ? "KVMKVMKVM\0\0" : "Bulkhead\0\0\0";

	EXPECT(memcmp((const char *)&base + 4, name, 12) == 0,
	       "the hypervisor's signature is 0x%x 0x%x 0x%x", base.ebx, base.ecx, base.edx);
	EXPECT(base.eax == HYPERVISOR_BASE + (kvm ? 0x10u : 0), "its last leaf is 0x%x", base.eax);
	for (uint32_t leaf = HYPERVISOR_BASE + (kvm ? 2 : 1); leaf <= HYPERVISOR_BASE + 0x10;
	     leaf++) {
		if (leaf != base.eax) {
			expect_zero(leaf, 0);
		}
	}
	for (uint32_t leaf = HYPERVISOR_BASE + 0x11; leaf < HYPERVISOR_BASE + 0x1000; leaf++) {
		expect_absent(leaf);
	}
}

static void check_hidden_features(void)
{
	struct cpuid one = cpuid(1, 0);
	struct cpuid amd = cpuid(0x80000001, 0);

	EXPECT((one.ecx & (BIT32(2) | BIT32(3) | BIT32(5) | BIT32(6) | BIT32(15))) == 0,
	       "CPUID 1 ECX is 0x%x: DTES64, MONITOR, VMX, SMX or PDCM shows", one.ecx);
	EXPECT((one.ecx & BIT32(31)) != 0, "CPUID 1 does not tell of a hypervisor");
	EXPECT((amd.ecx & (BIT32(2) | BIT32(3) | BIT32(10) | BIT32(12) | BIT32(13) | BIT32(15))) ==
		       0,
	       "CPUID 0x80000001 ECX is 0x%x: SVM, IBS, SKINIT, WDT or LWP shows", amd.ecx);
	expect_zero(0x0a, 0); /* performance counters */
	if (cpuid(0x80000000, 0).eax >= 0x8000001b) {
		expect_zero(0x8000000a, 0); /* SVM */
		expect_zero(0x8000001b, 0); /* IBS */
	} else {
		expect_absent(0x8000000a);
		expect_absent(0x8000001b);
	}
	expect_absent(0x8000001f); /* SME, SEV */
	for (uint32_t leaf = 0x80000020; leaf < 0x80001000; leaf++) {
		expect_absent(leaf);
	}
	expect_absent(0xc0000000);
	expect_absent(0xffffffff);
	expect_zero(7, 100);
	expect_zero(0xd, 63);
}

/* --- instructions that CPUID announces --- */

static void use_rdtscp(void *arg)
{
	(void)arg;
	__asm__ volatile("rdtscp" : : : "eax", "ecx", "edx");
}

static void use_rdrand(void *arg)
{
	(void)arg;
	__asm__ volatile("rdrand %%rax" : : : "rax", "cc");
}

static void use_rdseed(void *arg)
{
	(void)arg;
	__asm__ volatile("rdseed %%rax" : : : "rax", "cc");
}

static void use_clflushopt(void *arg)
{
	__asm__ volatile("clflushopt (%0)" : : "r"(arg) : "memory");
}

static void use_clwb(void *arg)
{
	__asm__ volatile("clwb (%0)" : : "r"(arg) : "memory");
}

static void use_rdfsbase(void *arg)
{
	(void)arg;
	write_cr4(read_cr4() | CR4_FSGSBASE);
	__asm__ volatile("rdfsbase %%rax" : : : "rax");
}

static void use_invpcid(void *arg)
{
	(void)arg;
	__asm__ volatile("invpcid (%0), %1" : : "r"((uint64_t[2]){0, 0}), "r"(2ull) : "memory");
}

static void use_popcnt(void *arg)
{
	(void)arg;
	__asm__ volatile("popcnt %%rax, %%rax" : : : "rax", "cc");
}

static void use_stac(void *arg)
{
	(void)arg;
	write_cr4(read_cr4() | CR4_SMAP);
	__asm__ volatile("stac; clac");
}

static void use_x2apic_id(void *arg)
{
	(void)arg;
	(void)rdmsr(MSR_IA32_TSC_ADJUST);
}

static const struct {
	const char *name;
	uint32_t leaf;
	unsigned reg; /* 0 EAX .. 3 EDX */
	unsigned bit;
	void (*use)(void *);
} announced[] = {
	{"RDTSCP", 0x80000001, 3, 27, use_rdtscp},
	{"RDRAND", 1, 2, 30, use_rdrand},
	{"RDSEED", 7, 1, 18, use_rdseed},
	{"CLFLUSHOPT", 7, 1, 23, use_clflushopt},
	{"CLWB", 7, 1, 24, use_clwb},
	{"FSGSBASE", 7, 1, 0, use_rdfsbase},
	{"INVPCID", 7, 1, 10, use_invpcid},
	{"POPCNT", 1, 2, 23, use_popcnt},
	{"SMAP", 7, 1, 20, use_stac},
	{"TSC_ADJUST", 7, 1, 1, use_x2apic_id},
};

static void check_announced(void)
{
	static uint64_t line[8] __attribute__((aligned(64)));

	for (size_t i = 0; i < ARRAY_SIZE(announced); i++) {
		struct cpuid r = cpuid(announced[i].leaf, 0);
		uint32_t regs[] = {r.eax, r.ebx, r.ecx, r.edx};

		if ((regs[announced[i].reg] & BIT32(announced[i].bit)) != 0) {
			EXPECT(!rt_try(announced[i].use, line), "%s is announced and faults (%lu)",
			       announced[i].name, rt_fault.vector);
		}
	}
}

void case_cpuid(void)
{
	check_hypervisor_leaves();
	check_hidden_features();
	check_announced();
}

/* --- the first instruction's state --- */

#define GPR_RSI_SLOT 6u

static const uint32_t zero_msrs[] = {
	MSR_FS_BASE,
	MSR_GS_BASE,
	MSR_KERNEL_GS_BASE,
	MSR_STAR,
	MSR_LSTAR,
	MSR_CSTAR,
	MSR_SFMASK,
	MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP,
	MSR_IA32_TSC_ADJUST,
};

static void check_vectors(void)
{
	static uint8_t image[512] __attribute__((aligned(16)));

	write_cr4(read_cr4() | CR4_OSFXSR);
	__asm__ volatile("fxsave64 %0" : "=m"(image));
	for (unsigned i = 32; i < 416; i++) {
		EXPECT(image[i] == 0, "byte %u of the FXSAVE image is 0x%x", i, image[i]);
	}
}

#define EXPECT_DR(n, expected) \
	do { \
		uint64_t v; \
\
		__asm__ volatile("movq %%db" #n ", %0" : "=r"(v)); \
		EXPECT(v == (expected), "DR" #n " is 0x%lx", v); \
	} while (0)

/* Registers hold nothing of the host's, nor of a guest's that ran before. */
void case_clean_start(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rt_entry_gpr); i++) {
		EXPECT(i == GPR_RSI_SLOT || rt_entry_gpr[i] == 0, "register %u starts as 0x%lx", i,
		       rt_entry_gpr[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(zero_msrs); i++) {
		EXPECT(rdmsr(zero_msrs[i]) == 0, "MSR 0x%x starts as 0x%lx", zero_msrs[i],
		       rdmsr(zero_msrs[i]));
	}
	EXPECT_DR(0, 0);
	EXPECT_DR(1, 0);
	EXPECT_DR(2, 0);
	EXPECT_DR(3, 0);
	EXPECT_DR(6, 0xffff0ff0);
	EXPECT_DR(7, 0x400);
	EXPECT(read_cr2() == 0 && read_cr8() == 0, "CR2 is 0x%lx, CR8 0x%lx", read_cr2(),
	       read_cr8());
	check_vectors();
}
