/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "guests/devices/cmos_rtc.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

#define HZ 2345678901ull /* no multiple of 32,768 */
/* 2026-11-22 13:59:58 UTC, a Sunday */
#define WALL 1795355998ull
#define CENTURY 0x32u

static struct device_rig rig;
static struct cmos_rtc rtc;

static struct cmos_rtc_config config(void)
{
	return (struct cmos_rtc_config){.time = &rig.time,
					.irq = rig_irq(&rig.line),
					.wall_seconds = WALL,
					.ram_below_4g = 256ull << 20,
					.cpu_count = 2};
}

static void start(struct cmos_rtc_config cfg)
{
	rig_init(&rig, HZ);
	cmos_rtc_init(&rtc, &cfg);
}

static int setup(void **state)
{
	(void)state;
	start(config());
	return 0;
}

static uint8_t get(unsigned reg)
{
	rig_out(&rtc.dev, 0x70, (uint8_t)reg);
	return rig_in(&rtc.dev, 0x71);
}

static void put(unsigned reg, unsigned value)
{
	rig_out(&rtc.dev, 0x70, (uint8_t)reg);
	rig_out(&rtc.dev, 0x71, (uint8_t)value);
}

/* hhmmss as the registers show them. */
static unsigned hms(void)
{
	return (unsigned)get(RTC_HOURS) << 16 | (unsigned)get(RTC_MINUTES) << 8 | get(RTC_SECONDS);
}

/* ccyymmdd */
static unsigned date(void)
{
	return (unsigned)get(CENTURY) << 24 | (unsigned)get(RTC_YEAR) << 16 |
	       (unsigned)get(RTC_MONTH) << 8 | get(RTC_DAY);
}

static void set_clock(unsigned ccyymmdd, unsigned hhmmss)
{
	put(RTC_B, get(RTC_B) | RTC_B_SET);
	put(CENTURY, ccyymmdd >> 24);
	put(RTC_YEAR, ccyymmdd >> 16 & 0xff);
	put(RTC_MONTH, ccyymmdd >> 8 & 0xff);
	put(RTC_DAY, ccyymmdd & 0xff);
	put(RTC_HOURS, hhmmss >> 16);
	put(RTC_MINUTES, hhmmss >> 8 & 0xff);
	put(RTC_SECONDS, hhmmss & 0xff);
	put(RTC_B, get(RTC_B) & ~RTC_B_SET & 0xff);
}

static void power_on_state(void **state)
{
	(void)state;
	assert_int_equal(get(RTC_A), 0x26);
	assert_int_equal(get(RTC_B), 0x02);
	assert_int_equal(get(RTC_C), 0x00);
	assert_int_equal(get(RTC_D), 0x80);
	assert_int_equal(date(), 0x20261122);
	assert_int_equal(hms(), 0x135958);
	assert_int_equal(get(RTC_WEEKDAY), 1);
	assert_int_equal(rig_in(&rtc.dev, 0x70), 0xff);
	assert_int_equal(timer_queue_next(&rig.queue),
			 TIMER_NEVER); /* an idle clock costs nothing */
}

static void memory_size_is_told(void **state)
{
	struct cmos_rtc_config cfg = config();
	unsigned sum = 0;

	(void)state;
	assert_int_equal(get(CMOS_EQUIPMENT), 0x02);
	assert_int_equal(get(CMOS_FLOPPIES), 0);
	assert_int_equal(get(0x15) | get(0x16) << 8, 640);
	assert_int_equal(get(0x17) | get(0x18) << 8, 0xffff); /* 255 MiB do not fit */
	assert_int_equal(get(0x30) | get(0x31) << 8, 0xffff);
	assert_int_equal(get(0x34) | get(0x35) << 8, 240 * 16);
	assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 0);
	assert_int_equal(get(0x5f), 1);
	for (unsigned i = 0x10; i <= 0x2d; i++) {
		sum += get(i);
	}
	assert_int_equal(get(0x2e) << 8 | get(0x2f), sum);
	cfg.ram_below_4g = 3ull << 30;
	cfg.ram_above_4g = 5ull << 30;
	start(cfg);
	assert_int_equal(get(0x34) | get(0x35) << 8, (3072 - 16) * 16);
	assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 5 * 1024 * 16);
	cfg.ram_below_4g = 8ull << 20;
	start(cfg);
	assert_int_equal(get(0x17) | get(0x18) << 8, 7 * 1024);
	assert_int_equal(get(0x34) | get(0x35) << 8, 0);
	cfg.ram_below_4g = 512 << 10;
	cfg.ram_above_4g = UINT64_MAX;
	start(cfg);
	assert_int_equal(get(0x17) | get(0x18) << 8, 0);
	assert_int_equal(get(0x5d), 0xff);
}

