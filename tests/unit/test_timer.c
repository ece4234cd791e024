/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "hv/api/timer.h"
#include "hv/base/bits.h"
#include "tests/fakes/check.h"

#define TIMERS 200

static struct timer_queue queue;
static struct timer timers[TIMERS];
static unsigned fired[4 * TIMERS];
static unsigned fired_count;

static void note(struct timer *t)
{
	assert_false(t->armed);
	fired[fired_count++] = (unsigned)(t - timers);
}

static int setup(void **state)
{
	(void)state;
	timer_queue_init(&queue);
	for (unsigned i = 0; i < TIMERS; i++) {
		timer_init(&timers[i], &queue, note);
	}
	fired_count = 0;
	return 0;
}

static void fires_in_order_up_to_now(void **state)
{
	(void)state;
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	timer_arm(&timers[0], 30);
	timer_arm(&timers[1], 10);
	timer_arm(&timers[2], 20);
	timer_arm(&timers[3], 21);
	assert_int_equal(timer_queue_next(&queue), 10);
	timer_queue_run(&queue, 9);
	assert_int_equal(fired_count, 0);
	timer_queue_run(&queue, 20);
	assert_int_equal(fired_count, 2);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 2);
	assert_int_equal(timer_queue_next(&queue), 21);
	timer_queue_run(&queue, 1000);
	assert_int_equal(fired_count, 4);
	assert_int_equal(fired[2], 3);
	assert_int_equal(fired[3], 0);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
}

static void rearming_moves(void **state)
{
	(void)state;
	timer_arm(&timers[0], 10);
	timer_arm(&timers[1], 20);
	timer_arm(&timers[0], 30);
	assert_int_equal(timer_queue_next(&queue), 20);
	timer_arm(&timers[0], 5);
	assert_int_equal(timer_queue_next(&queue), 5);
	timer_cancel(&timers[0]);
	timer_cancel(&timers[0]);
	assert_int_equal(timer_queue_next(&queue), 20);
}

/* The earliest deadline by looking at each timer. */
static uint64_t naive_next(void)
{
	uint64_t next = TIMER_NEVER;

	for (unsigned i = 0; i < TIMERS; i++) {
		if (timers[i].armed && timers[i].deadline < next) {
			next = timers[i].deadline;
		}
	}
	return next;
}

static void random_arm_and_cancel(void **state)
{
	uint64_t now = 0;

	(void)state;
	srand(7);
	for (unsigned step = 0; step < 50000; step++) {
		struct timer *t = &timers[rand() % TIMERS];

		switch (rand() % 4) {
		case 0:
		case 1:
			timer_arm(t, now + (uint64_t)(rand() % 500));
			break;
		case 2:
			timer_cancel(t);
			break;
		default:
			now += (uint64_t)(rand() % 40);
			fired_count = 0;
			timer_queue_run(&queue, now);
			for (unsigned i = 1; i < fired_count; i++) {
				assert_true(timers[fired[i - 1]].deadline <=
					    timers[fired[i]].deadline);
			}
			assert_true(naive_next() > now);
			break;
		}
		assert_int_equal(timer_queue_next(&queue), naive_next());
	}
}

static void cancel_the_others(struct timer *t)
{
	note(t);
	timer_cancel(&timers[1]);
	timer_arm(&timers[2], 3);
	timer_arm(&timers[4], 2);
	/* Armed and taken back within the run, from inside the deferred heap too. */
	timer_arm(&timers[5], 1);
	timer_cancel(&timers[2]);
	timer_cancel(&timers[5]);
}

static void functions_may_arm_and_cancel(void **state)
{
	(void)state;
	timer_init(&timers[0], &queue, cancel_the_others);
	timer_arm(&timers[0], 1);
	timer_arm(&timers[1], 2);
	timer_arm(&timers[2], 3);
	timer_arm(&timers[3], 4);
	timer_queue_run(&queue, 100);
	assert_int_equal(fired_count, 2);
	assert_int_equal(fired[0], 0);
	assert_int_equal(fired[1], 3);
	assert_int_equal(timer_queue_next(&queue), 2);
	timer_queue_run(&queue, 100);
	assert_int_equal(fired_count, 3);
	assert_int_equal(fired[2], 4);
}

static void always_late(struct timer *t)
{
	note(t);
	timer_arm(t, 0);
}

static void a_late_periodic_timer_fires_once_per_run(void **state)
{
	(void)state;
	timer_init(&timers[0], &queue, always_late);
	timer_arm(&timers[0], 0);
	timer_queue_run(&queue, 100);
	assert_int_equal(fired_count, 1);
	assert_int_equal(timer_queue_next(&queue), 0);
	timer_queue_run(&queue, 100);
	assert_int_equal(fired_count, 2);
}

/* --- several CPUs --- */

static struct timer_queue queues[3];
static unsigned here; /* the CPU that executes */

static struct timer_queue *queue_here(void)
{
	return &queues[here];
}

