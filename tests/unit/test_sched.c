/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's entry points on one and two CPUs; tests/unit/sched_rig.h. */
#include "tests/unit/sched_rig.h"

static void nothing_to_run(void **state)
{
	(void)state;
	rig(1, 1);
	assert_null(pick(0, 5));
	assert_true(rig_until[0] == SCHED_NO_END);
}

static void alone_takes_no_tick(void **state)
{
	(void)state;
	rig(2, 1);
	wake(add(100, 0), 0);
	wake(add(100, 0), 0);
	assert_ptr_equal(pick(0, 0), &rig_entity[0]);
	assert_true(rig_until[0] == SCHED_NO_END);
	/* Nor do two on two CPUs. */
	assert_ptr_equal(pick(1, 0), &rig_entity[1]);
	assert_true(rig_until[1] == SCHED_NO_END);
	assert_ptr_equal(pick(0, 10), &rig_entity[0]);
	assert_true(rig_until[0] == SCHED_NO_END);
}

static void two_share_in_slices(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	assert_ptr_equal(pick(0, 0), a);
	assert_int_equal(rig_until[0], SLICE);
	assert_ptr_equal(pick(0, SLICE), b);
	assert_int_equal(b->wait_ticks, SLICE);
	assert_ptr_equal(pick(0, 2 * SLICE), a);
	assert_int_equal(a->run_ticks, SLICE);
	assert_int_equal(a->switch_count, 2);
	assert_int_equal(a->migration_count, 0);
}

static void one_that_comes_begins_slices(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	b = add(100, 0);
	pick(0, 0);
	assert_true(kicked(0)); /* By the first wake-up. */
	wake(b, 50);
	assert_true(kicked(0));
	pick(0, 50);
	assert_int_equal(rig_until[0], 50 + SLICE);
	sched_block(&rig_sched, a, 60);
	sched_block(&rig_sched, b, 60);
	assert_null(pick(0, 60));
}

static void weights_share_the_cpu(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(300, 0), 0);
	run(0, 1000 * SLICE);
	/* 1:3 within 1 %. */
	assert_in_range(b->run_ticks * 100 / a->run_ticks, 297, 303);
	assert_int_equal(a->run_ticks + b->run_ticks, 1000 * SLICE);
}

static void new_weights_hold_from_then_on(void **state)
{
	struct sched_entity *a, *b;
	uint64_t before;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	run(0, 1000 * SLICE);
	sched_group_set(&rig_sched, b->group, 300, 0, 1000 * SLICE);
	before = a->run_ticks;
	run(1000 * SLICE, 2000 * SLICE);
	assert_in_range(a->run_ticks - before, 247 * SLICE, 253 * SLICE);
	/* What ran before is charged at the old weight. */
	rig(1, 1);
	a = wake(add(100, 0), 0);
	pick(0, 0);
	a->vruntime = 0;
	sched_group_set(&rig_sched, a->group, 400, 0, 1000);
	assert_int_equal(a->vruntime, 1000);
}

static void a_sleeper_runs_at_once_and_saves_nothing_up(void **state)
{
	struct sched_entity *sleeper;
	uint64_t now = 1000 * SLICE;

	(void)state;
	rig(1, 1);
	for (unsigned i = 0; i < 8; i++) {
		wake(add(i % 2 == 0 ? 100 : 1000, 0), 0);
	}
	sleeper = add(100, 0);
	run(0, now);
	wake(sleeper, now + 10);
	assert_true(kicked(0));
	assert_ptr_equal(pick(0, now + 15), sleeper);
	assert_int_equal(sleeper->wake_ticks_max, 5);
	assert_int_equal(sleeper->wake_count, 1);
	/* It slept for 1000 slices but may not run for more than its credit and its turn. */
	run(now + 15, now + 15 + 4 * SLICE);
	assert_true(sleeper->run_ticks <= CREDIT + 2 * SLICE);
	assert_int_not_equal(sleeper->state, SCHED_RUNNING);
}

/* Sleeping in short pieces is worth no more than staying awake. */
static void naps_gain_no_share(void **state)
{
	struct sched_entity *hog, *napper;
	uint64_t now = 0;

	(void)state;
	rig(1, 1);
	hog = wake(add(100, 0), 0);
	napper = wake(add(25, 0), 0);
	while (now < 1000 * SLICE) {
		struct sched_entity *e = pick(0, now);

		now += 100;
		if (e == napper) {
			sched_block(&rig_sched, napper, now);
			wake(napper, now + 1);
		}
	}
	assert_true(napper->run_ticks <= hog->run_ticks / 3);
}

