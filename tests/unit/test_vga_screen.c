/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/vga_regs.h"
#include "guests/devices/vga_screen.h"
#include "guests/devices/vga_text.h"
#include "hv/base/bits.h"

static uint8_t bytes[0x200000];
static const struct vga_memory memory = {bytes, sizeof(bytes)};
static struct vga_state s;
static struct vga_mode mode;
static uint32_t row[VGA_WIDTH_MAX + 1];

#define BOTH (VGA_BLINK_CURSOR | VGA_BLINK_TEXT)
#define GUARD 0x55555555u

/* The DAC's colours are 0x010101 times their number in eight bits, the palette is 1:1. */
static int setup(void **state)
{
	(void)state;
	memset(bytes, 0, sizeof(bytes));
	vga_regs_reset(&s);
	s.sequencer[VGA_SEQ_RESET] = VGA_RESET_RUN;
	s.sequencer[VGA_SEQ_CLOCKING] = VGA_CLOCKING_8_DOTS;
	s.attribute_index = VGA_ATTR_SHOW;
	s.attribute[VGA_ATTR_PLANES] = 0x0f;
	s.dispi[VGA_DISPI_ENABLE] = VGA_DISPI_8BIT_DAC;
	for (unsigned i = 0; i < 16; i++) {
		s.attribute[i] = (uint8_t)i;
	}
	for (unsigned i = 0; i < VGA_DAC_BYTES; i++) {
		s.dac.colour[i] = (uint8_t)(i / 3);
	}
	s.crtc[VGA_CRTC_LINE_COMPARE] = 0xff;
	s.crtc[VGA_CRTC_OVERFLOW] = 0x10;
	s.crtc[VGA_CRTC_MAX_SCAN] = 0x40;
	s.crtc[VGA_CRTC_MODE] = 0xe3;
	return 0;
}

static uint32_t grey(unsigned n)
{
	return n * 0x010101u;
}

static void draw(uint32_t y, unsigned blink)
{
	vga_mode_of(&s, &mode);
	row[mode.width] = GUARD;
	vga_row(&s, &memory, &mode, y, blink, row);
	assert_int_equal(row[mode.width], GUARD);
}

static void set_size(unsigned characters, unsigned lines)
{
	lines--;
	s.crtc[VGA_CRTC_DISPLAY_END] = (uint8_t)(characters - 1);
	s.crtc[VGA_CRTC_VERTICAL_END] = (uint8_t)lines;
	s.crtc[VGA_CRTC_OVERFLOW] |= (uint8_t)((lines >> 7 & 2) | (lines >> 3 & 0x40));
	s.crtc[VGA_CRTC_OFFSET] = (uint8_t)(characters / 2);
}

/* ---- text ---- */

static uint8_t glyphs[256][VGA_TEXT_POINTS];

/* Glyph n has the dots of n in its line n % 16 and none elsewhere. */
static void text_mode(void)
{
	const struct vga_font font = {glyphs, 0, 256};

	for (unsigned i = 0; i < 256; i++) {
		memset(glyphs[i], 0, sizeof(glyphs[i]));
		glyphs[i][i % 16] = (uint8_t)i;
	}
	vga_text_mode(&s, &memory, &font);
}

static void put_cell(unsigned at, uint8_t character, uint8_t attribute)
{
	bytes[at * 8] = character;
	bytes[at * 8 + 1] = attribute;
}

static void text_has_cells_of_nine_dots(void **state)
{
	(void)state;
	text_mode();
	put_cell(80 * 2 + 79, 0xa5, 0x1e);
	draw(2 * 16 + 5, 0);
	assert_int_equal(mode.width, 720);
	assert_int_equal(mode.height, 400);
	for (unsigned x = 0; x < 9; x++) {
		assert_int_equal(row[711 + x],
				 x < 8 && (0xa5 >> (7 - x) & 1) != 0 ? 0xffff55 : 0x0000aa);
	}
	assert_int_equal(row[710], 0);
	draw(2 * 16 + 4, 0);
	assert_int_equal(row[711], 0x0000aa);
	/* Without the ninth dot. */
	s.sequencer[VGA_SEQ_CLOCKING] = VGA_CLOCKING_8_DOTS;
	draw(2 * 16 + 5, 0);
	assert_int_equal(mode.width, 640);
	assert_int_equal(row[632], 0xffff55);
}