static int setup_cpus(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(queues); i++) {
		timer_queue_init(&queues[i]);
	}
	here = 0;
	timer_set_local_queue(queue_here);
	return setup(state);
}

static int one_cpu(void **state)
{
	(void)state;
	timer_set_local_queue(NULL);
	return 0;
}

static void armed_where_it_is_asked_for(void **state)
{
	(void)state;
	here = 1;
	timer_arm(&timers[0], 50);
	assert_int_equal(timer_queue_next(&queues[1]), 50);
	assert_int_equal(timer_queue_next(&queues[0]), TIMER_NEVER);
	/* Armed again elsewhere it leaves the first queue. */
	here = 2;
	timer_arm(&timers[0], 60);
	assert_int_equal(timer_queue_next(&queues[1]), TIMER_NEVER);
	assert_int_equal(timer_queue_next(&queues[2]), 60);
	timer_queue_run(&queues[1], 100);
	assert_int_equal(fired_count, 0);
	/* Cancelled from anywhere. */
	here = 0;
	timer_cancel(&timers[0]);
	assert_int_equal(timer_queue_next(&queues[2]), TIMER_NEVER);
	timer_queue_run(&queues[2], 100);
	assert_int_equal(fired_count, 0);
}

/* While a queue runs, the function of another CPU's arming goes to that CPU's queue. */
static void from_one_run_to_another_queue(struct timer *t)
{
	note(t);
	here = 2;
	timer_arm(&timers[1], 1);
	timer_cancel(&timers[2]);
	here = 1;
	timer_arm(&timers[3], 1);
}

static void a_run_defers_its_own_queue_only(void **state)
{
	(void)state;
	here = 1;
	timer_init(&timers[0], &queue, from_one_run_to_another_queue);
	timer_arm(&timers[0], 1);
	timer_arm(&timers[2], 2);
	timer_queue_run(&queues[1], 10);
	assert_int_equal(fired_count, 1);
	assert_int_equal(timer_queue_next(&queues[1]), 1);
	timer_queue_run(&queues[2], 10);
	assert_int_equal(fired_count, 2);
	assert_int_equal(fired[1], 1);
	timer_queue_run(&queues[1], 10);
	assert_int_equal(fired_count, 3);
	assert_int_equal(fired[2], 3);
}

static void random_on_several_cpus(void **state)
{
	uint64_t now = 0;

	(void)state;
	srand(9);
	for (unsigned step = 0; step < 30000; step++) {
		struct timer *t = &timers[rand() % TIMERS];
		uint64_t next = TIMER_NEVER;

		here = (unsigned)rand() % ARRAY_SIZE(queues);
		switch (rand() % 4) {
		case 0:
		case 1:
			timer_arm(t, now + (uint64_t)(rand() % 500));
			break;
		case 2:
			timer_cancel(t);
			break;
		default:
			now += (uint64_t)(rand() % 40);
			for (unsigned i = 0; i < ARRAY_SIZE(queues); i++) {
				fired_count = 0;
				timer_queue_run(&queues[i], now);
			}
			assert_true(naive_next() > now);
			break;
		}
		for (unsigned i = 0; i < ARRAY_SIZE(queues); i++) {
			if (timer_queue_next(&queues[i]) < next) {
				next = timer_queue_next(&queues[i]);
			}
		}
		assert_int_equal(next, naive_next());
	}
}

static void look_whether_it_fires(struct timer *t)
{
	note(t);
	assert_false(t->armed);
	assert_true(queue.firing);
}

static void who_takes_things_apart_sees_what_fires(void **state)
{
	(void)state;
	timer_init(&timers[0], &queue, look_whether_it_fires);
	timer_arm(&timers[0], 1);
	assert_false(queue.firing);
	timer_queue_run(&queue, 1);
	assert_int_equal(fired_count, 1);
	assert_false(queue.firing);
	timer_queue_settle(&queue);
}

static void runs_inside(struct timer *t)
{
	timer_queue_run(t->queue, 0);
}

static void nested_run_is_our_bug(void **state)
{
	(void)state;
	timer_init(&timers[0], &queue, runs_inside);
	timer_arm(&timers[0], 0);
	EXPECT_CHECK(timer_queue_run(&queue, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fires_in_order_up_to_now, setup),
		cmocka_unit_test_setup(rearming_moves, setup),
		cmocka_unit_test_setup(random_arm_and_cancel, setup),
		cmocka_unit_test_setup(functions_may_arm_and_cancel, setup),
		cmocka_unit_test_setup(a_late_periodic_timer_fires_once_per_run, setup),
		cmocka_unit_test_setup_teardown(armed_where_it_is_asked_for, setup_cpus, one_cpu),
		cmocka_unit_test_setup_teardown(a_run_defers_its_own_queue_only, setup_cpus,
						one_cpu),
		cmocka_unit_test_setup_teardown(random_on_several_cpus, setup_cpus, one_cpu),
		cmocka_unit_test_setup(who_takes_things_apart_sees_what_fires, setup),
		cmocka_unit_test_setup(nested_run_is_our_bug, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
