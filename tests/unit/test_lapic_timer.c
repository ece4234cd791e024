/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/lapic.h"
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"

/* 2.4 ticks for each nanosecond of the timer's clock. */
#define TICKS(ns) ((ns)*12 / 5)
#define DIVIDE_BY_1 0xbu
#define DIVIDE_BY_16 0x3u
#define VECTOR 0xefu
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define MASKED 0x10000u

static struct apic_rig r;
static struct lapic *const l = &r.lapics[0];

static int setup(void **state)
{
	(void)state;
	apic_rig_init(&r);
	apic_rig_enable(&r, 0);
	apic_rig_write(&r, 0, APIC_DIVIDE, DIVIDE_BY_1);
	return 0;
}

static uint32_t count(void)
{
	return apic_rig_read(&r, 0, APIC_CURRENT_COUNT);
}

static bool take(void)
{
	bool taken = apic_rig_take(&r, 0) == VECTOR;

	if (taken) {
		lapic_eoi(l);
	}
	return taken;
}

static void start(uint32_t lvt, uint32_t initial)
{
	apic_rig_write(&r, 0, APIC_LVT_TIMER, lvt | VECTOR);
	apic_rig_write(&r, 0, APIC_INITIAL_COUNT, initial);
}

static void set_deadline(uint64_t tsc)
{
	assert_int_equal(lapic_msr_write(l, LAPIC_MSR_TSC_DEADLINE, tsc), LAPIC_MSR_OK);
}

static uint64_t deadline(void)
{
	uint64_t value;

	assert_int_equal(lapic_msr_read(l, LAPIC_MSR_TSC_DEADLINE, &value), LAPIC_MSR_OK);
	return value;
}

static void test_one_shot(void **state)
{
	(void)state;
	start(0, 1000000);
	assert_int_equal(count(), 1000000);
	rig_advance(&r.rig, TICKS(400000));
	assert_int_equal(count(), 600000);
	rig_advance(&r.rig, TICKS(600000) - 1);
	assert_int_equal(count(), 1);
	assert_false(take());
	rig_advance(&r.rig, 1);
	assert_true(take());
	assert_int_equal(count(), 0);
	assert_int_equal(apic_rig_read(&r, 0, APIC_INITIAL_COUNT), 1000000);
	rig_advance(&r.rig, TICKS(10000000));
	assert_false(take());
}

/* Reading 0 means the interrupt is there, even before the host's timer ran. */
static void test_count_and_interrupt_agree(void **state)
{
	(void)state;
	start(0, 1000);
	fake_tsc += TICKS(1000);
	assert_int_equal(count(), 0);
	assert_true(take());
	rig_advance(&r.rig, 0);
	assert_false(take());
	start(PERIODIC, 1000000);
	fake_tsc += TICKS(1000000) + TICKS(250000);
	assert_int_equal(count(), 750000);
	assert_true(take());
	rig_advance(&r.rig, 0);
	assert_false(take());
}

static void test_divide(void **state)
{
	static const struct {
		uint32_t code, divisor;
	} table[] = {{0x0, 2},	{0x1, 4},  {0x2, 8},   {0x3, 16},
		     {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		apic_rig_write(&r, 0, APIC_DIVIDE, table[i].code);
		assert_int_equal(apic_rig_read(&r, 0, APIC_DIVIDE), table[i].code);
		start(0, 1000);
		rig_advance(&r.rig, TICKS(1000 * table[i].divisor) - 1);
		assert_false(take());
		rig_advance(&r.rig, 1);
		assert_true(take());
	}
}

/* A count is shown for all of its time. */
static void test_partial_count(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_DIVIDE, DIVIDE_BY_16);
	start(0, 1000);
	rig_advance(&r.rig, TICKS(15));
	assert_int_equal(count(), 1000);
	rig_advance(&r.rig, TICKS(5));
	assert_int_equal(count(), 999);
}

/* A change of the divisor keeps the count and changes its speed. */
static void test_divide_while_counting(void **state)
{
	(void)state;
	start(PERIODIC, 100000);
	rig_advance(&r.rig, TICKS(40000));
	apic_rig_write(&r, 0, APIC_DIVIDE, DIVIDE_BY_16);
	assert_int_equal(count(), 60000);
	rig_advance(&r.rig, TICKS(60000 * 16) - 1);
	assert_false(take());
	rig_advance(&r.rig, 1);
	assert_true(take());
	rig_advance(&r.rig, TICKS(100000 * 16));
	assert_true(take());
}

static void test_longest_count(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_DIVIDE, 0xa);
	start(0, UINT32_MAX);
	rig_advance(&r.rig, TICKS(UINT32_MAX * 128ull) - 3);
	assert_false(take());
	rig_advance(&r.rig, 3);
	assert_true(take());
}