/* Two vCPUs read on CPUs whose TSCs are a little apart. */
static void a_step_back_is_no_step(void **state)
{
	(void)state;
	rig_to(&rig, HZ);
	assert_int_equal(get(RTC_C) & RTC_C_AF, 0);
	fake_tsc -= 2;
	assert_int_equal(get(RTC_C), 0);
	assert_int_equal(hms(), 0x135959);
	assert_int_equal(date(), 0x20261122);
	assert_int_equal(get(RTC_WEEKDAY), 1);
	rig_to(&rig, 2 * HZ);
	assert_int_equal(hms(), 0x140000);
}

static void the_clock_runs(void **state)
{
	(void)state;
	rig_to(&rig, HZ - 1);
	assert_int_equal(hms(), 0x135958);
	rig_to(&rig, HZ);
	assert_int_equal(hms(), 0x135959);
	rig_to(&rig, 2 * HZ);
	assert_int_equal(hms(), 0x140000);
	rig_to(&rig, (10 * 3600 + 2) * HZ);
	assert_int_equal(date(), 0x20261123);
	assert_int_equal(hms(), 0);
	assert_int_equal(get(RTC_WEEKDAY), 2);
	/* A year unread, and not a second off. */
	rig_advance(&rig, 365ull * 86400 * HZ);
	assert_int_equal(date(), 0x20271123);
	assert_int_equal(hms(), 0);
	assert_int_equal(get(RTC_WEEKDAY), 3);
	rig_advance(&rig, (3 * 86400 - 1) * HZ);
	assert_int_equal(get(RTC_WEEKDAY), 5);
	rig_advance(&rig, HZ);
	assert_int_equal(get(RTC_WEEKDAY), 6);
	assert_int_equal(rig.timers_run, 0);
}

static void century_turns(void **state)
{
	(void)state;
	set_clock(0x20991231, 0x235959);
	rig_advance(&rig, HZ);
	assert_int_equal(date(), 0x21000101);
	set_clock(0x99991231, 0x235959);
	rig_advance(&rig, HZ);
	assert_int_equal(date(), 0x00000101);
	set_clock(0x20240228, 0x235959);
	rig_advance(&rig, HZ);
	assert_int_equal(date(), 0x20240229);
}

/* Guest time did not start with the device. */
static void wall_clock_is_of_guest_time_0(void **state)
{
	struct cmos_rtc_config cfg = config();

	(void)state;
	rig_advance(&rig, 7 * HZ / 2);
	cmos_rtc_init(&rtc, &cfg);
	assert_int_equal(hms(), 0x140001);
	assert_int_equal(get(RTC_C), 0);
	rig_to(&rig, 4 * HZ);
	assert_int_equal(hms(), 0x140002);
}

static void uip_promises_244_us(void **state)
{
	uint64_t step = HZ / 100000; /* 10 us */
	unsigned last = hms();
	unsigned changes = 0;
	uint64_t clear_at = 0;
	uint64_t set_time = 0;

	(void)state;
	while (changes < 3) {
		bool uip = (get(RTC_A) & RTC_A_UIP) != 0;
		unsigned now = hms();

		if (now != last) {
			changes++;
			last = now;
			/* Whoever last saw UIP clear had more than 244 us left. */
			assert_true(vtime_now(&rig.time) - clear_at > HZ * 244 / 1000000);
			assert_in_range(set_time / (HZ / 1000000), 2200, 2260);
			assert_false(uip);
			set_time = 0;
		}
		if (uip) {
			set_time += step;
		} else {
			clear_at = vtime_now(&rig.time);
		}
		rig_advance(&rig, step);
	}
}

