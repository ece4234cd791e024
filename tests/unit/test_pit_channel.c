/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/pit_channel.h"
#include "hv/base/bits.h"

/* Control words: access low then high. */
#define MODE(m) (0x30u | (m) << 1)
#define BCD 1u
#define LOW_ONLY 0x10u
#define HIGH_ONLY 0x20u
#define NEVER UINT64_MAX

static struct pit_channel c;
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	now = 1000;
	pit_channel_init(&c, true, now);
	return 0;
}

static void at(uint64_t cycle)
{
	now = cycle;
	pit_channel_sync(&c, now);
}

static void after(uint64_t cycles)
{
	at(now + cycles);
}

static void control(unsigned value)
{
	pit_channel_control(&c, (uint8_t)value, now);
}

static void write_count(unsigned count)
{
	pit_channel_write(&c, (uint8_t)count, now);
	pit_channel_write(&c, (uint8_t)(count >> 8), now);
}

/* Starts mode `mode` with a count that is loaded at cycle `now`. */
static void start(unsigned mode, unsigned count)
{
	control(MODE(mode));
	write_count(count);
	after(1);
}

static void gate(bool level)
{
	pit_channel_gate(&c, level, now);
}

static unsigned latched(void)
{
	unsigned low;

	pit_channel_latch_count(&c, now);
	low = pit_channel_read(&c, now);
	return low | (unsigned)pit_channel_read(&c, now) << 8;
}

static unsigned status(void)
{
	pit_channel_latch_status(&c, now);
	return pit_channel_read(&c, now);
}

static bool out(void)
{
	return pit_channel_out(&c, now);
}

static uint64_t rise(void)
{
	return pit_channel_next_rise(&c, now);
}

/* Steps cycle by cycle: the announced rise is the one that happens. */
static void check_rises(unsigned cycles)
{
	uint64_t announced = rise();
	bool level = out();

	for (unsigned i = 0; i < cycles; i++) {
		after(1);
		if (out() && !level) {
			assert_int_equal(announced, now);
		} else {
			assert_true(announced > now);
		}
		level = out();
		announced = rise();
	}
}

static void test_mode_0(void **state)
{
	(void)state;
	control(MODE(0));
	assert_false(out());
	assert_int_equal(rise(), NEVER);
	write_count(5);
	/* N + 1 cycles from the write. */
	assert_int_equal(rise(), 1006);
	after(1);
	assert_int_equal(latched(), 5);
	assert_false(out());
	after(4);
	assert_int_equal(latched(), 1);
	assert_false(out());
	after(1);
	assert_int_equal(latched(), 0);
	assert_true(out());
	assert_int_equal(rise(), NEVER);
	/* It counts on, and OUT stays. */
	after(1);
	assert_int_equal(latched(), 0xffff);
	after(65536);
	assert_int_equal(latched(), 0xffff);
	assert_true(out());
	/* A new count starts over; its first byte already lowers OUT and stops. */
	pit_channel_write(&c, 0x34, now);
	assert_false(out());
	assert_int_equal(rise(), NEVER);
	after(100);
	assert_int_equal(latched(), 0xffff);
	pit_channel_write(&c, 0x12, now);
	after(1);
	assert_int_equal(latched(), 0x1234);
	assert_int_equal(rise(), now + 0x1234);
}

static void test_mode_0_gate(void **state)
{
	(void)state;
	start(0, 100);
	after(30);
	gate(false);
	assert_int_equal(rise(), NEVER);
	after(1000);
	assert_int_equal(latched(), 70);
	assert_false(out());
	gate(true);
	assert_int_equal(rise(), now + 70);
	after(69);
	assert_false(out());
	after(1);
	assert_true(out());
	/* A count written with the gate low is loaded and waits. */
	gate(false);
	write_count(10);
	after(50);
	assert_int_equal(latched(), 10);
	assert_int_equal(status() & 0x40, 0);
	gate(true);
	after(10);
	assert_true(out());
}

