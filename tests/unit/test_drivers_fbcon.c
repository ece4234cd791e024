/* SPDX-License-Identifier: Apache-2.0 */
/* The screen console on a framebuffer in memory; the screen is read back by recognising glyphs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/fbcon.h"
#include "drivers/font.h"

#define WIDTH 85  /* ten columns and a rest */
#define HEIGHT 70 /* four rows and a rest */
#define STRIDE 96
#define PIXELS ((HEIGHT - 1) * STRIDE + WIDTH) /* the last line ends with its last pixel */

static uint32_t *pixels;
static uint8_t *memory;
static struct fbcon con;
static const struct fbcon_config *config;
static struct fbcon_config config_store;

static int setup(void **state)
{
	(void)state;
	pixels = malloc(PIXELS * sizeof(uint32_t));
	memset(pixels, 0x5a, PIXELS * sizeof(uint32_t));
	config_store =
		(struct fbcon_config){pixels, PIXELS * sizeof(uint32_t), WIDTH, HEIGHT, STRIDE};
	config = &config_store;
	memory = calloc(1, fbcon_memory(config));
	assert_true(fbcon_init(&con, config, memory));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(pixels);
	free(memory);
	return 0;
}

static char cell(unsigned row, unsigned column)
{
	for (unsigned g = 0; g < FONT_COUNT; g++) {
		bool same = true;

		for (unsigned y = 0; y < 16 && same; y++) {
			for (unsigned x = 0; x < 8; x++) {
				uint32_t p = pixels[(row * 16 + y) * STRIDE + column * 8 + x];

				same = same &&
				       (p == 0x00c0c0c0) ==
					       ((font_glyphs[g][y] & 0x80 >> x) != 0) &&
				       (p == 0 || p == 0x00c0c0c0);
			}
		}
		if (same) {
			return (char)(FONT_FIRST + g);
		}
	}
	return '\0';
}

static void assert_row(unsigned row, const char *text)
{
	char got[11];

	for (unsigned i = 0; i < 10; i++) {
		got[i] = cell(row, i);
	}
	got[10] = '\0';
	assert_string_equal(got, text);
}

static void write_text(const char *text)
{
	fbcon_write(&con, text, strlen(text));
}

static void show(const char *text)
{
	write_text(text);
	assert_true(fbcon_draw(&con, UINT32_MAX));
}

static void text_appears(void **state)
{
	(void)state;
	show("Hello\r\nWorld\n!");
	assert_row(0, "Hello     ");
	assert_row(1, "World     ");
	assert_row(2, "!         ");
	assert_row(3, "          ");
	/* The rest of the lines and of the screen is not ours. */
	assert_int_equal(pixels[80], 0x5a5a5a5a);
	assert_int_equal(pixels[64 * STRIDE], 0x5a5a5a5a);
}

static void long_lines_wrap_and_scroll(void **state)
{
	(void)state;
	show("0123456789");
	assert_row(1, "          ");
	show("a\r\nline2\r\nline3\r\nline4");
	assert_row(0, "a         ");
	assert_row(1, "line2     ");
	assert_row(3, "line4     ");
	for (unsigned i = 0; i < 9; i++) {
		write_text("\r\nx");
	}
	show("");
	assert_row(0, "x         ");
	assert_row(3, "x         ");
}

static void controls_move(void **state)
{
	(void)state;
	show("abc\b\bX\tY\rZ");
	assert_row(0, "ZXc     Y ");
	show("\r\n\t\t\tE\b\b\b\b\b\b\b\b\b\b\b\b\b\bB\x7f\x01");
	assert_row(1, "B        E");
}

static void escape_sequences_vanish(void **state)
{
	(void)state;
	show("\033[1;31mr\033[0me\033]0;title\007d\033(B\033]2;x\033\\.\033c");
	assert_row(0, "red.      ");
	/* Split over calls. */
	write_text("\033");
	write_text("[");
	write_text("12");
	show("Ky");
	assert_row(0, "red.y     ");
}

static void latin1_is_shown_and_the_rest_replaced(void **state)
{
	static const char e_acute[] = {(char)0xe9, 0};

	(void)state;
	show("\xc3\xa9");
	assert_int_equal((uint8_t)cell(0, 0), (uint8_t)e_acute[0]);
	show("\r\xe2\x82\xac|\xf0\x9f\x98\x80|\xff|\xc3|\xc2\x85|");
	assert_row(0, "?|?|?||?| ");
}

