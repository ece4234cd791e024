/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "hv/api/vtime.h"
#include "tests/fakes/fake_cpu.h"

static struct timer_queue queue;
static struct vtime time;
static struct vtimer t1;
static struct vtimer t2;
static unsigned fired1;
static unsigned fired2;

static void count1(struct vtimer *t)
{
	assert_false(vtimer_armed(t));
	fired1++;
}

static void count2(struct vtimer *t)
{
	fired2++;
	vtimer_arm(t, t->deadline + 100);
}

static int setup(void **state)
{
	(void)state;
	fake_tsc = 1000000;
	fired1 = 0;
	fired2 = 0;
	clock_init(2000000000);
	timer_queue_init(&queue);
	vtime_init(&time, &queue);
	vtimer_init(&t1, &time, count1);
	vtimer_init(&t2, &time, count2);
	return 0;
}

static void run_at(uint64_t tsc)
{
	fake_tsc = tsc;
	timer_queue_run(&queue, tsc);
}

static void starts_at_zero(void **state)
{
	(void)state;
	assert_int_equal(vtime_now(&time), 0);
	fake_tsc += 4000;
	assert_int_equal(vtime_now(&time), 4000);
	assert_int_equal(vtime_now_ns(&time), 2000);
}

static void deadlines_are_guest_ticks(void **state)
{
	(void)state;
	vtimer_arm(&t1, 50);
	assert_true(vtimer_armed(&t1));
	assert_int_equal(timer_queue_next(&queue), 1000050);
	run_at(1000049);
	assert_int_equal(fired1, 0);
	run_at(1000050);
	assert_int_equal(fired1, 1);
	assert_false(vtimer_armed(&t1));
	vtimer_arm(&t1, 70);
	vtimer_arm(&t1, TIMER_NEVER);
	assert_false(vtimer_armed(&t1));
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
}

static void pause_stops_clock_and_timers(void **state)
{
	(void)state;
	vtimer_arm(&t1, 50);
	fake_tsc += 20;
	vtime_pause(&time);
	vtime_pause(&time);
	fake_tsc += 1000;
	assert_int_equal(vtime_now(&time), 20);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	assert_true(vtimer_armed(&t1));
	/* Armed while paused: waits for the resume. */
	vtimer_arm(&t2, 60);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	run_at(fake_tsc + 1000);
	assert_int_equal(fired1, 0);
	vtime_resume(&time);
	vtime_resume(&time);
	assert_int_equal(vtime_now(&time), 20);
	assert_int_equal(timer_queue_next(&queue), fake_tsc + 30);
	run_at(fake_tsc + 40);
	assert_int_equal(fired1, 1);
	assert_int_equal(fired2, 1);
	assert_int_equal(timer_queue_next(&queue), fake_tsc + 100);
}

static void cancel_while_paused(void **state)
{
	(void)state;
	vtimer_arm(&t1, 50);
	vtime_pause(&time);
	vtimer_cancel(&t1);
	vtime_resume(&time);
	assert_false(vtimer_armed(&t1));
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
}

static void a_moment_beyond_the_clock_never_comes(void **state)
{
	(void)state;
	vtimer_arm(&t1, TIMER_NEVER - 1);
	assert_true(vtimer_armed(&t1));
	run_at(1ull << 62);
	assert_int_equal(fired1, 0);
}

/* --- a function that is on its way on another CPU --- */

/* The other CPU has taken it off its queue and is about to call its function. */
static void leaves_the_queue(struct vtimer *t)
{
	assert_true(t->host.armed);
	fake_tsc = t->host.deadline;
	timer_cancel(&t->host);
}

/* And calls it. */
static void arrives(struct vtimer *t)
{
	t->host.fn(&t->host);
}

static void cancelled_on_its_way(void **state)
{
	(void)state;
	vtimer_arm(&t1, 50);
	leaves_the_queue(&t1);
	vtimer_cancel(&t1);
	arrives(&t1);
	assert_int_equal(fired1, 0);
	assert_false(vtimer_armed(&t1));
}

static void armed_for_later_on_its_way(void **state)
{
	(void)state;
	vtimer_arm(&t1, 50);
	leaves_the_queue(&t1);
	vtimer_arm(&t1, 80);
	arrives(&t1);
	assert_int_equal(fired1, 0);
	assert_true(vtimer_armed(&t1));
	run_at(fake_tsc + 30);
	assert_int_equal(fired1, 1);
	assert_false(vtimer_armed(&t1));
}

/* Armed for the same moment on its way, it fires; the host's timer has the new call still. */
static void fires_with_a_call_left(void)
{
	vtimer_arm(&t1, 50);
	leaves_the_queue(&t1);
	vtimer_arm(&t1, 50);
	arrives(&t1);
	assert_int_equal(fired1, 1);
}

/* Both the old call and the new one find it due: once is enough. */
static void armed_for_now_on_its_way(void **state)
{
	(void)state;
	fires_with_a_call_left();
	run_at(fake_tsc + 10);
	assert_int_equal(fired1, 1);
}

/* Its moment had come before the pause. */
static void paused_on_its_way(void **state)
{
	(void)state;
	vtimer_arm(&t1, 50);
	leaves_the_queue(&t1);
	vtime_pause(&time);
	arrives(&t1);
	assert_int_equal(fired1, 1);
	vtime_resume(&time);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
}

/* The pause came first, by the clock: it fires after the resume. */
static void paused_before_its_way(void **state)
{
	uint64_t due;

	(void)state;
	vtimer_arm(&t1, 50);
	due = t1.host.deadline;
	leaves_the_queue(&t1);
	fake_tsc = due - 1;
	vtime_pause(&time);
	fake_tsc = due;
	arrives(&t1);
	assert_int_equal(fired1, 0);
	assert_true(vtimer_armed(&t1));
	fake_tsc += 1000;
	vtime_resume(&time);
	run_at(fake_tsc);
	assert_int_equal(fired1, 0);
	run_at(fake_tsc + 1);
	assert_int_equal(fired1, 1);
}

