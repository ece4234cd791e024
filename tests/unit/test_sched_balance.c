/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPU: waking, pulling, balance points. */
#include "tests/unit/sched_rig.h"

static void pick_all(uint64_t now)
{
	for (unsigned cpu = 0; cpu < rig_sched.config.cpu_count; cpu++) {
		pick(cpu, now);
		kicked(cpu);
	}
}

static void it_wakes_where_it_was_when_that_idles(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(4, 1);
	a = add(100, 0);
	pin(a, 2, 0);
	wake(a, 0);
	pick_all(0);
	a->allowed = sched_cpumask_all();
	sched_block(&rig_sched, a, 10);
	pick_all(10);
	wake(a, 20);
	assert_true(kicked(2));
	assert_false(kicked(0));
	assert_ptr_equal(pick(2, 21), a);
}

static void else_where_anything_idles(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(4, 1);
	a = wake(add(100, 0), 0);
	b = add(100, 0);
	pick_all(0);
	b->cpu = a->cpu;
	wake(b, 10);
	assert_int_not_equal(b->core, a->core);
	assert_false(kicked(a->cpu));
	/* Never outside its mask, idle or not. */
	sched_block(&rig_sched, b, 11);
	pin(b, a->cpu, 11);
	wake(b, 12);
	assert_int_equal(b->core, a->core);
}

static void else_where_the_fewest_are(void **state)
{
	struct sched_entity *last = NULL;
	unsigned count[2] = {0};

	(void)state;
	rig(2, 1);
	for (unsigned i = 0; i < 6; i++) {
		last = wake(add(100, 0), 0);
		pick_all(0);
	}
	assert_non_null(last);
	for (unsigned i = 0; i < 6; i++) {
		count[rig_entity[i].core]++;
	}
	assert_int_equal(count[0], 3);
	assert_int_equal(count[1], 3);
}

static void whole_cores_first(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(4, 2);
	a = wake(add(100, 0), 0);
	pick_all(0);
	b = wake(add_to(a->group), 5);
	assert_int_not_equal(b->core, a->core);
}

static void two_that_wake_at_once_go_to_two_cpus(void **state)
{
	struct sched_entity *a, *b;

	(void)state;
	rig(2, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	assert_int_not_equal(a->core, b->core);
	assert_true(kicked(0));
	assert_true(kicked(1));
}

static void an_idle_cpu_takes_what_waits(void **state)
{
	struct sched_entity *a, *b, *c;

	(void)state;
	rig(2, 1);
	a = wake(add(100, 0), 0);
	b = wake(add(100, 0), 0);
	pick_all(0);
	c = wake(add(100, 0), 5);
	pick(c->core, 6);
	assert_int_equal(a->state + b->state + c->state, 2 * SCHED_RUNNING + SCHED_QUEUED);
	for (unsigned i = 0; i < 3; i++) {
		struct sched_entity *waits = &rig_entity[i];
		unsigned other = 1u - waits->core;

		if (waits->state == SCHED_QUEUED) {
			sched_block(&rig_sched, rig_sched.cpus[other].current, 10);
			assert_ptr_equal(pick(other, 11), waits);
			assert_int_equal(waits->state, SCHED_RUNNING);
			break;
		}
	}
}

static void what_is_pinned_is_not_taken(void **state)
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
	pick_all(0);
	assert_null(pick(1, 5));
	run(5, 100 * SLICE);
	assert_int_equal(a->migration_count + b->migration_count, 0);
	assert_null(rig_sched.cpus[1].current);
}

/* A second one that queues on a busy CPU brings in one that idles. */
static void a_queue_wakes_an_idle_cpu(void **state)
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
	pick_all(0);
	rig_entity[1].allowed = sched_cpumask_all();
	rig_entity[0].allowed = sched_cpumask_all();
	pick(0, SLICE);
	assert_true(kicked(1));
	assert_non_null(pick(1, SLICE));
}

static void three_hogs_on_two_cpus(void **state)
{
	(void)state;
	rig(2, 1);
	for (unsigned i = 0; i < 3; i++) {
		wake(add(100, 0), 0);
	}
	run(0, 1000000);
	for (unsigned i = 0; i < 3; i++) {
		assert_in_range(rig_entity[i].run_ticks, 653333, 680000);
	}
}

static void what_was_missed_while_nobody_waited_is_forgotten(void **state)
{
	struct sched_entity *a, *b, *c;
	uint64_t start = 100000000;

	(void)state;
	rig(2, 1);
	/* Their virtual times run apart by a factor of 40 for long. */
	a = wake(add(10, 0), 0);
	b = wake(add(400, 0), 0);
	pick_all(0);
	c = wake(add(100, 0), start);
	run(start, start + 1000000);
	/* As though all had begun now: 0.091, 1, 0.909 of a CPU. */
	assert_in_range(b->run_ticks - start, 950000, 1000000);
	assert_in_range(c->run_ticks, 860000, 950000);
	assert_in_range(a->run_ticks - start, 50000, 150000);
}

static void a_cpu_with_one_takes_no_tick_beside_a_queue(void **state)
{
	struct sched_entity *a;

	(void)state;
	rig(2, 1);
	a = add(100, 0);
	pin(a, 1, 0);
	wake(a, 0);
	for (unsigned i = 0; i < 3; i++) {
		struct sched_entity *e = add(100, 0);

		pin(e, 0, 0);
		wake(e, 0);
	}
	run(0, 100 * SLICE);
	assert_int_equal(a->run_ticks, 100 * SLICE);
	assert_true(rig_until[1] == SCHED_NO_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_wakes_where_it_was_when_that_idles),
		cmocka_unit_test(else_where_anything_idles),
		cmocka_unit_test(else_where_the_fewest_are),
		cmocka_unit_test(whole_cores_first),
		cmocka_unit_test(two_that_wake_at_once_go_to_two_cpus),
		cmocka_unit_test(an_idle_cpu_takes_what_waits),
		cmocka_unit_test(what_is_pinned_is_not_taken),
		cmocka_unit_test(a_queue_wakes_an_idle_cpu),
		cmocka_unit_test(three_hogs_on_two_cpus),
		cmocka_unit_test(what_was_missed_while_nobody_waited_is_forgotten),
		cmocka_unit_test(a_cpu_with_one_takes_no_tick_beside_a_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
