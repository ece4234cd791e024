/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat that must not miss a beat, and the clocks compared with each other. */
#include "guests/layout.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define VECTOR_TIMER 0x41u
#define SLEEP_MAX_US 1000000u

static void wake(struct rt_frame *f)
{
	(void)f;
	apic_eoi();
}

static void sleep_until(uint64_t tsc)
{
	int64_t left;

	while ((left = (int64_t)(tsc - rdtsc())) > 0) {
		uint64_t us = (uint64_t)left / (rt_tsc_hz() / 1000000) + 1;

		apic_timer_start(VECTOR_TIMER, 0, us < SLEEP_MAX_US ? us : SLEEP_MAX_US);
		wait_for_interrupt();
	}
}

/* `beat N late M` once per second of guest time, `beats` times or for ever. */
void case_heartbeat(void)
{
	uint64_t beats = rt_option("beats", ~0ull);
	uint64_t next = rdtsc();

	rt_handle(VECTOR_TIMER, wake);
	apic_enable();
	for (uint64_t n = 1; n <= beats; n++) {
		next += rt_tsc_hz();
		sleep_until(next);
		rt_print("beat %lu late %lu ms\n", n, (rdtsc() - next) / (rt_tsc_hz() / 1000));
	}
}

/* --- clocks --- */

static uint8_t read_cmos(uint8_t index)
{
	out8(LAYOUT_RTC, index);
	return in8(LAYOUT_RTC + 1);
}

/* Waits for the RTC's next second; the TSC then. */
static uint64_t rtc_edge(void)
{
	uint8_t before = read_cmos(0);

	while (read_cmos(0) == before) {
	}
	return rdtsc();
}

static uint64_t deviation_ppm(uint64_t a, uint64_t b)
{
	uint64_t difference = a > b ? a - b : b - a;

	return difference * 1000 / (b / 1000);
}

/*
 * Over `seconds`, under whatever load: TSC against PM timer within 0.1 %, TSC against the RTC's
 * edges within what one late look at it can cost.
 */
void case_clocks(void)
{
	uint64_t seconds = rt_option("seconds", 10);
	uint64_t from = rtc_edge();
	uint64_t tsc0 = rdtsc();
	uint32_t pm = pm_timer();
	uint64_t pm_sum = 0;
	uint64_t last = tsc0;
	uint64_t us;

	for (uint64_t n = 0; n < seconds; n++) {
		uint64_t edge = rtc_edge();
		uint32_t now = pm_timer();

		EXPECT(edge > last, "the TSC went backwards");
		last = edge;
		pm_sum += pm_elapsed(pm, now);
		pm = now;
	}
	us = pm_sum * 1000 / PM_TIMER_HZ * 1000;
	rt_print("%lu s by the RTC, %lu us by the PM timer, %lu us by the TSC\n", seconds, us,
		 (rdtsc() - tsc0) / (rt_tsc_hz() / 1000000));
	EXPECT(deviation_ppm(us, rt_option("slack", 0) +
					 (rdtsc() - tsc0) / (rt_tsc_hz() / 1000000)) < 20000,
	       "PM timer and TSC disagree");
	EXPECT(deviation_ppm(last - from, seconds * rt_tsc_hz()) < 300000 / seconds,
	       "RTC and TSC disagree: %lu s are %lu TSC ticks of %lu", seconds, last - from,
	       seconds * rt_tsc_hz());
}
