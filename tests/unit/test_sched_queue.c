/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time and the queues. */
#include "tests/unit/sched_rig.h"

#include "hv/sched_internal.h"

static void virtual_time_goes_by_weight(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(2, 1);
	a = wake(add(50, 0), 0);
	b = wake(add(400, 0), 0);
	pick(0, 0);
	pick(1, 0);
	a->vruntime = b->vruntime = 1000;
	sched_account(&rig_sched, a, 800);
	sched_account(&rig_sched, b, 800);
	assert_int_equal(a->vruntime, 1000 + 1600);
	assert_int_equal(b->vruntime, 1000 + 200);
}

static void times_may_wrap(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	/* Weight 1 gets there in two years. */
	a->vruntime = b->vruntime = rig_sched.cores[0].least = 0ull - 10 * SLICE;
	run(0, 100 * SLICE);
	assert_in_range(a->run_ticks, 49 * SLICE, 51 * SLICE);
	assert_in_range(b->run_ticks, 49 * SLICE, 51 * SLICE);
}

static void a_clock_that_is_behind_charges_nothing_twice(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(1, 1);
	a = wake(add(100, 0), 100);
	pick(0, 100);
	sched_account(&rig_sched, a, 200);
	sched_account(&rig_sched, a, 150);
	sched_account(&rig_sched, a, 300);
	assert_int_equal(a->run_ticks, 200);
}

static void the_queue_is_in_order(void **state)
{
	struct sched_entity *a, *b, *c;

	(void)state;
	rig(1, 1);
	a = add(100, 0);
	b = add(100, 0);
	c = add(100, 0);
	a->vruntime = 30;
	b->vruntime = 10;
	c->vruntime = 30;
	sched_insert(&rig_sched, &rig_sched.cores[0], a, 0);
	sched_insert(&rig_sched, &rig_sched.cores[0], b, 0);
	sched_insert(&rig_sched, &rig_sched.cores[0], c, 0);
	assert_ptr_equal(sched_entity_of(rig_sched.cores[0].queue.next), b);
	/* Equal ones in the order they came. */
	assert_ptr_equal(sched_entity_of(rig_sched.cores[0].queue.prev), c);
	assert_int_equal(rig_sched.cores[0].queued_count, 3);
	sched_dequeue(&rig_sched, a);
	assert_int_equal(rig_sched.cores[0].queued_count, 2);
	assert_int_equal(rig_sched.queued_count, 2);
}

static void credit_is_limited_in_both_times(void **state)
{
	struct sched_entity *light, *heavy;

	(void)state;
	rig(1, 1);
	light = add(10, 0);
	heavy = add(1000, 0);
	assert_int_equal(sched_credit(&rig_sched, light), CREDIT);
	assert_int_equal(sched_credit(&rig_sched, heavy), CREDIT / 10);
	rig_sched.cores[0].least = 1000 * SLICE;
	wake(light, 0);
	assert_int_equal(light->vruntime, 1000 * SLICE - CREDIT);
	/* Nor does it fall behind by waiting elsewhere for long. */
	sched_dequeue(&rig_sched, light);
	light->vruntime = 0;
	sched_arrive(&rig_sched, &rig_sched.cores[0], light, 77, 0);
	assert_int_equal(light->vruntime, 1000 * SLICE - 77);
}

/* One that ran where nobody else could does not pay for it. */
static void who_is_far_ahead_is_forgiven(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(1, 1);
	a = add(100, 0);
	a->vruntime = 1000 * SLICE;
	sched_insert(&rig_sched, &rig_sched.cores[0], a, 0);
	assert_true(a->vruntime <= sched_window(&rig_sched) + 2 * SLICE);
}

static void light_ones_take_shorter_turns(void **state)
{
	struct sched_entity *light, *heavy;

	(void)state;
	rig(1, 1);
	light = wake(add(100, 0), 0);
	heavy = wake(add(200, 0), 0);
	assert_ptr_equal(pick(0, 0), heavy->vruntime < light->vruntime ? heavy : light);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t slice = rig_sched.cpus[0].current == light ? SLICE / 2 : SLICE;
		uint64_t started = rig_sched.cpus[0].charged_at;

		assert_int_equal(rig_until[0], started + slice);
		pick(0, rig_until[0]);
	}
	/* But not arbitrarily short ones. */
	sched_group_set(&rig_sched, heavy->group, 10000, 0, rig_until[0]);
	do {
		pick(0, rig_until[0]);
	} while (rig_sched.cpus[0].current != light);
	assert_int_equal(rig_until[0], rig_sched.cpus[0].charged_at + SLICE / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(virtual_time_goes_by_weight),
		cmocka_unit_test(times_may_wrap),
		cmocka_unit_test(a_clock_that_is_behind_charges_nothing_twice),
		cmocka_unit_test(the_queue_is_in_order),
		cmocka_unit_test(credit_is_limited_in_both_times),
		cmocka_unit_test(who_is_far_ahead_is_forgiven),
		cmocka_unit_test(light_ones_take_shorter_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
