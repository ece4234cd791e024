/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounds against made-up rounds; the exchange with a CPU that is played whenever the boot CPU
 * looks at its TSC, and with another thread.
 */
#define _GNU_SOURCE /* clock_gettime, threads */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hv/cpu/tsc_sync.h"
#include "tests/fakes/fake_cpu.h"

#define HZ 1000000000ull

/* --- bounds --- */

static void rounds_narrow_down(void **state)
{
	struct tsc_bounds b = {0};
	struct tsc_verdict v;

	(void)state;
	tsc_bounds_add(&b, 1000, 1050, 1100);
	assert_int_equal(b.low, -50);
	assert_int_equal(b.high, 50);
	tsc_bounds_add(&b, 2000, 2010, 2100);
	tsc_bounds_add(&b, 3000, 3090, 3100);
	assert_int_equal(b.low, -10);
	assert_int_equal(b.high, 10);
	assert_int_equal(b.rounds, 3);
	v = tsc_bounds_judge(&b);
	assert_true(v.in_step && v.steady);
	assert_int_equal(v.offset, 0);
	assert_int_equal(v.bound, 10);
}

static void edges_are_in_step(void **state)
{
	struct tsc_bounds b = {0};

	(void)state;
	tsc_bounds_add(&b, 1000, 1000, 1100);
	assert_true(tsc_bounds_judge(&b).in_step);
	assert_int_equal(tsc_bounds_judge(&b).bound, 100);
	b = (struct tsc_bounds){0};
	tsc_bounds_add(&b, 1000, 999, 1100);
	assert_false(tsc_bounds_judge(&b).in_step);
	b = (struct tsc_bounds){0};
	tsc_bounds_add(&b, 1000, 1101, 1100);
	assert_false(tsc_bounds_judge(&b).in_step);
}

static void offsets_of_either_sign_and_any_size(void **state)
{
	static const int64_t ahead[] = {5000, -5000, 1, -1, INT64_MAX / 2, INT64_MIN / 2};

	(void)state;
	for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
		struct tsc_bounds b = {0};
		struct tsc_verdict v;
		int64_t left;

		/* Straight after asking, and straight before the answer arrives. */
		tsc_bounds_add(&b, 9000, 9000 + (uint64_t)ahead[i], 9100);
		tsc_bounds_add(&b, 9500, 9600 + (uint64_t)ahead[i], 9600);
		v = tsc_bounds_judge(&b);
		assert_false(v.in_step);
		assert_true(v.steady);
		left = (int64_t)((uint64_t)v.offset + (uint64_t)ahead[i]);
		assert_in_range(left + (int64_t)v.bound, 0, 2 * v.bound);
		assert_int_equal(v.bound, 0);
	}
}

static void rounds_that_contradict_are_not_steady(void **state)
{
	struct tsc_bounds b = {0};

	(void)state;
	tsc_bounds_add(&b, 1000, 6010, 1020);
	tsc_bounds_add(&b, 2000, 7110, 2020);
	assert_false(tsc_bounds_judge(&b).steady);
	assert_int_equal(tsc_bounds_judge(&b).offset, -(4990 + 5110) / 2);
}

/* --- the exchange, scripted --- */

static struct {
	struct tsc_channel channel;
	uint64_t now;	     /* the boot CPU's TSC */
	uint64_t step;	     /* per look at it */
	int64_t ahead;	     /* of the other one */
	int64_t drift;	     /* added to that per answer */
	unsigned delay;	     /* looks until an answer comes */
	unsigned looks;	     /* since the question */
	unsigned answers;    /* so far */
	unsigned gone_after; /* answers; 0: never */
} two;

static uint64_t look(void)
{
	two.now += two.step;
	if (two.channel.turn == 1 && (two.gone_after == 0 || two.answers < two.gone_after) &&
	    ++two.looks > two.delay) {
		two.channel.stamp = two.now + (uint64_t)two.ahead;
		two.ahead += two.drift;
		two.channel.turn = 2;
		two.looks = 0;
		two.answers++;
	}
	return two.now;
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.on_rdtsc = look;
	memset(&two, 0, sizeof(two));
	two.step = 10;
	two.now = 123456;
	two.channel.turn = 2;
	return 0;
}

static void equal_tscs_are_in_step(void **state)
{
	struct tsc_verdict v;

	(void)state;
	assert_true(tsc_sync_measure(&two.channel, HZ, &v));
	assert_true(v.in_step && v.steady);
	assert_int_equal(v.offset, 0);
	assert_true(v.bound <= 5 * two.step);
	assert_int_equal(two.channel.turn, 2);
	tsc_sync_release(&two.channel);
	assert_int_equal(two.channel.turn, 3);
}

static void a_tsc_ahead_is_corrected(void **state)
{
	struct tsc_verdict v;

	(void)state;
	two.ahead = 1000000;
	assert_true(tsc_sync_measure(&two.channel, HZ, &v));
	assert_false(v.in_step);
	assert_true(v.steady);
	assert_in_range(-v.offset, 1000000 - 50, 1000000 + 50);
	two.ahead = -1000000;
	assert_true(tsc_sync_measure(&two.channel, HZ, &v));
	assert_in_range(v.offset, 1000000 - 50, 1000000 + 50);
}

