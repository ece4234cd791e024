/* SPDX-License-Identifier: Apache-2.0 */
/* What the run loop tells of tasks, CPUs and groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/percpu.h"
#include "tests/fakes/vm_rig.h"

#define US (VM_RIG_HZ / 1000000)

static struct guest_config config;
static struct guest *g;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	if (percpu_count() == 0) {
		percpu_activate(percpu_init_boot(0x1000, 0x2000, 0));
	}
	g = vm_rig_guest("web", &config);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	vm_rig_start(g);
	return 0;
}

static int clean(void **state)
{
	(void)state;
	vm_rig_end(g);
	return vm_rig_leaks();
}

/* One slice of 10 us. */
static void run(void)
{
	vm_rig_slice(10 * US);
}

/* The peak is of the time since it was taken last; the maximum stays. */
static void a_wake_up_is_measured_once(void **state)
{
	struct run_task *t = &g->tasks[0];
	struct run_task_info before;
	struct run_task_info after;

	(void)state;
	fake_tsc += 50 * US;
	run();
	run();
	assert_in_range(run_take_wake_peak(t), 50 * US, 200 * US);
	assert_int_equal(run_take_wake_peak(t), 0);
	run_task_info(t, &before);
	assert_in_range(before.wake_ticks_max, 50 * US, 200 * US);
	/* A turn without a wake-up is none. */
	run();
	assert_int_equal(run_take_wake_peak(t), 0);
	run_hold(t);
	run_release(t);
	fake_tsc += 20 * US;
	run();
	assert_in_range(run_take_wake_peak(t), 20 * US, 21 * US);
	run_task_info(t, &after);
	assert_int_equal(after.wake_ticks_max, before.wake_ticks_max);
	assert_int_equal(after.wake_count, before.wake_count + 1);
}

static void a_task_is_held_ready_or_running(void **state)
{
	struct run_task *t = &g->tasks[0];
	struct run_task_info info;

	(void)state;
	run_task_info(t, &info);
	assert_int_equal(info.state, RUN_READY);
	run();
	run_task_info(t, &info);
	assert_int_equal(info.state, RUN_RUNNING);
	assert_int_equal(info.cpu, 0);
	assert_in_range(info.run_ticks, 10 * US, 20 * US);
	run_hold(t);
	run_task_info(t, &info);
	assert_int_equal(info.state, RUN_HELD);
}

static void a_cpu_tells_whose_vcpu_it_has(void **state)
{
	struct run_cpu_info before;
	struct run_cpu_info after;

	(void)state;
	run_cpu_info(0, &before);
	assert_true(before.online);
	assert_null(before.current);
	run();
	run_cpu_info(0, &after);
	assert_ptr_equal(after.current, g->vm.vcpus[0]);
	assert_string_equal(run_last_guest(cpu_this()), "web");
	assert_int_equal(after.switch_count, before.switch_count + 1);
	assert_in_range(after.busy_ticks - before.busy_ticks, 10 * US, 20 * US);
	assert_true(after.up_ticks > before.up_ticks);
}

static void a_group_tells_its_counts(void **state)
{
	struct run_group_info info;

	(void)state;
	g->group.throttle_count = 21;
	g->group.yield_count = 22;
	g->group.yield_sibling_count = 23;
	run_group_info(&g->group, &info);
	assert_int_equal(info.throttle_count, 21);
	assert_int_equal(info.yield_count, 22);
	assert_int_equal(info.yield_sibling_count, 23);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_wake_up_is_measured_once),
		TEST(a_task_is_held_ready_or_running),
		TEST(a_cpu_tells_whose_vcpu_it_has),
		TEST(a_group_tells_its_counts),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
