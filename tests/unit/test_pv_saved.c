/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest has set up of KVM's interfaces, saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/pv_rig.h"
#include "tests/fakes/saved_rig.h"

static void set_up(void)
{
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | PV_ENABLED));
	assert_true(pv_put(MSR_KVM_STEAL_TIME, (PV_PAGE + 64) | PV_ENABLED));
	assert_true(pv_put(MSR_KVM_EOI_EN, (PV_PAGE + 128) | PV_ENABLED));
	assert_true(pv_put(MSR_KVM_WALL_CLOCK_NEW, PV_PAGE + 192));
	assert_true(pv_put(MSR_KVM_POLL_CONTROL, 0));
}

static void what_is_set_up_stays(void **state)
{
	struct pvclock_vcpu_time_info info;
	uint64_t value;

	(void)state;
	set_up();
	vcpu->pv.unhalt = true;
	saved_reload(&vcpu->pv.saved);
	assert_true(vcpu->pv.unhalt);
	assert_true(pv_msr_read(vcpu, MSR_KVM_STEAL_TIME, &value));
	assert_int_equal(value, (PV_PAGE + 64) | PV_ENABLED);
	assert_true(pv_msr_read(vcpu, MSR_KVM_POLL_CONTROL, &value));
	assert_int_equal(value, 0);
	/* The page of the clock is written as before. */
	memset(&info, 0, sizeof(info));
	pv_poke(0, &info, sizeof(info));
	pv_update_clock(vcpu);
	pv_read(0, &info, sizeof(info));
	assert_int_not_equal(info.tsc_to_system_mul, 0);
}

/* In another VM, too: what it was when guest time was 0. */
static void the_wall_clock_stays(void **state)
{
	struct pvclock_wall_clock wall = {0};
	const struct pv_wall_saved other = {.base = 1234567890, .msr = PV_PAGE + 256};

	(void)state;
	set_up();
	saved_reload(&g->wall_saved);
	assert_int_equal(pv_get(MSR_KVM_WALL_CLOCK_NEW), PV_PAGE + 192);
	assert_null(g->wall_saved.ops->check(g->wall_saved.dev, &other));
	g->wall_saved.ops->load(g->wall_saved.dev, &other);
	assert_int_equal(pv_get(MSR_KVM_WALL_CLOCK_NEW), PV_PAGE + 256);
	assert_true(pv_put(MSR_KVM_WALL_CLOCK_NEW, PV_PAGE + 192));
	pv_read(192, &wall, sizeof(wall));
	assert_int_equal(wall.sec, 1234567890);
	assert_false(SAVED_TAKES(&g->wall_saved, struct pv_wall_saved, base, UINT64_MAX));
	exit_config.paravirt = false;
	assert_false(SAVED_TAKES(&g->wall_saved, struct pv_wall_saved, msr, PV_PAGE));
	assert_true(SAVED_TAKES(&g->wall_saved, struct pv_wall_saved, msr, 0));
	exit_config.paravirt = true;
}

/* A vCPU that slept between two looks at port 0x61 looks again, as no timer wakes it now. */
static void a_rest_is_over_when_it_is_loaded(void **state)
{
	(void)state;
	vcpu->halted = true;
	vcpu->resting = true;
	atomic_store(&vcpu->requests, 0);
	saved_reload(&vcpu->pv.saved);
	assert_true(vcpu->resting);
	assert_int_equal(atomic_load(&vcpu->requests), VCPU_REQ_RESTED);
}

/* Nothing of the guest's memory is touched. */
static void memory_is_no_part_of_it(void **state)
{
	uint8_t before[256];
	uint8_t after[256];

	(void)state;
	set_up();
	pv_read(0, before, sizeof(before));
	saved_reload(&vcpu->pv.saved);
	pv_read(0, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
}

static void what_no_guest_can_write_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&vcpu->pv.saved, struct pv_saved, field, value)
	assert_true(TAKES(eoi, 0x1001));
	assert_false(TAKES(eoi, 0x1003));
	assert_false(TAKES(steal_time, 0x1021));
	assert_false(TAKES(poll_control, 2));
	assert_false(TAKES(eoi_offered, 2));
	assert_false(TAKES(idle, 1)); /* Hyper-V's alone */
	assert_true(TAKES(resting, 1));
	assert_false(TAKES(resting, 2));
	assert_false(TAKES(zero[1], 1));
#undef TAKES
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PV_TEST(what_is_set_up_stays),
		PV_TEST(the_wall_clock_stays),
		PV_TEST(a_rest_is_over_when_it_is_loaded),
		PV_TEST(memory_is_no_part_of_it),
		PV_TEST(what_no_guest_can_write_is_refused),
	};

	return cmocka_run_group_tests(tests, pv_machine, NULL);
}