/* A clock that is read all the time shows what one shows that is looked at now and then. */
static void reads_in_between_change_nothing(void **state)
{
	struct cmos_rtc_config cfg = config();
	struct cmos_rtc rare;

	(void)state;
	cfg.irq = (struct irq_line){0};
	cmos_rtc_init(&rare, &cfg);
	srand(7);
	for (unsigned i = 0; i < 3000; i++) {
		unsigned reg = (unsigned)rand() % RTC_C;

		rig_advance(&rig, (unsigned)rand() % (HZ / 40));
		(void)get(reg);
		if (i % 50 == 7) { /* another rate of the periodic flag, or none */
			unsigned a = RTC_A_DIVIDER_RUN | ((unsigned)rand() & RTC_A_RATE);

			put(RTC_A, a);
			rig_out(&rare.dev, 0x70, RTC_A);
			rig_out(&rare.dev, 0x71, (uint8_t)a);
		}
		for (unsigned n = 0; i % 10 == 0 && n <= RTC_D; n++) {
			uint8_t often = get(n);

			rig_out(&rare.dev, 0x70, (uint8_t)n);
			assert_int_equal(rig_in(&rare.dev, 0x71), often);
		}
	}
}

/* Reads that begin with UIP clear never see two times mixed, though the host is slow. */
static void slow_readers_see_one_time(void **state)
{
	(void)state;
	set_clock(0x20261231, 0x235950);
	for (unsigned i = 0; i < 5000; i++) {
		rig_advance(&rig, HZ / 491);
		if ((get(RTC_A) & RTC_A_UIP) == 0) {
			unsigned s = get(RTC_SECONDS);
			unsigned year;

			rig_advance(&rig, HZ / 1000000 * 240);
			year = get(RTC_YEAR);
			if ((s < 0x50) != (year == 0x27)) {
				fail_msg("second %02x in year %02x", s, year);
			}
		}
		if (get(RTC_YEAR) == 0x27) {
			set_clock(0x20261231, 0x235950);
		}
	}
}

static void set_stops_and_starts(void **state)
{
	(void)state;
	rig_to(&rig, HZ - 1000);
	assert_int_equal(get(RTC_A) & RTC_A_UIP, RTC_A_UIP);
	put(RTC_B, RTC_B_24H | RTC_B_SET | RTC_B_UIE);
	assert_int_equal(get(RTC_B), RTC_B_24H | RTC_B_SET); /* UIE is cleared */
	assert_int_equal(get(RTC_A) & RTC_A_UIP, 0);
	rig_to(&rig, 100 * HZ);
	assert_int_equal(hms(), 0x135958);
	assert_int_equal(get(RTC_C) & RTC_C_UF, 0);
	put(RTC_SECONDS, 0x10);
	rig_advance(&rig, HZ / 2);
	put(RTC_B, RTC_B_24H);
	rig_to(&rig, 101 * HZ); /* the divider ran on: the next update is on its second */
	assert_int_equal(hms(), 0x135911);
}

static void held_divider_restarts_in_half_a_second(void **state)
{
	(void)state;
	rig_advance(&rig, HZ / 3);
	put(RTC_A, 0x66);
	rig_advance(&rig, 20 * HZ);
	assert_int_equal(hms(), 0x135958);
	assert_int_equal(get(RTC_A), 0x66);
	put(RTC_A, 0x26);
	rig_advance(&rig, HZ / 2 - HZ / 30000);
	assert_int_equal(hms(), 0x135958);
	rig_advance(&rig, 2 * HZ / 30000);
	assert_int_equal(hms(), 0x135959);
	rig_advance(&rig, HZ);
	assert_int_equal(hms(), 0x140000);
}

static void bytes_written_stay_until_an_update(void **state)
{
	(void)state;
	put(RTC_DAY, 0x31); /* no such day in November, but the month comes next */
	put(RTC_MONTH, 0x12);
	rig_advance(&rig, HZ);
	assert_int_equal(date(), 0x20261231);
	put(RTC_SECONDS, 0xff);
	put(RTC_MONTH, 0x00);
	assert_int_equal(get(RTC_SECONDS), 0xff);
	rig_advance(&rig, HZ);
	assert_int_equal(hms(), 0x140000); /* 59 was the nearest */
	assert_int_equal(get(RTC_MONTH), 0x01);
}

