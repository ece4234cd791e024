/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microsoft's interface as a guest of one vCPU uses it: identification, hypercall page, clock,
 * timers in both modes, interrupts by hypercall, EOI by the assist page, idle, and a crash.
 */
#include "hv/base/hyperv_format.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define VECTOR 0x51u
#define SINT 2u
#define SECOND HV_TIME_HZ
#define MS (HV_TIME_HZ / 1000)

static uint8_t code[4096] __attribute__((aligned(4096)));
static uint64_t input[512] __attribute__((aligned(4096)));
static struct hv_message messages[HV_SINT_COUNT] __attribute__((aligned(4096)));
static volatile struct hv_tsc_page clock __attribute__((aligned(4096)));
static volatile uint32_t assist __attribute__((aligned(4096)));

static volatile unsigned count;
static volatile unsigned eois_saved;

static void on_interrupt(struct rt_frame *f)
{
	(void)f;
	count++;
	if (__atomic_exchange_n(&assist, 0, __ATOMIC_SEQ_CST) != 0) {
		eois_saved++;
	} else {
		wrmsr(MSR_HV_EOI, 0);
	}
}

/* Through the page, whatever instruction it has. */
static uint64_t call(uint64_t control, uint64_t first, uint64_t second)
{
	register uint64_t r8 __asm__("r8") = second;
	uint64_t result;

	__asm__ volatile("call *%5"
			 : "=a"(result), "+c"(control), "+d"(first), "+r"(r8)
			 : "0"(0), "r"(code)
			 : "memory");
	return result;
}

static void expect_interrupt(const char *what)
{
	uint64_t end = rdmsr(MSR_HV_TIME_REF_COUNT) + 4 * SECOND;

	interrupts_on();
	while (count == 0) {
		EXPECT(rdmsr(MSR_HV_TIME_REF_COUNT) < end, "no interrupt: %s", what);
	}
	interrupts_off();
	EXPECT(count == 1, "%u interrupts: %s", count, what);
	count = 0;
}

/* --- the steps --- */

static void identify(void)
{
	struct cpuid top = cpuid(0x40000000, 0);

	EXPECT(top.eax >= HV_CPUID_MAX && top.ebx == 0x7263694d, "leaves to 0x%x, name 0x%x",
	       top.eax, top.ebx);
	EXPECT(cpuid(0x40000001, 0).eax == HV_INTERFACE, "no Hv#1");
	EXPECT(rdmsr(MSR_HV_VP_INDEX) == 0, "VP index %lu", rdmsr(MSR_HV_VP_INDEX));
}

static void do_vmcall(void *unused)
{
	(void)unused;
	__asm__ volatile("vmcall" : : "c"(HV_CALL_LONG_SPIN_WAIT) : "rax", "rdx", "r8", "memory");
}

static void open_page(void)
{
	uint8_t before = code[0] = 0x90;

	EXPECT(rt_try(do_vmcall, NULL) && rt_fault.vector == RT_UD, "a hypercall before its page");
	wrmsr(MSR_HV_GUEST_OS_ID, 0x8100ull << 48);
	wrmsr(MSR_HV_HYPERCALL, (uint64_t)code | HV_PAGE_ENABLE);
	EXPECT(code[0] != before, "the page is not there");
	EXPECT(call(HV_CALL_LONG_SPIN_WAIT | HV_CONTROL_FAST, 1, 0) == 0, "a spin fails");
	EXPECT(call(0xffff, 0, 0) == HV_CALL_INVALID_CODE, "any code is taken");
}

static uint64_t by_page(void)
{
	uint64_t tsc = rdtsc();

	return (uint64_t)((unsigned __int128)tsc * clock.scale >> 64) + (uint64_t)clock.offset;
}

static void read_clock(void)
{
	uint32_t from = pm_timer();
	uint64_t start;
	uint64_t took;

	wrmsr(MSR_HV_REFERENCE_TSC, (uint64_t)&clock | HV_PAGE_ENABLE);
	EXPECT(clock.sequence != 0, "the page has no clock");
	start = rdmsr(MSR_HV_TIME_REF_COUNT);
	while (pm_elapsed(from, pm_timer()) < PM_TIMER_HZ / 10) {
		uint64_t a = by_page();
		uint64_t b = rdmsr(MSR_HV_TIME_REF_COUNT);
		uint64_t c = by_page();

		EXPECT(a <= b && b <= c, "page %lu, MSR %lu, page %lu", a, b, c);
	}
	took = rdmsr(MSR_HV_TIME_REF_COUNT) - start;
	EXPECT(took > 90 * MS && took < SECOND, "a tenth of a second took %lu", took);
}

