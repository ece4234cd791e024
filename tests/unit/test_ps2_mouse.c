/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/ps2_mouse.h"
#include "hv/base/bits.h"

static struct ps2_mouse m;

static int setup(void **state)
{
	(void)state;
	ps2_mouse_init(&m);
	return 0;
}

static int next(void)
{
	uint8_t byte;

	return ps2_mouse_send(&m, &byte) ? byte : -1;
}

static void expect(const int *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(next(), bytes[i]);
	}
	assert_int_equal(next(), -1);
}

#define EXPECT_BYTES(...) \
	expect((const int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

static void say(uint8_t byte)
{
	ps2_mouse_receive(&m, byte);
}

/* A command, or one with its argument, that is acknowledged. */
static void told(uint8_t byte)
{
	say(byte);
	EXPECT_BYTES(0xfa);
}

static void move(int x, int y, int wheel, uint8_t buttons)
{
	const struct ps2_movement by = {x, y, wheel, buttons};

	ps2_mouse_move(&m, &by);
}

static void every_command_is_answered(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 0x100; byte++) {
		ps2_mouse_init(&m);
		say((uint8_t)byte);
		assert_int_not_equal(next(), -1);
	}
	ps2_mouse_init(&m);
	say(0xff);
	EXPECT_BYTES(0xfa, 0xaa, 0x00);
	say(0xf2);
	EXPECT_BYTES(0xfa, 0x00);
	say(0x12);
	EXPECT_BYTES(0xfe);
	say(0xfe);
	EXPECT_BYTES(0xfe);
}

static void settings_show_in_the_status(void **state)
{
	(void)state;
	say(0xe9);
	EXPECT_BYTES(0xfa, 0x00, 2, 100);
	told(0xe8);
	told(3);
	told(0xf3);
	told(40);
	told(0xe7);
	told(0xf4);
	move(0, 0, 0, PS2_MOUSE_LEFT | PS2_MOUSE_RIGHT);
	say(0xe9);
	assert_int_equal(next(), 0xfa);
	assert_int_equal(next(), 0x35);
	assert_int_equal(next(), 3);
	assert_int_equal(next(), 40);
	told(0xf0);
	say(0xe9);
	EXPECT_BYTES(0xfa, 0x75, 3, 40);
	told(0xf6);
	say(0xe9);
	EXPECT_BYTES(0xfa, 0x05, 2, 100);
	told(0xe8);
	say(4);
	EXPECT_BYTES(0xfe);
}

static void movement_is_sent_while_it_is_wanted(void **state)
{
	(void)state;
	move(5, 5, 0, 0);
	assert_int_equal(next(), -1);
	told(0xf4);
	assert_int_equal(next(), -1);
	move(3, -2, 0, PS2_MOUSE_RIGHT);
	EXPECT_BYTES(0x2a, 3, 0xfe);
	move(-300, 260, 0, 0);
	EXPECT_BYTES(0x18, 0x01, 0xff, 0x18, 0xd3, 5);
	move(0, 0, 7, 0); /* no wheel */
	assert_int_equal(next(), -1);
	told(0xf5);
	move(1, 1, 0, 0);
	assert_int_equal(next(), -1);
}

static void rates_in_a_row_bring_the_wheel(void **state)
{
	static const uint8_t wheel[] = {200, 100, 80}, five[] = {200, 200, 80};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		told(0xf3);
		told(wheel[i]);
	}
	say(0xf2);
	EXPECT_BYTES(0xfa, 3);
	told(0xf4);
	move(0, 0, -1, PS2_MOUSE_MIDDLE);
	EXPECT_BYTES(0x0c, 0, 0, 0xff);
	for (unsigned i = 0; i < 3; i++) {
		told(0xf3);
		told(five[i]);
	}
	say(0xf2);
	EXPECT_BYTES(0xfa, 4);
	move(0, 0, 1, PS2_MOUSE_FOURTH | PS2_MOUSE_FIFTH);
	EXPECT_BYTES(0x08, 0, 0, 0x31);
	say(0xff);
	EXPECT_BYTES(0xfa, 0xaa, 0x00);
}

static void it_waits_to_be_asked_in_remote_mode(void **state)
{
	(void)state;
	told(0xf0);
	told(0xf4);
	move(4, 0, 0, 0);
	assert_int_equal(next(), -1);
	say(0xeb);
	EXPECT_BYTES(0xfa, 0x08, 4, 0);
	say(0xeb);
	EXPECT_BYTES(0xfa, 0x08, 0, 0);
	told(0xea);
	move(1, 0, 0, 0);
	EXPECT_BYTES(0x08, 1, 0);
}

