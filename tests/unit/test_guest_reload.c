/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of a running guest that are saved, reset and loaded: it goes on, or it is told why not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/layout.h"
#include "hv/api/clock.h"
#include "hv/guest_reload.h"
#include "tests/fakes/vm_rig.h"

static struct guest_config config;
static struct guest *web;

/* A device that is as good as it is told to be. */
static struct {
	struct saved_device saved;
	bool busy;
	bool forgets;
	uint64_t value;
} odd;

static bool odd_quiet(void *dev)
{
	(void)dev;
	return !odd.busy;
}

static void odd_save(void *dev, void *out)
{
	(void)dev;
	*(uint64_t *)out = odd.value;
}

static const char *odd_check(void *dev, const void *in)
{
	(void)dev;
	return *(const uint64_t *)in == 13 ? "13 is none of its numbers" : NULL;
}

static void odd_load(void *dev, const void *in)
{
	(void)dev;
	odd.value = odd.forgets ? 0 : *(const uint64_t *)in;
}

static void odd_reset(void *dev)
{
	(void)dev;
	odd.value = 0;
}

static const struct saved_ops odd_ops = {
	.name = "odd device",
	.kind = SAVED_KIND('O', 'D', 'D', ' '),
	.version = 1,
	.bytes = 8,
	.quiet = odd_quiet,
	.save = odd_save,
	.check = odd_check,
	.load = odd_load,
	.reset = odd_reset,
};

static int setup(void **state)
{
	(void)state;
	vm_rig_machine(false);
	web = vm_rig_guest("web", &config);
	vm_rig_start(web);
	memset(&odd, 0, sizeof(odd));
	odd.value = 7;
	saved_device_init(&odd.saved, &odd_ops, NULL);
	saved_add(&web->vm.saved, &odd.saved, 3);
	vm_rig_clear();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_rig_end(web);
	return vm_rig_leaks();
}

static uint8_t in(uint16_t port)
{
	uint64_t value;

	assert_true(bus_read(&web->vm.pio, port, 1, 0, &value));
	return (uint8_t)value;
}

static void out(uint16_t port, uint8_t value)
{
	assert_true(bus_write(&web->vm.pio, port, 1, 0, value));
}

static void devices_go_through_it(void **state)
{
	(void)state;
	out(LAYOUT_PIC_MASTER + 1, 0x5a);
	assert_int_equal(guest_reload(web), HV_OK);
	assert_int_equal(web->state, GUEST_PAUSED);
	vm_rig_work();
	assert_int_equal(web->state, GUEST_RUNNING);
	assert_int_equal(in(LAYOUT_PIC_MASTER + 1), 0x5a);
	assert_int_equal(odd.value, 7);
	assert_non_null(strstr(vm_rig_text(), "guest web: reload 1: "));
	assert_int_equal(guest_reload(web), HV_OK);
	vm_rig_work();
	assert_non_null(strstr(vm_rig_text(), "guest web: reload 2: "));
}

/* Time stands meanwhile, and nobody else lets it go on. */
static void it_waits_until_all_is_quiet(void **state)
{
	uint64_t now;

	(void)state;
	odd.busy = true;
	assert_int_equal(guest_reload(web), HV_OK);
	now = vtime_now(&web->vm.time);
	for (unsigned i = 0; i < 5; i++) {
		work_step();
		fake_tsc += 1000;
	}
	assert_int_equal(vtime_now(&web->vm.time), now);
	assert_int_equal(guest_reload(web), HV_E_BUSY);
	assert_int_equal(guest_resume(web), HV_E_BUSY);
	assert_int_equal(odd.value, 7);
	odd.busy = false;
	vm_rig_work();
	assert_int_equal(web->state, GUEST_RUNNING);
	assert_int_equal(web->reload.count, 1);
}

static void it_gives_up_on_what_stays_busy(void **state)
{
	(void)state;
	odd.busy = true;
	assert_int_equal(guest_reload(web), HV_OK);
	work_step();
	assert_int_equal(web->state, GUEST_PAUSED);
	fake_tsc += clock_ns_to_ticks(10000000001);
	work_step();
	assert_int_equal(web->state, GUEST_RUNNING);
	assert_non_null(strstr(vm_rig_text(), "given up, odd device 3 does not become quiet"));
	assert_int_equal(web->reload.count, 0);
	odd.busy = false;
}

static void what_forgets_is_named(void **state)
{
	(void)state;
	odd.forgets = true;
	assert_int_equal(guest_reload(web), HV_OK);
	vm_rig_work();
	assert_int_equal(web->state, GUEST_RUNNING);
	assert_non_null(strstr(vm_rig_text(), "guest web: reload: 'ODD ' 3 is not what it was"));
}

static void what_refuses_is_named(void **state)
{
	(void)state;
	odd.value = 13;
	assert_int_equal(guest_reload(web), HV_OK);
	vm_rig_work();
	assert_non_null(strstr(vm_rig_text(), "odd device 3: 13 is none of its numbers"));
}

static void a_guest_that_is_stopped_meanwhile_stays_so(void **state)
{
	(void)state;
	odd.busy = true;
	assert_int_equal(guest_reload(web), HV_OK);
	work_step();
	guest_stop(web, GUEST_END_REQUEST, "by request");
	vm_rig_work();
	assert_int_equal(web->state, GUEST_STOPPED);
	assert_false(web->reload.active);
	assert_int_equal(guest_reload(web), HV_E_BUSY);
	odd.busy = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(devices_go_through_it, setup, teardown),
		cmocka_unit_test_setup_teardown(it_waits_until_all_is_quiet, setup, teardown),
		cmocka_unit_test_setup_teardown(it_gives_up_on_what_stays_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(what_forgets_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(what_refuses_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_is_stopped_meanwhile_stays_so, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
