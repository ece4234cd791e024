/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest gets of a CPU that others want, too: how much, and how soon. */
#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define VECTOR_TIMER 0x41u
#define MARKS_MAX 64u
#define UNIT 2000u /* of work, in rounds of two instructions */

static void work(void)
{
	uint64_t n = UNIT;

	__asm__ volatile("1: subq $1, %0\n\tjnz 1b" : "+r"(n) : : "cc");
}

/*
 * Units of work done, noted every `mark` ms of the guest's time, `marks` times. Told at the end:
 * output costs as much for whoever has little time as for whoever has much.
 */
void case_count(void)
{
	static struct {
		uint64_t count, tsc;
	} noted[MARKS_MAX];
	uint64_t step = rt_us_to_tsc(rt_option("mark", 100) * 1000);
	uint64_t marks = rt_option("marks", 10);
	uint64_t next = rdtsc() + step;
	uint64_t count = 0;

	EXPECT(marks <= MARKS_MAX, "marks=%lu", marks);
	for (uint64_t n = 0; n < marks; n++) {
		while ((int64_t)(next - rdtsc()) > 0) {
			work();
			count++;
		}
		noted[n].count = count;
		noted[n].tsc = rdtsc();
		next += step;
	}
	for (uint64_t n = 0; n < marks; n++) {
		rt_print("count %lu tsc %lu\n", noted[n].count, noted[n].tsc);
	}
}

static volatile uint64_t woken_at;

static void wake(struct rt_frame *f)
{
	(void)f;
	woken_at = rdtsc();
	apic_eoi();
}

/* Sleeps `times` times until a TSC deadline 3 to 22 ms away; how late it was there. */
void case_wake(void)
{
	uint64_t times = rt_option("times", 50);
	uint64_t sum = 0;
	uint64_t most = 0;

	rt_handle(VECTOR_TIMER, wake);
	apic_enable();
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR_TIMER);
	for (uint64_t n = 0; n < times; n++) {
		uint64_t deadline = rdtsc() + rt_us_to_tsc(3000 + n * 7 % 20 * 1000);
		uint64_t late;

		woken_at = 0;
		wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
		while (woken_at == 0) {
			wait_for_interrupt();
		}
		EXPECT(woken_at >= deadline, "woken %lu ticks early", deadline - woken_at);
		late = rt_tsc_to_us(woken_at - deadline);
		sum += late;
		most = max_u64(most, late);
	}
	rt_print("late by %lu us at most, %lu us on average\n", most, sum / times);
}