static void test_mode_1(void **state)
{
	(void)state;
	control(MODE(1));
	assert_true(out());
	/* A trigger before there is a count does nothing. */
	gate(false);
	gate(true);
	assert_true(out());
	write_count(10);
	after(100);
	assert_true(out());
	assert_int_equal(status() & 0x40, 0x40);
	gate(false);
	assert_true(out());
	/* Low from the trigger on: nobody takes the time before the first cycle for the end. */
	gate(true);
	assert_false(out());
	after(1);
	assert_false(out());
	assert_int_equal(status() & 0x40, 0);
	assert_int_equal(rise(), now + 10);
	gate(false);
	after(6);
	assert_int_equal(latched(), 4);
	/* Triggered again in the middle: ten more. */
	gate(true);
	assert_false(out());
	after(10);
	assert_false(out());
	after(1);
	assert_true(out());
	/* A new count waits for the next trigger. */
	write_count(3);
	assert_int_equal(status() & 0x40, 0x40);
	gate(false);
	gate(true);
	after(1);
	assert_int_equal(latched(), 3);
	after(3);
	assert_true(out());
}

static void test_mode_2(void **state)
{
	(void)state;
	start(2, 4);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(latched(), 4 - i % 4);
		assert_int_equal(out(), i % 4 != 3);
		after(1);
	}
	assert_int_equal(rise(), now + 4);
	check_rises(50);
	/* Far away it is still on the grid. */
	at(1001 + 4000000000002ull);
	assert_int_equal(latched(), 2);
}

static void test_mode_2_new_count_at_the_end_of_the_period(void **state)
{
	(void)state;
	start(2, 100);
	after(40);
	write_count(30);
	assert_int_equal(status() & 0x40, 0x40);
	after(10);
	assert_int_equal(latched(), 50);
	assert_int_equal(rise(), now + 50);
	after(50);
	assert_int_equal(status() & 0x40, 0);
	assert_int_equal(latched(), 30);
	assert_int_equal(rise(), now + 30);
	/* Also when nobody looked for a long time. */
	write_count(7);
	after(30 + 7 * 100 + 3);
	assert_int_equal(latched(), 4);
}

static void test_mode_2_gate(void **state)
{
	(void)state;
	start(2, 10);
	after(9);
	assert_false(out());
	gate(false);
	assert_true(out());
	assert_int_equal(rise(), NEVER);
	after(500);
	assert_int_equal(latched(), 1);
	gate(true);
	after(1);
	assert_int_equal(latched(), 10);
	assert_int_equal(rise(), now + 10);
	/* A count written while the gate is low is taken when it rises. */
	gate(false);
	write_count(20);
	gate(true);
	after(1);
	assert_int_equal(latched(), 20);
	/* Programmed with the gate low: nothing counts. */
	gate(false);
	control(MODE(2));
	write_count(8);
	after(100);
	assert_true(out());
	assert_int_equal(status() & 0x40, 0x40);
	gate(true);
	after(1);
	assert_int_equal(latched(), 8);
}

static void check_square(unsigned count)
{
	unsigned high = count - count / 2;

	start(3, count);
	for (unsigned i = 0; i < 5 * count; i++) {
		unsigned phase = i % count;
		unsigned in_half = phase < high ? phase : phase - high;

		assert_int_equal(out(), phase < high);
		assert_int_equal(latched(), (count & ~1u) - 2 * in_half);
		after(1);
	}
	check_rises(3 * count);
}

static void test_mode_3(void **state)
{
	(void)state;
	for (unsigned count = 2; count < 12; count++) {
		check_square(count);
	}
	/* 0 means 65536. */
	start(3, 0);
	assert_int_equal(rise(), now + 65536);
	after(32767);
	assert_true(out());
	after(1);
	assert_false(out());
}