/* The set's words are beyond RDX and R8. */
static uint64_t ipi_by_xmm(void)
{
	__asm__ volatile("movq %0, %%xmm0\n\tpunpcklqdq %%xmm0, %%xmm0" : : "r"(1ull));
	return call(HV_CALL_CLUSTER_IPI_EX | HV_CONTROL_FAST | 1ull << 17, VECTOR, HV_SET_SPARSE);
}

static void send_interrupts(void)
{
	EXPECT(call(HV_CALL_CLUSTER_IPI | HV_CONTROL_FAST, VECTOR, 1) == 0, "no IPI");
	expect_interrupt("fast IPI");
	input[0] = VECTOR;
	input[1] = HV_SET_ALL;
	EXPECT(call(HV_CALL_CLUSTER_IPI_EX, (uint64_t)input, 0) == 0, "no IPI by memory");
	expect_interrupt("IPI by memory");
	write_cr4(read_cr4() | CR4_OSFXSR);
	EXPECT(ipi_by_xmm() == 0, "no IPI by XMM");
	expect_interrupt("IPI by XMM");
	memset(input, 0, sizeof(input));
	input[1] = HV_FLUSH_ALL_PROCESSORS;
	EXPECT(call(HV_CALL_FLUSH_LIST | 5ull << 32, (uint64_t)input, 0) == 5ull << 32, "no flush");
}

static void set_timers(void)
{
	wrmsr(MSR_HV_STIMER0_CONFIG, HV_STIMER_DIRECT | HV_STIMER_AUTO_ENABLE | VECTOR << 4);
	wrmsr(MSR_HV_STIMER0_CONFIG + 1, rdmsr(MSR_HV_TIME_REF_COUNT) + MS);
	expect_interrupt("direct timer");
	wrmsr(MSR_HV_SIMP, (uint64_t)messages | HV_PAGE_ENABLE);
	wrmsr(MSR_HV_SCONTROL, HV_SCONTROL_ENABLE);
	wrmsr(MSR_HV_SINT0 + SINT, VECTOR);
	wrmsr(MSR_HV_STIMER0_CONFIG + 2, HV_STIMER_AUTO_ENABLE | (uint64_t)SINT << 16);
	wrmsr(MSR_HV_STIMER0_CONFIG + 3, rdmsr(MSR_HV_TIME_REF_COUNT) + MS);
	expect_interrupt("timer by message");
	EXPECT(messages[SINT].type == HV_MESSAGE_TIMER_EXPIRED, "message 0x%x",
	       messages[SINT].type);
}

/* With interrupts off: it comes back when one waits, which is taken later. */
static void idle(void)
{
	wrmsr(MSR_HV_STIMER0_CONFIG + 1, rdmsr(MSR_HV_TIME_REF_COUNT) + 10 * MS);
	(void)rdmsr(MSR_HV_GUEST_IDLE);
	EXPECT(count == 0, "an interrupt with interrupts off");
	expect_interrupt("what ended the idle state");
}

static void crash(void)
{
	static const char text[] = "on purpose\nand more";

	for (uint32_t i = 0; i < 3; i++) {
		wrmsr(MSR_HV_CRASH_P0 + i, i + 1);
	}
	wrmsr(MSR_HV_CRASH_P0 + 3, (uint64_t)text);
	wrmsr(MSR_HV_CRASH_P4, sizeof(text));
	wrmsr(MSR_HV_CRASH_CTL, HV_CRASH_NOTIFY | HV_CRASH_MESSAGE);
}

void case_hyperv(void)
{
	identify();
	open_page();
	read_clock();
	rt_handle(VECTOR, on_interrupt);
	apic_enable();
	wrmsr(MSR_HV_VP_ASSIST_PAGE, (uint64_t)&assist | HV_PAGE_ENABLE);
	send_interrupts();
	set_timers();
	idle();
	rt_print("%u EOIs without an exit\n", eois_saved);
	crash();
}
