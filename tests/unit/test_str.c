/* SPDX-License-Identifier: Apache-2.0 */
/* Text helpers; spans lie in exact heap blocks, so that ASan sees a byte read too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/base/str.h"

static char *block;

/* `text` without its terminator, nothing readable behind it. */
static struct span exact(const char *text)
{
	size_t n = strlen(text);

	free(block);
	block = malloc(n > 0 ? n : 1);
	assert_non_null(block);
	memcpy(block, text, n);
	return (struct span){block, n};
}

static int teardown(void **state)
{
	(void)state;
	free(block);
	block = NULL;
	return 0;
}

static void terminated_strings(void **state)
{
	(void)state;
	assert_int_equal(str_len(""), 0);
	assert_int_equal(str_len("abc"), 3);
	assert_true(str_eq("", ""));
	assert_true(str_eq("abc", "abc"));
	assert_false(str_eq("abc", "abd"));
	assert_false(str_eq("abc", "ab"));
	assert_false(str_eq("ab", "abc"));
	assert_false(str_eq("", "a"));
}

static void copies_end_in_a_terminator(void **state)
{
	char out[4];

	(void)state;
	assert_true(str_copy(out, sizeof(out), exact("abc")));
	assert_string_equal(out, "abc");
	assert_false(str_copy(out, sizeof(out), exact("abcd")));
	assert_string_equal(out, "abc");
	assert_true(str_copy(out, 1, exact("")));
	assert_string_equal(out, "");
	assert_false(str_copy(out, 1, exact("x")));
	assert_string_equal(out, "");
}

static void spans_compare_whole_or_by_prefix(void **state)
{
	(void)state;
	assert_true(span_eq(exact("web"), "web"));
	assert_false(span_eq(exact("we"), "web"));
	assert_false(span_eq(exact("webs"), "web"));
	assert_true(span_eq(exact(""), ""));
	assert_true(span_starts(exact("initrd.img"), "initrd"));
	assert_true(span_starts(exact("x"), ""));
	assert_false(span_starts(exact("init"), "initrd"));
	assert_true(span_eq(span_of("abc"), "abc"));
}

static void trimming(void **state)
{
	(void)state;
	assert_true(span_eq(span_trim(exact("  a b\t\r\n")), "a b"));
	assert_true(span_eq(span_trim(exact("a")), "a"));
	assert_int_equal(span_trim(exact(" \t\r\n ")).n, 0);
	assert_int_equal(span_trim(exact("")).n, 0);
}

static void lines_end_in_lf_or_crlf_or_the_end(void **state)
{
	struct span rest = exact("one\r\ntwo\n\n\rthree\r");
	struct span line;

	(void)state;
	assert_true(span_next_line(&rest, &line));
	assert_true(span_eq(line, "one"));
	assert_true(span_next_line(&rest, &line));
	assert_true(span_eq(line, "two"));
	assert_true(span_next_line(&rest, &line));
	assert_true(span_eq(line, ""));
	assert_true(span_next_line(&rest, &line));
	assert_true(span_eq(line, "\rthree"));
	assert_false(span_next_line(&rest, &line));
	rest = exact("\n");
	assert_true(span_next_line(&rest, &line));
	assert_int_equal(line.n, 0);
	assert_false(span_next_line(&rest, &line));
}

static void words_are_what_is_between_blanks(void **state)
{
	struct span rest = exact("  start \t web\r\n");
	struct span word;

	(void)state;
	assert_true(span_next_word(&rest, &word));
	assert_true(span_eq(word, "start"));
	assert_true(span_next_word(&rest, &word));
	assert_true(span_eq(word, "web"));
	assert_false(span_next_word(&rest, &word));
	assert_int_equal(word.n, 0);
	assert_false(span_next_word(&rest, &word));
}

static void assert_number(const char *text, enum hv_status status, uint64_t want)
{
	uint64_t value = 0x5a5a;

	assert_int_equal(span_to_u64(exact(text), &value), status);
	assert_int_equal(value, status == HV_OK ? want : 0x5a5a);
}

static void numbers(void **state)
{
	(void)state;
	assert_number("0", HV_OK, 0);
	assert_number("007", HV_OK, 7);
	assert_number("18446744073709551615", HV_OK, UINT64_MAX);
	assert_number("0xffffffffffffffff", HV_OK, UINT64_MAX);
	assert_number("0XaBc", HV_OK, 0xabc);
	assert_number("18446744073709551616", HV_E_RANGE, 0);
	assert_number("0x10000000000000000", HV_E_RANGE, 0);
	assert_number("99999999999999999999999999", HV_E_RANGE, 0);
	assert_number("", HV_E_INVALID, 0);
	assert_number("0x", HV_E_INVALID, 0);
	assert_number("-1", HV_E_INVALID, 0);
	assert_number("+1", HV_E_INVALID, 0);
	assert_number("1 ", HV_E_INVALID, 0);
	assert_number("12a", HV_E_INVALID, 0);
	assert_number("0xg", HV_E_INVALID, 0);
	assert_number("1.5", HV_E_INVALID, 0);
}

static void assert_size(const char *text, enum hv_status status, uint64_t want)
{
	uint64_t value = 0x5a5a;

	assert_int_equal(span_to_size(exact(text), &value), status);
	assert_int_equal(value, status == HV_OK ? want : 0x5a5a);
}

static void sizes_with_suffixes(void **state)
{
	(void)state;
	assert_size("512", HV_OK, 512);
	assert_size("1K", HV_OK, 1024);
	assert_size("1k", HV_OK, 1024);
	assert_size("512M", HV_OK, 512ull << 20);
	assert_size("3g", HV_OK, 3ull << 30);
	assert_size("0x10T", HV_OK, 16ull << 40);
	assert_size("16777215T", HV_OK, 16777215ull << 40);
	assert_size("16777216T", HV_E_RANGE, 0);
	assert_size("18014398509481984K", HV_E_RANGE, 0);
	assert_size("M", HV_E_INVALID, 0);
	assert_size("1MM", HV_E_INVALID, 0);
	assert_size("1 M", HV_E_INVALID, 0);
	assert_size("1P", HV_E_INVALID, 0);
	assert_size("", HV_E_INVALID, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(terminated_strings),
		cmocka_unit_test_teardown(copies_end_in_a_terminator, teardown),
		cmocka_unit_test_teardown(spans_compare_whole_or_by_prefix, teardown),
		cmocka_unit_test_teardown(trimming, teardown),
		cmocka_unit_test_teardown(lines_end_in_lf_or_crlf_or_the_end, teardown),
		cmocka_unit_test_teardown(words_are_what_is_between_blanks, teardown),
		cmocka_unit_test_teardown(numbers, teardown),
		cmocka_unit_test_teardown(sizes_with_suffixes, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
