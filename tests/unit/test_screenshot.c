/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/vga.h"
#include "hv/screenshot.h"
#include "hv/work.h"
#include "tests/fakes/guest_rig.h"

static uint8_t file[0x100000];

static int setup_vga(void **state)
{
	int status = setup(state);

	config.vga = true;
	return status;
}

static int clean_shot(void **state)
{
	screenshot_end();
	return clean(state);
}

static size_t read_all(size_t piece)
{
	size_t size = 0;
	size_t n;

	while ((n = screenshot_read(size, file + size, piece)) > 0) {
		size += n;
	}
	return size;
}

static void a_png_is_made_in_steps(void **state)
{
	unsigned steps = 0;
	size_t size;

	(void)state;
	vm_rig_start(g);
	space_switch(space_core());
	assert_int_equal(screenshot_state(), SCREENSHOT_NONE);
	assert_true(screenshot_begin(g));
	while (screenshot_state() == SCREENSHOT_DRAWING) {
		assert_true(work_pending());
		work_step();
		steps++;
	}
	assert_int_equal(screenshot_state(), SCREENSHOT_READY);
	assert_in_range(steps, 3, 10);
	size = read_all(777);
	assert_true(size > 1000);
	assert_memory_equal(file, "\x89PNG", 4);
	assert_memory_equal(file + 16, "\0\0\x02\xd0\0\0\x01\x90", 8);
	assert_memory_equal(file + size - 8, "IEND", 4);
	assert_int_equal(read_all(sizeof(file)), size);
	assert_int_equal(screenshot_read(size, file, 1), 0);
}

static void a_guest_that_ends_has_no_picture(void **state)
{
	(void)state;
	assert_false(screenshot_begin(g));
	vm_rig_start(g);
	space_switch(space_core());
	assert_true(screenshot_begin(g));
	work_step();
	guest_stop(g, GUEST_END_REQUEST, "test");
	vm_rig_work();
	assert_int_equal(screenshot_state(), SCREENSHOT_FAILED);
}

static void it_can_be_given_up(void **state)
{
	(void)state;
	vm_rig_start(g);
	space_switch(space_core());
	assert_true(screenshot_begin(g));
	work_step();
	screenshot_end();
	vm_rig_work();
	assert_int_equal(screenshot_state(), SCREENSHOT_NONE);
	assert_int_equal(screenshot_read(0, file, 1), 0);
	/* Once more, while the step of the first may still wait. */
	assert_true(screenshot_begin(g));
	assert_true(screenshot_begin(g));
	vm_rig_work();
	assert_int_equal(screenshot_state(), SCREENSHOT_READY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_vga, clean_shot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_png_is_made_in_steps),
		TEST(a_guest_that_ends_has_no_picture),
		TEST(it_can_be_given_up),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