static void test_mode_3_new_count_at_the_end_of_the_half(void **state)
{
	(void)state;
	start(3, 100);
	after(20);
	write_count(40);
	/* High for 30 more, then low for 20. */
	assert_int_equal(rise(), now + 50);
	after(29);
	assert_true(out());
	after(1);
	assert_false(out());
	check_rises(200);
	/* Written in the low half: the next high half is new. */
	start(3, 100);
	after(60);
	assert_false(out());
	write_count(11);
	assert_int_equal(rise(), now + 40);
	after(40);
	assert_true(out());
	after(5);
	assert_true(out());
	after(1);
	assert_false(out());
	check_rises(100);
}

static void test_mode_3_gate(void **state)
{
	(void)state;
	start(3, 10);
	after(7);
	assert_false(out());
	gate(false);
	assert_true(out());
	after(33);
	gate(true);
	after(1);
	assert_true(out());
	assert_int_equal(latched(), 10);
	after(5);
	assert_false(out());
}

static void test_mode_4(void **state)
{
	(void)state;
	start(4, 5);
	assert_true(out());
	assert_int_equal(rise(), now + 6);
	after(4);
	assert_true(out());
	after(1);
	assert_false(out());
	assert_int_equal(latched(), 0);
	after(1);
	assert_true(out());
	assert_int_equal(latched(), 0xffff);
	assert_int_equal(rise(), NEVER);
	/* The gate stops the count. */
	start(4, 20);
	after(5);
	gate(false);
	after(5);
	assert_int_equal(latched(), 15);
	gate(true);
	after(15);
	assert_false(out());
	start(4, 7);
	check_rises(100);
}

static void test_mode_5(void **state)
{
	(void)state;
	control(MODE(5));
	write_count(3);
	after(20);
	assert_true(out());
	gate(false);
	gate(true);
	after(1);
	assert_int_equal(latched(), 3);
	/* The gate may fall again without effect. */
	gate(false);
	after(3);
	assert_false(out());
	after(1);
	assert_true(out());
}

/* Modes 6 and 7 are 2 and 3, and the status shows what was written. */
static void test_mode_aliases(void **state)
{
	(void)state;
	start(6, 4);
	assert_true(pit_channel_periodic(&c));
	after(3);
	assert_false(out());
	assert_int_equal(status(), 0x3c);
	start(7, 4);
	after(2);
	assert_false(out());
	assert_int_equal(status(), 0x3e);
}

static void test_bcd(void **state)
{
	(void)state;
	control(MODE(2) | BCD);
	write_count(0x1000);
	after(1);
	assert_int_equal(latched(), 0x1000);
	after(1);
	assert_int_equal(latched(), 0x0999);
	assert_int_equal(rise(), now + 999);
	control(MODE(0) | BCD);
	write_count(0);
	after(1);
	assert_int_equal(latched(), 0);
	after(1);
	assert_int_equal(latched(), 0x9999);
	after(9998);
	assert_false(out());
	after(1);
	assert_true(out());
	after(1);
	assert_int_equal(latched(), 0x9999);
	/* Digits beyond nine are no trap: 15 * 1111 mod 10000. */
	write_count(0xffff);
	after(1);
	assert_int_equal(latched(), 0x6665);
	assert_int_equal(rise(), now + 6665);
}

static void test_single_byte_accesses(void **state)
{
	(void)state;
	control(LOW_ONLY | 2u << 1);
	pit_channel_write(&c, 200, now);
	after(1);
	assert_int_equal(pit_channel_read(&c, now), 200);
	after(50);
	pit_channel_latch_count(&c, now);
	after(10);
	assert_int_equal(pit_channel_read(&c, now), 150);
	assert_int_equal(pit_channel_read(&c, now), 140);
	control(HIGH_ONLY | 2u << 1);
	pit_channel_write(&c, 0x40, now);
	after(1);
	assert_int_equal(pit_channel_read(&c, now), 0x40);
	after(1);
	assert_int_equal(pit_channel_read(&c, now), 0x3f);
	pit_channel_latch_count(&c, now);
	assert_int_equal(pit_channel_read(&c, now), 0x3f);
}

