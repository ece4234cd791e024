/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates of the Gregorian calendar as seconds and back, for the years 0 .. 9999 that the registers
 * of an RTC can hold. Seconds count from 0000-01-01 00:00:00; no leap seconds.
 */
#pragma once

#include <stdint.h>

#define CALENDAR_DAY 86400u /* seconds */
#define CALENDAR_YEARS 10000u
#define CALENDAR_1970 (719528ull * CALENDAR_DAY)

struct calendar {
	unsigned year;	/* 0 .. 9999 */
	unsigned month; /* 1 .. 12 */
	unsigned day;	/* 1 .. 31 */
	unsigned hour;
	unsigned minute;
	unsigned second;
};

/* Fields out of their range, the day of a short month too, count as the nearest that is in it. */
uint64_t calendar_to_seconds(const struct calendar *c);
/* Years from 10,000 on start again at 0. */
void calendar_from_seconds(uint64_t seconds, struct calendar *out);
/* 0 is Sunday. */
unsigned calendar_weekday(uint64_t seconds);