static void hour_formats(void **state)
{
	static const uint8_t hour12[] = {0x12, 0x01, 0x11, 0x92, 0x81, 0x91};
	static const uint8_t hour24[] = {0x00, 0x01, 0x11, 0x12, 0x13, 0x23};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		put(RTC_B, RTC_B_SET);
		put(RTC_HOURS, hour12[i]);
		put(RTC_MINUTES, 0x59);
		put(RTC_SECONDS, 0x58);
		put(RTC_B, 0);
		rig_advance(&rig, HZ);
		assert_int_equal(get(RTC_HOURS), hour12[i]);
		rig_advance(&rig, HZ);
		assert_int_equal(get(RTC_HOURS), hour24[i] == 0x11   ? 0x92
						 : hour24[i] == 0x23 ? 0x12
						 : hour24[i] == 0x12 ? 0x81
						 : hour24[i] == 0x00 ? 0x01
								     : hour12[i] + 1);
	}
}

static void binary_mode(void **state)
{
	(void)state;
	put(RTC_B, RTC_B_SET | RTC_B_24H | RTC_B_BINARY);
	put(CENTURY, 20);
	put(RTC_YEAR, 99);
	put(RTC_MONTH, 12);
	put(RTC_DAY, 31);
	put(RTC_HOURS, 23);
	put(RTC_MINUTES, 59);
	put(RTC_SECONDS, 59);
	put(RTC_WEEKDAY, 7);
	put(RTC_B, RTC_B_24H | RTC_B_BINARY);
	assert_int_equal(hms(), 0x173b3b);
	rig_advance(&rig, HZ);
	assert_int_equal(hms(), 0);
	assert_int_equal(date(), 0x15000101);
	assert_int_equal(get(RTC_WEEKDAY), 1);
}

static void update_interrupts(void **state)
{
	(void)state;
	put(RTC_B, RTC_B_24H | RTC_B_UIE);
	for (unsigned i = 1; i <= 5; i++) {
		rig_to(&rig, i * HZ - 1);
		assert_false(rig.line.level);
		rig_to(&rig, i * HZ);
		assert_true(rig.line.level);
		assert_int_equal(get(RTC_C), RTC_C_IRQF | RTC_C_UF | RTC_C_PF);
		assert_false(rig.line.level);
		assert_int_equal(get(RTC_C), 0);
	}
	/* Unanswered it stays one interrupt, and needs no more timers. */
	rig_advance(&rig, 10 * HZ);
	assert_int_equal(rig.line.rises, 6);
	assert_int_equal(rig.timers_run, 6);
	put(RTC_B, RTC_B_24H);
	assert_false(rig.line.level);
	put(RTC_B, RTC_B_24H | RTC_B_UIE); /* the flag is still set */
	assert_true(rig.line.level);
}

static void flags_come_without_interrupts(void **state)
{
	(void)state;
	(void)get(RTC_C);
	rig_advance(&rig, HZ + HZ / 2);
	assert_int_equal(get(RTC_C), RTC_C_UF | RTC_C_PF);
	put(RTC_A, 0x20); /* no rate */
	rig_advance(&rig, HZ / 4);
	assert_int_equal(get(RTC_C), 0);
	assert_int_equal(rig.line.rises, 0);
}

static void periodic_rates(void **state)
{
	static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
					256, 128, 64,  32,   16,   8,	 4,    2};

	(void)state;
	for (unsigned rate = 0; rate < 16; rate++) {
		unsigned count = 0;

		setup(state);
		put(RTC_A, 0x20 | rate);
		put(RTC_B, RTC_B_24H | RTC_B_PIE);
		while (timer_queue_next(&rig.queue) <= 10 * HZ + rig.time.offset) {
			rig_to(&rig, timer_queue_next(&rig.queue) - rig.time.offset);
			assert_true(rig.line.level);
			assert_int_equal(get(RTC_C) & 0xc0, 0xc0);
			count++;
		}
		assert_int_equal(count, 10 * hz[rate]);
		assert_int_equal(rig.line.rises, 10 * hz[rate]);
	}
}

