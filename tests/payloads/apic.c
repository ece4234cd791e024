/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC: its timer, its priorities, its two modes, and a storm. */
#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define VECTOR_LOW 0x41u
#define VECTOR_HIGH 0x91u
#define ORDER_MAX 8u

static volatile uint64_t count;

static void count_one(struct rt_frame *f)
{
	(void)f;
	count++;
	apic_eoi();
}

/* As fast as the timer can be asked to fire, for `seconds`. */
void case_timer_storm(void)
{
	uint64_t end = rdtsc() + rt_us_to_tsc(rt_option("seconds", 5) * 1000000);

	rt_handle(VECTOR_LOW, count_one);
	apic_enable();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | VECTOR_LOW);
	apic_write(APIC_TIMER_INITIAL, 1);
	while ((int64_t)(end - rdtsc()) > 0) {
		wait_for_interrupt();
	}
	apic_timer_stop();
	rt_print("%lu interrupts\n", count);
	EXPECT(count > 100, "only %lu interrupts", count);
}

/* --- the timer --- */

/* Waits for the next interrupt; microseconds since the PM timer was `from`, at most four seconds.
 */
static uint64_t wait_us(uint32_t from)
{
	uint64_t before = count;

	while (count == before) {
		wait_for_interrupt();
	}
	return pm_elapsed(from, pm_timer()) * 1000000ull / PM_TIMER_HZ;
}

static void one_shot(uint64_t us)
{
	uint32_t from = pm_timer();
	uint64_t took;

	apic_timer_start(VECTOR_LOW, 0, us);
	took = wait_us(from);
	EXPECT(took + us / 100 + 20 >= us, "%lu us one-shot came after %lu us", us, took);
	EXPECT(took < us + 1500000, "%lu us one-shot came after %lu us only", us, took);
	EXPECT(apic_read(APIC_TIMER_CURRENT) == 0, "a one-shot timer counts on");
}

/* Late ticks may merge, but there are never more than time allows. */
static void periodic(void)
{
	uint32_t from;
	uint64_t us = 0;
	uint64_t ticks;

	apic_timer_start(VECTOR_LOW, APIC_PERIODIC, 10000);
	(void)wait_us(0);
	from = pm_timer();
	count = 0;
	while (us < 2000000) {
		wait_for_interrupt();
		us = pm_elapsed(from, pm_timer()) * 1000000ull / PM_TIMER_HZ;
	}
	ticks = count;
	apic_timer_stop();
	rt_print("%lu ticks of 10 ms in %lu us\n", ticks, us);
	EXPECT(ticks <= us / 10000 + 2, "%lu ticks of 10 ms in %lu us", ticks, us);
	EXPECT(ticks >= us / 20000, "%lu ticks of 10 ms in %lu us", ticks, us);
}

static void deadline(void)
{
	uint64_t at;

	if ((cpuid(1, 0).ecx & BIT32(24)) == 0) {
		return;
	}
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR_LOW);
	at = rdtsc() + rt_us_to_tsc(50000);
	wrmsr(MSR_IA32_TSC_DEADLINE, at);
	(void)wait_us(0);
	EXPECT(rdtsc() >= at, "deadline interrupt %lu ticks early", at - rdtsc());
	EXPECT(rdmsr(MSR_IA32_TSC_DEADLINE) == 0, "the deadline is still armed");
	count = 0;
	wrmsr(MSR_IA32_TSC_DEADLINE, 1); /* long past: at once */
	(void)wait_us(0);
	EXPECT(count == 1, "%lu interrupts for one deadline", count);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
}

void case_apic_timer(void)
{
	rt_handle(VECTOR_LOW, count_one);
	apic_enable();
	for (uint64_t us = 100; us <= 1000000; us *= 10) {
		one_shot(us);
	}
	periodic();
	deadline();
	/* Masked, it counts and stays silent. */
	count = 0;
	apic_timer_start(VECTOR_LOW, APIC_MASKED, 1000);
	interrupts_on();
	rt_delay_us(20000);
	interrupts_off();
	EXPECT(count == 0, "a masked timer interrupted");
}

/* --- priorities --- */

static volatile uint8_t order[ORDER_MAX];
static volatile unsigned order_count;

