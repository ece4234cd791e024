/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest can do to its own CPU: faults within faults, tables in nowhere, odd instructions. */
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

/* In the PCI window, where no device is. */
#define HOLE 0xd0000000ull
#define MSR_NOWHERE 0x12345u
#define VECTOR_MISSING 0x60

static uint64_t empty_idt[512];

void case_triple_fault(void)
{
	load_idt(0, 0);
	__asm__ volatile("int3");
}

void case_cli_hlt(void)
{
	__asm__ volatile("cli; hlt");
	rt_fail("HLT with interrupts off went on");
}

/* Never rests and never exits; interrupts, of which it has no source, are off or on. */
void case_spin(void)
{
	bool on = rt_option("interrupts", 0) != 0;

	if (on) {
		interrupts_on();
	}
	rt_print("spinning with interrupts %s\n", on ? "on" : "off");
	for (;;) {
		__asm__ volatile("");
	}
}

static void read_missing_msr(void *arg)
{
	(void)arg;
	(void)rdmsr(MSR_NOWHERE);
}

static void load_bad_selector(void *arg)
{
	(void)arg;
	__asm__ volatile("movw %w0, %%fs" : : "r"(0x1000));
}

static void software_interrupt(void *arg)
{
	(void)arg;
	__asm__ volatile("int %0" : : "i"(VECTOR_MISSING));
}

static void expect_double_fault(const char *what)
{
	EXPECT(rt_fault.vector == RT_DF, "%s with a broken gate: exception %lu, not a double fault",
	       what, rt_fault.vector);
	EXPECT(rt_fault.error == 0, "double fault with error code 0x%lx", rt_fault.error);
}

/* Faults whose own gate is missing: #NP behind a benign event, else a double fault. */
void case_broken_gate(void)
{
	rt_set_gate(VECTOR_MISSING, false);
	EXPECT(rt_try(software_interrupt, NULL), "INT through a missing gate did not fault");
	/* Index * 8 + 2 by the manual; QEMU 7.2 says index * 16 + 2. */
	EXPECT(rt_fault.vector == RT_NP && (rt_fault.error & 7) == 2,
	       "INT through a missing gate: exception %lu, error 0x%lx", rt_fault.vector,
	       rt_fault.error);
	rt_set_gate(RT_GP, false);
	for (unsigned i = 0; i < 1000; i++) {
		EXPECT(rt_try(load_bad_selector, NULL), "a bad selector did not fault");
		expect_double_fault("MOV FS");
		EXPECT(rt_try(read_missing_msr, NULL), "unknown MSR did not fault");
		/* Here the hypervisor injects the #GP: QEMU 7.2 then forgets that it was one. */
		EXPECT(rt_fault.vector == RT_DF || rt_fault.vector == RT_NP, "RDMSR: exception %lu",
		       rt_fault.vector);
	}
}

void case_broken_idt(void)
{
	load_idt((uint64_t)(uintptr_t)empty_idt, sizeof(empty_idt) - 1);
	__asm__ volatile("ud2");
}

/* The exception's frame would go where no memory is. */
void case_bad_stack(void)
{
	__asm__ volatile("movq %0, %%rsp; ud2" : : "r"(HOLE + 0x800) : "memory");
}

void case_idt_in_hole(void)
{
	load_idt(HOLE, 0xfff);
	__asm__ volatile("int3");
}

void case_cr3_hole(void)
{
	write_cr3(HOLE);
}

void case_jump_hole(void)
{
	__asm__ volatile("jmp *%0" : : "r"(HOLE));
}

void case_jump_apic(void)
{
	__asm__ volatile("jmp *%0" : : "r"(APIC_BASE));
}

/* --- instructions that must fault --- */

static void do_vmrun(void *arg)
{
	__asm__ volatile("vmrun %%rax" : : "a"(arg));
}

static void do_vmload(void *arg)
{
	__asm__ volatile("vmload %%rax" : : "a"(arg));
}

static void do_vmsave(void *arg)
{
	__asm__ volatile("vmsave %%rax" : : "a"(arg) : "memory");
}

static void do_stgi(void *arg)
{
	(void)arg;
	__asm__ volatile("stgi");
}

static void do_clgi(void *arg)
{
	(void)arg;
	__asm__ volatile("clgi");
}

static void do_skinit(void *arg)
{
	(void)arg;
	__asm__ volatile("skinit" : : "a"(0));
}

static void do_invlpga(void *arg)
{
	__asm__ volatile("invlpga %%rax, %%ecx" : : "a"(arg), "c"(0));
}

static void do_vmxon(void *arg)
{
	__asm__ volatile("vmxon (%0)" : : "r"(arg));
}

static void do_rsm(void *arg)
{
	(void)arg;
	__asm__ volatile("rsm");
}

static void do_monitor(void *arg)
{
	__asm__ volatile("monitor" : : "a"(arg), "c"(0), "d"(0));
}

