/* SPDX-License-Identifier: Apache-2.0 */
/* The whole MSR space, read and written. */
#include "hv/cpu/msr.h"

#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define RANDOM_COUNT 4096u

struct msr_access {
	uint32_t index;
	uint64_t value;
};

static void do_read(void *arg)
{
	struct msr_access *a = arg;

	a->value = rdmsr(a->index);
}

static void do_write(void *arg)
{
	const struct msr_access *a = arg;

	wrmsr(a->index, a->value);
}

/* Any other exception than #GP is wrong, whatever the MSR. */
static bool attempt(void (*fn)(void *), struct msr_access *a)
{
	if (!rt_try(fn, a)) {
		return true;
	}
	EXPECT(rt_fault.vector == RT_GP && rt_fault.error == 0,
	       "MSR 0x%x: exception %lu, error 0x%lx", a->index, rt_fault.vector, rt_fault.error);
	return false;
}

/* Writing anything there would be the end of this program by its own hand. */
static bool fatal_to_self(uint32_t index)
{
	return index == MSR_IA32_APIC_BASE || index == MSR_EFER;
}

static unsigned try_msr(uint32_t index)
{
	static const uint64_t values[] = {0, ~0ull, 0x5555555555555555ull, 1};
	struct msr_access a = {index, 0};
	bool readable = attempt(do_read, &a);
	uint64_t original = a.value;

	if (fatal_to_self(index)) {
		return readable;
	}
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		a.value = values[i];
		(void)attempt(do_write, &a);
	}
	if (readable) {
		a.value = original;
		(void)attempt(do_write, &a);
	}
	return readable;
}

static void try_range(uint32_t first, uint32_t last)
{
	unsigned readable = 0;

	for (uint32_t i = first; i <= last; i++) {
		readable += try_msr(i);
	}
	rt_print("MSRs 0x%x - 0x%x: %u readable\n", first, last, readable);
}

static void try_random(void)
{
	uint32_t x = (uint32_t)rt_option("seed", 1);
	unsigned readable = 0;

	for (unsigned i = 0; i < RANDOM_COUNT; i++) {
		x = x * 1664525u + 1013904223u;
		readable += try_msr(x);
	}
	rt_print("random MSRs: %u readable\n", readable);
}

void case_msr_scan(void)
{
	struct msr_access hsave = {MSR_AMD_VM_HSAVE_PA, 0};

	EXPECT((rdmsr(MSR_EFER) & EFER_SVME) == 0, "EFER shows SVME");
	EXPECT(!attempt(do_read, &hsave) || hsave.value == 0, "VM_HSAVE_PA reads 0x%lx",
	       hsave.value);
	try_range(0, 0x1fff);
	try_range(0x40000000, 0x400001ff);
	try_range(0x4b564d00, 0x4b564d0f);
	try_range(0xc0000000, 0xc0001fff);
	try_range(0xc0010000, 0xc0011fff);
	try_random();
	EXPECT((rdmsr(MSR_EFER) & EFER_SVME) == 0, "EFER shows SVME");
}

/* A local APIC elsewhere is not offered: a named end. */
void case_apic_move(void)
{
	wrmsr(MSR_IA32_APIC_BASE, (rdmsr(MSR_IA32_APIC_BASE) & 0xfff) | 0xd0000000);
}