static void blocking_takes_it_out_wherever_it_is(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	pick(0, 0);
	sched_block(&rig_sched, a, 70);
	assert_int_equal(a->run_ticks, 70);
	assert_int_equal(a->state, SCHED_BLOCKED);
	assert_true(kicked(0));
	sched_block(&rig_sched, b, 70);
	assert_int_equal(b->wait_ticks, 70);
	sched_block(&rig_sched, b, 71);
	assert_null(pick(0, 80));
	/* Waking something that is awake changes nothing. */
	wake(a, 90);
	wake(a, 91);
	assert_int_equal(a->wake_count, 2);
	assert_ptr_equal(pick(0, 95), a);
	wake(a, 96);
	assert_int_equal(a->wake_count, 2);
	assert_int_equal(a->wake_ticks_max, 5);
}

static void blocked_by_another_cpu_it_stays_until_that_one_picks(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(2, 1);
	a = wake(add(100, 0), 0);
	pick(0, 0);
	pick(1, 0);
	sched_block(&rig_sched, a, 10);
	assert_true(sched_entity_busy(a));
	assert_true(kicked(0));
	wake(a, 20);
	assert_null(pick(1, 25));
	assert_ptr_equal(pick(0, 30), a);
	/* Also when it may not go on there. */
	sched_block(&rig_sched, a, 40);
	pin(a, 1, 41);
	wake(a, 42);
	assert_null(pick(1, 43));
	assert_null(pick(0, 44));
	assert_false(sched_entity_busy(a));
	assert_true(kicked(1));
	assert_ptr_equal(pick(1, 45), a);
	assert_int_equal(a->migration_count, 1);
}

static void a_new_pin_moves_what_runs_and_what_waits(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(2, 1);
	a = add(100, 0);
	b = add(100, 0);
	pin(a, 0, 0);
	pin(b, 0, 0);
	wake(a, 0);
	wake(b, 0);
	assert_ptr_equal(pick(0, 0), a);
	assert_null(pick(1, 0));
	pin(b, 1, 5);
	assert_true(kicked(1));
	assert_ptr_equal(pick(1, 6), b);
	pin(a, 1, 7);
	assert_true(kicked(0));
	assert_null(pick(0, 8));
	assert_int_equal(a->core, rig_sched.cpus[1].core);
	assert_int_equal(a->state, SCHED_QUEUED);
}

static void only_cpus_online_get_anything(void **state)
{
	struct sched_config config = rig_config(2, 1);
	struct sched_entity *a;

	(void)state;
	sched_init(&rig_sched, &config);
	a = add(100, 0);
	pin(a, 1, 0);
	wake(a, 0);
	assert_int_equal(a->state, SCHED_QUEUED);
	sched_cpu_online(&rig_sched, 0, 5);
	assert_null(pick(0, 5));
	sched_cpu_online(&rig_sched, 1, 10);
	assert_true(kicked(1));
	assert_ptr_equal(pick(1, 12), a);
	assert_int_equal(a->wake_ticks_max, 12);
	/* What waits for a CPU that never comes can be taken out too. */
	sched_init(&rig_sched, &config);
	a = add(100, 0);
	wake(a, 0);
	sched_block(&rig_sched, a, 3);
	assert_int_equal(a->state, SCHED_BLOCKED);
	assert_int_equal(a->wait_ticks, 3);
}

static void a_yield_hands_the_turn_to_a_sibling(void **state)
{
	struct sched_entity *a, *other, *sibling;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	other = wake(add(100, 0), 0);
	sibling = wake(add_to(a->group), 0);
	assert_ptr_equal(pick(0, 0), a);
	rig_kicks[0] = false;
	sched_spin(&rig_sched, 0, 100);
	assert_true(kicked(0));
	/* Not `other`, whose turn it would be. */
	assert_ptr_equal(pick(0, 100), sibling);
	assert_int_equal(a->group->yield_sibling_count, 1);
	sched_block(&rig_sched, sibling, 200);
	assert_ptr_equal(pick(0, 200), other);
	/* Without one, to others; alone it goes on. */
	pick(0, 200 + SLICE);
	sched_spin(&rig_sched, 0, 300 + SLICE);
	assert_ptr_equal(pick(0, 300 + SLICE), other);
	sched_block(&rig_sched, other, 400 + SLICE);
	pick(0, 400 + SLICE);
	rig_kicks[0] = false;
	sched_spin(&rig_sched, 0, 500 + SLICE);
	assert_false(kicked(0));
	assert_int_equal(a->group->yield_count, 3);
}

