/* SPDX-License-Identifier: Apache-2.0 */
/* Caps. */
#include "tests/unit/sched_rig.h"

#define LONG 1000000u

static void a_cap_of_25_is_a_quarter(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 25), 0);
	run(0, LONG);
	/* Within 1 %, and alone. */
	assert_in_range(a->run_ticks, LONG / 4 - LONG / 400, LONG / 4 + LONG / 400);
	assert_int_equal(a->run_ticks + a->wait_ticks, LONG);
}

static void a_cap_holds_beside_others_and_leaves_them_the_rest(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(1, 1);
	a = wake(add(1000, 10), 0);
	b = wake(add(100, 0), 0);
	run(0, LONG);
	assert_in_range(a->run_ticks, LONG / 10 - LONG / 1000, LONG / 10 + LONG / 1000);
	assert_int_equal(a->run_ticks + b->run_ticks, LONG);
}

static void a_cap_is_for_all_of_a_group(void **state)
{
	struct sched_entity *a, *b, *c;
	uint64_t sum;

	(void)state;
	rig(4, 1);
	a = wake(add(100, 150), 0);
	b = wake(add_to(a->group), 0);
	c = wake(add_to(a->group), 0);
	run(0, LONG);
	sum = a->run_ticks + b->run_ticks + c->run_ticks;
	assert_in_range(sum, LONG * 3 / 2 - LONG * 3 / 200, LONG * 3 / 2 + LONG * 3 / 200);
}

static void a_cap_above_what_runs_never_throttles(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 100), 0);
	pick(0, 0);
	assert_true(rig_until[0] == SCHED_NO_END);
	run(0, LONG);
	assert_int_equal(a->run_ticks, LONG);
	assert_int_equal(a->group->throttle_count, 0);
}

static void a_burst_is_one_period_at_most(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 50), 0);
	sched_block(&rig_sched, a, 0);
	/* However long it sleeps. */
	wake(a, 100 * LONG);
	assert_ptr_equal(pick(0, 100 * LONG), a);
	/* Half a period's budget lasts twice its time when half of it comes back meanwhile. */
	assert_int_equal(rig_until[0], 100 * LONG + CAP_PERIOD);
	assert_null(pick(0, rig_until[0]));
	assert_true(a->group->throttled);
	assert_int_equal(rig_until[0], 100 * LONG + CAP_PERIOD + CAP_PERIOD / 2);
	assert_ptr_equal(pick(0, rig_until[0]), a);
}

/* A CPU that comes late makes a debt; the average stays. */
static void a_debt_is_paid_back(void **state)
{
	struct sched_entity *a;
	uint64_t now = 0;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 25), 0);
	while (now < 10 * LONG) {
		pick(0, now);
		now = rig_until[0] + 1500;
	}
	sched_account(&rig_sched, a, now);
	assert_in_range(a->run_ticks * 1000 / now, 248, 252);
}

static void one_that_wakes_throttled_waits_with_a_timer(void **state)
{
	struct sched_entity *a, *b;
	uint64_t release;

	(void)state;
	rig(2, 1);
	a = wake(add(100, 20), 1000);
	b = add_to(a->group);
	pick(0, 1000);
	pick(1, 1000);
	pick(0, rig_until[0]);
	release = rig_until[0];
	assert_true(a->group->throttled);
	kicked(1);
	wake(b, release - 100);
	assert_true(b->parked);
	/* Where it waits a CPU comes for it, were it idle until now. */
	if (b->core != a->core) {
		assert_true(kicked(1));
		assert_null(pick(1, release - 90));
		assert_int_equal(rig_until[1], release);
	}
	pick(0, release);
	pick(1, release);
	assert_int_equal(a->state, SCHED_RUNNING);
	assert_int_equal(b->state, SCHED_RUNNING);
}

static void the_end_of_one_budget_stops_all_that_run_on_it(void **state)
{
	struct sched_entity *a, *b;
	unsigned late;

	(void)state;
	rig(2, 1);
	a = wake(add(100, 20), 1000);
	b = wake(add_to(a->group), 1000);
	pick(0, 1000);
	pick(1, 1000);
	assert_true(rig_until[1] < rig_until[0]); /* It knows of both. */
	late = 0;
	kicked(late);
	assert_ptr_not_equal(pick(1, rig_until[1]), b);
	assert_true(kicked(late));
	assert_null(pick(late, rig_until[1] - 1));
}

static void a_new_cap_holds_at_once(void **state)
{
	struct sched_entity *a;
	uint64_t before;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	pick(0, 0);
	kicked(0);
	sched_group_set(&rig_sched, a->group, 100, 10, 0);
	assert_true(kicked(0));
	run(0, LONG);
	assert_in_range(a->run_ticks, LONG / 10 - LONG / 1000, LONG / 10 + LONG / 1000);
	/* And its end lets go what waits. */
	while (!a->parked) {
		pick(0, rig_until[0]);
	}
	before = a->run_ticks;
	kicked(0);
	sched_group_set(&rig_sched, a->group, 100, 0, 2 * LONG);
	assert_true(kicked(0));
	assert_ptr_equal(pick(0, 2 * LONG), a);
	assert_true(rig_until[0] == SCHED_NO_END);
	sched_account(&rig_sched, a, 3 * LONG);
	assert_int_equal(a->run_ticks - before, LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cap_of_25_is_a_quarter),
		cmocka_unit_test(a_cap_holds_beside_others_and_leaves_them_the_rest),
		cmocka_unit_test(a_cap_is_for_all_of_a_group),
		cmocka_unit_test(a_cap_above_what_runs_never_throttles),
		cmocka_unit_test(a_burst_is_one_period_at_most),
		cmocka_unit_test(a_debt_is_paid_back),
		cmocka_unit_test(one_that_wakes_throttled_waits_with_a_timer),
		cmocka_unit_test(the_end_of_one_budget_stops_all_that_run_on_it),
		cmocka_unit_test(a_new_cap_holds_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
