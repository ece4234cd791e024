/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/keynames.h"

static struct key named(const char *name)
{
	struct key k;

	assert_true(key_by_name(span_of(name), &k));
	return k;
}

static void keys_have_names(void **state)
{
	struct key k;

	(void)state;
	assert_int_equal(named("f1").code, 0x3b);
	assert_int_equal(named("f12").code, 0x58);
	assert_int_equal(named("a").code, 0x1e);
	assert_int_equal(named("-").code, 0x0c);
	assert_int_equal(named("ctrl").code, 0x1d);
	assert_false(named("ctrl").extended);
	assert_true(named("rctrl").extended);
	assert_true(named("del").extended);
	assert_false(key_by_name(span_of("f13"), &k));
	assert_false(key_by_name(span_of(""), &k));
	assert_false(key_by_name(span_of("ab"), &k));
}

static void all_of_ascii_can_be_typed(void **state)
{
	struct key k;

	(void)state;
	for (char c = ' '; c < 0x7f; c++) {
		assert_true(key_by_char(c, &k));
		assert_int_not_equal(k.code, 0x37); /* the star is above the 8 */
	}
	assert_true(key_by_char('A', &k));
	assert_true(k.code == 0x1e && k.shift);
	assert_true(key_by_char('|', &k));
	assert_true(k.code == 0x2b && k.shift);
	assert_true(key_by_char(' ', &k));
	assert_true(k.code == 0x39 && !k.shift);
	assert_true(key_by_char('\r', &k));
	assert_true(k.code == 0x1c && !k.shift);
	assert_false(key_by_char('\0', &k));
	assert_false(key_by_char((char)0xe4, &k));
}

static void sequences(void **state)
{
	const struct key del = named("del");
	const struct key a = named("a");
	uint8_t out[KEY_SEQUENCE_MAX];

	(void)state;
	assert_int_equal(key_sequence(&del, true, out), 2);
	assert_true(out[0] == 0xe0 && out[1] == 0xd3);
	assert_int_equal(key_sequence(&a, false, out), 1);
	assert_int_equal(out[0], 0x1e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_have_names),
		cmocka_unit_test(all_of_ascii_can_be_typed),
		cmocka_unit_test(sequences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
