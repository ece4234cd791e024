/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "hv/guest_keys.h"
#include "tests/fakes/guest_rig.h"

static int next(void)
{
	uint64_t value = 0;

	(void)bus_read(&g->vm.pio, 0x64, 1, 0, &value);
	if ((value & 1) == 0) {
		return -1;
	}
	(void)bus_read(&g->vm.pio, 0x60, 1, 0, &value);
	return (int)value;
}

static bool put(const char *bytes, unsigned n, bool paced)
{
	return guest_keys_put(g, (const uint8_t *)bytes, n, paced);
}

/* Time for the next key. */
static void wait(void)
{
	vm_rig_advance(clock_ns_to_ticks(11000000));
	guest_keys_feed(g);
}

static void keys_arrive_at_once(void **state)
{
	(void)state;
	assert_false(put("\x1e", 1, false)); /* it does not run */
	vm_rig_start(g);
	assert_true(put("\x1e", 1, false));
	assert_true(put("\xe0\x48", 2, false));
	assert_int_equal(next(), 0x1e);
	assert_int_equal(next(), 0xe0);
	assert_int_equal(next(), 0x48);
	assert_int_equal(next(), -1);
}

static void what_the_keyboard_does_not_take_waits(void **state)
{
	unsigned seen = 0;
	int code;

	(void)state;
	vm_rig_start(g);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(put(i % 2 == 0 ? "\x1e" : "\x9e", 1, false));
	}
	for (unsigned i = 0; i < 100 && seen < 100; i++) {
		while ((code = next()) >= 0) {
			assert_int_equal(code, seen++ % 2 == 0 ? 0x1e : 0x9e);
		}
		wait();
	}
	assert_int_equal(seen, 100);
}

static void programs_type_slowly(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_true(put("\xe0\x53", 2, true));
	assert_true(put("\xe0\xd3", 2, true));
	assert_int_equal(next(), 0xe0);
	assert_int_equal(next(), 0x53);
	guest_keys_feed(g);
	assert_int_equal(next(), -1);
	wait();
	assert_int_equal(next(), 0xe0);
	assert_int_equal(next(), 0xd3);
}

static void a_full_queue_refuses(void **state)
{
	unsigned taken = 0;

	(void)state;
	vm_rig_start(g);
	while (put("\xe0\x48", 2, true)) {
		taken++;
	}
	assert_in_range(taken, GUEST_KEYS_MAX / 2, GUEST_KEYS_MAX / 2 + 20);
	vm_rig_end(g);
	assert_int_equal(g->keys.count, 0);
	vm_rig_start(g);
	assert_int_equal(next(), -1);
}

/* The Pause key is two sequences of three. */
static void pause_is_kept_whole(void **state)
{
	static const uint8_t pause[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};

	(void)state;
	vm_rig_start(g);
	assert_true(put((const char *)pause, 6, true));
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(next(), pause[i]);
		if (i == 2) {
			assert_int_equal(next(), -1);
			wait();
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_arrive_at_once),  TEST(what_the_keyboard_does_not_take_waits),
		TEST(programs_type_slowly), TEST(a_full_queue_refuses),
		TEST(pause_is_kept_whole),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
