/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "hv/api/clock.h"
#include "hv/monitor.h"
#include "tests/fakes/guest_rig.h"

static int rig(void **state)
{
	(void)state;
	vm_rig_machine(false);
	g = vm_rig_guest("web", &config);
	return 0;
}

static int setup_vga(void **state)
{
	int status = setup(state);

	config.vga = true;
	return status;
}

static int clean_screen(void **state)
{
	monitor_screenshot_end();
	return clean(state);
}

static void type(const char *line)
{
	vm_rig_clear();
	vm_rig_type(line);
}

/* ---- screenshot ---- */

/* Half a second, as often as the answer takes. */
static void let_it_print(void)
{
	for (unsigned i = 0; i < 100 && monitor_screenshot_active(); i++) {
		vm_rig_work();
		vm_rig_advance(clock_ns_to_ticks(510000000));
		monitor_poll();
	}
}

static void a_screen_is_printed(void **state)
{
	unsigned long bytes = 0;
	const char *end;

	(void)state;
	vm_rig_start(g);
	space_switch(space_core());
	type("screenshot web\r");
	assert_says("screenshot web begin\r\n");
	assert_true(monitor_screenshot_active());
	assert_silent_about("bulkhead> ");
	let_it_print();
	assert_false(monitor_screenshot_active());
	assert_says("screenshot web iVBORw0KGgo");
	end = strstr(vm_rig_text(), "screenshot web end ");
	assert_non_null(end);
	assert_int_equal(sscanf(end, "screenshot web end %lu bytes", &bytes), 1);
	assert_true(bytes > 1000);
	assert_says("bulkhead> ");
}

static void a_key_cuts_it_short(void **state)
{
	(void)state;
	vm_rig_start(g);
	space_switch(space_core());
	type("screenshot web\r");
	type("q");
	assert_says("screenshot web cut short\r\n");
	assert_false(monitor_screenshot_active());
}

static void without_a_screen_there_is_none(void **state)
{
	(void)state;
	type("screenshot web\r");
	assert_says("web has no screen: it does not run");
	config.vga = false;
	vm_rig_start(g);
	type("screenshot web\r");
	assert_says("web has no screen: its vga is off");
	type("screenshot db\r");
	assert_says("no guest is named 'db'");
}

static void a_guest_that_ends_meanwhile(void **state)
{
	(void)state;
	vm_rig_start(g);
	space_switch(space_core());
	type("screenshot web\r");
	vm_rig_end(g);
	let_it_print();
	assert_says("no picture: the guest has ended");
	assert_false(monitor_screenshot_active());
}

/* ---- keys ---- */

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

static void expect_codes(const char *expected)
{
	char text[400] = "";
	int code;

	for (unsigned i = 0; i < 100; i++) {
		while ((code = next()) >= 0) {
			size_t n = strlen(text);

			(void)snprintf(text + n, sizeof(text) - n, "%s%02x", n == 0 ? "" : " ",
				       (unsigned)code);
		}
		vm_rig_advance(clock_ns_to_ticks(11000000));
		guest_offer_keys();
	}
	assert_string_equal(text, expected);
}

static void chords_are_pressed_together(void **state)
{
	(void)state;
	vm_rig_start(g);
	type("keys web ctrl-alt-del f10\r");
	expect_codes("1d 38 e0 53 e0 d3 b8 9d 44 c4");
	type("keys web kp-enter ctrl-- -\r");
	expect_codes("e0 1c e0 9c 1d 0c 8c 9d 0c 8c");
	type("keys web ctrl-foo\r");
	assert_says("no key 'foo', or more than 4 at a time");
	type("keys web a-b-c-d-e\r");
	assert_says("no key 'e', or more than 4 at a time");
	expect_codes("");
}

static void lines_are_typed(void **state)
{
	(void)state;
	vm_rig_start(g);
	type("type web ls /A\r");
	expect_codes("26 a6 1f 9f 39 b9 35 b5 2a 1e 9e aa 1c 9c");
	type("type web\r");
	expect_codes("1c 9c");
}

/* A key that went down comes up: what does not fit is not begun. */
static void a_full_queue_leaves_no_key_down(void **state)
{
	unsigned down = 0;

	(void)state;
	vm_rig_start(g);
	/* Room for three bytes: a chord of two keys takes four. */
	while (g->keys.count < GUEST_KEYS_MAX - 3) {
		assert_true(guest_keys_put(g, (const uint8_t *)"\x9e", 1, true));
	}
	type("keys web ctrl-a\r");
	assert_says("web does not take keys now");
	for (unsigned i = 0; i < g->keys.count; i++) {
		down += (g->keys.bytes[(g->keys.head + i) % GUEST_KEYS_MAX] & 0x80) == 0;
	}
	assert_int_equal(down, 0);
}

static void to_mouse(uint8_t byte)
{
	(void)bus_write(&g->vm.pio, 0x64, 1, 0, 0xd4);
	(void)bus_write(&g->vm.pio, 0x60, 1, 0, byte);
}

static void the_mouse_moves(void **state)
{
	(void)state;
	type("mouse web 1 1\r");
	assert_says("web has no mouse now");
	vm_rig_start(g);
	to_mouse(0xf4);
	assert_int_equal(next(), 0xfa);
	type("mouse web 3 -4 1\r");
	expect_codes("29 03 fc");
	type("mouse web\r");
	expect_codes("08 00 00");
	type("mouse web x\r");
	assert_says("'x' is not a number up to 4096");
	type("mouse web 1 1 32\r");
	assert_says("'32' is not a number up to 31");
	type("mouse web 1 1 -1\r");
	assert_says("-1 is not a set of buttons");
	expect_codes("");
}

static void a_stopped_guest_takes_no_keys(void **state)
{
	(void)state;
	type("keys web a\r");
	assert_says("web does not take keys now");
	type("type web a\r");
	assert_says("web does not take keys now");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_vga, clean_screen)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_screen_is_printed),
		TEST(a_key_cuts_it_short),
		TEST(without_a_screen_there_is_none),
		TEST(a_guest_that_ends_meanwhile),
		TEST(chords_are_pressed_together),
		TEST(lines_are_typed),
		TEST(a_full_queue_leaves_no_key_down),
		TEST(the_mouse_moves),
		TEST(a_stopped_guest_takes_no_keys),
	};

	return cmocka_run_group_tests(tests, rig, NULL);
}
