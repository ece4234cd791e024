/* SPDX-License-Identifier: Apache-2.0 */
/* Video memory that is zeroed piece by piece. */
#include "guests/devices/vga_clear.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE (VGA_CHUNK * VGA_CHUNKS_MAX)

static uint8_t bytes[SIZE];
static const struct vga_memory memory = {bytes, SIZE};
static struct vga_clear c;

static int setup(void **state)
{
	(void)state;
	memset(bytes, 0xaa, sizeof(bytes));
	memset(&c, 0, sizeof(c));
	return 0;
}

static size_t zeros(void)
{
	size_t n = 0;

	for (size_t i = 0; i < SIZE; i++) {
		n += bytes[i] == 0;
	}
	return n;
}

static void all_of_it_in_steps(void **state)
{
	(void)state;
	vga_clear_begin(&c, &memory, SIZE);
	assert_true(vga_clear_pending(&c));
	assert_int_equal(zeros(), 0);
	for (size_t done = VGA_CLEAR_STEP; done <= SIZE; done += VGA_CLEAR_STEP) {
		assert_true(vga_clear_pending(&c));
		vga_clear_some(&c, &memory);
		assert_int_equal(zeros(), done);
	}
	assert_false(vga_clear_pending(&c));
	bytes[7] = 1;
	vga_clear_some(&c, &memory);
	vga_clear_range(&c, &memory, 0, SIZE);
	assert_int_equal(bytes[7], 1);
}

/* The part of a chunk at the end at once, and nothing behind it. */
static void not_more_than_asked(void **state)
{
	(void)state;
	vga_clear_begin(&c, &memory, 3 * VGA_CHUNK + 100);
	assert_int_equal(zeros(), 100);
	assert_int_equal(c.count, 3);
	vga_clear_some(&c, &memory);
	assert_int_equal(zeros(), 3 * VGA_CHUNK + 100);
	assert_int_equal(bytes[3 * VGA_CHUNK + 100], 0xaa);
	vga_clear_begin(&c, &memory, 0);
	assert_false(vga_clear_pending(&c));
}

/* What was zeroed for an access is not zeroed again over what the access wrote. */
static void ranges_are_cleared_once(void **state)
{
	(void)state;
	vga_clear_begin(&c, &memory, SIZE);
	vga_clear_range(&c, &memory, 20 * VGA_CHUNK - 4, 8);
	assert_int_equal(zeros(), 2 * VGA_CHUNK);
	assert_true(bytes[19 * VGA_CHUNK] == 0 && bytes[21 * VGA_CHUNK - 1] == 0);
	bytes[20 * VGA_CHUNK] = 5;
	vga_clear_range(&c, &memory, 20 * VGA_CHUNK, 1);
	while (vga_clear_pending(&c)) {
		vga_clear_some(&c, &memory);
	}
	assert_int_equal(zeros(), SIZE - 1);
	assert_int_equal(bytes[20 * VGA_CHUNK], 5);
}

static void a_second_mode_while_the_first_is_cleared(void **state)
{
	(void)state;
	vga_clear_begin(&c, &memory, 40 * VGA_CHUNK);
	vga_clear_some(&c, &memory);
	bytes[0] = 9;
	vga_clear_begin(&c, &memory, 30 * VGA_CHUNK);
	assert_int_equal(c.count, 40);
	vga_clear_range(&c, &memory, 0, SIZE);
	assert_int_equal(zeros(), 40 * VGA_CHUNK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_of_it_in_steps, setup),
		cmocka_unit_test_setup(not_more_than_asked, setup),
		cmocka_unit_test_setup(ranges_are_cleared_once, setup),
		cmocka_unit_test_setup(a_second_mode_while_the_first_is_cleared, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