static void line_drawings_go_on_in_the_ninth_dot(void **state)
{
	(void)state;
	text_mode();
	put_cell(0, 0xdf, 0x07);
	put_cell(1, 0xff, 0x07);
	draw(15, 0);
	assert_int_equal(row[7], 0xaaaaaa);
	assert_int_equal(row[8], 0xaaaaaa);
	assert_int_equal(row[16], 0xaaaaaa);
	assert_int_equal(row[17], 0);
	s.attribute[VGA_ATTR_MODE] &= (uint8_t)~VGA_ATTR_MODE_LINE_GRAPHICS;
	draw(15, 0);
	assert_int_equal(row[8], 0);
}

static void text_and_cursor_blink(void **state)
{
	(void)state;
	text_mode();
	put_cell(0, 0xff, 0x87);
	put_cell(1, 0, 0x07);
	s.crtc[VGA_CRTC_CURSOR_LOW] = 1;
	s.crtc[VGA_CRTC_CURSOR_START] = 14;
	s.crtc[VGA_CRTC_CURSOR_END] = 15;
	draw(15, 0);
	assert_int_equal(row[0], 0);
	assert_int_equal(row[9], 0);
	draw(15, BOTH);
	assert_int_equal(row[0], 0xaaaaaa);
	assert_int_equal(row[9], 0xaaaaaa);
	assert_int_equal(row[17], 0xaaaaaa);
	assert_int_equal(row[18], 0);
	draw(13, BOTH);
	assert_int_equal(row[9], 0);
	s.crtc[VGA_CRTC_CURSOR_START] |= VGA_CURSOR_OFF;
	draw(15, BOTH);
	assert_int_equal(row[9], 0);
	/* Bit 7 as a colour of the background instead. */
	s.attribute[VGA_ATTR_MODE] &= (uint8_t)~VGA_ATTR_MODE_BLINK;
	draw(14, 0);
	assert_int_equal(row[0], 0x555555);
}

static void two_fonts_are_chosen_by_the_attribute(void **state)
{
	(void)state;
	text_mode();
	s.sequencer[VGA_SEQ_CHARACTER_MAP] = 0x04; /* A: the second 16 KiB, B: the first */
	bytes[(0x4000 + 'x' * 32 + 3) * 4 + 2] = 0x80;
	put_cell(0, 'x', 0x0f);
	put_cell(1, 'x', 0x07);
	draw(3, 0);
	assert_int_equal(row[0], 0xffffff);
	assert_int_equal(row[9], 0);
	s.sequencer[VGA_SEQ_CHARACTER_MAP] = 0x20; /* A: 8 KiB on */
	bytes[(0x2000 + 'x' * 32 + 3) * 4 + 2] = 0x40;
	draw(3, 0);
	assert_int_equal(row[0], 0);
	assert_int_equal(row[1], 0xffffff);
}

static void the_split_begins_at_address_0(void **state)
{
	(void)state;
	text_mode();
	s.crtc[VGA_CRTC_START_LOW] = 160;
	put_cell(160, 0xff, 0x01);
	put_cell(0, 0xff, 0x04);
	s.crtc[VGA_CRTC_LINE_COMPARE] = 99;
	s.crtc[VGA_CRTC_OVERFLOW] &= (uint8_t)~0x10u;
	s.crtc[VGA_CRTC_MAX_SCAN] &= (uint8_t)~0x40u;
	draw(15, 0);
	assert_int_equal(row[0], 0x0000aa);
	draw(115, 0);
	assert_int_equal(row[0], 0xaa0000);
	draw(99, 0);
	assert_int_equal(row[0], 0);
}

static void rows_and_dots_are_moved(void **state)
{
	(void)state;
	text_mode();
	put_cell(0, 0xff, 0x07);
	put_cell(80, 0x80, 0x02);
	s.crtc[VGA_CRTC_PRESET_ROW] = 3;
	draw(12, 0);
	assert_int_equal(row[0], 0xaaaaaa);
	draw(13, 0);
	assert_int_equal(row[0], 0x00aa00);
	s.crtc[VGA_CRTC_PRESET_ROW] = 0;
	s.attribute[VGA_ATTR_PAN] = 2; /* three dots: 8 means none */
	draw(15, 0);
	assert_int_equal(row[4], 0xaaaaaa);
	assert_int_equal(row[5], 0);
	draw(16, 0);
	assert_int_equal(row[0], 0);
}

/* ---- graphics ---- */

