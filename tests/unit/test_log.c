/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/base/log.h"

#define LINE_LIMIT 240u

static char shown[4096];
static unsigned shown_lines;

static void sink(const char *line, size_t n)
{
	assert_true(n > 0 && line[n - 1] == '\n');
	assert_null(memchr(line, '\n', n - 1));
	strncat(shown, line, n);
	shown_lines++;
}

static int setup(void **state)
{
	(void)state;
	shown[0] = '\0';
	shown_lines = 0;
	log_set_sink(sink);
	log_set_threshold(LOG_INFO);
	return 0;
}

/* What the ring got since `pos`. */
static const char *ring_since(uint64_t pos)
{
	static char text[4096];
	size_t n = ring_read(log_ring(), &pos, text, sizeof(text) - 1);

	text[n] = '\0';
	return text;
}

static void lines_carry_their_level(void **state)
{
	(void)state;
	log_error("disk %d", 1);
	log_warn("slow");
	log_info("fine");
	log_line(LOG_INFO, "%s", "as well");
	assert_string_equal(shown, "error: disk 1\nwarn: slow\ninfo: fine\ninfo: as well\n");
}

static void the_threshold_hides_from_the_sink_only(void **state)
{
	uint64_t pos = log_ring()->end;

	(void)state;
	log_debug("hidden");
	log_set_threshold(LOG_ERROR);
	assert_true(log_shows(LOG_ERROR) && !log_shows(LOG_WARN));
	log_warn("hidden too");
	log_error("seen");
	assert_string_equal(shown, "error: seen\n");
	assert_string_equal(ring_since(pos), "debug: hidden\nwarn: hidden too\nerror: seen\n");
	log_set_threshold(LOG_DEBUG);
	assert_true(log_shows(LOG_DEBUG));
	log_debug("now seen");
	assert_non_null(strstr(shown, "debug: now seen\n"));
}

static void events_pass_every_threshold(void **state)
{
	(void)state;
	log_set_threshold(LOG_ERROR);
	log_event("guest %s: started", "web");
	assert_string_equal(shown, "bulkhead: guest web: started\n");
}

static void without_a_sink_the_ring_remembers(void **state)
{
	uint64_t pos = log_ring()->end;

	(void)state;
	log_set_sink(NULL);
	log_error("early");
	assert_int_equal(shown_lines, 0);
	assert_string_equal(ring_since(pos), "error: early\n");
}

static void long_lines_are_cut_and_say_so(void **state)
{
	char text[LINE_LIMIT + 60];

	(void)state;
	/* "info: " and the text together. */
	for (size_t n = LINE_LIMIT - 10; n < sizeof(text) - 1; n++) {
		size_t whole = n + 6;

		memset(text, 'x', n);
		text[n] = '\0';
		shown[0] = '\0';
		log_info("%s", text);
		if (whole <= LINE_LIMIT) {
			assert_int_equal(strlen(shown), whole + 1);
			assert_null(strstr(shown, "..."));
		} else {
			assert_int_equal(strlen(shown), LINE_LIMIT + 1);
			assert_string_equal(shown + LINE_LIMIT - 4, "x...\n");
		}
	}
}

static void the_ring_keeps_the_newest(void **state)
{
	char last[64];

	(void)state;
	for (int i = 0; i < 4000; i++) {
		log_debug("line number %d", i);
	}
	snprintf(last, sizeof(last), "debug: line number %d\n", 3999);
	assert_non_null(strstr(ring_since(log_ring()->end - strlen(last)), last));
	assert_true(log_ring()->end > log_ring()->cap);
	assert_int_equal(log_ring()->end - ring_start(log_ring()), 32768);
}

static void levels_have_names(void **state)
{
	(void)state;
	assert_string_equal(log_level_name(LOG_ERROR), "error");
	assert_string_equal(log_level_name(LOG_DEBUG), "debug");
	assert_null(log_level_name(LOG_LEVEL_COUNT));
	assert_null(log_level_name((enum log_level) - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_carry_their_level, setup),
		cmocka_unit_test_setup(the_threshold_hides_from_the_sink_only, setup),
		cmocka_unit_test_setup(events_pass_every_threshold, setup),
		cmocka_unit_test_setup(without_a_sink_the_ring_remembers, setup),
		cmocka_unit_test_setup(long_lines_are_cut_and_say_so, setup),
		cmocka_unit_test_setup(the_ring_keeps_the_newest, setup),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