static void do_mwait(void *arg)
{
	(void)arg;
	__asm__ volatile("mwait" : : "a"(0), "c"(0));
}

static void do_rdpmc(void *arg)
{
	(void)arg;
	__asm__ volatile("rdpmc" : : "c"(0) : "eax", "edx");
}

static void do_svme(void *arg)
{
	(void)arg;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
}

static void do_vmxe(void *arg)
{
	(void)arg;
	write_cr4(read_cr4() | CR4_VMXE);
}

static void do_cr8(void *arg)
{
	(void)arg;
	write_cr8(0x10);
}

static void do_pg_without_pe(void *arg)
{
	(void)arg;
	write_cr0(read_cr0() & ~CR0_PE);
}

static void do_cr3_bits(void *arg)
{
	(void)arg;
	write_cr3(read_cr3() | BIT(51));
}

static void do_xcr0_empty(void *arg)
{
	(void)arg;
	xsetbv(0, 0);
}

static const struct {
	const char *what;
	void (*fn)(void *);
	uint64_t vector;
} forbidden[] = {
	{"VMRUN", do_vmrun, RT_UD},	{"VMLOAD", do_vmload, RT_UD}, {"VMSAVE", do_vmsave, RT_UD},
	{"STGI", do_stgi, RT_UD},	{"CLGI", do_clgi, RT_UD},     {"SKINIT", do_skinit, RT_UD},
	{"INVLPGA", do_invlpga, RT_UD}, {"VMXON", do_vmxon, RT_UD},   {"RSM", do_rsm, RT_UD},
	{"MONITOR", do_monitor, RT_UD}, {"MWAIT", do_mwait, RT_UD},   {"RDPMC", do_rdpmc, RT_GP},
	{"EFER.SVME", do_svme, RT_GP},
};

static void expect_fault(const char *what, void (*fn)(void *), uint64_t vector)
{
	static char page[4096] __attribute__((aligned(4096)));

	EXPECT(rt_try(fn, page), "%s did not fault", what);
	EXPECT(rt_fault.vector == vector, "%s: exception %lu, expected %lu", what, rt_fault.vector,
	       vector);
}

/* Virtualization is not offered, and what is not offered faults as on a CPU without it. */
void case_privileged(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		expect_fault(forbidden[i].what, forbidden[i].fn, forbidden[i].vector);
	}
	if ((cpuid(1, 0).ecx & BIT32(26)) != 0) {
		expect_fault("XSETBV without OSXSAVE", do_xcr0_empty, RT_UD);
		write_cr4(read_cr4() | CR4_OSXSAVE);
		EXPECT((cpuid(1, 0).ecx & BIT32(27)) != 0, "CPUID does not show OSXSAVE");
		expect_fault("XCR0 = 0", do_xcr0_empty, RT_GP);
	}
	__asm__ volatile("wbinvd; clts");
}

/*
 * Values that control registers do not take. #GP by the manuals; an emulated CPU may let them pass
 * or make the guest's state one that cannot be entered, which ends the guest. `which` picks one.
 */
void case_bad_control(void)
{
	static void (*const attempts[])(void *) = {do_vmxe, do_cr8, do_pg_without_pe, do_cr3_bits};

	if (!rt_try(attempts[rt_option("which", 0) % ARRAY_SIZE(attempts)], NULL)) {
		rt_print("this CPU does not mind\n");
	}
}

/* --- single-stepping over what exits --- */

#define STEPS_MAX 32u

/* steps.S: the instructions, and where each of them ends; ends with 0. */
void steps_run(void);
extern const uint64_t steps_ends[];

static uint64_t seen[STEPS_MAX];
static unsigned seen_count;

static void on_debug(struct rt_frame *f)
{
	if (seen_count < STEPS_MAX) {
		seen[seen_count] = f->rip;
	}
	seen_count++;
}

/* An instruction that the hypervisor completes must trap behind it just as one that hardware does.
 */
void case_single_step(void)
{
	rt_handle(1, on_debug);
	steps_run();
	for (unsigned i = 0; steps_ends[i] != 0; i++) {
		EXPECT(i < seen_count, "%u traps only", seen_count);
		EXPECT(seen[i] == steps_ends[i], "trap %u at 0x%lx, expected 0x%lx", i, seen[i],
		       steps_ends[i]);
	}
}

/* --- long mode without paging --- */

/* unpaged.S */
uint64_t unpaged_run(void);

/*
 * EFER.LME may stay set while paging and PAE are off; an exit there must do no harm to the machine,
 * and the guest goes on.
 */
void case_unpaged(void)
{
	const uint64_t efer = rdmsr(MSR_EFER);

	for (unsigned i = 0; i < 100; i++) {
		uint64_t there = unpaged_run();

		EXPECT(there == (efer & ~EFER_LMA), "EFER is 0x%lx without paging", there);
	}
	EXPECT(rdmsr(MSR_EFER) == efer, "EFER is 0x%lx at the end", rdmsr(MSR_EFER));
}