static void planes_make_sixteen_colours(void **state)
{
	(void)state;
	s.graphics[VGA_GC_MISC] = 0x05;
	set_size(80, 480);
	for (unsigned p = 0; p < 4; p++) {
		bytes[(3 * 80 + 7) * 4 + p] = (uint8_t)(0x1 << p | 0x80);
	}
	draw(3, 0);
	assert_int_equal(mode.width, 640);
	assert_int_equal(mode.height, 480);
	assert_int_equal(row[56], grey(15));
	assert_int_equal(row[57], 0);
	for (unsigned p = 0; p < 4; p++) {
		assert_int_equal(row[63 - p], grey(1u << p));
	}
	s.attribute[VGA_ATTR_PLANES] = 0x06;
	s.attribute[VGA_ATTR_MODE] = VGA_ATTR_MODE_SELECT;
	s.attribute[VGA_ATTR_COLOUR_SELECT] = 0x09;
	draw(3, 0);
	assert_int_equal(row[56], grey(0x96));
	s.attribute[VGA_ATTR_PAN] = 4;
	draw(3, 0);
	assert_int_equal(row[52], grey(0x96));
}

static void cga_pictures_interleave_their_rows(void **state)
{
	(void)state;
	s.graphics[VGA_GC_MISC] = 0x0d;
	s.graphics[VGA_GC_MODE] = VGA_MODE_SHIFT_4;
	s.crtc[VGA_CRTC_MODE] = 0xa2;
	s.crtc[VGA_CRTC_MAX_SCAN] = 0xc1;
	set_size(40, 400);
	/* Rows 2 and 3 are at bytes 80 and 0x2000 + 80 of the CGA, two a place. */
	bytes[80 * 4] = 0x1b;
	bytes[80 * 4 + 1] = 0xe4;
	bytes[(0x2000 + 80) * 4] = 0x40;
	draw(2, 0);
	assert_int_equal(mode.width, 320);
	assert_int_equal(mode.height, 200);
	for (unsigned x = 0; x < 8; x++) {
		assert_int_equal(row[x], grey(x < 4 ? x : 7 - x));
	}
	draw(3, 0);
	assert_int_equal(row[0], grey(1));
	draw(1, 0);
	assert_int_equal(row[0], 0);
}

static void bytes_are_colours(void **state)
{
	(void)state;
	s.graphics[VGA_GC_MISC] = 0x05;
	s.graphics[VGA_GC_MODE] = VGA_MODE_SHIFT_256;
	s.sequencer[VGA_SEQ_MEMORY_MODE] = VGA_MEMORY_CHAIN_4;
	s.crtc[VGA_CRTC_MODE] = 0xa3;
	s.crtc[VGA_CRTC_UNDERLINE] = VGA_UNDERLINE_DWORD;
	s.crtc[VGA_CRTC_MAX_SCAN] = 0x41;
	set_size(80, 400);
	for (unsigned i = 0; i < 64000; i++) {
		bytes[i] = (uint8_t)(i % 251);
	}
	for (unsigned y = 0; y < 200; y += 199) {
		draw(y, 0);
		for (unsigned x = 0; x < 320; x++) {
			assert_int_equal(row[x], grey((y * 320 + x) % 251));
		}
	}
	assert_int_equal(mode.width, 320);
	assert_int_equal(mode.height, 200);
	s.dac.mask = 0x0f;
	draw(0, 0);
	assert_int_equal(row[0x12], grey(2));
}

/* Mode X: the same picture with its planes by hand, a page further on. */
static void unchained_pages_are_shown(void **state)
{
	(void)state;
	s.graphics[VGA_GC_MISC] = 0x05;
	s.graphics[VGA_GC_MODE] = VGA_MODE_SHIFT_256;
	s.sequencer[VGA_SEQ_MEMORY_MODE] = VGA_MEMORY_SEQUENTIAL;
	s.crtc[VGA_CRTC_MAX_SCAN] = 0x41;
	set_size(80, 480);
	s.crtc[VGA_CRTC_START_HIGH] = 0x4b;
	bytes[(0x4b00 + 80) * 4 + 1] = 77;
	s.attribute[VGA_ATTR_PAN] = 2;
	draw(1, 0);
	assert_int_equal(mode.height, 240);
	assert_int_equal(row[0], grey(77));
}

