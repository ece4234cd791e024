/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "drivers/rtc.h"
#include "tests/fakes/fake_cpu.h"

#define CENTURY_REG 0x32

static uint8_t cmos[128];
static uint8_t selected;
static unsigned updating_reads; /* so many looks at status A see an update */
static unsigned tick_after;	/* data reads until the time moves on once */
static uint8_t tick_minute, tick_second;

static uint32_t port_in(void *ctx, uint16_t port, unsigned size)
{
	(void)ctx;
	(void)size;
	(void)port;
	if (selected == 0x0a && updating_reads != 0) {
		updating_reads--;
		return cmos[0x0a] | 0x80u;
	}
	if (selected < 0x0a && tick_after != 0 && --tick_after == 0) {
		cmos[0] = tick_second;
		cmos[2] = tick_minute;
	}
	return cmos[selected];
}

static void port_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)size;
	if (port == 0x70) {
		selected = value & 0x7f;
	}
}

static const struct fake_port_hook hook = {0x70, 0x71, port_in, port_out, NULL};

static uint8_t bcd(unsigned v)
{
	return (uint8_t)(v / 10 << 4 | v % 10);
}

static void set_time(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s)
{
	cmos[9] = bcd(y % 100);
	cmos[CENTURY_REG] = bcd(y / 100);
	cmos[8] = bcd(mo);
	cmos[7] = bcd(d);
	cmos[4] = bcd(h);
	cmos[2] = bcd(mi);
	cmos[0] = bcd(s);
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_port_hook(&hook);
	memset(cmos, 0, sizeof(cmos));
	cmos[0x0a] = 0x26;
	cmos[0x0b] = 0x02;
	updating_reads = tick_after = 0;
	set_time(2026, 1, 1, 0, 0, 0);
	return 0;
}

static uint64_t must_read(void)
{
	uint64_t t = 0;

	assert_int_equal(host_rtc_read(CENTURY_REG, &t), HV_OK);
	return t;
}

static void agrees_with_the_c_library(void **state)
{
	(void)state;
	assert_int_equal(must_read(), 1767225600u);
	for (unsigned day = 0; day < 366 * 30; day += 13) {
		time_t want = (time_t)(946684800 + (uint64_t)day * 86400 + day * 37 % 86400);
		struct tm tm;

		gmtime_r(&want, &tm);
		if (tm.tm_year < 100) {
			continue;
		}
		set_time((unsigned)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday,
			 (unsigned)tm.tm_hour, (unsigned)tm.tm_min, (unsigned)tm.tm_sec);
		assert_int_equal(must_read(), want);
	}
	set_time(2000, 2, 29, 23, 59, 59);
	assert_int_equal(must_read(), 951868799);
}

static void twelve_hours_and_binary(void **state)
{
	uint64_t midnight = 1767225600;

	(void)state;
	cmos[0x0b] = 0x00;
	cmos[4] = 0x12;
	assert_int_equal(must_read(), midnight); /* 12 AM */
	cmos[4] = 0x92;
	assert_int_equal(must_read(), midnight + 12 * 3600);
	cmos[4] = 0x91;
	assert_int_equal(must_read(), midnight + 23 * 3600);
	cmos[0x0b] = 0x06;
	cmos[9] = 26;
	cmos[CENTURY_REG] = 20;
	cmos[4] = 13;
	assert_int_equal(must_read(), midnight + 13 * 3600);
}

static void century_may_be_missing_or_wrong(void **state)
{
	uint64_t t;

	(void)state;
	assert_int_equal(host_rtc_read(0, &t), HV_OK);
	assert_int_equal(t, 1767225600u);
	cmos[CENTURY_REG] = 0x19;
	assert_int_equal(must_read(), 1767225600u);
	cmos[CENTURY_REG] = 0xff;
	assert_int_equal(must_read(), 1767225600u);
	cmos[CENTURY_REG] = 0x21;
	assert_int_equal(must_read(), 4922899200u);
	cmos[9] = 0x99;
	assert_int_equal(host_rtc_read(0, &t), HV_OK);
	assert_int_equal(t, 915148800u);
}

static void updates_are_waited_for(void **state)
{
	(void)state;
	updating_reads = 500;
	assert_int_equal(must_read(), 1767225600u);
	assert_int_equal(updating_reads, 0);
}

/* 00:00:59 becomes 00:01:00 between reading seconds and minutes: never 00:01:59 or 00:00:00. */
static void torn_readings_are_repeated(void **state)
{
	(void)state;
	for (unsigned at = 1; at < 12; at++) {
		uint64_t t;

		setup(NULL);
		cmos[0] = 0x59;
		tick_after = at;
		tick_second = 0;
		tick_minute = 1;
		t = must_read();
		assert_true(t == 1767225659u || t == 1767225660u);
	}
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		uint8_t reg, value;
	} bad[] = {{8, 0x13}, {8, 0},	 {7, 0},    {7, 0x32},
		   {4, 0x24}, {2, 0x60}, {0, 0x5a}, {0, 0xff}};
	uint64_t t;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup(NULL);
		cmos[bad[i].reg] = bad[i].value;
		assert_int_equal(host_rtc_read(CENTURY_REG, &t), HV_E_IO);
	}
	set_time(2025, 2, 29, 0, 0, 0);
	assert_int_equal(host_rtc_read(CENTURY_REG, &t), HV_E_IO);
	fake_cpu_reset(); /* all-ones: "updating" for ever */
	assert_int_equal(host_rtc_read(CENTURY_REG, &t), HV_E_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(agrees_with_the_c_library, setup),
		cmocka_unit_test_setup(twelve_hours_and_binary, setup),
		cmocka_unit_test_setup(century_may_be_missing_or_wrong, setup),
		cmocka_unit_test_setup(updates_are_waited_for, setup),
		cmocka_unit_test_setup(torn_readings_are_repeated, setup),
		cmocka_unit_test_setup(nonsense_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
