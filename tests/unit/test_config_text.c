/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax of configuration files: edit distance, cutting, places of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/config_text.h"

static struct config_error last;
static unsigned reported;
static char taken[64];

static void keep(void *ctx, const struct config_error *error)
{
	(void)ctx;
	last = *error;
	reported++;
}

static const struct config_reporter reporter = {keep, NULL};

static void set_word(struct config_parser *p, struct span value)
{
	assert_ptr_equal(p->out, taken);
	(void)str_copy(taken, sizeof(taken), value);
}

static const struct config_key keys[] = {{"word", set_word, false}, {"again", set_word, true}};
static const struct config_key other[] = {{"elsewhere", set_word, false}};
static const struct config_schema schema = {keys, 2, other, 1, "other.conf"};

static void read_text(struct config_parser *p, const char *text, size_t n)
{
	reported = 0;
	config_parser_init(p, NULL, &reporter, (struct span){NULL, 0}, "a.conf");
	p->out = taken;
	config_read(p, &schema, (struct span){text, n});
}

static unsigned distance(const char *a, const char *b)
{
	return config_distance(span_of(a), span_of(b));
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(distance("", ""), 0);
	assert_int_equal(distance("", "abc"), 3);
	assert_int_equal(distance("memory", "memory"), 0);
	assert_int_equal(distance("memroy", "memory"), 2);
	assert_int_equal(distance("memor", "memory"), 1);
	assert_int_equal(distance("xmemory", "memory"), 1);
	assert_int_equal(distance("kitten", "sitting"), 3);
	assert_int_equal(distance("a23456789012345678901234567890123", "a"), 255);
}

static void test_takes_values(void **state)
{
	struct config_parser p;

	(void)state;
	read_text(&p, "word=a = b", 10);
	assert_string_equal(taken, "a = b");
	assert_int_equal(reported, 0);
	assert_int_equal(p.error_count, 0);
	assert_int_equal(p.seen[0], 1);
}

static void test_places(void **state)
{
	struct config_parser p;
	static const char text[] = "\n\n word = 3\nword = 4";
	char line[128];

	(void)state;
	read_text(&p, text, sizeof(text) - 1);
	assert_int_equal(reported, 1);
	assert_int_equal(last.line, 4);
	config_error_format(&last, line, sizeof(line));
	assert_string_equal(line, "a.conf:4: word: given twice; the first is in line 3");
}

static void test_some_keys_repeat(void **state)
{
	struct config_parser p;

	(void)state;
	read_text(&p, "again = a\nagain = b\n", 20);
	assert_int_equal(reported, 0);
	assert_string_equal(taken, "b");
	assert_int_equal(p.seen[1], 1);
}

static void test_long_things_are_cut(void **state)
{
	struct config_parser p;
	char text[300];
	char line[300];

	(void)state;
	memset(text, 'k', sizeof(text));
	read_text(&p, text, sizeof(text));
	config_error_format(&last, line, sizeof(line));
	assert_true(strlen(line) < 140);
	assert_non_null(strstr(line, "k...\""));
	text[200] = '=';
	read_text(&p, text, sizeof(text));
	assert_int_equal(last.key.n, 40);
}

static void test_stops_at_the_limit(void **state)
{
	struct config_parser p;
	static const char text[] = "?\n?\n?\n?\n?\n?\n?\n?\nword = late\n";

	(void)state;
	taken[0] = '\0';
	read_text(&p, text, sizeof(text) - 1);
	assert_int_equal(reported, CONFIG_ERRORS_MAX);
	assert_string_equal(taken, "");
}

/* Sequences that are not UTF-8: stray, cut, overlong, surrogate-free lead bytes past U+10FFFF. */
static void test_text_only(void **state)
{
	static const char *const bad[] = {"\x80", "\xc0\x80", "\xc3", "\xe2\x82", "\xf5\x80",
					  "\x7f", "a\rb",     "\x1b", "\xfe"};
	static const char *const good[] = {"#\r\n#\r", "#\t\xc3\xa9", "#\xe2\x82\xac",
					   "#\xf0\x9f\x98\x80"};
	struct config_parser p;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		read_text(&p, bad[i], strlen(bad[i]));
		assert_int_equal(reported, 1);
		assert_non_null(strstr(last.text, "not a text file"));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		read_text(&p, good[i], strlen(good[i]));
		assert_int_equal(reported, 0);
	}
	read_text(&p, "#\0", 2);
	assert_int_equal(reported, 1);
}

static struct span part_of(struct span *rest)
{
	struct span part = {NULL, 0};

	assert_true(config_next_part(rest, &part));
	return part;
}

static void test_parts_and_options(void **state)
{
	struct span rest = span_of(" a b ,c=1,, d = x=y ,e=");
	struct span name;
	struct span value;

	(void)state;
	assert_true(span_eq(part_of(&rest), "a b"));
	config_split_option(part_of(&rest), &name, &value);
	assert_true(span_eq(name, "c") && span_eq(value, "1"));
	assert_int_equal(part_of(&rest).n, 0);
	config_split_option(part_of(&rest), &name, &value);
	assert_true(span_eq(name, "d") && span_eq(value, "x=y"));
	config_split_option(part_of(&rest), &name, &value);
	assert_true(span_eq(name, "e") && value.n == 0 && value.p != NULL);
	assert_false(config_next_part(&rest, &name));
	config_split_option(span_of("alone"), &name, &value);
	assert_true(span_eq(name, "alone") && value.p == NULL);
	/* A value that ends in a comma has one more part, which is empty. */
	rest = span_of("a,");
	assert_int_equal(part_of(&rest).n, 1);
	assert_int_equal(part_of(&rest).n, 0);
	assert_false(config_next_part(&rest, &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_and_options),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_takes_values),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_some_keys_repeat),
		cmocka_unit_test(test_long_things_are_cut),
		cmocka_unit_test(test_stops_at_the_limit),
		cmocka_unit_test(test_text_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
