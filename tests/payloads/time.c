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
		uint64_t us = rt_tsc_to_us((uint64_t)left) + 1;

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

/* A moment of another clock, known to lie between two readings of the TSC. */
struct moment {
	uint64_t not_before, not_after;
};

/* The RTC's seconds, which are in BCD. */
static unsigned rtc_second(void)
{
	uint8_t bcd = read_cmos(0);

	return (bcd >> 4) * 10u + (bcd & 15u);
}

/* Waits until the RTC no longer shows *second and says when; *second is what it shows then, more
 * than one later when this vCPU did not run meanwhile. */
static struct moment rtc_edge(unsigned *second)
{
	struct moment m = {0, rdtsc()};
	unsigned now;

	do {
		m.not_before = m.not_after;
		m.not_after = rdtsc();
		now = rtc_second();
	} while (now == *second);
	m.not_after = rdtsc();
	*second = now;
	return m;
}

static struct moment pm_moment(uint32_t *pm)
{
	struct moment m;

	m.not_before = rdtsc();
	*pm = pm_timer();
	m.not_after = rdtsc();
	return m;
}

/* `us` by some clock between two moments: right within 0.02 %, however late they were looked at. */
static void expect_same(const char *clock, uint64_t us, const struct moment *from,
			const struct moment *to)
{
	uint64_t least = rt_tsc_to_us(to->not_before - from->not_after);
	uint64_t most = rt_tsc_to_us(to->not_after - from->not_before);
	uint64_t slack = us / 5000 + 2;

	rt_print("%lu us by the %s, %lu to %lu us by the TSC\n", us, clock, least, most);
	EXPECT(us + slack >= least && us <= most + slack, "%s and TSC disagree", clock);
}

/* Over `seconds`, under whatever load: the TSC against the RTC and the PM timer. */
void case_clocks(void)
{
	uint64_t seconds = rt_option("seconds", 10);
	unsigned second = rtc_second();
	struct moment rtc_from = rtc_edge(&second);
	uint64_t rtc_sum = 0;
	uint64_t pm_sum = 0;
	uint32_t pm;
	struct moment pm_from = pm_moment(&pm);
	struct moment pm_to = pm_from;
	struct moment rtc_to = rtc_from;

	while (rtc_sum < seconds) {
		unsigned before = second;
		uint32_t now;

		rtc_to = rtc_edge(&second);
		rtc_sum += (second + 60 - before) % 60;
		pm_to = pm_moment(&now);
		pm_sum += pm_elapsed(pm, now);
		pm = now;
	}
	expect_same("RTC", rtc_sum * 1000000, &rtc_from, &rtc_to);
	expect_same("PM timer", pm_sum * 1000000 / PM_TIMER_HZ, &pm_from, &pm_to);
}
