/* SPDX-License-Identifier: Apache-2.0 */
/* One group at a time on a core. CPUs 0 and 1 are siblings, 2 and 3 too. */
#include "tests/unit/sched_rig.h"

static void siblings_run_one_group(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(2, 2);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	assert_ptr_equal(pick(0, 0), a);
	assert_null(pick(1, 0));
	/* The forced idle costs nothing but itself: the other has the slices. */
	assert_true(rig_until[1] == SCHED_NO_END);
	assert_int_equal(rig_until[0], SLICE);
	assert_ptr_equal(pick(0, SLICE), b);
	assert_null(pick(1, SLICE));
}

static void a_group_takes_all_threads(void **state)
{
	struct sched_entity *a, *peer;

	(void)state;
	rig(2, 2);
	a = wake(add(100, 0), 0);
	peer = wake(add_to(a->group), 0);
	assert_ptr_equal(pick(0, 0), a);
	assert_ptr_equal(pick(1, 0), peer);
	assert_true(rig_until[1] == SCHED_NO_END);
}

static void a_core_changes_hands_when_all_have_left(void **state)
{
	struct sched_entity *a, *a2, *b, *b2;

	(void)state;
	rig(2, 2);
	a = wake(add(100, 0), 0);
	a2 = wake(add_to(a->group), 0);
	assert_ptr_equal(pick(0, 0), a);
	assert_ptr_equal(pick(1, 0), a2);
	b = wake(add(100, 0), 5);
	b2 = wake(add_to(b->group), 5);
	kicked(1);
	pick(0, 6);
	/* It is b's turn as soon as both have left. */
	while (rig_sched.cores[0].next == NULL) {
		assert_non_null(rig_sched.cpus[0].current);
		pick(0, rig_until[0]);
	}
	assert_ptr_equal(rig_sched.cores[0].next, b->group);
	assert_null(rig_sched.cpus[0].current);
	assert_true(kicked(1));
	/* Neither comes back meanwhile. */
	assert_null(pick(0, 5000));
	kicked(0);
	assert_ptr_equal(pick(1, 5010)->group, b->group);
	assert_true(kicked(0));
	assert_ptr_equal(pick(0, 5020)->group, b->group);
	assert_int_equal(b->state, SCHED_RUNNING);
	assert_int_equal(b2->state, SCHED_RUNNING);
	assert_null(rig_sched.cores[0].next);
}

static void a_turn_that_only_a_sibling_can_take(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(2, 2);
	a = add(100, 0);
	pin(a, 1, 0);
	wake(a, 0);
	assert_ptr_equal(pick(1, 0), a);
	assert_null(pick(0, 0));
	b = add(100, 0);
	pin(b, 0, 0);
	wake(b, 100);
	assert_true(kicked(1));
	/* CPU 1 has nothing but `a` to run, and still gives way. */
	assert_null(pick(1, SLICE));
	assert_true(kicked(0));
	assert_ptr_equal(pick(0, SLICE + 1), b);
	run(SLICE + 1, 400 * SLICE);
	assert_in_range(a->run_ticks, 190 * SLICE, 210 * SLICE);
	assert_in_range(b->run_ticks, 190 * SLICE, 210 * SLICE);
}

static void a_group_that_gives_up_its_turn_blocks_nobody(void **state)
{
	struct sched_entity *a, *a2, *b;

	(void)state;
	rig(2, 2);
	a = wake(add(100, 0), 0);
	a2 = wake(add_to(a->group), 0);
	pick(0, 0);
	pick(1, 0);
	b = wake(add(100, 0), SLICE);
	assert_null(pick(0, SLICE));
	sched_block(&rig_sched, b, SLICE + 1);
	/* CPU 1 was kicked to leave, and brings both back. */
	assert_non_null(pick(1, SLICE + 5));
	assert_true(kicked(0));
	assert_non_null(pick(0, SLICE + 6));
	assert_int_equal(a->state, SCHED_RUNNING);
	assert_int_equal(a2->state, SCHED_RUNNING);
}

static void shared_cores_are_just_cpus(void **state)
{
	struct sched_config config = rig_config(2, 2);

	(void)state;
	config.share_cores = true;
	sched_init(&rig_sched, &config);
	sched_cpu_online(&rig_sched, 0, 0);
	sched_cpu_online(&rig_sched, 1, 0);
	wake(add(100, 0), 0);
	wake(add(100, 0), 0);
	assert_non_null(pick(0, 0));
	assert_non_null(pick(1, 0));
}

static void what_still_executes_keeps_the_core(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(2, 2);
	a = wake(add(100, 0), 0);
	pick(0, 0);
	pick(1, 0);
	sched_block(&rig_sched, a, 10);
	b = wake(add(100, 0), 11);
	/* CPU 0 has not left a yet. */
	assert_null(pick(1, 12));
	assert_ptr_equal(pick(0, 15), b);
}

static void groups_spread_over_whole_cores(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(4, 2);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		pick(cpu, 0);
	}
	assert_int_equal(a->state, SCHED_RUNNING);
	assert_int_equal(b->state, SCHED_RUNNING);
	assert_int_not_equal(a->core, b->core);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siblings_run_one_group),
		cmocka_unit_test(a_group_takes_all_threads),
		cmocka_unit_test(a_core_changes_hands_when_all_have_left),
		cmocka_unit_test(a_turn_that_only_a_sibling_can_take),
		cmocka_unit_test(a_group_that_gives_up_its_turn_blocks_nobody),
		cmocka_unit_test(shared_cores_are_just_cpus),
		cmocka_unit_test(what_still_executes_keeps_the_core),
		cmocka_unit_test(groups_spread_over_whole_cores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
