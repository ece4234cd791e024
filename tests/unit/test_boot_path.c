/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 names become UTF-8 paths, cut between characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/path.h"

static char out[HANDOFF_PATH_MAX];

static void joins(void **state)
{
	static const uint16_t name[] = {'v', 'm', 0};

	(void)state;
	assert_true(path_join(out, "", name));
	assert_string_equal(out, "vm");
	assert_true(path_join(out, "web", name));
	assert_string_equal(out, "web/vm");
}

static void encodes_each_length(void **state)
{
	static const uint16_t name[] = {'a', 0xdc, 0x20ac, 0xd83d, 0xde00, 0x7f, 0x80, 0xffff, 0};

	(void)state;
	assert_true(path_join(out, "", name));
	assert_string_equal(out, "a\xc3\x9c\xe2\x82\xac\xf0\x9f\x98\x80\x7f\xc2\x80\xef\xbf\xbf");
}

static void lone_surrogates_are_replaced(void **state)
{
	static const uint16_t name[] = {0xdc00, 'x', 0xd800, 'y', 0xd800, 0xd800, 0};

	(void)state;
	assert_true(path_join(out, "", name));
	assert_string_equal(out, "\xef\xbf\xbdx\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd");
}

static void long_names_are_cut(void **state)
{
	uint16_t name[HANDOFF_PATH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < HANDOFF_PATH_MAX; i++) {
		name[i] = 'n';
	}
	name[HANDOFF_PATH_MAX - 1] = 0;
	assert_true(path_join(out, "", name));
	assert_int_equal(strlen(out), HANDOFF_PATH_MAX - 1);
	name[HANDOFF_PATH_MAX - 1] = 'n';
	name[HANDOFF_PATH_MAX] = 0;
	assert_false(path_join(out, "", name));
	assert_int_equal(strlen(out), HANDOFF_PATH_MAX - 1);
	assert_false(path_join(out, "web", name));
	assert_memory_equal(out, "web/nnn", 7);
}

static void a_character_is_not_cut_apart(void **state)
{
	uint16_t name[HANDOFF_PATH_MAX];

	(void)state;
	for (size_t i = 0; i < HANDOFF_PATH_MAX - 1; i++) {
		name[i] = i < HANDOFF_PATH_MAX - 3 ? 'n' : 0x20ac;
	}
	name[HANDOFF_PATH_MAX - 1] = 0;
	assert_false(path_join(out, "", name));
	assert_int_equal(strlen(out), HANDOFF_PATH_MAX - 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins),
		cmocka_unit_test(encodes_each_length),
		cmocka_unit_test(lone_surrogates_are_replaced),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(a_character_is_not_cut_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
