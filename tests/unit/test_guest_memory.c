/* SPDX-License-Identifier: Apache-2.0 */
/* RAM that a guest gives back while it runs on several CPUs: nothing is freed before all know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/virtio_balloon.h"
#include "hv/guest_memory.h"
#include "mm/frame.h"
#include "tests/fakes/access.h"
#include "tests/fakes/smp_rig.h"

#define GIVEN MIB(8)
#define SOME_TURNS 30u

static int setup_balloon(void **state)
{
	configs[0].balloon = true;
	return setup(state);
}

static hpa_t frame_of(uint64_t addr)
{
	struct pt_leaf leaf;

	assert_true(pt_lookup(&web->vm.gspace.stage2, addr, &leaf));
	return hpa(leaf.pa.v + (addr - leaf.va));
}

static bool is_free(hpa_t frame)
{
	return frame_info(frame)->type == FRAME_FREE;
}

/* Both vCPUs in their code, on CPUs 1 and 2. */
static void run_on_two(void)
{
	configs[0].cpus = 2;
	vm_rig_start(web);
	space_switch(space_core());
	vcpu_of(web, 1)->wait_for_sipi = false;
	smp_until(1, SMP_GUEST);
	smp_until(2, SMP_GUEST);
}

static hpa_t give_back(void)
{
	hpa_t frame = frame_of(GIVEN);
	uint64_t done;

	*(char *)fake_ram(frame) = 'x';
	assert_int_equal(guest_memory_release(web, GIVEN, MIB(2), &done), HV_OK);
	assert_int_equal(done, MIB(2));
	guest_memory_wanted(web);
	return frame;
}

/* Steps of the job here, as often as it likes to wait. */
static void steps(unsigned n)
{
	while (n-- != 0 && work_pending()) {
		work_step();
	}
}

/* Lets the CPU get on for a while, whatever it does. */
static void turns(unsigned cpu)
{
	for (unsigned i = 0; i < SOME_TURNS; i++) {
		if (smp_place(cpu) == SMP_GUEST) {
			(void)smp_exit(cpu, nothing);
		} else {
			(void)smp_go(cpu);
		}
	}
}

static void frames_wait_for_each_cpu(void **state)
{
	unsigned flushes[2];
	hpa_t frame;

	(void)state;
	run_on_two();
	for (unsigned i = 0; i < 2; i++) {
		flushes[i] = fake_vcpu(vcpu_of(web, i))->flushes;
		vcpu_of(web, i)->fetch[0].page = 1;
	}
	frame = give_back();
	steps(5);
	assert_true(smp_interrupted(1));
	assert_true(smp_interrupted(2));
	turns(1);
	/* CPU 2 has not left its guest since. */
	assert_false(is_free(frame));
	assert_int_equal(*(char *)fake_ram(frame), 'x');
	turns(2);
	turns(1);
	turns(2);
	turns(1);
	assert_true(is_free(frame));
	assert_int_equal(*(char *)fake_ram(frame), 0);
	steps(5);
	assert_false(work_pending());
	for (unsigned i = 0; i < 2; i++) {
		assert_true(fake_vcpu(vcpu_of(web, i))->flushes > flushes[i]);
	}
	assert_int_equal(gspace_holes(&web->vm.gspace), MIB(2));
	for (unsigned i = 0; i < 2; i++) {
		assert_true(vcpu_of(web, i)->fetch[0].page == FETCH_NO_PAGE);
	}
}

/* A second flush, after the window: the one CPU that is left behind holds it up. */
static void the_window_has_a_flush_of_its_own(void **state)
{
	struct gspace_release *release;
	hpa_t frame;

	(void)state;
	run_on_two();
	release = web->vm.gspace.release;
	frame = give_back();
	steps(5);
	assert_int_equal(release->phase, GSPACE_RELEASE_STAGE2);
	assert_int_equal(smp_go(2), SMP_OUT);
	turns(1);
	smp_until(2, SMP_GUEST);
	steps(5);
	turns(1);
	steps(5);
	assert_int_equal(release->phase, GSPACE_RELEASE_BOTH);
	assert_false(is_free(frame));
	turns(2);
	turns(1);
	turns(2);
	assert_true(is_free(frame));
}

/* Whoever comes into the space in between knows nothing older. */
static void a_cpu_that_comes_later_flushes_by_itself(void **state)
{
	uint64_t ticket;

	(void)state;
	configs[0].pin = cpus(1, 1);
	vm_rig_start(web);
	space_switch(space_core());
	ticket = run_flush_begin();
	assert_true(run_flush_done(&db->vm.gspace.host, ticket));
	smp_until(1, SMP_GUEST);
	assert_true(space_is_current_on(&web->vm.gspace.host, 1));
	assert_true(run_flush_done(&web->vm.gspace.host, ticket));
	ticket = run_flush_begin();
	assert_false(run_flush_done(&web->vm.gspace.host, ticket));
	assert_true(smp_interrupted(1));
	smp_until(1, SMP_GUEST);
	assert_true(run_flush_done(&web->vm.gspace.host, ticket));
}

static void a_touch_in_between_needs_no_new_frame(void **state)
{
	hpa_t frame;

	(void)state;
	run_on_two();
	frame = give_back();
	turns(1);
	assert_int_equal(gspace_fault(&web->vm.gspace, gpa(GIVEN + 5), true), GSPACE_FAULT_RETRY);
	assert_int_equal(frame_of(GIVEN).v, frame.v);
	turns(2);
	turns(1);
	turns(2);
	steps(5);
	assert_false(work_pending());
	assert_false(is_free(frame));
	assert_int_equal(*(char *)fake_ram(frame), 'x');
}

static void a_paused_guest_gives_back_too(void **state)
{
	hpa_t frame;

	(void)state;
	run_on_two();
	frame = give_back();
	assert_int_equal(guest_pause(web), HV_OK);
	for (unsigned i = 0; i < 4; i++) {
		smp_settle();
		steps(5);
	}
	assert_true(is_free(frame));
	assert_int_equal(guest_resume(web), HV_OK);
}

/* clean finds what leaks. */
static void a_guest_that_ends_gives_back_the_rest(void **state)
{
	hpa_t frame;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		run_on_two();
		frame = give_back();
		for (unsigned n = 0; n < i; n++) {
			turns(1);
		}
		smp_rest();
		vm_rig_end(web);
		assert_true(is_free(frame));
		assert_null(web->balloon);
	}
}

static void a_guest_without_balloon_keeps_its_ram(void **state)
{
	uint64_t done;

	(void)state;
	configs[0].balloon = false;
	vm_rig_start(web);
	assert_null(web->balloon);
	assert_int_equal(guest_memory_release(web, GIVEN, MIB(2), &done), HV_E_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_balloon, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_wait_for_each_cpu),
		TEST(the_window_has_a_flush_of_its_own),
		TEST(a_cpu_that_comes_later_flushes_by_itself),
		TEST(a_touch_in_between_needs_no_new_frame),
		TEST(a_paused_guest_gives_back_too),
		TEST(a_guest_that_ends_gives_back_the_rest),
		TEST(a_guest_without_balloon_keeps_its_ram),
	};

	return cmocka_run_group_tests(tests, machine, shut_down);
}
