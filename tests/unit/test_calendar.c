/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "guests/devices/calendar.h"

/* Every day of ten thousand years, counted by hand. */
static void each_day_comes_once(void **state)
{
	static const unsigned length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t day = 0;

	(void)state;
	for (unsigned year = 0; year < CALENDAR_YEARS; year++) {
		unsigned leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

		for (unsigned month = 1; month <= 12; month++) {
			unsigned days = length[month - 1] + (month == 2 ? leap : 0);

			for (unsigned d = 1; d <= days; d++, day++) {
				struct calendar c;

				calendar_from_seconds(day * CALENDAR_DAY + 86399, &c);
				if (c.year != year || c.month != month || c.day != d ||
				    calendar_to_seconds(&c) != day * CALENDAR_DAY + 86399) {
					fail_msg("%u-%u-%u is %u-%u-%u", year, month, d, c.year,
						 c.month, c.day);
				}
			}
		}
	}
}

static void agrees_with_the_c_library(void **state)
{
	(void)state;
	for (uint64_t unix = 0; unix < 8000000000ull; unix += 12345677) {
		time_t t = (time_t)unix;
		const struct tm *tm = gmtime(&t);
		struct calendar c;

		assert_non_null(tm);
		calendar_from_seconds(CALENDAR_1970 + unix, &c);
		assert_int_equal(c.year, tm->tm_year + 1900);
		assert_int_equal(c.month, tm->tm_mon + 1);
		assert_int_equal(c.day, tm->tm_mday);
		assert_int_equal(c.hour, tm->tm_hour);
		assert_int_equal(c.minute, tm->tm_min);
		assert_int_equal(c.second, tm->tm_sec);
		assert_int_equal(calendar_weekday(CALENDAR_1970 + unix), tm->tm_wday);
	}
}

static void the_year_10000_is_year_0(void **state)
{
	struct calendar c = {9999, 12, 31, 23, 59, 59};

	(void)state;
	calendar_from_seconds(calendar_to_seconds(&c) + 1, &c);
	assert_int_equal(c.year, 0);
	assert_int_equal(c.month, 1);
	assert_int_equal(c.day, 1);
	assert_int_equal(c.hour, 0);
	calendar_from_seconds(UINT64_MAX, &c);
	assert_in_range(c.year, 0, 9999);
}

static void fields_out_of_range_are_clamped(void **state)
{
	struct calendar bad = {165, 0, 0, 99, 75, 200};
	struct calendar good = {165, 1, 1, 23, 59, 59};
	struct calendar february = {2023, 2, 31, 0, 0, 0};
	struct calendar last = {2023, 2, 28, 0, 0, 0};
	struct calendar big = {20000, 99, 99, 0, 0, 0};
	struct calendar end = {9999, 12, 31, 0, 0, 0};

	(void)state;
	assert_true(calendar_to_seconds(&bad) == calendar_to_seconds(&good));
	assert_true(calendar_to_seconds(&february) == calendar_to_seconds(&last));
	assert_true(calendar_to_seconds(&big) == calendar_to_seconds(&end));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_day_comes_once),
		cmocka_unit_test(agrees_with_the_c_library),
		cmocka_unit_test(the_year_10000_is_year_0),
		cmocka_unit_test(fields_out_of_range_are_clamped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
