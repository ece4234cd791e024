/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "guests/devices/ps2_keyboard.h"

static struct ps2_keyboard k;

static int setup(void **state)
{
	(void)state;
	ps2_keyboard_init(&k);
	return 0;
}

/* Everything the keyboard sends now is these `n` bytes. */
static void assert_sends(const char *bytes, size_t n)
{
	uint8_t byte;

	for (size_t i = 0; i < n; i++) {
		assert_true(ps2_keyboard_send(&k, &byte));
		assert_int_equal(byte, (uint8_t)bytes[i]);
	}
	assert_false(ps2_keyboard_send(&k, &byte));
}
#define SENDS(bytes) assert_sends(bytes, sizeof(bytes) - 1)

static void tell(uint8_t byte)
{
	ps2_keyboard_receive(&k, byte);
}

static void key(const char *bytes, size_t n)
{
	uint8_t copy[32];

	memcpy(copy, bytes, n);
	assert_true(ps2_keyboard_key(&k, copy, n));
}
#define KEY(bytes) key(bytes, sizeof(bytes) - 1)

static void commands_and_their_replies(void **state)
{
	(void)state;
	SENDS("");
	tell(0xee);
	SENDS("\xee");
	tell(0xf2);
	SENDS("\xfa\xab\x83");
	tell(0xff);
	SENDS("\xfa\xaa");
	for (unsigned c = 0xf4; c <= 0xfd; c++) {
		tell((uint8_t)c);
		SENDS("\xfa");
	}
	tell(0xef);
	SENDS("\xfe");
	tell(0xf1);
	SENDS("\xfe");
	tell(0x00);
	SENDS("\xfe"); /* no argument: EF ended what FD began */
}

static void arguments(void **state)
{
	(void)state;
	tell(0xed);
	SENDS("\xfa");
	tell(0x05);
	SENDS("\xfa");
	assert_int_equal(k.leds, 5);
	tell(0xf3);
	tell(0x7f);
	SENDS("\xfa");
	assert_int_equal(k.typematic, 0x7f);
	tell(0xed);
	tell(0xf2); /* a command instead of the argument */
	SENDS("\xfa\xab\x83");
	assert_int_equal(k.leds, 5);
	tell(0xfb); /* takes keys until the next command */
	tell(0x1c);
	SENDS("\xfa");
	tell(0x1b);
	SENDS("\xfa");
	tell(0xee);
	SENDS("\xee");
	tell(0x1b);
	SENDS("\xfe");
}

static void scan_code_sets(void **state)
{
	(void)state;
	tell(0xf0);
	tell(0);
	SENDS("\xfa\x02");
	tell(0xf0);
	tell(3);
	SENDS("\xfa");
	tell(0xf0);
	tell(0);
	SENDS("\xfa\x03");
	tell(0xf0);
	tell(4);
	SENDS("\xfe");
	assert_int_equal(k.set, 3);
	tell(0xf6);
	SENDS("\xfa");
	assert_int_equal(k.set, 2);
}

static void resend(void **state)
{
	uint8_t byte;

	(void)state;
	tell(0xf2);
	assert_true(ps2_keyboard_send(&k, &byte));
	assert_true(ps2_keyboard_send(&k, &byte));
	tell(0xfe);
	SENDS("\xab"); /* again, and the rest of the identity is gone */
	tell(0xfe);
	SENDS("\xab");
}

static void keys_in_set_2(void **state)
{
	(void)state;
	KEY("\x1e\x9e"); /* A */
	SENDS("\x1c\xf0\x1c");
	KEY("\xe0\x48\xe0\xc8"); /* Up */
	SENDS("\xe0\x75\xe0\xf0\x75");
	KEY("\xe1\x1d\x45\xe1\x9d\xc5"); /* Pause */
	SENDS("\xe1\x14\x77\xe1\xf0\x14\xf0\x77");
	KEY("\x41\xc1"); /* F7 */
	SENDS("\x83\xf0\x83");
}

static void keys_in_sets_1_and_3(void **state)
{
	(void)state;
	tell(0xf0);
	tell(1);
	SENDS("\xfa");
	KEY("\xe0\x48\xe0\xc8\x1e\x9e");
	SENDS("\xe0\x48\xe0\xc8\x1e\x9e");
	tell(0xf0);
	tell(3);
	SENDS("\xfa");
	KEY("\xe0\x48\xe0\xc8\x1e\x9e");
	SENDS("\x63\xf0\x63\x1c\xf0\x1c");
	KEY("\xe0\x2a\xe0\x53"); /* false shift, Delete */
	SENDS("\x64");
	KEY("\xe1\x1d\x45\xe1\x9d\xc5\x1e");
	SENDS("\x62\x1c");
	KEY("\xe1\x9d\xc5"); /* its release says nothing */
	KEY("\xe1");
	SENDS("");
}

