/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A payload that measures what single exits cost, in ticks of the TSC. Under QEMU's -icount with
 * shift 0, and on Bochs, that is instructions executed by the emulated CPU, in the guest or below
 * it. The runtime is that of tests/payloads; the lines it prints are read by tests/bench/parse.py:
 *
 *	BENCH tsc LOOPS TICKS            a loop of 2 x LOOPS instructions, to check the unit
 *	BENCH op NAME MEDIAN MIN MEAN    of REPEATS single operations, frame included
 *	BENCH none NAME                  the machine has no such thing
 *	BENCH end
 *
 * `loop=N` on the command line repeats the Nth operation for ever instead, for tests/bench/profile.
 *
 * Every operation is timed on its own and the median counts: timer interrupts of a host kernel
 * below fall into single repetitions.
 */
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_smp.h"

#define REPEATS 1000u
#define WARM_UP 4u
#define LOOPS 1000000u

#define PORT_POST 0x80u
#define PORT_EXIT 0xf4u /* QEMU's isa-debug-exit */
#define PORT_NOBODY 0x5b0u
#define RTC_SECONDS 0u
#define QEMU_PM1_CNT 0x604u
#define QEMU_S5 0x2000u
#define NO_HYPERCALL 0x7fffu /* an unknown number: the way in and out, and nothing in between */
#define IPI_VECTOR 0x50u
#define APIC_BASE_EXTD BIT(10)
#define CPUID1_ECX_X2APIC BIT(21)
#define X2APIC_EOI 0x80bu
#define X2APIC_ICR 0x830u
#define X2APIC_SELF_IPI 0x83fu
#define PING_VECTOR 0x51u
#define PONG_VECTOR 0x52u
#define VENDOR_GENU 0x756e6547u /* "GenuineIntel" begins so */

static uint64_t samples[REPEATS];
static volatile unsigned ipi_count;

static void op_nothing(void)
{
}

static void op_cpuid(void)
{
	(void)cpuid(0, 0);
}

static void op_cpuid_features(void)
{
	(void)cpuid(1, 0);
}

/* Two with subleaves: the dearest for its sums over components, and one past the leaf's last. */
static void op_cpuid_xsave(void)
{
	(void)cpuid(0xd, 0);
}

static void op_cpuid_topology(void)
{
	(void)cpuid(0xb, 1);
}

static void op_out_post(void)
{
	out8(PORT_POST, 0);
}

static void op_in_nobody(void)
{
	(void)in8(PORT_NOBODY);
}

static void op_in_pic(void)
{
	(void)in8(LAYOUT_PIC_MASTER + 1);
}

static void op_in_rtc(void)
{
	(void)in8(LAYOUT_RTC + 1);
}

static void op_pm_timer(void)
{
	(void)in32(LAYOUT_PM_TMR);
}

static void op_tsc_adjust(void)
{
	wrmsr(MSR_IA32_TSC_ADJUST, 0);
}

static void op_rdmsr_apic_base(void)
{
	(void)rdmsr(MSR_IA32_APIC_BASE);
}

static bool intel;

/* Each vendor has an instruction of its own, and takes the other's for undefined. */
static void op_hypercall(void)
{
	uint64_t rax = NO_HYPERCALL;

	if (intel) {
		__asm__ volatile("vmcall" : "+a"(rax) : : "memory");
	} else {
		__asm__ volatile("vmmcall" : "+a"(rax) : : "memory");
	}
}

static void op_eoi(void)
{
	mmio_write32(APIC_BASE + APIC_EOI, 0);
}

static void op_ioapic_read(void)
{
	(void)mmio_read32(LAYOUT_IOAPIC_BASE + 0x10);
}

static void op_self_ipi(void)
{
	mmio_write32(APIC_BASE + APIC_ICR_LOW, APIC_ICR_SELF | IPI_VECTOR);
	__asm__ volatile("nop" : : : "memory");
}

static void op_x2apic_eoi(void)
{
	wrmsr(MSR_X2APIC_FIRST + APIC_EOI / 16, 0);
}

static void op_x2apic_self_ipi(void)
{
	wrmsr(X2APIC_SELF_IPI, IPI_VECTOR);
	__asm__ volatile("nop" : : : "memory");
}

static void on_ipi(struct rt_frame *frame)
{
	(void)frame;
	ipi_count++;
	apic_eoi();
}

/* --- measuring --- */

static void sort_samples(void)
{
	for (unsigned gap = 701; gap > 0; gap = gap * 10 / 23) {
		for (unsigned i = gap; i < REPEATS; i++) {
			uint64_t v = samples[i];
			unsigned j = i;

			for (; j >= gap && samples[j - gap] > v; j -= gap) {
				samples[j] = samples[j - gap];
			}
			samples[j] = v;
		}
	}
}

static void run_op(void *op)
{
	((void (*)(void))(uintptr_t)op)();
}

static void measure(const char *name, void (*op)(void))
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WARM_UP; i++) {
		if (rt_try(run_op, (void *)(uintptr_t)op)) {
			rt_print("BENCH none %s\n", name);
			return;
		}
	}
	for (unsigned i = 0; i < REPEATS; i++) {
		uint64_t start = rdtsc();

		op();
		samples[i] = rdtsc() - start;
		sum += samples[i];
	}
	sort_samples();
	rt_print("BENCH op %s %lu %lu %lu\n", name, samples[REPEATS / 2], samples[0],
		 sum / REPEATS);
}

