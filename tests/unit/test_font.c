/* SPDX-License-Identifier: Apache-2.0 */
/* What tools/mkfont made of the build machine's font. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/font.h"

static const uint8_t *glyph(char c)
{
	return font_glyphs[(uint8_t)c - FONT_FIRST];
}

static void blank_is_blank(void **state)
{
	static const uint8_t empty[FONT_ROWS];

	(void)state;
	assert_memory_equal(glyph(' '), empty, FONT_ROWS);
	assert_memory_equal(glyph((char)0xa0), empty, FONT_ROWS);
}

static void printable_characters_differ(void **state)
{
	(void)state;
	for (char a = '!'; a < '~'; a++) {
		for (char b = (char)(a + 1); b <= '~'; b++) {
			assert_memory_not_equal(glyph(a), glyph(b), FONT_ROWS);
		}
	}
}

/* Upright and not mirrored: L stands on its foot and opens to the right. */
static void orientation(void **state)
{
	const uint8_t *l = glyph('L');
	unsigned first = 0;
	unsigned last = FONT_ROWS - 1;

	(void)state;
	while (l[first] == 0) {
		first++;
	}
	while (l[last] == 0) {
		last--;
	}
	assert_true(l[first] < l[last]);
	assert_true((l[last] & l[first]) == l[first]);
	assert_true(l[first] > (l[last] & ~l[first]));
}

static void gaps_have_the_replacement(void **state)
{
	(void)state;
	assert_memory_equal(glyph((char)0x81), glyph('?'), FONT_ROWS);
	assert_memory_not_equal(glyph((char)0xe9), glyph('?'), FONT_ROWS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blank_is_blank),
		cmocka_unit_test(printable_characters_differ),
		cmocka_unit_test(orientation),
		cmocka_unit_test(gaps_have_the_replacement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