static void note_vector(struct rt_frame *f)
{
	if (order_count < ORDER_MAX) {
		order[order_count] = (uint8_t)f->vector;
	}
	order_count++;
	EXPECT((apic_read(APIC_ISR + 0x10 * ((uint32_t)f->vector / 32)) & BIT32(f->vector % 32)) !=
		       0,
	       "vector 0x%lx is not in service in its handler", f->vector);
	apic_eoi();
}

static void self_ipi(uint32_t vector)
{
	apic_write(APIC_ICR_LOW, APIC_ICR_SELF | vector);
}

static bool requested(uint32_t vector)
{
	return (apic_read(APIC_IRR + 0x10 * (vector / 32)) & BIT32(vector % 32)) != 0;
}

static void window(void)
{
	__asm__ volatile("sti; nop; nop; nop; nop; nop; nop; nop; nop; cli" : : : "memory");
}

static void expect_taken(unsigned n, const char *when)
{
	EXPECT(order_count == n, "%u interrupts taken %s, expected %u", order_count, when, n);
}

static void check_order(void)
{
	self_ipi(VECTOR_LOW);
	self_ipi(VECTOR_HIGH);
	EXPECT(requested(VECTOR_LOW) && requested(VECTOR_HIGH), "self-IPIs are not in IRR");
	expect_taken(0, "with interrupts off");
	window();
	expect_taken(2, "in a window");
	EXPECT(order[0] == VECTOR_HIGH && order[1] == VECTOR_LOW, "order 0x%x, 0x%x", order[0],
	       order[1]);
}

static void check_tpr(void (*set)(uint32_t tpr))
{
	order_count = 0;
	set(0x40);
	self_ipi(VECTOR_LOW);
	window();
	expect_taken(0, "below the TPR");
	EXPECT(requested(VECTOR_LOW), "a masked self-IPI is not in IRR");
	self_ipi(VECTOR_HIGH);
	window();
	expect_taken(1, "above the TPR");
	interrupts_on();
	set(0x30);
	__asm__ volatile("nop");
	interrupts_off();
	expect_taken(2, "when the TPR fell");
	set(0);
}

static void set_tpr_register(uint32_t tpr)
{
	apic_write(APIC_TPR, tpr);
	EXPECT(read_cr8() == tpr >> 4, "CR8 reads 0x%lx after TPR = 0x%x", read_cr8(), tpr);
}

static void set_cr8(uint32_t tpr)
{
	write_cr8(tpr >> 4);
	EXPECT((apic_read(APIC_TPR) & 0xff) == tpr, "TPR reads 0x%x after CR8 = 0x%x",
	       apic_read(APIC_TPR), tpr >> 4);
}

void case_apic_priority(void)
{
	rt_handle(VECTOR_LOW, note_vector);
	rt_handle(VECTOR_HIGH, note_vector);
	apic_enable();
	check_order();
	for (unsigned i = 0; i < 100; i++) {
		check_tpr(set_tpr_register);
	}
}

void case_apic_cr8(void)
{
	rt_handle(VECTOR_LOW, note_vector);
	rt_handle(VECTOR_HIGH, note_vector);
	apic_enable();
	for (unsigned i = 0; i < 100; i++) {
		check_tpr(set_cr8);
	}
}

void case_x2apic(void)
{
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE);
	uint32_t id = apic_read(APIC_ID) >> 24;

	EXPECT((cpuid(1, 0).ecx & BIT32(21)) != 0, "CPUID offers no x2APIC");
	rt_handle(VECTOR_LOW, note_vector);
	rt_handle(VECTOR_HIGH, note_vector);
	apic_enable();
	wrmsr(MSR_IA32_APIC_BASE, base | BIT(10));
	EXPECT(apic_read(APIC_ID) == id, "ID 0x%x in xAPIC, 0x%x in x2APIC mode", id,
	       apic_read(APIC_ID));
	EXPECT(mmio_read32(APIC_BASE + APIC_SVR) == ~0u,
	       "registers in memory answer in x2APIC mode");
	order_count = 0;
	check_order();
	wrmsr(0x83f, VECTOR_LOW); /* SELF IPI */
	window();
	expect_taken(3, "after SELF IPI");
	check_tpr(set_tpr_register);
	wrmsr(MSR_IA32_APIC_BASE, base & ~(BIT(10) | BIT(11)));
	wrmsr(MSR_IA32_APIC_BASE, base);
	EXPECT(mmio_read32(APIC_BASE + APIC_ID) >> 24 == id, "xAPIC mode does not come back");
}
