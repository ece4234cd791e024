/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills every register that a world switch must keep with a pattern of this guest's own, computes
 * for a while, and looks whether they are still what they were. Two guests with different
 * `pattern`s run this against each other for `seconds`.
 */
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define XSAVE_BYTES 4096u
#define LEGACY_ST 32u
#define LEGACY_ST_COUNT 8u
#define LEGACY_XMM 160u
#define LEGACY_XMM_BYTES 256u
#define HEADER_XSTATE_BV 512u
#define ROUND_US 5000u

static uint8_t pattern_area[XSAVE_BYTES] __attribute__((aligned(64)));
static uint8_t result_area[XSAVE_BYTES] __attribute__((aligned(64)));
static uint64_t components;

static const uint32_t kept_msrs[] = {
	MSR_FS_BASE,	       MSR_KERNEL_GS_BASE,    MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_STAR,
	MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

static void save(uint8_t *area)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory");
}

static void restore(const uint8_t *area)
{
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory");
}

static void enable(void)
{
	struct cpuid sizes;

	EXPECT((cpuid(1, 0).ecx & BIT32(26)) != 0, "this CPU has no XSAVE");
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
	sizes = cpuid(0xd, 0);
	EXPECT(sizes.ecx <= XSAVE_BYTES, "the XSAVE area takes %u bytes", sizes.ecx);
	components = sizes.eax;
	xsetbv(0, components);
	__asm__ volatile("fninit");
	save(pattern_area);
}

/* Compares, or fills in, one run of an area's bytes. */
static void check_run(unsigned offset, unsigned n, const char *what)
{
	EXPECT(memcmp(pattern_area + offset, result_area + offset, n) == 0,
	       "%s changed: 0x%x at byte %u of the XSAVE area", what, result_area[offset], offset);
}

static void fill_run(unsigned offset, unsigned n, uint8_t seed)
{
	for (unsigned i = 0; i < n; i++) {
		pattern_area[offset + i] = (uint8_t)(seed + i);
	}
}

static void fill(uint8_t seed)
{
	for (unsigned i = 0; i < LEGACY_ST_COUNT; i++) {
		fill_run(LEGACY_ST + 16 * i, 10, seed);
	}
	fill_run(LEGACY_XMM, LEGACY_XMM_BYTES, seed);
	for (uint32_t i = 2; i < 32; i++) {
		struct cpuid c = cpuid(0xd, i);

		if ((components & BIT(i)) != 0) {
			fill_run(c.ebx, i == 9 ? 4 : c.eax, seed);
		}
	}
	memcpy(pattern_area + HEADER_XSTATE_BV, &components, sizeof(components));
}

static void check(void)
{
	for (unsigned i = 0; i < LEGACY_ST_COUNT; i++) {
		check_run(LEGACY_ST + 16 * i, 10, "an x87 register");
	}
	check_run(LEGACY_XMM, LEGACY_XMM_BYTES, "an XMM register");
	for (uint32_t i = 2; i < 32; i++) {
		struct cpuid c = cpuid(0xd, i);

		if ((components & BIT(i)) != 0) {
			check_run(c.ebx, i == 9 ? 4 : c.eax, "an extended register");
		}
	}
}

static void write_others(uint64_t value)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
		wrmsr(kept_msrs[i], (uint32_t)(value + i));
	}
	write_cr2(value);
	__asm__ volatile("movq %0, %%db0; movq %0, %%db1; movq %0, %%db2; movq %0, %%db3"
			 :
			 : "r"(value));
}

#define EXPECT_DR(n, value) \
	do { \
		uint64_t v; \
\
		__asm__ volatile("movq %%db" #n ", %0" : "=r"(v)); \
		EXPECT(v == (value), "DR" #n " changed to 0x%lx", v); \
	} while (0)

static void check_others(uint64_t value)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
		EXPECT(rdmsr(kept_msrs[i]) == (uint32_t)(value + i), "MSR 0x%x changed to 0x%lx",
		       kept_msrs[i], rdmsr(kept_msrs[i]));
	}
	EXPECT(read_cr2() == value, "CR2 changed to 0x%lx", read_cr2());
	EXPECT_DR(0, value);
	EXPECT_DR(1, value);
	EXPECT_DR(2, value);
	EXPECT_DR(3, value);
}

void case_registers(void)
{
	uint64_t seed = rt_option("pattern", 0x11);
	uint64_t end = rdtsc() + rt_us_to_tsc(rt_option("seconds", 5) * 1000000);
	uint64_t rounds = 0;

	enable();
	fill((uint8_t)seed);
	while ((int64_t)(end - rdtsc()) > 0) {
		uint64_t value = seed << 16 | (rounds & 0xffff);

		restore(pattern_area);
		write_others(value);
		rt_delay_us(ROUND_US);
		save(result_area);
		check();
		check_others(value);
		rounds++;
	}
	rt_print("%lu rounds, components 0x%lx\n", rounds, components);
}
