/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/vga_screen.h"
#include "guests/devices/vga_text.h"

static uint8_t bytes[0x40000];
static const struct vga_memory memory = {bytes, sizeof(bytes)};
static uint8_t glyphs[2][VGA_TEXT_POINTS];

static void a_kernel_finds_mode_3(void **state)
{
	static struct vga_state s;
	static uint32_t row[VGA_WIDTH_MAX];
	const struct vga_font font = {glyphs, 'A', 2};
	struct vga_mode mode;

	(void)state;
	glyphs[1][15] = 0x81;
	vga_text_mode(&s, &memory, &font);
	vga_mode_of(&s, &mode);
	assert_int_equal(mode.picture, VGA_PICTURE_TEXT);
	assert_int_equal(mode.width, 720);
	assert_int_equal(mode.height, 400);
	/* An empty screen; the font is in plane 2, 32 bytes a character. */
	assert_int_equal(bytes[(24 * 80 + 79) * 8], ' ');
	assert_int_equal(bytes[(24 * 80 + 79) * 8 + 1], 0x07);
	assert_int_equal(bytes[('B' * 32 + 15) * 4 + 2], 0x81);
	bytes[0] = 'B';
	vga_row(&s, &memory, &mode, 15, 0, row);
	assert_int_equal(row[0], 0xaaaaaa);
	assert_int_equal(row[1], 0);
	assert_int_equal(row[7], 0xaaaaaa);
	/* Brown is the one colour that is not what its bits say. */
	bytes[1] = 0x06;
	vga_row(&s, &memory, &mode, 15, 0, row);
	assert_int_equal(row[0], 0xaa5500);
	bytes[1] = 0x0e;
	vga_row(&s, &memory, &mode, 15, 0, row);
	assert_int_equal(row[0], 0xffff55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_finds_mode_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