/* 10,000 periods that are no whole number of ticks end where they should, to the tick. */
static void test_period_is_exact(void **state)
{
	const uint64_t begin = vtime_now(&r.rig.time);

	(void)state;
	start(PERIODIC, 999999);
	for (uint64_t n = 1; n <= 10000; n++) {
		uint64_t tick = begin + n * 999999 * 12 / 5;

		rig_to(&r.rig, tick - 1);
		assert_false(take());
		rig_to(&r.rig, tick);
		assert_true(take());
	}
	assert_in_range(r.rig.timers_run, 10000, 10001);
}

/* Missed periods leave one interrupt, and the grid stays. */
static void test_periods_missed_by_the_host_are_merged(void **state)
{
	(void)state;
	start(PERIODIC, 1000000);
	rig_oversleep(&r.rig, TICKS(7300000));
	assert_true(take());
	assert_false(take());
	assert_int_equal(count(), 700000);
	rig_advance(&r.rig, TICKS(700000) - 1);
	assert_false(take());
	rig_advance(&r.rig, 1);
	assert_true(take());
}

static void test_periods_missed_by_the_guest_are_merged(void **state)
{
	(void)state;
	start(PERIODIC, 1000000);
	rig_advance(&r.rig, TICKS(5500000));
	assert_int_equal(r.calls[0].kicks, 1);
	assert_true(take());
	assert_false(take());
}

/* A period of a nanosecond costs the host at most 5,000 timers a second. */
static void test_absurd_period_is_bounded(void **state)
{
	(void)state;
	start(PERIODIC, 1);
	rig_advance(&r.rig, TICKS(10000000));
	assert_in_range(r.rig.timers_run, 40, 52);
	assert_int_equal(count(), 1);
	assert_true(take());
}

static void test_masked_timer_counts_in_silence(void **state)
{
	(void)state;
	start(MASKED | PERIODIC, 1000000);
	rig_advance(&r.rig, TICKS(1500000));
	assert_int_equal(count(), 500000);
	assert_false(take());
	apic_rig_write(&r, 0, APIC_LVT_TIMER, PERIODIC | VECTOR);
	assert_false(take());
	rig_advance(&r.rig, TICKS(500000));
	assert_true(take());
}

static void test_zero_stops(void **state)
{
	(void)state;
	start(PERIODIC, 1000);
	apic_rig_write(&r, 0, APIC_INITIAL_COUNT, 0);
	assert_int_equal(count(), 0);
	rig_advance(&r.rig, TICKS(100000));
	assert_false(take());
	assert_int_equal(timer_queue_next(&r.rig.queue), TIMER_NEVER);
}

static void test_one_shot_and_periodic_share_the_count(void **state)
{
	(void)state;
	start(0, 1000000);
	rig_advance(&r.rig, TICKS(300000));
	apic_rig_write(&r, 0, APIC_LVT_TIMER, PERIODIC | VECTOR);
	assert_int_equal(count(), 700000);
	rig_advance(&r.rig, TICKS(700000));
	assert_true(take());
	assert_int_equal(count(), 1000000);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, VECTOR);
	rig_advance(&r.rig, TICKS(1000000));
	assert_true(take());
	assert_int_equal(count(), 0);
}

static void test_deadline(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	set_deadline(50000);
	assert_int_equal(deadline(), 50000);
	assert_int_equal(count(), 0);
	rig_to(&r.rig, 49999);
	assert_false(take());
	rig_to(&r.rig, 50000);
	assert_true(take());
	assert_int_equal(deadline(), 0);
	rig_advance(&r.rig, 1000000);
	assert_false(take());
}

static void test_deadline_in_the_past_fires_at_once(void **state)
{
	(void)state;
	rig_to(&r.rig, 1000);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	set_deadline(999);
	assert_true(take());
	assert_int_equal(deadline(), 0);
	assert_int_equal(timer_queue_next(&r.rig.queue), TIMER_NEVER);
}

/* A deadline that passed while the guest wrote the next one is not lost. */
static void test_deadline_replaced_after_it_passed(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	set_deadline(1000);
	fake_tsc += 1500;
	set_deadline(9000);
	assert_true(take());
	assert_int_equal(deadline(), 9000);
	rig_to(&r.rig, 9000);
	assert_true(take());
}

static void test_deadline_disarmed_by_zero(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	set_deadline(1000);
	set_deadline(0);
	assert_int_equal(deadline(), 0);
	rig_to(&r.rig, 100000);
	assert_false(take());
}

