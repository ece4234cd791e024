/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the machine's wall clock. */
#include "drivers/rtc.h"

#include <stdbool.h>

#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
/* Written with each index, it keeps NMIs from the chipset masked or not: off is the normal state.
 */
#define CMOS_NMI_ON 0x00u

#define RTC_SECONDS 0x00u
#define RTC_MINUTES 0x02u
#define RTC_HOURS 0x04u
#define RTC_DAY 0x07u
#define RTC_MONTH 0x08u
#define RTC_YEAR 0x09u
#define RTC_STATUS_A 0x0au
#define RTC_STATUS_B 0x0bu
#define STATUS_A_UPDATING 0x80u
#define STATUS_B_24_HOURS 0x02u
#define STATUS_B_BINARY 0x04u
#define HOURS_PM 0x80u

/* An update takes up to 2.2 ms, a read about a microsecond. */
#define UPDATE_READS 100000u
#define ATTEMPTS 10u

#define SECONDS_PER_DAY 86400u

enum { SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, CENTURY, FIELDS };

struct reading {
	uint8_t raw[FIELDS];
	uint8_t status_b;
};

static uint8_t cmos_read(uint8_t reg)
{
	cpu_out8(CMOS_INDEX, reg);
	return cpu_in8(CMOS_DATA);
}

static bool wait_update_over(void)
{
	for (unsigned i = 0; i < UPDATE_READS; i++) {
		if ((cmos_read(RTC_STATUS_A) & STATUS_A_UPDATING) == 0) {
			return true;
		}
	}
	return false;
}

static void read_once(struct reading *r, uint8_t century_register)
{
	static const uint8_t regs[CENTURY] = {RTC_SECONDS, RTC_MINUTES, RTC_HOURS,
					      RTC_DAY,	   RTC_MONTH,	RTC_YEAR};

	*r = (struct reading){.status_b = cmos_read(RTC_STATUS_B)};
	for (unsigned i = 0; i < CENTURY; i++) {
		r->raw[i] = cmos_read(regs[i]);
	}
	r->raw[CENTURY] = century_register != 0 ? cmos_read(century_register) : 0;
}

/* Two equal readings: an update may begin right behind the look at the flag. */
static bool read_stable(struct reading *out, uint8_t century_register)
{
	struct reading again;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		if (!wait_update_over()) {
			return false;
		}
		read_once(out, century_register);
		if (!wait_update_over()) {
			return false;
		}
		read_once(&again, century_register);
		if (memcmp(out, &again, sizeof(again)) == 0) {
			return true;
		}
	}
	return false;
}

/* False when BCD digits are above nine. */
static bool decode(uint8_t raw, bool binary, unsigned *out)
{
	if (binary) {
		*out = raw;
		return true;
	}
	*out = (raw >> 4) * 10u + (raw & 0xfu);
	return (raw >> 4) <= 9 && (raw & 0xf) <= 9;
}

/*
 * The year a two-digit year counts from. Some clocks never learned their century (19 in 2026), and
 * in binary mode it may be in BCD still, which cannot be mistaken from 2000 to 2999.
 */
static unsigned first_year(uint8_t century, bool binary, unsigned year)
{
	if (binary && century >= 20 && century <= 29) {
		return century * 100u;
	}
	if (century >= 0x20 && century <= 0x29) {
		return (century - 12u) * 100u;
	}
	return year < 70 ? 2000 : 1900;
}

static bool decode_all(const struct reading *r, unsigned v[FIELDS])
{
	bool binary = (r->status_b & STATUS_B_BINARY) != 0;
	bool twelve = (r->status_b & STATUS_B_24_HOURS) == 0;
	bool pm = twelve && (r->raw[HOUR] & HOURS_PM) != 0;

	for (unsigned i = 0; i < CENTURY; i++) {
		uint8_t raw = i == HOUR && twelve ? r->raw[i] & (uint8_t)~HOURS_PM : r->raw[i];

		if (!decode(raw, binary, &v[i])) {
			return false;
		}
	}
	if (twelve) {
		if (v[HOUR] < 1 || v[HOUR] > 12) {
			return false;
		}
		v[HOUR] = v[HOUR] % 12 + (pm ? 12 : 0);
	}
	v[YEAR] += first_year(r->raw[CENTURY], binary, v[YEAR]);
	return true;
}

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

static bool is_date(const unsigned v[FIELDS])
{
	return v[SECOND] < 60 && v[MINUTE] < 60 && v[HOUR] < 24 && v[MONTH] >= 1 &&
	       v[MONTH] <= 12 && v[DAY] >= 1 && v[DAY] <= days_in_month(v[YEAR], v[MONTH]);
}

static uint64_t days_since_1970(const unsigned v[FIELDS])
{
	uint64_t days = v[DAY] - 1;

	for (unsigned year = 1970; year < v[YEAR]; year++) {
		days += is_leap(year) ? 366 : 365;
	}
	for (unsigned month = 1; month < v[MONTH]; month++) {
		days += days_in_month(v[YEAR], month);
	}
	return days;
}

enum hv_status host_rtc_read(uint8_t century_register, uint64_t *seconds)
{
	struct reading r;
	unsigned v[FIELDS];

	if (!read_stable(&r, century_register) || !decode_all(&r, v) || !is_date(v)) {
		log_warn("the machine's clock does not tell the time");
		return HV_E_IO;
	}
	*seconds = days_since_1970(v) * SECONDS_PER_DAY +
		   ((uint64_t)v[HOUR] * 60 + v[MINUTE]) * 60 + v[SECOND];
	return HV_OK;
}