static void packed_pixels_of_each_depth(void **state)
{
	static const struct {
		uint16_t bpp;
		bool big;
		uint8_t at[4];
		uint32_t pixel;
	} depths[] = {
		{8, false, {0xc8}, 0xc8c8c8},
		{15, false, {0x1f, 0x7c}, 0xff00ff},
		{15, false, {0x00, 0x02}, 0x008400},
		{16, false, {0xe0, 0x07}, 0x00ff00},
		{16, false, {0x01, 0x80}, 0x840008},
		{16, true, {0x07, 0xe0}, 0x00ff00},
		{24, false, {0x33, 0x22, 0x11}, 0x112233},
		{32, false, {0x33, 0x22, 0x11, 0xff}, 0x112233},
		{32, true, {0xff, 0x11, 0x22, 0x33}, 0x112233},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(depths); i++) {
		size_t size = depths[i].bpp == 15 ? 2 : depths[i].bpp / 8;

		s.dispi[VGA_DISPI_ENABLE] = VGA_DISPI_8BIT_DAC;
		s.dispi[VGA_DISPI_XRES] = 128;
		s.dispi[VGA_DISPI_YRES] = 100;
		s.dispi[VGA_DISPI_BPP] = depths[i].bpp;
		vga_dispi_write(&s, &memory, VGA_DISPI_ENABLE,
				VGA_DISPI_ENABLED | VGA_DISPI_8BIT_DAC);
		vga_dispi_write(&s, &memory, VGA_DISPI_VIRT_WIDTH, 160);
		vga_dispi_write(&s, &memory, VGA_DISPI_X_OFFSET, 8);
		vga_dispi_write(&s, &memory, VGA_DISPI_Y_OFFSET, 2);
		s.big_endian = depths[i].big;
		memcpy(bytes + ((2 + 5) * 160 + 8 + 127) * size, depths[i].at, size);
		draw(5, 0);
		assert_int_equal(mode.width, 128);
		assert_int_equal(mode.height, 100);
		assert_int_equal(row[127], depths[i].pixel);
		assert_int_equal(row[126], 0);
	}
}

static void dispi_with_planes(void **state)
{
	(void)state;
	s.dispi[VGA_DISPI_XRES] = 800;
	s.dispi[VGA_DISPI_YRES] = 600;
	s.dispi[VGA_DISPI_BPP] = 4;
	vga_dispi_write(&s, &memory, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_8BIT_DAC);
	bytes[(599 * 100 + 99) * 4 + 2] = 0x01;
	draw(599, 0);
	assert_int_equal(mode.width, 800);
	assert_int_equal(row[799], grey(4));
	assert_int_equal(row[798], 0);
	vga_dispi_write(&s, &memory, VGA_DISPI_VIRT_WIDTH, 1600);
	vga_dispi_write(&s, &memory, VGA_DISPI_X_OFFSET, 3);
	bytes[2] = 0x10;
	draw(0, 0);
	assert_int_equal(row[0], grey(4));
}

static void a_screen_that_is_off_is_black(void **state)
{
	(void)state;
	text_mode();
	put_cell(0, 0xff, 0x07);
	s.sequencer[VGA_SEQ_CLOCKING] |= VGA_CLOCKING_SCREEN_OFF;
	draw(15, BOTH);
	assert_int_equal(mode.picture, VGA_PICTURE_BLANK);
	assert_int_equal(mode.width, 720);
	assert_int_equal(row[0], 0);
	s.sequencer[VGA_SEQ_CLOCKING] = 0;
	s.sequencer[VGA_SEQ_RESET] = 1;
	draw(15, BOTH);
	assert_int_equal(row[0], 0);
	s.sequencer[VGA_SEQ_RESET] = 3;
	s.attribute_index = 0;
	draw(15, BOTH);
	assert_int_equal(row[0], 0);
	s.attribute_index = VGA_ATTR_SHOW;
	draw(15, BOTH);
	assert_int_equal(row[0], 0xaaaaaa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(text_has_cells_of_nine_dots, setup),
		cmocka_unit_test_setup(line_drawings_go_on_in_the_ninth_dot, setup),
		cmocka_unit_test_setup(text_and_cursor_blink, setup),
		cmocka_unit_test_setup(two_fonts_are_chosen_by_the_attribute, setup),
		cmocka_unit_test_setup(the_split_begins_at_address_0, setup),
		cmocka_unit_test_setup(rows_and_dots_are_moved, setup),
		cmocka_unit_test_setup(planes_make_sixteen_colours, setup),
		cmocka_unit_test_setup(cga_pictures_interleave_their_rows, setup),
		cmocka_unit_test_setup(bytes_are_colours, setup),
		cmocka_unit_test_setup(unchained_pages_are_shown, setup),
		cmocka_unit_test_setup(packed_pixels_of_each_depth, setup),
		cmocka_unit_test_setup(dispi_with_planes, setup),
		cmocka_unit_test_setup(a_screen_that_is_off_is_black, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