static void test_deadline_needs_its_mode(void **state)
{
	(void)state;
	set_deadline(1000);
	assert_int_equal(deadline(), 0);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	apic_rig_write(&r, 0, APIC_INITIAL_COUNT, 100);
	assert_int_equal(apic_rig_read(&r, 0, APIC_INITIAL_COUNT), 0);
	set_deadline(5000);
	/* Leaving the mode disarms. */
	apic_rig_write(&r, 0, APIC_LVT_TIMER, VECTOR);
	assert_int_equal(deadline(), 0);
	rig_to(&r.rig, 100000);
	assert_false(take());
	/* And entering it stops a count. */
	start(PERIODIC, 1000);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	rig_advance(&r.rig, 100000);
	assert_false(take());
}

/* The deadline is in the guest's TSC, whatever the guest made of it. */
static void test_deadline_with_offset(void **state)
{
	const uint64_t back = 0 - 500ull;

	(void)state;
	rig_to(&r.rig, 1000);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	lapic_set_tsc_offset(l, back);
	set_deadline(1000);
	rig_to(&r.rig, 1499);
	assert_false(take());
	rig_to(&r.rig, 1500);
	assert_true(take());
	lapic_set_tsc_offset(l, 1000000);
	set_deadline(1002000);
	rig_to(&r.rig, 1999);
	assert_false(take());
	/* The guest sets its TSC ahead past the deadline. */
	lapic_set_tsc_offset(l, 2000000);
	assert_true(take());
	/* And back: the deadline moves away. */
	set_deadline(2003000);
	lapic_set_tsc_offset(l, 1000000);
	rig_to(&r.rig, 5000);
	assert_false(take());
	rig_to(&r.rig, 1003000);
	assert_true(take());
}

static void test_deadline_at_the_end_of_time(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | VECTOR);
	set_deadline(UINT64_MAX);
	assert_int_equal(lapic_pending(l), -1);
	assert_true(deadline() == UINT64_MAX);
	rig_advance(&r.rig, 1ull << 40);
	assert_false(take());
	/* Beyond the end of guest time, because the guest's TSC lags behind it. */
	lapic_set_tsc_offset(l, 0 - (1ull << 30));
	set_deadline(UINT64_MAX);
	assert_int_equal(timer_queue_next(&r.rig.queue), TIMER_NEVER);
	assert_true(deadline() == UINT64_MAX);
}

static void test_timer_stands_while_paused(void **state)
{
	(void)state;
	start(0, 1000000);
	rig_advance(&r.rig, TICKS(400000));
	vtime_pause(&r.rig.time);
	fake_tsc += TICKS(5000000);
	timer_queue_run(&r.rig.queue, fake_tsc);
	assert_int_equal(count(), 600000);
	vtime_resume(&r.rig.time);
	assert_int_equal(count(), 600000);
	rig_advance(&r.rig, TICKS(600000));
	assert_true(take());
}

static void test_fini_leaves_no_timer(void **state)
{
	(void)state;
	start(PERIODIC, 1000000);
	r.bus.dev.ops->fini(&r.bus.dev);
	assert_int_equal(timer_queue_next(&r.rig.queue), TIMER_NEVER);
}

/* An emulated CPU of 50 MHz: 32 ns a count, so that no count is shorter than a tick of the TSC. */
static void a_slow_tsc_has_a_slow_timer(void **state)
{
	(void)state;
	assert_int_equal(lapic_timer_hz(), 1000000000);
	rig_init(&r.rig, 990000000); /* 1 GHz, measured badly */
	assert_int_equal(lapic_timer_hz(), 1000000000);
	clock_init(50000000);
	assert_int_equal(lapic_timer_hz(), 31250000);
	start(0, 1000);
	rig_advance_ns(&r.rig, 16000);
	assert_in_range(count(), 499, 501);
	rig_advance_ns(&r.rig, 15900);
	assert_false(take());
	rig_advance_ns(&r.rig, 140);
	assert_true(take());
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_shot),
		T(a_slow_tsc_has_a_slow_timer),
		T(test_count_and_interrupt_agree),
		T(test_divide),
		T(test_partial_count),
		T(test_divide_while_counting),
		T(test_longest_count),
		T(test_period_is_exact),
		T(test_periods_missed_by_the_host_are_merged),
		T(test_periods_missed_by_the_guest_are_merged),
		T(test_absurd_period_is_bounded),
		T(test_masked_timer_counts_in_silence),
		T(test_zero_stops),
		T(test_one_shot_and_periodic_share_the_count),
		T(test_deadline),
		T(test_deadline_in_the_past_fires_at_once),
		T(test_deadline_replaced_after_it_passed),
		T(test_deadline_disarmed_by_zero),
		T(test_deadline_needs_its_mode),
		T(test_deadline_with_offset),
		T(test_deadline_at_the_end_of_time),
		T(test_timer_stands_while_paused),
		T(test_fini_leaves_no_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
