/* SPDX-License-Identifier: Apache-2.0 */
/* Gregorian dates, counted in days since the first of January of the year 0. */
#include "guests/devices/calendar.h"

#include "hv/base/bits.h"

#define DAYS_PER_400_YEARS 146097u
#define SATURDAY 6u /* the weekday of 0000-01-01 */

/* Leap days before year y come from the leap years 0, 4, 8 .. below it. */
static uint64_t days_before_year(uint64_t y)
{
	return y * 365 + (y + 3) / 4 - (y + 99) / 100 + (y + 399) / 400;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static unsigned clamp(unsigned value, unsigned low, unsigned high)
{
	return value < low ? low : value > high ? high : value;
}

uint64_t calendar_to_seconds(const struct calendar *c)
{
	unsigned year = clamp(c->year, 0, CALENDAR_YEARS - 1);
	unsigned month = clamp(c->month, 1, 12);
	uint64_t days = days_before_year(year);

	for (unsigned m = 1; m < month; m++) {
		days += days_of_month(year, m);
	}
	days += clamp(c->day, 1, days_of_month(year, month)) - 1;
	return ((days * 24 + clamp(c->hour, 0, 23)) * 60 + clamp(c->minute, 0, 59)) * 60 +
	       clamp(c->second, 0, 59);
}

void calendar_from_seconds(uint64_t seconds, struct calendar *out)
{
	uint64_t days = seconds / CALENDAR_DAY % days_before_year(CALENDAR_YEARS);
	unsigned rest = (unsigned)(seconds % CALENDAR_DAY);
	/* Right, or one too many: years are on average as long as in 400 of them. */
	unsigned year = (unsigned)((days + 1) * 400 / DAYS_PER_400_YEARS);

	while (days_before_year(year) > days) {
		year--;
	}
	days -= days_before_year(year);
	out->year = year;
	out->month = 1;
	while (days >= days_of_month(year, out->month)) {
		days -= days_of_month(year, out->month);
		out->month++;
	}
	out->day = (unsigned)days + 1;
	out->hour = rest / 3600;
	out->minute = rest / 60 % 60;
	out->second = rest % 60;
}

unsigned calendar_weekday(uint64_t seconds)
{
	return (unsigned)((seconds / CALENDAR_DAY + SATURDAY) % 7);
}
