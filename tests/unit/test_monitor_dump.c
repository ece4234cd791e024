/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/monitor.h"
#include "hv/monitor_dump.h"

static char printed[512];

void monitor_print(const char *fmt, ...)
{
	size_t n = strlen(printed);
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(printed + n, sizeof(printed) - n, fmt, args);
	va_end(args);
}

static int setup(void **state)
{
	(void)state;
	printed[0] = '\0';
	return 0;
}

static void nothing_is_no_line(void **state)
{
	(void)state;
	monitor_dump("pcap", "lan", (const uint8_t *)"", 0);
	assert_string_equal(printed, "");
}

static void full_lines_and_a_short_one(void **state)
{
	uint8_t bytes[MONITOR_DUMP_LINE + 2];
	char full[MONITOR_DUMP_LINE / 3 * 4 + 1];
	char expected[256];

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	bytes[MONITOR_DUMP_LINE] = 'h';
	bytes[MONITOR_DUMP_LINE + 1] = 'i';
	memset(full, 'A', sizeof(full) - 1);
	full[sizeof(full) - 1] = '\0';
	(void)snprintf(expected, sizeof(expected), "screenshot web %s\nscreenshot web aGk=\n",
		       full);
	monitor_dump("screenshot", "web", bytes, sizeof(bytes));
	assert_string_equal(printed, expected);
}

static void one_line_that_is_just_full(void **state)
{
	const uint8_t bytes[MONITOR_DUMP_LINE] = {0};

	(void)state;
	monitor_dump("pcap", "lan", bytes, sizeof(bytes));
	assert_int_equal(strlen(printed), strlen("pcap lan \n") + MONITOR_DUMP_LINE / 3 * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_no_line, setup),
		cmocka_unit_test_setup(full_lines_and_a_short_one, setup),
		cmocka_unit_test_setup(one_line_that_is_just_full, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
