/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "hv/sched.h"

#define SLICE 1000u
#define CREDIT 1000u

static struct sched s;

static int setup(void **state)
{
	(void)state;
	sched_init(&s, SLICE, CREDIT);
	return 0;
}

static void nothing_to_run(void **state)
{
	uint64_t end;

	(void)state;
	assert_null(sched_pick(&s, 5, &end));
	assert_true(end == SCHED_NO_END);
}

static void alone_runs_without_end(void **state)
{
	struct sched_entity a;
	uint64_t end;

	(void)state;
	sched_entity_init(&a, 100);
	assert_true(sched_wake(&s, &a, 0));
	assert_ptr_equal(sched_pick(&s, 0, &end), &a);
	assert_true(end == SCHED_NO_END);
	assert_false(sched_contended(&s));
}

static void two_share_in_slices(void **state)
{
	struct sched_entity a, b;
	uint64_t end;

	(void)state;
	sched_entity_init(&a, 100);
	sched_entity_init(&b, 100);
	sched_wake(&s, &a, 0);
	sched_wake(&s, &b, 0);
	assert_ptr_equal(sched_pick(&s, 0, &end), &a);
	assert_int_equal(end, SLICE);
	assert_ptr_equal(sched_pick(&s, end, &end), &b);
	assert_int_equal(b.wait_ticks, SLICE);
	assert_ptr_equal(sched_pick(&s, end, &end), &a);
	assert_int_equal(a.run_ticks, SLICE);
}

/* Runs `count` always-runnable entities until `total` ticks have passed. */
static void run_hogs(struct sched_entity *e, unsigned count, uint64_t total)
{
	uint64_t now = 0;
	uint64_t end;

	for (unsigned i = 0; i < count; i++) {
		sched_wake(&s, &e[i], 0);
	}
	while (now < total) {
		assert_non_null(sched_pick(&s, now, &end));
		now = end == SCHED_NO_END ? total : end;
	}
	sched_pick(&s, now, &end);
}

static void weights_share_the_cpu(void **state)
{
	struct sched_entity e[2];

	(void)state;
	sched_entity_init(&e[0], 100);
	sched_entity_init(&e[1], 300);
	run_hogs(e, 2, 4000 * SLICE);
	/* 1:3 within 1 %. */
	assert_in_range(e[1].run_ticks * 100 / e[0].run_ticks, 297, 303);
}

static void a_sleeper_runs_at_once_and_saves_nothing_up(void **state)
{
	struct sched_entity hog[2], sleeper;
	uint64_t now;
	uint64_t end;

	(void)state;
	sched_entity_init(&hog[0], 100);
	sched_entity_init(&hog[1], 100);
	sched_entity_init(&sleeper, 100);
	run_hogs(hog, 2, 1000 * SLICE);
	now = 1000 * SLICE;
	assert_true(sched_wake(&s, &sleeper, now + 10));
	assert_ptr_equal(sched_pick(&s, now + 10, &end), &sleeper);
	/* It slept for 1000 slices but may not run for more than a few in a row. */
	for (unsigned i = 0; i < 5 && s.current == &sleeper; i++) {
		sched_pick(&s, end, &end);
	}
	assert_ptr_not_equal(s.current, &sleeper);
}

static void blocking_takes_it_out_wherever_it_is(void **state)
{
	struct sched_entity a, b;
	uint64_t end;

	(void)state;
	sched_entity_init(&a, 100);
	sched_entity_init(&b, 100);
	sched_wake(&s, &a, 0);
	sched_wake(&s, &b, 0);
	sched_pick(&s, 0, &end);
	sched_block(&s, &a, 70);
	assert_int_equal(a.run_ticks, 70);
	assert_int_equal(a.state, SCHED_BLOCKED);
	sched_block(&s, &b, 70);
	sched_block(&s, &b, 71);
	assert_null(sched_pick(&s, 80, &end));
	/* Waking something that is awake changes nothing. */
	assert_true(sched_wake(&s, &a, 90));
	assert_false(sched_wake(&s, &a, 91));
	assert_ptr_equal(sched_pick(&s, 95, &end), &a);
	assert_false(sched_wake(&s, &a, 96));
}

/* Random wake-ups and blocks: shares stay within a slice of each other, nobody starves. */
static void random_mix_is_fair(void **state)
{
	struct sched_entity e[6];
	uint64_t now = 0;
	uint64_t end;
	uint64_t least = ~0ull;
	uint64_t most = 0;

	(void)state;
	srand(7);
	for (unsigned i = 0; i < 6; i++) {
		sched_entity_init(&e[i], 100);
		sched_wake(&s, &e[i], 0);
	}
	for (unsigned i = 0; i < 20000; i++) {
		struct sched_entity *run = sched_pick(&s, now, &end);

		assert_non_null(run);
		now += 1 + (uint64_t)rand() % SLICE;
		/* Entity 5 sleeps now and then; the others always want to run. */
		if (run == &e[5] && rand() % 4 == 0) {
			sched_block(&s, run, now);
			sched_wake(&s, run, now + 1);
		}
	}
	for (unsigned i = 0; i < 5; i++) {
		least = e[i].run_ticks < least ? e[i].run_ticks : least;
		most = e[i].run_ticks > most ? e[i].run_ticks : most;
	}
	assert_true(most - least <= 2 * SLICE);
	/* Sleeping gains at most the credit, again and again, but never half the machine. */
	assert_true(e[5].run_ticks < 2 * most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_to_run, setup),
		cmocka_unit_test_setup(alone_runs_without_end, setup),
		cmocka_unit_test_setup(two_share_in_slices, setup),
		cmocka_unit_test_setup(weights_share_the_cpu, setup),
		cmocka_unit_test_setup(a_sleeper_runs_at_once_and_saves_nothing_up, setup),
		cmocka_unit_test_setup(blocking_takes_it_out_wherever_it_is, setup),
		cmocka_unit_test_setup(random_mix_is_fair, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