/* Cells that change, and of those the lines that differ. */
static void only_changes_are_drawn(void **state)
{
	const uint8_t *b = font_glyphs['b' - FONT_FIRST];
	const uint8_t *x = font_glyphs['x' - FONT_FIRST];
	unsigned drawn = 0;

	(void)state;
	show("ab");
	for (unsigned y = 0; y < FONT_ROWS; y++) {
		pixels[y * STRIDE] = 0x123456;
		pixels[y * STRIDE + 8] = 0x123456;
	}
	show("\rax");
	for (unsigned y = 0; y < FONT_ROWS; y++) {
		assert_int_equal(pixels[y * STRIDE], 0x123456);
		assert_int_equal(pixels[y * STRIDE + 8] != 0x123456, b[y] != x[y]);
		drawn += b[y] != x[y];
	}
	assert_in_range(drawn, 1, FONT_ROWS - 1);
}

static void drawing_can_be_limited(void **state)
{
	unsigned calls = 0;

	(void)state;
	write_text("1111111111222222222233333333334444444444");
	while (!fbcon_draw(&con, 1)) {
		assert_true(++calls < 10);
	}
	assert_int_equal(calls, 3);
	assert_row(3, "4444444444");
	assert_true(fbcon_draw(&con, 1));
}

/* While the screen is somebody else's the text goes on, and nothing of it is drawn. */
static void a_hidden_screen_is_left_alone(void **state)
{
	(void)state;
	fbcon_write(&con, "before\n", 7);
	(void)fbcon_draw(&con, 1000);
	fbcon_hide(&con);
	for (unsigned y = 0; y < HEIGHT; y++) {
		for (unsigned x = 0; x < WIDTH; x++) {
			assert_int_equal(pixels[y * STRIDE + x], 0);
		}
	}
	assert_int_equal(pixels[WIDTH], 0x5a5a5a5a); /* behind the line */
	pixels[40] = pixels[69 * STRIDE + 84] = 0x123456;
	fbcon_write(&con, "after", 5);
	assert_true(fbcon_draw(&con, 1000));
	assert_int_equal(pixels[40], 0x123456);
	fbcon_show(&con);
	assert_int_equal(pixels[40], 0);
	assert_int_equal(pixels[69 * STRIDE + 84], 0);
	assert_true(fbcon_draw(&con, 1000));
	assert_row(0, "before    ");
	assert_row(1, "after     ");
	/* A panic does not ask. */
	fbcon_hide(&con);
	pixels[40] = pixels[69 * STRIDE + 84] = 0x123456;
	fbcon_blank(&con);
	assert_int_equal(pixels[40], 0);
	pixels[69 * STRIDE + 84] = 0x123456;
	fbcon_emergency_write(&con, "!", 1);
	assert_row(0, "before    ");
	assert_row(1, "after!    ");
	assert_int_equal(pixels[69 * STRIDE + 84], 0);
}

static void emergency_draws_at_once(void **state)
{
	(void)state;
	write_text("abc");
	(void)fbcon_draw(&con, 1);
	con.lock.next = 1; /* held by a CPU that died */
	fbcon_emergency_write(&con, "\r\npanic", 7);
	assert_row(0, "abc       ");
	assert_row(1, "panic     ");
}

static void impossible_screens_are_refused(void **state)
{
	const struct fbcon_config bad[] = {
		{NULL, 1 << 20, 640, 480, 640},
		{pixels, 1 << 20, 7, 480, 640},
		{pixels, 1 << 20, 640, 15, 640},
		{pixels, 1 << 20, 640, 480, 639},
		{pixels, 640 * 480 * 4 - 1, 640, 480, 640},
		{pixels, 0, 640, 480, 640},
		{pixels, UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
	};
	struct fbcon none;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(fbcon_memory(&bad[i]), 0);
		assert_false(fbcon_init(&none, &bad[i], memory));
	}
	fbcon_write(&none, "x", 1);
	fbcon_emergency_write(&none, "x", 1);
	assert_true(fbcon_draw(&none, 1));
}

static void random_bytes_stay_inside(void **state)
{
	uint64_t seed = 88172645463325252ull;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		char text[16];

		for (unsigned j = 0; j < sizeof(text); j++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			text[j] = (char)(seed >> 32);
		}
		fbcon_write(&con, text, sizeof(text));
		(void)fbcon_draw(&con, 5);
		assert_true(con.column <= con.columns && con.row < con.rows);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_appears, setup, teardown),
		cmocka_unit_test_setup_teardown(long_lines_wrap_and_scroll, setup, teardown),
		cmocka_unit_test_setup_teardown(controls_move, setup, teardown),
		cmocka_unit_test_setup_teardown(escape_sequences_vanish, setup, teardown),
		cmocka_unit_test_setup_teardown(latin1_is_shown_and_the_rest_replaced, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_changes_are_drawn, setup, teardown),
		cmocka_unit_test_setup_teardown(drawing_can_be_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hidden_screen_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(emergency_draws_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(impossible_screens_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(random_bytes_stay_inside, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