/* What the host's timer still has of the old moment must not bring the new one during a pause. */
static void armed_again_while_paused(void **state)
{
	(void)state;
	fires_with_a_call_left();
	vtime_pause(&time);
	vtimer_arm(&t1, 40);
	run_at(fake_tsc + 10);
	assert_int_equal(fired1, 1);
	vtime_resume(&time);
	run_at(fake_tsc);
	assert_int_equal(fired1, 2);
}

static void load_at(uint64_t now)
{
	const struct vtime_saved saved = {now, clock_hz()};

	assert_null(time.saved.ops->check(&time, &saved));
	vtime_pause(&time);
	time.saved.ops->load(&time, &saved);
	vtime_resume(&time);
	assert_int_equal(vtime_now(&time), now);
}

/* A VM that has run for longer than the machine that it is loaded on. */
static void time_may_be_older_than_the_host(void **state)
{
	(void)state;
	load_at(5000000);
	vtimer_arm(&t1, 5000100);
	assert_int_equal(timer_queue_next(&queue), 1000100);
	run_at(1000100);
	assert_int_equal(fired1, 1);
	/* Due since before the host's clock began. */
	vtimer_arm(&t1, 1);
	assert_int_equal(timer_queue_next(&queue), 0);
	run_at(1000101);
	assert_int_equal(fired1, 2);
	vtimer_arm(&t1, TIMER_NEVER - 1);
	run_at(UINT64_MAX / 2);
	assert_int_equal(fired1, 2);
	vtimer_cancel(&t1);
}

static void saved_time_is_where_it_stands(void **state)
{
	struct vtime_saved saved = {0};

	(void)state;
	fake_tsc += 77;
	vtime_pause(&time);
	fake_tsc += 1000;
	time.saved.ops->save(&time, &saved);
	assert_int_equal(saved.now, 77);
	saved.hz = CLOCK_HZ_MIN - 1;
	assert_non_null(time.saved.ops->check(&time, &saved));
	saved.hz = CLOCK_HZ_MAX + 1;
	assert_non_null(time.saved.ops->check(&time, &saved));
	saved.hz = clock_hz() / 2;
	saved.now = VTIME_MAX / 2;
	assert_non_null(time.saved.ops->check(&time, &saved));
	saved.now--;
	assert_null(time.saved.ops->check(&time, &saved));
	saved.hz = clock_hz();
	saved.now = VTIME_MAX;
	assert_non_null(time.saved.ops->check(&time, &saved));
	/* Few of this machine's ticks, but "before 0" in those of the other. */
	saved = (struct vtime_saved){.now = -1000ull, .hz = CLOCK_HZ_MAX};
	assert_non_null(time.saved.ops->check(&time, &saved));
	load_at(0);
}

/* Two of its ticks are three here, and a second is a second. */
static void time_of_another_rate_is_converted(void **state)
{
	const struct vtime_saved saved = {.now = 4000000000, .hz = clock_hz() / 3 * 2};

	(void)state;
	assert_false(vtime_is_converted(&time));
	assert_int_equal(vtime_of_loaded(&time, 12345), 12345);
	vtime_pause(&time);
	assert_null(time.saved.ops->check(&time, &saved));
	time.saved.ops->load(&time, &saved);
	assert_true(vtime_is_converted(&time));
	assert_in_range(vtime_now_ns(&time), 2999999990, 3000000010);
	assert_in_range(vtime_of_loaded(&time, 2000000), 3000000, 3000010);
	assert_in_range(-vtime_of_loaded(&time, -2000000ull), 3000000, 3000010);
	assert_true(vtime_of_loaded(&time, INT64_MAX) == INT64_MAX);
	assert_true(vtime_of_loaded(&time, TIMER_NEVER) == TIMER_NEVER);
	vtimer_arm(&t1, vtime_of_loaded(&time, saved.now + 1000));
	vtime_resume(&time);
	run_at(fake_tsc + 1400);
	assert_int_equal(fired1, 0);
	run_at(fake_tsc + 200);
	assert_int_equal(fired1, 1);
}

static void a_timer_tells_its_deadline(void **state)
{
	(void)state;
	assert_int_equal(vtimer_deadline(&t1), TIMER_NEVER);
	vtimer_arm(&t1, 123);
	assert_int_equal(vtimer_deadline(&t1), 123);
	vtimer_cancel(&t1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(starts_at_zero, setup),
		cmocka_unit_test_setup(deadlines_are_guest_ticks, setup),
		cmocka_unit_test_setup(pause_stops_clock_and_timers, setup),
		cmocka_unit_test_setup(cancel_while_paused, setup),
		cmocka_unit_test_setup(a_moment_beyond_the_clock_never_comes, setup),
		cmocka_unit_test_setup(cancelled_on_its_way, setup),
		cmocka_unit_test_setup(armed_for_later_on_its_way, setup),
		cmocka_unit_test_setup(armed_for_now_on_its_way, setup),
		cmocka_unit_test_setup(paused_on_its_way, setup),
		cmocka_unit_test_setup(paused_before_its_way, setup),
		cmocka_unit_test_setup(armed_again_while_paused, setup),
		cmocka_unit_test_setup(time_may_be_older_than_the_host, setup),
		cmocka_unit_test_setup(saved_time_is_where_it_stands, setup),
		cmocka_unit_test_setup(time_of_another_rate_is_converted, setup),
		cmocka_unit_test_setup(a_timer_tells_its_deadline, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