static void a_yield_fetches_the_sibling_from_another_cpu(void **state)
{
	struct sched_entity *a, *b, *sibling;

	(void)state;
	rig(2, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	pick(0, 0);
	pick(1, 0);
	sibling = wake(add_to(a->group), 10);
	while (sibling->core == rig_sched.cpus[a->cpu].core) {
		pin(sibling, b->cpu, 10);
	}
	pick(b->cpu, 12);
	if (sibling->state == SCHED_RUNNING) {
		pick(sibling->cpu, 12 + SLICE);
	}
	assert_int_equal(sibling->state, SCHED_QUEUED);
	sibling->allowed = sched_cpumask_all();
	sched_spin(&rig_sched, a->cpu, 20 + SLICE);
	assert_ptr_equal(pick(a->cpu, 20 + SLICE), sibling);
}

/* Two that wait in loops and hand each other the turn do not keep it from who they wait for. */
static void yields_to_and_fro_take_nobody_s_share(void **state)
{
	struct sched_entity *a, *sibling, *hog;
	uint64_t now = 0;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	sibling = wake(add_to(a->group), 0);
	hog = wake(add(100, 0), 0);
	pick(0, 0);
	for (unsigned i = 0; i < 3000; i++) {
		const struct sched_entity *e = rig_sched.cpus[0].current;

		now += e == hog ? SLICE : SLICE / 10;
		if (e != hog) {
			sched_spin(&rig_sched, 0, now);
		}
		pick(0, now);
	}
	for (unsigned i = 0; i < 3; i++) {
		sched_account(&rig_sched, i == 0 ? a : i == 1 ? sibling : hog, now);
	}
	assert_in_range(hog->run_ticks, now / 3 - 2 * SLICE, now / 3 + 2 * SLICE);
	assert_in_range(sibling->run_ticks, now / 3 - 2 * SLICE, now / 3 + 2 * SLICE);
	/* Most turns did go to the sibling. */
	assert_true(a->group->yield_sibling_count > 1000);
}

static void a_favoured_one_that_blocks_is_forgotten(void **state)
{
	struct sched_entity *a, *sibling;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	sibling = wake(add_to(a->group), 0);
	pick(0, 0);
	sched_spin(&rig_sched, 0, 10);
	sched_block(&rig_sched, sibling, 11);
	assert_ptr_equal(pick(0, 12), a);
}

static void counters_come_up_to_date(void **state)
{
	struct sched_entity *a, *b;
	struct sched_cpu_load load;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(300, 0), 0);
	pick(0, 0);
	sched_account(&rig_sched, a, 70);
	sched_account(&rig_sched, b, 80);
	assert_int_equal(a->run_ticks, 70);
	assert_int_equal(b->wait_ticks, 80);
	/* Another CPU's clock may be behind. */
	sched_account(&rig_sched, a, 60);
	sched_account(&rig_sched, b, 60);
	sched_account(&rig_sched, b, 90);
	assert_int_equal(a->run_ticks, 70);
	assert_int_equal(b->wait_ticks, 90);
	load = sched_cpu_load(&rig_sched, 0, 100);
	assert_ptr_equal(load.current, a);
	assert_int_equal(load.queued_count, 1);
	assert_int_equal(load.weight, 400);
	assert_int_equal(load.busy_ticks, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_run),
		cmocka_unit_test(alone_takes_no_tick),
		cmocka_unit_test(two_share_in_slices),
		cmocka_unit_test(one_that_comes_begins_slices),
		cmocka_unit_test(weights_share_the_cpu),
		cmocka_unit_test(new_weights_hold_from_then_on),
		cmocka_unit_test(a_sleeper_runs_at_once_and_saves_nothing_up),
		cmocka_unit_test(naps_gain_no_share),
		cmocka_unit_test(blocking_takes_it_out_wherever_it_is),
		cmocka_unit_test(blocked_by_another_cpu_it_stays_until_that_one_picks),
		cmocka_unit_test(a_new_pin_moves_what_runs_and_what_waits),
		cmocka_unit_test(only_cpus_online_get_anything),
		cmocka_unit_test(a_yield_hands_the_turn_to_a_sibling),
		cmocka_unit_test(a_yield_fetches_the_sibling_from_another_cpu),
		cmocka_unit_test(yields_to_and_fro_take_nobody_s_share),
		cmocka_unit_test(a_favoured_one_that_blocks_is_forgotten),
		cmocka_unit_test(counters_come_up_to_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