/* Late service shifts no later interrupt, and lost ones are not made up for. */
static void periodic_keeps_its_phase(void **state)
{
	unsigned count = 0;

	(void)state;
	put(RTC_A, 0x26); /* 1,024 Hz */
	put(RTC_B, RTC_B_24H | RTC_B_PIE);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t period = HZ / 1024;
		uint64_t at;

		at = timer_queue_next(&rig.queue) - rig.time.offset;
		/* On the divider's grid to one tick. */
		assert_in_range(at * 1024 % HZ, 0, 1023);
		rig_to(&rig, at + i * period / 2000);
		count += rig.line.level;
		(void)get(RTC_C);
	}
	assert_int_equal(count, 1000);
	assert_int_equal(rig.timers_run, 1000);
	rig_oversleep(&rig, 50 * HZ / 1024);
	assert_true(rig.line.level);
	(void)get(RTC_C);
	assert_false(rig.line.level);
	assert_int_equal(rig.line.rises, 1001);
}

static void alarm_once_a_day(void **state)
{
	(void)state;
	put(RTC_HOURS_ALARM, 0x14);
	put(RTC_MINUTES_ALARM, 0x00);
	put(RTC_SECONDS_ALARM, 0x05);
	put(RTC_B, RTC_B_24H | RTC_B_AIE);
	rig_to(&rig, 7 * HZ - 1);
	assert_false(rig.line.level);
	rig_to(&rig, 7 * HZ);
	assert_true(rig.line.level);
	assert_int_equal(get(RTC_C), RTC_C_IRQF | RTC_C_AF | RTC_C_UF | RTC_C_PF);
	rig_advance(&rig, 86400 * HZ - 1);
	assert_false(rig.line.level);
	rig_advance(&rig, 1);
	assert_true(rig.line.level);
	assert_int_equal(rig.timers_run, 2);
}

