/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/vga.h"
#include "hv/api/clock.h"
#include "hv/picture.h"
#include "tests/fakes/guest_rig.h"

static struct picture picture;

static struct {
	uint32_t next; /* row that is to come */
	uint32_t pixel;
} seen;

static int setup_vga(void **state)
{
	int status = setup(state);

	config.vga = true;
	seen.next = 0;
	return status;
}

static void take_row(void *ctx, uint32_t y, const uint32_t *pixels)
{
	assert_ptr_equal(ctx, &seen);
	assert_int_equal(y, seen.next++);
	seen.pixel = pixels[0];
}

static void rows_come_in_order(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_true(bus_write(&g->vm.mmio, 0xb8000, 2, 0, 0x1020));
	space_switch(space_core());
	assert_true(picture_begin(g, &picture));
	assert_int_equal(picture.mode.width, 720);
	assert_int_equal(picture.mode.height, 400);
	picture_rows(g, &picture, 0, 10, take_row, &seen);
	assert_int_equal(seen.next, 10);
	assert_int_equal(seen.pixel, 0x0000aa);
	picture_rows(g, &picture, 10, 1000, take_row, &seen);
	assert_int_equal(seen.next, 400);
	assert_int_equal(seen.pixel, 0);
	assert_ptr_equal(space_current(), space_core());
}

static void the_cursor_blinks(void **state)
{
	unsigned phases = 0;

	(void)state;
	vm_rig_start(g);
	for (unsigned i = 0; i < 20; i++) {
		assert_true(picture_begin(g, &picture));
		phases |= 1u << (picture.blink & 3);
		vm_rig_advance(clock_ns_to_ticks(100000000));
	}
	assert_int_equal(phases, 0xf);
}

static void there_may_be_none(void **state)
{
	(void)state;
	assert_false(picture_begin(g, &picture));
	config.vga = false;
	vm_rig_start(g);
	assert_false(picture_begin(g, &picture));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_vga, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_come_in_order),
		TEST(the_cursor_blinks),
		TEST(there_may_be_none),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
