/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_regs.h"

static uint8_t bytes[0x100000];
static const struct vga_memory memory = {bytes, sizeof(bytes)};
static struct vga_state s;

static int setup(void **state)
{
	(void)state;
	memset(bytes, 0xaa, sizeof(bytes));
	vga_regs_reset(&s);
	return 0;
}

static uint32_t to_clear; /* by the last write */

static void set(unsigned index, uint16_t value)
{
	to_clear = vga_dispi_write(&s, &memory, index, value);
}

static uint16_t get(unsigned index)
{
	return vga_dispi_read(&s, &memory, index);
}

static void set_mode(uint16_t width, uint16_t height, uint16_t bpp, uint16_t flags)
{
	set(VGA_DISPI_ENABLE, 0);
	set(VGA_DISPI_XRES, width);
	set(VGA_DISPI_YRES, height);
	set(VGA_DISPI_BPP, bpp);
	set(VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | flags);
}

static void it_is_there(void **state)
{
	(void)state;
	assert_int_equal(get(VGA_DISPI_ID), 0xb0c5);
	set(VGA_DISPI_ID, 0xb0c0);
	assert_int_equal(get(VGA_DISPI_ID), 0xb0c0);
	set(VGA_DISPI_ID, 0xb0c6);
	assert_int_equal(get(VGA_DISPI_ID), 0xb0c0);
	assert_int_equal(get(VGA_DISPI_MEMORY), 16);
	assert_int_equal(get(VGA_DISPI_COUNT), 0);
	assert_int_equal(get(0xffff), 0);
	set(0xffff, 1);
}

static void capabilities_are_asked_for(void **state)
{
	(void)state;
	set(VGA_DISPI_ENABLE, VGA_DISPI_GETCAPS);
	assert_int_equal(get(VGA_DISPI_XRES), VGA_WIDTH_MAX);
	assert_int_equal(get(VGA_DISPI_YRES), VGA_HEIGHT_MAX);
	assert_int_equal(get(VGA_DISPI_BPP), 32);
	set(VGA_DISPI_ENABLE, 0);
	assert_int_equal(get(VGA_DISPI_XRES), 640);
}

static void switching_on_clears_what_is_shown(void **state)
{
	(void)state;
	set_mode(320, 200, 32, VGA_DISPI_LFB | VGA_DISPI_NOCLEAR);
	assert_int_equal(to_clear, 0);
	assert_int_equal(get(VGA_DISPI_ENABLE), 0xc1);
	set_mode(320, 200, 32, VGA_DISPI_LFB);
	assert_int_equal(to_clear, 320 * 200 * 4);
	/* On already. */
	set(VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_8BIT_DAC);
	assert_int_equal(to_clear, 0);
	/* Never more than there is. */
	set_mode(4096, 4096, 32, 0);
	assert_int_equal(to_clear, sizeof(bytes));
}

static void lines_are_as_long_as_asked(void **state)
{
	static const struct {
		uint16_t bpp;
		uint32_t line;
	} depths[] = {{4, 320}, {8, 640}, {15, 1280}, {16, 1280}, {24, 1920}, {32, 2560}};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		set_mode(640, 100, depths[i].bpp, 0);
		assert_int_equal(vga_dispi_line_bytes(&s), depths[i].line);
		assert_int_equal(get(VGA_DISPI_VIRT_WIDTH), 640);
		assert_int_equal(get(VGA_DISPI_VIRT_HEIGHT), sizeof(bytes) / depths[i].line);
	}
	set(VGA_DISPI_VIRT_WIDTH, 1024);
	assert_int_equal(vga_dispi_line_bytes(&s), 4096);
	assert_int_equal(get(VGA_DISPI_VIRT_HEIGHT), 256);
	set(VGA_DISPI_X_OFFSET, 400);
	set(VGA_DISPI_Y_OFFSET, 500);
	assert_int_equal(get(VGA_DISPI_X_OFFSET), 384);
	assert_int_equal(get(VGA_DISPI_Y_OFFSET), 156);
	set(VGA_DISPI_VIRT_WIDTH, 100);
	assert_int_equal(get(VGA_DISPI_VIRT_WIDTH), 640);
	assert_int_equal(get(VGA_DISPI_X_OFFSET), 0);
}

static void what_does_not_fit_is_cut(void **state)
{
	(void)state;
	set_mode(4096, 4096, 32, 0);
	assert_int_equal(get(VGA_DISPI_XRES), 4096);
	assert_int_equal(get(VGA_DISPI_YRES), 64);
	set_mode(65535, 65535, 77, 0);
	assert_int_equal(get(VGA_DISPI_XRES), 4096);
	assert_int_equal(get(VGA_DISPI_BPP), 8);
	assert_int_equal(get(VGA_DISPI_YRES), 256);
	set_mode(0, 0, 0, 0);
	assert_int_equal(get(VGA_DISPI_XRES), 8);
	assert_int_equal(get(VGA_DISPI_YRES), 1);
	set_mode(1366, 10, 16, 0);
	assert_int_equal(get(VGA_DISPI_XRES), 1360);
	set(VGA_DISPI_BANK, 0x1234);
	assert_int_equal(get(VGA_DISPI_BANK), 4);
	set(VGA_DISPI_ENABLE, 0);
	assert_int_equal(get(VGA_DISPI_BANK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_is_there, setup),
		cmocka_unit_test_setup(capabilities_are_asked_for, setup),
		cmocka_unit_test_setup(switching_on_clears_what_is_shown, setup),
		cmocka_unit_test_setup(lines_are_as_long_as_asked, setup),
		cmocka_unit_test_setup(what_does_not_fit_is_cut, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