static void replies_go_before_keys(void **state)
{
	(void)state;
	KEY("\x1e");
	tell(0xed);
	SENDS("\xfa\x1c");
}

static void a_full_buffer_takes_whole_keys_or_nothing(void **state)
{
	static const uint8_t up[] = {0xe0, 0x48, 0xe0, 0xc8}; /* five bytes in set 2 */
	uint8_t byte;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(ps2_keyboard_key(&k, up, sizeof(up)));
	}
	assert_false(ps2_keyboard_key(&k, up, sizeof(up)));
	assert_true(ps2_keyboard_key(&k, up + 1, 1)); /* a single byte fits */
	assert_false(ps2_keyboard_key(&k, up + 1, 1));
	for (unsigned i = 0; i < 5; i++) {
		assert_true(ps2_keyboard_send(&k, &byte));
	}
	assert_true(ps2_keyboard_key(&k, up, sizeof(up)));
	SENDS("\xe0\x75\xe0\xf0\x75\xe0\x75\xe0\xf0\x75\x75\xe0\x75\xe0\xf0\x75");
}

static void a_long_sequence_never_fits(void **state)
{
	static const uint8_t many[40] = {0x1e, 0x9e};

	(void)state;
	for (uint8_t set = 1; set <= 3; set++) {
		uint8_t bytes[40];

		memset(bytes, 0x9e, sizeof(bytes));
		k.set = set;
		assert_false(ps2_keyboard_key(&k, bytes, sizeof(bytes)));
	}
	SENDS("");
	k.set = 2;
	assert_true(ps2_keyboard_key(&k, many, sizeof(many))); /* zeros are no keys */
	SENDS("\x1c\xf0\x1c");
}

static void switched_off_it_drops_keys(void **state)
{
	(void)state;
	KEY("\x1e");
	tell(0xf5);
	SENDS("\xfa"); /* and what waited is gone */
	KEY("\x1e");
	SENDS("");
	tell(0xf4);
	SENDS("\xfa");
	KEY("\x1e");
	SENDS("\x1c");
	tell(0xed);
	tell(0x07);
	tell(0xf5);
	assert_int_equal(k.leds, 7);
	tell(0xff);
	assert_int_equal(k.leds, 0);
	SENDS("\xfa\xaa");
	KEY("\x1e");
	SENDS("\x1c");
}

static void a_loaded_one_goes_on(void **state)
{
	struct ps2_keyboard_saved saved = {0};

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		KEY("\x1e");
	}
	tell(0xee);
	SENDS("\xee\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c");
	KEY("\x9e\x9e\x9e");
	tell(0xf2);
	ps2_keyboard_save(&k, &saved);
	ps2_keyboard_init(&k);
	assert_null(ps2_keyboard_check(&saved));
	ps2_keyboard_load(&k, &saved);
	SENDS("\xfa\xab\x83\xf0\x1c\xf0\x1c\xf0\x1c");
}

static bool refuses(const struct ps2_keyboard_saved *saved)
{
	return ps2_keyboard_check(saved) != NULL;
}

static void what_no_host_can_make_of_it_is_refused(void **state)
{
	struct ps2_keyboard_saved good = {0};
	struct ps2_keyboard_saved bad;

	(void)state;
	ps2_keyboard_save(&k, &good);
	assert_null(ps2_keyboard_check(&good));
#define REFUSES(field, value) (bad = good, bad.field = (value), refuses(&bad))
	assert_true(REFUSES(key_count, 17));
	assert_true(REFUSES(reply_head, 1));
	assert_true(REFUSES(reply_count, 4));
	assert_true(REFUSES(command, 0xee));
	assert_false(REFUSES(command, 0xed));
	assert_true(REFUSES(set, 4));
	assert_true(REFUSES(leds, 8));
	assert_true(REFUSES(typematic, 0x80));
	assert_true(REFUSES(scanning, 2));
	assert_true(REFUSES(zero[0], 1));
#undef REFUSES
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(commands_and_their_replies),
		T(arguments),
		T(scan_code_sets),
		T(resend),
		T(keys_in_set_2),
		T(keys_in_sets_1_and_3),
		T(replies_go_before_keys),
		T(a_full_buffer_takes_whole_keys_or_nothing),
		T(a_long_sequence_never_fits),
		T(switched_off_it_drops_keys),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(what_no_host_can_make_of_it_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
