/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/debug_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

#define HZ 1000000000ull

static struct device_rig rig;
static struct debug_port port;
static unsigned lines;
static char last[DEBUG_PORT_LINE_MAX];
static char before[DEBUG_PORT_LINE_MAX];

static void line(void *ctx, const char *text)
{
	assert_ptr_equal(ctx, &rig);
	lines++;
	memcpy(before, last, sizeof(before));
	snprintf(last, sizeof(last), "%s", text);
}

static int setup(void **state)
{
	const struct debug_port_config cfg = {.time = &rig.time, .line = line, .ctx = &rig};

	(void)state;
	rig_init(&rig, HZ);
	lines = 0;
	last[0] = '\0';
	debug_port_init(&port, &cfg);
	return 0;
}

static void print(const char *text)
{
	for (; *text != '\0'; text++) {
		rig_out(&port.dev, DEBUG_PORT, (uint8_t)*text);
	}
}

static void test_lines(void **state)
{
	(void)state;
	assert_int_equal(rig_in(&port.dev, DEBUG_PORT), DEBUG_PORT_ID);
	print("one");
	assert_int_equal(lines, 0);
	print("\r\n\n");
	assert_int_equal(lines, 1);
	assert_string_equal(last, "one");
	print("t\033wo\n");
	assert_string_equal(last, "t.wo");
}

static void test_long_line(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DEBUG_PORT_LINE_MAX; i++) {
		print("x");
	}
	assert_int_equal(lines, 1);
	assert_int_equal(strlen(last), DEBUG_PORT_LINE_MAX - 1);
	print("\n");
	assert_string_equal(last, "x");
}

static void test_rate(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DEBUG_PORT_BURST + 7; i++) {
		print("a\n");
	}
	assert_int_equal(lines, DEBUG_PORT_BURST);
	rig_advance(&rig, HZ / DEBUG_PORT_RATE - 1);
	print("b\n");
	assert_int_equal(lines, DEBUG_PORT_BURST);
	rig_advance(&rig, 1);
	print("c\n");
	assert_int_equal(lines, DEBUG_PORT_BURST + 2);
	assert_string_equal(before, "(8 lines lost)");
	assert_string_equal(last, "c");
	/* However long the silence, no more than the burst. */
	rig_advance(&rig, HZ * 3600);
	lines = 0;
	for (unsigned i = 0; i < DEBUG_PORT_BURST + 7; i++) {
		print("d\n");
	}
	assert_int_equal(lines, DEBUG_PORT_BURST);
}

static void test_reset(void **state)
{
	(void)state;
	print("half");
	port.dev.ops->reset(&port.dev);
	print("whole\n");
	assert_string_equal(last, "whole");
}

static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DEBUG_PORT_BURST + 3; i++) {
		print("a\n");
	}
	print("one li");
	saved_reload(&port.saved);
	print("ne\n");
	assert_int_equal(lines, DEBUG_PORT_BURST);
	rig_advance(&rig, HZ);
	print("another\n");
	assert_string_equal(before, "(4 lines lost)");
#define TAKES(field, value) SAVED_TAKES(&port.saved, struct debug_port_saved, field, value)
	assert_false(TAKES(length, DEBUG_PORT_LINE_MAX - 1));
	assert_false(TAKES(length, 1)); /* of nothing that can be printed */
	assert_false(TAKES(text[0], 'x'));
	assert_false(TAKES(allowed, DEBUG_PORT_BURST + 1));
#undef TAKES
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_lines, setup),
		cmocka_unit_test_setup(test_long_line, setup),
		cmocka_unit_test_setup(test_rate, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
