/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls: both vendors' instructions, wherever the code lies; none at all with `kvm=0`. */
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define PTE_PRESENT BIT(0)
#define PTE_WRITE BIT(1)
#define PTE_LARGE BIT(7)

#define CANONICAL_END 0x800000000000ull
#define TOP_PAGE MIB(12) /* free RAM, 2 MiB */

static const uint8_t vmcall[] = {0x0f, 0x01, 0xc1};
static const uint8_t vmmcall[] = {0x0f, 0x01, 0xd9};

static int64_t result;

static void do_vmcall(void *number)
{
	__asm__ volatile("vmcall" : "=a"(result) : "a"(number) : "memory");
}

static void do_vmmcall(void *number)
{
	__asm__ volatile("vmmcall" : "=a"(result) : "a"(number) : "memory");
}

static void expect_call(void (*fn)(void *), uint64_t number, int64_t want)
{
	bool kvm = rt_option("kvm", 1) != 0;
	bool faulted;

	result = 77;
	faulted = rt_try(fn, (void *)number);
	EXPECT(faulted == !kvm, "a hypercall %s (%lu)", faulted ? "faults" : "does not fault",
	       rt_fault.vector);
	EXPECT(!faulted || rt_fault.vector == RT_UD, "exception %lu", rt_fault.vector);
	EXPECT(faulted || result == want, "hypercall %lu: %ld", number, result);
}

/* --- at the very end of the lower half --- */

static void map_top(void)
{
	static uint64_t pdpt[512] __attribute__((aligned(4096)));
	static uint64_t pd[512] __attribute__((aligned(4096)));
	uint64_t *pml4 = (uint64_t *)(read_cr3() & ~0xfffull);

	pd[511] = TOP_PAGE | PTE_LARGE | PTE_WRITE | PTE_PRESENT;
	pdpt[511] = (uint64_t)pd | PTE_WRITE | PTE_PRESENT;
	pml4[255] = (uint64_t)pdpt | PTE_WRITE | PTE_PRESENT;
}

static void call_at_the_end(void *number)
{
	__asm__ volatile("jmp *%1" : "=a"(result) : "r"(CANONICAL_END - 3), "0"(number) : "memory");
}

/* It is done, and the fetch behind it faults, at an address that no fetch can have. */
static void expect_call_at_the_end(const uint8_t *code)
{
	memcpy((char *)(TOP_PAGE + MIB(2) - 3), code, 3);
	EXPECT(rt_try(call_at_the_end, (void *)~0ull), "code behind the lower half");
	EXPECT(rt_fault.vector == RT_GP && rt_fault.frame.rip == CANONICAL_END,
	       "exception %lu at 0x%lx", rt_fault.vector, rt_fault.frame.rip);
	EXPECT((int64_t)rt_fault.frame.rax == -1000, "RAX is 0x%lx", rt_fault.frame.rax);
}

void case_hypercall(void)
{
	expect_call(do_vmcall, ~0ull, -1000);
	expect_call(do_vmmcall, ~0ull, -1000);
	expect_call(do_vmcall, 1, 0);
	expect_call(do_vmmcall, 1, 0);
	if (rt_option("kvm", 1) != 0) {
		map_top();
		expect_call_at_the_end(vmcall);
		expect_call_at_the_end(vmmcall);
	}
}
