/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/debug_exit.h"
#include "tests/fakes/device_rig.h"

static unsigned ends;
static uint32_t last;

static void end(void *ctx, uint32_t status)
{
	assert_ptr_equal(ctx, &ends);
	ends++;
	last = status;
}

static void each_width_is_a_status(void **state)
{
	struct debug_exit_config cfg = {.end = end, .ctx = &ends};
	struct debug_exit d;

	(void)state;
	debug_exit_init(&d, &cfg);
	assert_int_equal(rig_read(&d.dev, BUS_PIO, 0xf4, 4), 0);
	assert_int_equal(ends, 0);
	rig_write(&d.dev, BUS_PIO, 0xf4, 1, 0xffffffffffffff01);
	assert_int_equal(last, 1);
	rig_write(&d.dev, BUS_PIO, 0xf4, 2, 0xffffffffffff8001);
	assert_int_equal(last, 0x8001);
	rig_write(&d.dev, BUS_PIO, 0xf4, 4, 0xffffffff80000001);
	assert_int_equal(last, 0x80000001);
	rig_write(&d.dev, BUS_PIO, 0xf6, 1, 0);
	assert_int_equal(ends, 4);
	assert_int_equal(last, 0);
	d.dev.ops->reset(&d.dev);
	assert_int_equal(ends, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_width_is_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