static void remote_mode_needs_no_reporting(void **state)
{
	(void)state;
	told(0xf0);
	move(4, 0, 0, 0);
	move(0, -2, 0, 0);
	say(0xeb);
	EXPECT_BYTES(0xfa, 0x28, 4, 0xfe);
}

static void scaling_doubles_what_is_not_small(void **state)
{
	static const int counts[][2] = {{1, 1}, {2, 1},	 {3, 3},     {4, 6},
					{5, 9}, {6, 12}, {127, 254}, {-4, -6}};

	(void)state;
	told(0xe7);
	told(0xf4);
	for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		uint8_t head = counts[i][1] < 0 ? 0x18 : 0x08;

		move(counts[i][0], 0, 0, 0);
		EXPECT_BYTES(head, (uint8_t)counts[i][1], 0);
	}
	move(128, 0, 0, 0); /* more than a packet holds */
	EXPECT_BYTES(0x08, 254, 0, 0x08, 1, 0);
	told(0xf5); /* what is asked for is not scaled */
	told(0xf4);
	move(9, 0, 0, 0);
	say(0xeb);
	EXPECT_BYTES(0xfa, 0x08, 9, 0);
	told(0xe6);
	move(9, 0, 0, 0);
	EXPECT_BYTES(0x08, 9, 0);
}

static void bytes_come_back_in_wrap_mode(void **state)
{
	(void)state;
	told(0xee);
	say(0x42);
	EXPECT_BYTES(0x42);
	say(0xf4);
	EXPECT_BYTES(0xf4);
	told(0xec);
	told(0xf4);
}

/* A command in the middle of a packet: its answer comes, the rest of the packet does not. */
static void a_command_ends_a_packet(void **state)
{
	(void)state;
	told(0xf4);
	move(9, 9, 0, 0);
	assert_int_equal(next(), 0x08);
	told(0xf5);
	for (unsigned i = 0; i < 1000; i++) {
		move(INT32_MAX, INT32_MIN, INT32_MAX, 0xff);
	}
	told(0xf4);
	move(INT32_MAX, INT32_MIN, INT32_MIN, 0);
	move(INT32_MAX, INT32_MIN, INT32_MIN, 0);
	assert_in_range(m.x, 0, 4096);
}

static void a_loaded_one_goes_on(void **state)
{
	struct ps2_mouse_saved saved = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t rates[] = {200, 100, 80};

		told(0xf3);
		told(rates[i]);
	}
	told(0xf4);
	move(300, -3, 2, PS2_MOUSE_LEFT);
	assert_int_equal(next(), 0x29);
	ps2_mouse_save(&m, &saved);
	ps2_mouse_init(&m);
	assert_null(ps2_mouse_check(&saved));
	ps2_mouse_load(&m, &saved);
	EXPECT_BYTES(0xff, 0xfd, 2, 0x09, 45, 0, 0);
	say(0xf2);
	EXPECT_BYTES(0xfa, 3);
}

static bool refuses(const struct ps2_mouse_saved *saved)
{
	return ps2_mouse_check(saved) != NULL;
}

static void what_no_host_can_make_of_it_is_refused(void **state)
{
	struct ps2_mouse_saved good = {0};
	struct ps2_mouse_saved bad;

	(void)state;
	ps2_mouse_save(&m, &good);
	assert_null(ps2_mouse_check(&good));
#define REFUSES(field, value) (bad = good, bad.field = (value), refuses(&bad))
	assert_true(REFUSES(reply_head, 1));
	assert_true(REFUSES(packet_count, 5));
	assert_true(REFUSES(packet_head, 1));
	assert_true(REFUSES(command, 0xf4));
	assert_false(REFUSES(command, 0xf3));
	assert_true(REFUSES(id, 5));
	assert_true(REFUSES(resolution, 4));
	assert_true(REFUSES(x, 4097));
	assert_true(REFUSES(y, -4097));
	assert_true(REFUSES(wheel, INT32_MIN));
	assert_true(REFUSES(wrap, 2));
	assert_true(REFUSES(zero[1], 1));
#undef REFUSES
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_command_is_answered, setup),
		cmocka_unit_test_setup(settings_show_in_the_status, setup),
		cmocka_unit_test_setup(movement_is_sent_while_it_is_wanted, setup),
		cmocka_unit_test_setup(rates_in_a_row_bring_the_wheel, setup),
		cmocka_unit_test_setup(it_waits_to_be_asked_in_remote_mode, setup),
		cmocka_unit_test_setup(remote_mode_needs_no_reporting, setup),
		cmocka_unit_test_setup(scaling_doubles_what_is_not_small, setup),
		cmocka_unit_test_setup(bytes_come_back_in_wrap_mode, setup),
		cmocka_unit_test_setup(a_command_ends_a_packet, setup),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(what_no_host_can_make_of_it_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
