/* SPDX-License-Identifier: Apache-2.0 */
/* The small printf, against the C library's for everything both can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/fmt.h"

/* Whole, and cut at every possible length. */
#define SAME(...) \
	do { \
		char ours[256]; \
		char theirs[256]; \
		int want = snprintf(theirs, sizeof(theirs), __VA_ARGS__); \
		assert_int_equal(fmt_snprintf(ours, sizeof(ours), __VA_ARGS__), want); \
		assert_string_equal(ours, theirs); \
		for (size_t cap = 1; cap <= (size_t)want; cap++) { \
			memset(ours, '#', sizeof(ours)); \
			assert_int_equal(fmt_snprintf(ours, cap, __VA_ARGS__), want); \
			assert_int_equal(strlen(ours), cap - 1); \
			assert_memory_equal(ours, theirs, cap - 1); \
			assert_int_equal(ours[cap], '#'); \
		} \
	} while (0)

static void plain_text_and_percent(void **state)
{
	const char *empty = "";

	(void)state;
	SAME("hello\n");
	SAME("100 %% of %s", "it");
	SAME("%s", empty);
}

static void integers_of_every_width(void **state)
{
	static const int64_t values[] = {
		0,	 1,	  -1,	    9,	      10,	-10,	   99,	      100,
		127,	 128,	  -128,	    255,      256,	32767,	   -32768,    65535,
		INT_MAX, INT_MIN, UINT_MAX, LONG_MAX, LONG_MIN, 0x1234567, -0x7ffffff};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int64_t v = values[i];

		SAME("%d|%i|%u", (int)v, (int)v, (unsigned)v);
		SAME("%x|%X", (unsigned)v, (unsigned)v);
		SAME("%ld|%lu|%lx", (long)v, (unsigned long)v, (unsigned long)v);
		SAME("%lld|%llu|%llX", (long long)v, (unsigned long long)v, (unsigned long long)v);
		SAME("%hd|%hu|%hx", (short)v, (unsigned short)v, (unsigned short)v);
		SAME("%hhd|%hhu|%hhx", (signed char)v, (unsigned char)v, (unsigned char)v);
		SAME("%zu|%zx", (size_t)v, (size_t)v);
	}
}

static void widths_and_flags(void **state)
{
	static const int values[] = {0, 7, -7, 12345, -12345, INT_MIN};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int v = values[i];

		SAME("[%1d][%5d][%12d]", v, v, v);
		SAME("[%-1d][%-5d][%-12d]", v, v, v);
		SAME("[%01d][%05d][%012d]", v, v, v);
		SAME("[%08x][%-8x][%16x]", (unsigned)v, (unsigned)v, (unsigned)v);
		SAME("[%*d][%-*d][%0*d]", 9, v, 9, v, 9, v);
		SAME("[%*d]", -9, v);
	}
	SAME("[%016lx]", 0xdeadbeefcafeul);
}

static void strings_and_characters(void **state)
{
	const char unterminated[3] = {'a', 'b', 'c'};

	(void)state;
	SAME("[%s][%8s][%-8s]", "web", "web", "web");
	SAME("[%.2s][%.9s][%.*s]", "web", "web", 1, "web");
	SAME("[%8.2s][%-8.2s]", "web", "web");
	SAME("[%c][%3c][%-3c]", 'x', 'y', 'z');
	SAME("[%.*s]", 3, unterminated);
	SAME("[%.*s]", 0, (const char *)unterminated);
	SAME("[%.*s]", -1, "a negative precision is none");
}

static void a_pointer_looks_like_one(void **state)
{
	char text[32];

	(void)state;
	assert_int_equal(fmt_snprintf(text, sizeof(text), "%p", (void *)(uintptr_t)0xfee00000), 10);
	assert_string_equal(text, "0xfee00000");
}

static void null_strings_do_not_crash(void **state)
{
	const char *volatile nothing = NULL;
	char text[32];

	(void)state;
	assert_int_equal(fmt_snprintf(text, sizeof(text), "<%s>", nothing), 8);
	assert_string_equal(text, "<(null)>");
}

static void no_room_writes_nothing(void **state)
{
	char text[4] = {'a', 'b', 'c', 'd'};

	(void)state;
	assert_int_equal(fmt_snprintf(text, 0, "%d", 12345), 5);
	assert_memory_equal(text, "abcd", 4);
	assert_int_equal(fmt_snprintf(NULL, 0, "%s", "length only"), 11);
}

/* Formats nobody may pass: through a pointer, so that the compiler does not see them. */
static void what_is_no_conversion_is_shown(void **state)
{
	const char *volatile odd[] = {"%q!", "%", "a%", "%-05", "%.", "%ll"};
	static const char *const want[] = {"%q!", "", "a", "", "", ""};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(fmt_snprintf(text, sizeof(text), odd[i], 1), strlen(want[i]));
		assert_string_equal(text, want[i]);
	}
}

static void huge_widths_stay_in_the_buffer(void **state)
{
	char text[8];

	(void)state;
	assert_int_equal(fmt_snprintf(text, sizeof(text), "%1000d", 5), 1000);
	assert_string_equal(text, "       ");
	assert_int_equal(fmt_snprintf(text, sizeof(text), "%*s", -1000, "ab"), 1000);
	assert_string_equal(text, "ab     ");
	/* More zeros than any number needs. */
	assert_int_equal(fmt_snprintf(text, sizeof(text), "%01000d", -5), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_and_percent),
		cmocka_unit_test(integers_of_every_width),
		cmocka_unit_test(widths_and_flags),
		cmocka_unit_test(strings_and_characters),
		cmocka_unit_test(a_pointer_looks_like_one),
		cmocka_unit_test(null_strings_do_not_crash),
		cmocka_unit_test(no_room_writes_nothing),
		cmocka_unit_test(what_is_no_conversion_is_shown),
		cmocka_unit_test(huge_widths_stay_in_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