static void slow_answers_cost_few_rounds(void **state)
{
	struct tsc_verdict v;
	uint64_t before = two.now;

	(void)state;
	two.delay = 100000; /* a millisecond */
	assert_true(tsc_sync_measure(&two.channel, HZ, &v));
	assert_true(v.in_step);
	assert_in_range(two.answers, 20, 26);
	assert_true(two.now - before < HZ / 30);
}

static void drift_is_noticed(void **state)
{
	struct tsc_verdict v;

	(void)state;
	two.ahead = 1000000;
	two.drift = 1000;
	assert_true(tsc_sync_measure(&two.channel, HZ, &v));
	assert_false(v.steady);
}

static uint64_t look_and_jump(void)
{
	/* The first pass has 64 rounds. */
	two.ahead = two.answers >= 64 ? 5000 : 0;
	return look();
}

/* Between the passes: only the check can see it. */
static void a_jump_is_seen_by_the_check(void **state)
{
	struct tsc_verdict v;

	(void)state;
	fake_cpu.on_rdtsc = look_and_jump;
	assert_true(tsc_sync_measure(&two.channel, HZ, &v));
	assert_true(v.in_step);
	assert_false(v.steady);
}

static void a_cpu_that_is_gone_costs_five_seconds(void **state)
{
	struct tsc_verdict v;
	uint64_t before = two.now;

	(void)state;
	two.step = 10000;
	two.gone_after = 3;
	assert_false(tsc_sync_measure(&two.channel, HZ, &v));
	assert_true(two.now - before < 6 * HZ);
	/* And one that never comes. */
	two.channel.turn = 0;
	before = two.now;
	assert_false(tsc_sync_measure(&two.channel, HZ, &v));
	assert_true(two.now - before < 6 * HZ);
}

static void nobody_asks(void **state)
{
	uint64_t before = two.now;

	(void)state;
	two.step = 10000;
	two.channel.turn = 0;
	assert_false(tsc_sync_answer(&two.channel, HZ));
	assert_true(two.now - before < 6 * HZ);
	/* Given up on, then released: it does not wait, nor does it answer. */
	two.channel.turn = 3;
	before = two.now;
	assert_false(tsc_sync_answer(&two.channel, HZ));
	assert_int_equal(two.now, before);
	assert_int_equal(two.channel.turn, 3);
}

/* --- the exchange between threads --- */

static _Thread_local int64_t skew;

static uint64_t host_clock(void)
{
	struct timespec t;

	/* The other thread may need this CPU. */
	sched_yield();
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * HZ + (uint64_t)t.tv_nsec + (uint64_t)skew;
}

static void *other_cpu(void *ahead)
{
	skew = *(const int64_t *)ahead;
	return tsc_sync_answer(&two.channel, 20 * HZ) ? &two : NULL;
}

static struct tsc_verdict with_a_thread(int64_t ahead)
{
	struct tsc_verdict v;
	pthread_t thread;
	void *released;

	fake_cpu.on_rdtsc = host_clock;
	two.channel.turn = 0;
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, &ahead), 0);
	assert_true(tsc_sync_measure(&two.channel, 20 * HZ, &v));
	tsc_sync_release(&two.channel);
	assert_int_equal(pthread_join(thread, &released), 0);
	assert_non_null(released);
	return v;
}

static void two_threads_agree(void **state)
{
	struct tsc_verdict v = with_a_thread(0);

	(void)state;
	assert_true(v.in_step && v.steady);
	v = with_a_thread(3 * (int64_t)HZ);
	assert_false(v.in_step);
	assert_true(v.steady);
	assert_true(llabs(v.offset + 3 * (int64_t)HZ) <= (int64_t)v.bound);
	v = with_a_thread(-7 * (int64_t)HZ);
	assert_true(llabs(v.offset - 7 * (int64_t)HZ) <= (int64_t)v.bound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounds_narrow_down),
		cmocka_unit_test(edges_are_in_step),
		cmocka_unit_test(offsets_of_either_sign_and_any_size),
		cmocka_unit_test(rounds_that_contradict_are_not_steady),
		cmocka_unit_test_setup(equal_tscs_are_in_step, setup),
		cmocka_unit_test_setup(a_tsc_ahead_is_corrected, setup),
		cmocka_unit_test_setup(slow_answers_cost_few_rounds, setup),
		cmocka_unit_test_setup(drift_is_noticed, setup),
		cmocka_unit_test_setup(a_jump_is_seen_by_the_check, setup),
		cmocka_unit_test_setup(a_cpu_that_is_gone_costs_five_seconds, setup),
		cmocka_unit_test_setup(nobody_asks, setup),
		cmocka_unit_test_setup(two_threads_agree, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