static void alarm_wildcards(void **state)
{
	(void)state;
	put(RTC_HOURS_ALARM, 0xff);
	put(RTC_MINUTES_ALARM, 0xc0);
	put(RTC_SECONDS_ALARM, 0x30);
	put(RTC_B, RTC_B_24H | RTC_B_AIE);
	for (unsigned i = 0; i < 100; i++) { /* each minute at second 30 */
		rig_to(&rig, (32 + i * 60) * HZ);
		assert_true(rig.line.level);
		(void)get(RTC_C);
	}
	assert_int_equal(rig.timers_run, 100);
	put(RTC_SECONDS_ALARM, 0xff); /* each second */
	rig_advance(&rig, HZ);
	assert_true(rig.line.level);
	(void)get(RTC_C);
	put(RTC_MINUTES_ALARM, 0x75); /* never */
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	put(RTC_MINUTES_ALARM, 0xff);
	put(RTC_SECONDS_ALARM, 0x60);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	put(RTC_HOURS_ALARM, 0x24);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

static void alarm_flag_without_looking(void **state)
{
	(void)state;
	put(RTC_HOURS_ALARM, 0x15);
	put(RTC_MINUTES_ALARM, 0x00);
	put(RTC_SECONDS_ALARM, 0x00);
	rig_advance(&rig, 3601 * HZ);
	assert_int_equal(get(RTC_C) & RTC_C_AF, 0);
	rig_advance(&rig, 3600 * HZ); /* over it in one go */
	assert_int_equal(get(RTC_C) & RTC_C_AF, RTC_C_AF);
	rig_advance(&rig, 23 * 3600 * HZ); /* to 14:59:59 */
	assert_int_equal(get(RTC_C) & RTC_C_AF, 0);
}

static void alarm_follows_a_new_time(void **state)
{
	(void)state;
	put(RTC_HOURS_ALARM, 0x23);
	put(RTC_MINUTES_ALARM, 0x30);
	put(RTC_SECONDS_ALARM, 0x00);
	put(RTC_B, RTC_B_24H | RTC_B_AIE);
	set_clock(0x20300101, 0x232959);
	rig_advance(&rig, HZ);
	assert_true(rig.line.level);
	assert_int_equal(hms(), 0x233000);
}

static void alarm_in_12_hour_mode(void **state)
{
	(void)state;
	put(RTC_B, RTC_B_SET);
	put(RTC_HOURS, 0x11);
	put(RTC_MINUTES, 0x59);
	put(RTC_SECONDS, 0x59);
	put(RTC_HOURS_ALARM, 0x92); /* noon */
	put(RTC_MINUTES_ALARM, 0);
	put(RTC_SECONDS_ALARM, 0);
	put(RTC_B, RTC_B_AIE);
	rig_advance(&rig, HZ);
	assert_true(rig.line.level);
}

static void read_only_registers(void **state)
{
	(void)state;
	put(RTC_C, 0xff);
	put(RTC_D, 0x00);
	assert_int_equal(get(RTC_C) & RTC_C_AF, 0);
	assert_int_equal(get(RTC_D), 0x80);
	put(RTC_A, 0xff);
	assert_int_equal(get(RTC_A), 0x7f); /* UIP is not to write */
}

static void memory_and_nmi_mask(void **state)
{
	(void)state;
	assert_false(cmos_rtc_nmi_masked(&rtc));
	rig_write(&rtc.dev, BUS_PIO, 0x70, 2, 0x0a8f); /* index and data in one */
	assert_true(cmos_rtc_nmi_masked(&rtc));
	assert_int_equal(rig_in(&rtc.dev, 0x71), 0x0a);
	assert_int_equal(rig_read(&rtc.dev, BUS_PIO, 0x70, 2), 0x0aff);
	for (unsigned i = 0x0e; i < 0x80; i++) {
		put(i, i ^ 0x55);
	}
	for (unsigned i = 0x0e; i < 0x80; i++) {
		assert_int_equal(get(i), i ^ 0x55);
	}
	assert_false(cmos_rtc_nmi_masked(&rtc));
}

static void reset_keeps_what_the_battery_keeps(void **state)
{
	(void)state;
	put(RTC_B, RTC_B_SET | RTC_B_BINARY); /* 12 hours, binary */
	put(RTC_HOURS, 0x80 | 3);
	put(RTC_MINUTES, 45);
	put(RTC_SECONDS, 17);
	put(RTC_YEAR, 30);
	put(CENTURY, 20);
	put(RTC_B, RTC_B_BINARY | RTC_B_PIE | RTC_B_UIE | RTC_B_SQWE);
	put(CMOS_SHUTDOWN, 0x0a);
	rig_advance(&rig, HZ);
	assert_true(rig.line.level);
	put(0x80 | 1, 1);
	rtc.dev.ops->reset(&rtc.dev);
	assert_false(rig.line.level);
	assert_false(cmos_rtc_nmi_masked(&rtc));
	assert_int_equal(get(RTC_B), RTC_B_24H);
	assert_int_equal(get(RTC_A), 0x26);
	assert_int_equal(get(RTC_C), 0);
	assert_int_equal(hms(), 0x154518);
	assert_int_equal(get(RTC_YEAR), 0x30);
	assert_int_equal(get(CMOS_SHUTDOWN), 0x0a);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	rig_advance(&rig, HZ);
	assert_int_equal(hms(), 0x154519);
	put(RTC_A, 0x76); /* held at reset: set going */
	rtc.dev.ops->reset(&rtc.dev);
	rig_advance(&rig, HZ);
	assert_int_equal(hms(), 0x154520);
}

static void pause_stops_the_clock(void **state)
{
	(void)state;
	vtime_pause(&rig.time);
	fake_tsc += 100 * HZ;
	assert_int_equal(hms(), 0x135958);
	vtime_resume(&rig.time);
	rig_advance(&rig, HZ);
	assert_int_equal(hms(), 0x135959);
}

static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	put(RTC_A, 0x2a);
	put(RTC_B, RTC_B_24H | RTC_B_UIE | RTC_B_PIE);
	put(0x40, 0x5a);
	rig_advance(&rig, HZ * 3 / 2);
	assert_true(rig.line.level);
	saved_reload(&rtc.saved);
	assert_true(rig.line.level);
	assert_int_equal(get(RTC_C), 0xd0);
	assert_int_equal(get(0x40), 0x5a);
	assert_int_equal(hms(), 0x135959);
	put(RTC_B, RTC_B_24H | RTC_B_UIE);
	rig_advance(&rig, HZ / 2 + 2);
	assert_true(rig.line.level);
	assert_int_equal(get(RTC_C) & RTC_C_UF, RTC_C_UF);
	assert_int_equal(hms(), 0x140000);
}

