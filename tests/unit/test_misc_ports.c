/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/misc_ports.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

static void port_80_is_a_latch(void **state)
{
	struct misc_ports m;

	(void)state;
	misc_ports_init(&m);
	assert_int_equal(rig_in(&m.dev, 0x80), 0);
	rig_out(&m.dev, 0x80, 0x5a);
	assert_int_equal(rig_in(&m.dev, 0x80), 0x5a);
	m.dev.ops->reset(&m.dev);
	assert_int_equal(rig_in(&m.dev, 0x80), 0);
}

static void coprocessor_ports_absorb(void **state)
{
	struct misc_ports m;

	(void)state;
	misc_ports_init(&m);
	rig_out(&m.dev, 0x80, 1);
	rig_write(&m.dev, BUS_PIO, 0xf0, 2, 0);
	assert_int_equal(rig_read(&m.dev, BUS_PIO, 0xf0, 2), 0xffff);
	assert_int_equal(rig_in(&m.dev, 0x80), 1);
}

static void the_latch_is_saved(void **state)
{
	struct misc_ports m;

	(void)state;
	misc_ports_init(&m);
	rig_out(&m.dev, 0x80, 0x5a);
	saved_reload(&m.saved);
	assert_int_equal(rig_in(&m.dev, 0x80), 0x5a);
	assert_false(SAVED_TAKES(&m.saved, struct misc_ports_saved, zero[6], 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_80_is_a_latch),
		cmocka_unit_test(coprocessor_ports_absorb),
		cmocka_unit_test(the_latch_is_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