static void test_unlatched_reads_alternate(void **state)
{
	(void)state;
	start(2, 0x1234);
	assert_int_equal(pit_channel_read(&c, now), 0x34);
	assert_int_equal(pit_channel_read(&c, now), 0x12);
	after(0x40);
	assert_int_equal(pit_channel_read(&c, now), 0xf4);
	assert_int_equal(pit_channel_read(&c, now), 0x11);
}

static void test_latches(void **state)
{
	(void)state;
	start(2, 0x1000);
	after(0x10);
	pit_channel_latch_count(&c, now);
	after(0x100);
	/* A second latch before the read changes nothing. */
	pit_channel_latch_count(&c, now);
	pit_channel_latch_status(&c, now);
	after(0x100);
	/* The status comes first, then both bytes of the count, then live again. */
	assert_int_equal(pit_channel_read(&c, now), 0x80 | MODE(2));
	assert_int_equal(pit_channel_read(&c, now), 0xf0);
	assert_int_equal(pit_channel_read(&c, now), 0x0f);
	assert_int_equal(pit_channel_read(&c, now), 0xf0);
	assert_int_equal(pit_channel_read(&c, now), 0x0d);
}

static void test_status_latch_keeps_its_moment(void **state)
{
	(void)state;
	start(0, 10);
	pit_channel_latch_status(&c, now);
	after(20);
	pit_channel_latch_status(&c, now);
	assert_int_equal(pit_channel_read(&c, now), MODE(0));
	assert_int_equal(status(), 0x80 | MODE(0));
}

static void test_null_count(void **state)
{
	(void)state;
	control(MODE(0));
	assert_int_equal(status(), 0x40 | MODE(0));
	pit_channel_write(&c, 10, now);
	assert_int_equal(status(), 0x40 | MODE(0));
	pit_channel_write(&c, 0, now);
	/* It takes one cycle to load. */
	assert_int_equal(status(), 0x40 | MODE(0));
	after(1);
	assert_int_equal(status(), MODE(0));
}

static void test_control_word_starts_over(void **state)
{
	(void)state;
	start(2, 1000);
	pit_channel_write(&c, 0x55, now);
	pit_channel_latch_count(&c, now);
	after(10);
	control(MODE(2));
	assert_true(out());
	assert_int_equal(rise(), NEVER);
	assert_false(pit_channel_periodic(&c));
	/* Half a write and the latch are forgotten; the counter shows what it had reached. */
	after(500);
	assert_int_equal(latched(), 990);
	write_count(0x2000);
	after(1);
	assert_int_equal(latched(), 0x2000);
}

/* A count of 1 is not allowed in mode 2 and 3; it must do no harm. */
static void test_count_of_one(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 6; mode++) {
		start(mode, 1);
		for (unsigned i = 0; i < 5; i++) {
			(void)latched();
			(void)out();
			assert_true(rise() > now);
			after(1 + i * 1000000007ull);
		}
		gate(false);
		gate(true);
		after(5);
		(void)latched();
	}
	start(3, 9);
	write_count(1);
	after(1000);
	assert_true(rise() > now);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_mode_0),
		T(test_mode_0_gate),
		T(test_mode_1),
		T(test_mode_2),
		T(test_mode_2_new_count_at_the_end_of_the_period),
		T(test_mode_2_gate),
		T(test_mode_3),
		T(test_mode_3_new_count_at_the_end_of_the_half),
		T(test_mode_3_gate),
		T(test_mode_4),
		T(test_mode_5),
		T(test_mode_aliases),
		T(test_bcd),
		T(test_single_byte_accesses),
		T(test_unlatched_reads_alternate),
		T(test_latches),
		T(test_status_latch_keeps_its_moment),
		T(test_null_count),
		T(test_control_word_starts_over),
		T(test_count_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