static void measure_unit(void)
{
	uint64_t start = rdtsc();
	uint64_t count = LOOPS;

	__asm__ volatile("1: subq $1, %0; jnz 1b" : "+r"(count) : : "cc");
	rt_print("BENCH tsc %u %lu\n", LOOPS, rdtsc() - start);
}

static void measure_ipi(const char *name, void (*op)(void))
{
	unsigned before = ipi_count;

	interrupts_on();
	measure(name, op);
	interrupts_off();
	EXPECT(ipi_count - before >= REPEATS, "%s: %u interrupts for %u IPIs", name,
	       ipi_count - before, REPEATS);
}

static void measure_x2apic(void)
{
	if ((cpuid(1, 0).ecx & CPUID1_ECX_X2APIC) == 0) {
		rt_print("BENCH none x2apic-eoi\nBENCH none x2apic-self-ipi\n");
		return;
	}
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_EXTD);
	measure("x2apic-eoi", op_x2apic_eoi);
	measure_ipi("x2apic-self-ipi", op_x2apic_self_ipi);
}

static const struct {
	const char *name;
	void (*op)(void);
} ops[] = {
	{"nothing", op_nothing},
	{"cpuid", op_cpuid},
	{"cpuid-features", op_cpuid_features},
	{"cpuid-xsave", op_cpuid_xsave},
	{"cpuid-topology", op_cpuid_topology},
	{"out-0x80", op_out_post},
	{"in-nobody", op_in_nobody},
	{"in-pic", op_in_pic},
	{"in-rtc", op_in_rtc},
	{"pm-timer", op_pm_timer},
	{"wrmsr-tsc-adjust", op_tsc_adjust},
	{"rdmsr-apic-base", op_rdmsr_apic_base},
	{"hypercall", op_hypercall},
	{"eoi-mmio", op_eoi},
	{"ioapic-read", op_ioapic_read},
};

static _Noreturn void loop_op(uint64_t which)
{
	EXPECT(which < ARRAY_SIZE(ops), "no operation %lu", which);
	rt_print("BENCH loop %s\n", ops[which].name);
	for (;;) {
		ops[which].op();
	}
}

static void case_micro(void)
{
	uint64_t loop = rt_option("loop", ~0ull);

	/* What a firmware may have left on would interrupt the IPIs. */
	out8(LAYOUT_PIC_MASTER + 1, 0xff);
	out8(LAYOUT_PIC_SLAVE + 1, 0xff);
	out8(LAYOUT_RTC, RTC_SECONDS);
	rt_handle(IPI_VECTOR, on_ipi);
	apic_enable();
	intel = cpuid(0, 0).ebx == VENDOR_GENU;
	if (loop != ~0ull) {
		loop_op(loop);
	}
	measure_unit();
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		measure(ops[i].name, ops[i].op);
	}
	measure_ipi("self-ipi", op_self_ipi);
	measure_x2apic();
	rt_print("BENCH end\n");
	/* The ways off of the machines that are not Bulkhead's; the runtime knows that one. */
	out8(PORT_EXIT, 0);
	out16(QEMU_PM1_CNT, QEMU_S5);
}

/* --- between processors --- */

static volatile unsigned ping_count, pong_count;

static void send_x2apic(uint32_t apic_id, uint8_t vector)
{
	wrmsr(X2APIC_ICR, (uint64_t)apic_id << 32 | ICR_ASSERT | vector);
}

static void on_ping(struct rt_frame *frame)
{
	(void)frame;
	ping_count++;
	wrmsr(X2APIC_EOI, 0);
	send_x2apic(0, PONG_VECTOR);
}

static void on_pong(struct rt_frame *frame)
{
	(void)frame;
	pong_count++;
	wrmsr(X2APIC_EOI, 0);
}

static void go_x2apic(unsigned cpu)
{
	(void)cpu;
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_EXTD);
}

/* Runs on, so that each ping finds it in the guest. */
static void await_pings(unsigned cpu)
{
	(void)cpu;
	interrupts_on();
	while (ping_count < WARM_UP + REPEATS) {
	}
	interrupts_off();
}

/*
 * An IPI to a processor that runs on another CPU, and one back: half of that, in instructions that
 * each of the machine's CPUs executes meanwhile, if they take turns as those of Bochs do.
 */
static void case_ipi(void)
{
	out8(LAYOUT_PIC_MASTER + 1, 0xff);
	out8(LAYOUT_PIC_SLAVE + 1, 0xff);
	rt_handle(PING_VECTOR, on_ping);
	rt_handle(PONG_VECTOR, on_pong);
	apic_enable();
	rt_start_others();
	rt_on_all(go_x2apic);
	measure_unit();
	rt_give(1, await_pings);
	interrupts_on();
	for (unsigned i = 0; i < WARM_UP + REPEATS; i++) {
		uint64_t start = rdtsc();

		send_x2apic(1, PING_VECTOR);
		while (pong_count == i) {
		}
		if (i >= WARM_UP) {
			samples[i - WARM_UP] = (rdtsc() - start) / 2;
		}
	}
	interrupts_off();
	sort_samples();
	rt_print("BENCH op nothing 0 0 0\nBENCH op ipi-other-cpu %lu %lu 0\nBENCH end\n",
		 samples[REPEATS / 2], samples[0]);
}

const struct rt_case rt_cases[] = {
	{"micro", case_micro},
	{"ipi", case_ipi},
	{NULL, NULL},
};