static void what_no_program_can_make_of_it_is_refused(void **state)
{
	struct cmos_rtc_saved saved = {0};

	(void)state;
#define TAKES(field, value) SAVED_TAKES(&rtc.saved, struct cmos_rtc_saved, field, value)
	assert_false(TAKES(ram[RTC_A], 0xa6));
	assert_false(TAKES(ram[RTC_D], 0));
	assert_false(TAKES(ram[RTC_C], 0x80)); /* for nothing */
	assert_false(TAKES(ram[RTC_C], 0x01));
	assert_true(TAKES(ram[RTC_C], 0x40));
	assert_false(TAKES(index, 0x80));
	assert_false(TAKES(nmi_masked, 2));
	assert_false(TAKES(zero[5], 1));
#undef TAKES
	/* A clock that counts from the future begins now, and its days stay days. */
	rtc.saved.ops->save(&rtc, &saved);
	saved.origin = vtime_now(&rig.time) + 1000;
	saved.cycles_seen = UINT64_MAX;
	assert_null(rtc.saved.ops->check(&rtc, &saved));
	rtc.saved.ops->load(&rtc, &saved);
	rig_advance(&rig, HZ * 2 + 1);
	assert_int_equal(hms(), 0x140000);
}

static void the_wall_clock_can_be_set_later(void **state)
{
	(void)state;
	cmos_rtc_set_wall(&rtc, WALL + 61);
	assert_int_equal(hms(), 0x140059);
	assert_int_equal(get(0x15), 0x80); /* 640 KiB, as before */
}

static void floppy_drives_are_told(void **state)
{
	struct cmos_rtc_config cfg = config();

	(void)state;
	cfg.floppies[0] = 4;
	start(cfg);
	assert_int_equal(get(CMOS_FLOPPIES), 0x40);
	assert_int_equal(get(CMOS_EQUIPMENT), 0x03);
	cfg.floppies[1] = 3;
	start(cfg);
	assert_int_equal(get(CMOS_FLOPPIES), 0x43);
	assert_int_equal(get(CMOS_EQUIPMENT), 0x43);
}

/* Whichever comes first. */
static void disks_are_told_beside_the_time(void **state)
{
	const struct cmos_disk disk = {0x3fff, 16, 63};

	(void)state;
	cmos_rtc_set_disk(&rtc, 3, &disk);
	assert_int_equal(get(CMOS_DISK_TRANSLATION), 0x40);
	cmos_rtc_set_wall(&rtc, WALL + 61);
	assert_int_equal(get(CMOS_DISK_TRANSLATION), 0x40);
	assert_int_equal(hms(), 0x140059);
	cmos_rtc_set_disk(&rtc, 0, &disk);
	assert_int_equal(get(CMOS_DISK_TYPES), 0xf0);
	assert_int_equal(hms(), 0x140059);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(power_on_state),
		T(memory_size_is_told),
		T(the_clock_runs),
		T(a_step_back_is_no_step),
		T(century_turns),
		T(wall_clock_is_of_guest_time_0),
		T(uip_promises_244_us),
		T(reads_in_between_change_nothing),
		T(slow_readers_see_one_time),
		T(set_stops_and_starts),
		T(held_divider_restarts_in_half_a_second),
		T(bytes_written_stay_until_an_update),
		T(hour_formats),
		T(binary_mode),
		T(update_interrupts),
		T(flags_come_without_interrupts),
		T(periodic_rates),
		T(periodic_keeps_its_phase),
		T(alarm_once_a_day),
		T(alarm_wildcards),
		T(alarm_flag_without_looking),
		T(alarm_follows_a_new_time),
		T(alarm_in_12_hour_mode),
		T(read_only_registers),
		T(memory_and_nmi_mask),
		T(reset_keeps_what_the_battery_keeps),
		T(pause_stops_the_clock),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(what_no_program_can_make_of_it_is_refused, setup),
		cmocka_unit_test_setup(the_wall_clock_can_be_set_later, setup),
		cmocka_unit_test(floppy_drives_are_told),
		cmocka_unit_test_setup(disks_are_told_beside_the_time, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
