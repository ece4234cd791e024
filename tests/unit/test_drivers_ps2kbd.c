/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/ps2kbd.h"
#include "tests/fakes/fake_cpu.h"

static struct ps2kbd kbd;

static struct {
	uint16_t queue[64]; /* bit 8: from the mouse */
	unsigned head, tail;
	uint8_t config;
	uint8_t command;
	bool input_stuck, mute;
	unsigned enabled;
} dev;

static void push(unsigned byte)
{
	dev.queue[dev.head++ % 64] = (uint16_t)byte;
}

static uint32_t port_in(void *ctx, uint16_t port, unsigned size)
{
	uint16_t next = dev.queue[dev.tail % 64];

	(void)ctx;
	(void)size;
	if (port == 0x64) {
		return (dev.head != dev.tail ? 1u : 0u) | (dev.input_stuck ? 2u : 0u) |
		       (dev.head != dev.tail && (next & 0x100) != 0 ? 0x20u : 0u) | 0x14u;
	}
	if (dev.head != dev.tail) {
		dev.tail++;
	}
	return next & 0xffu;
}

static void port_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)size;
	if (port == 0x64) {
		dev.command = (uint8_t)value;
		if (value == 0x20 && !dev.mute) {
			push(dev.config);
		}
	} else if (dev.command == 0x60) {
		dev.config = (uint8_t)value;
		dev.command = 0;
	} else if (value == 0xf4) {
		dev.enabled++;
		push(0xfa);
	}
}

static const struct fake_port_hook data_hook = {0x60, 0x60, port_in, port_out, NULL};
static const struct fake_port_hook status_hook = {0x64, 0x64, port_in, port_out, NULL};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_port_hook(&data_hook);
	fake_port_hook(&status_hook);
	memset(&dev, 0, sizeof(dev));
	memset(&kbd, 0, sizeof(kbd));
	dev.config = 0x33;
	return 0;
}

/* Types scan codes and compares the characters. */
static void types(const char *codes, size_t n, const char *want)
{
	char got[64] = "";
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		char out[PS2KBD_SEQUENCE];
		size_t made = ps2kbd_translate(&kbd, (uint8_t)codes[i], out);

		assert_true(made <= PS2KBD_SEQUENCE && count + made < sizeof(got));
		memcpy(got + count, out, made);
		count += made;
	}
	got[count] = '\0';
	assert_string_equal(got, want);
}
#define TYPES(codes, want) types(codes, sizeof(codes) - 1, want)

static void whole_rows(void **state)
{
	char row[64];

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		row[i] = (char)(0x02 + i);
	}
	types(row, 12, "1234567890-=");
	for (unsigned i = 0; i < 12; i++) {
		row[i] = (char)(0x10 + i);
	}
	types(row, 12, "qwertyuiop[]");
	for (unsigned i = 0; i < 12; i++) {
		row[i] = (char)(0x1e + i);
	}
	types(row, 12, "asdfghjkl;'`");
	for (unsigned i = 0; i < 11; i++) {
		row[i] = (char)(0x2b + i);
	}
	types(row, 11, "\\zxcvbnm,./");
	TYPES("\x39\x1c\x0e\x0f\x01", " \r\x7f\t\033");
	TYPES("\x47\x48\x4c\x53\x4a\x4e\x37", "785.-+*");
}

static void modifiers(void **state)
{
	(void)state;
	TYPES("\x2a\x1e\xaa\x1e", "Aa");
	TYPES("\x36\x02\xb6\x02", "!1");
	/* Both held, one released. */
	TYPES("\x2a\x36\xaa\x1e\xb6\x1e", "Aa");
	TYPES("\x3a\xba\x1e\x02\x2a\x1e\x02\xaa\x3a\xba\x1e", "A1a!a");
	TYPES("\x1d\x2e\x1b\x1a\x9d\x2e", "\x03\x1d\x1b\x63");
	/* Right control, control with shift, control with a digit. */
	TYPES("\xe0\x1d\x20\xe0\x9d\x20", "\x04\x64");
	TYPES("\x1d\x2a\x20\xaa\x03\x9d", "\x04\x32");
	TYPES("\x38\x3b\x57\x58\x7f\x00", "");
}

static void releases_make_nothing(void **state)
{
	(void)state;
	TYPES("\x1e\x9e\x9e\xe0\xc8\xe0\xd0", "a");
}

static void extended_keys(void **state)
{
	(void)state;
	TYPES("\xe0\x48\xe0\x50\xe0\x4b\xe0\x4d", "\033[A\033[B\033[D\033[C");
	TYPES("\xe0\x53\xe0\x49", "\033[3~\033[5~");
	TYPES("\xe0\x1c\xe0\x35\xe0\x5b", "\r/");
	/* The fake shift around a cursor key. */
	TYPES("\xe0\x2a\xe0\x48\xe0\xc8\xe0\xaa\x1e", "\033[Aa");
}

static void pause_is_swallowed(void **state)
{
	(void)state;
	TYPES("\xe1\x1d\x45\xe1\x9d\xc5\x1e", "a");
	assert_false(kbd.control);
}

static void controller_is_set_up(void **state)
{
	(void)state;
	push(0x1e); /* typed at the firmware */
	push(0x100 | 0x55);
	assert_true(ps2kbd_init(&kbd));
	assert_int_equal(dev.config, 0x60);
	assert_int_equal(dev.enabled, 1);
	assert_int_equal(dev.head, dev.tail);
	ps2kbd_enable_interrupts(&kbd);
	assert_int_equal(dev.config, 0x61);
}

static void polling_skips_the_mouse(void **state)
{
	uint8_t c;

	(void)state;
	assert_true(ps2kbd_init(&kbd));
	push(0x23);
	push(0x100 | 0x1e);
	push(0x17);
	ps2kbd_poll(&kbd);
	assert_true(ps2kbd_read(&kbd, &c));
	assert_int_equal(c, 0x23);
	assert_true(ps2kbd_read(&kbd, &c));
	assert_int_equal(c, 0x17);
	assert_false(ps2kbd_read(&kbd, &c));
}

static void a_full_ring_drops_what_comes(void **state)
{
	uint8_t c;
	unsigned n = 0;

	(void)state;
	assert_true(ps2kbd_init(&kbd));
	for (unsigned i = 0; i < PS2KBD_RING; i++) {
		push(0xe0);
		push(0x48);
		ps2kbd_poll(&kbd);
	}
	while (ps2kbd_read(&kbd, &c)) {
		assert_int_equal(c, n++ % 2 == 0 ? 0xe0 : 0x48);
	}
	assert_int_equal(n, PS2KBD_RING);
}

static void absent_or_broken_controller(void **state)
{
	uint8_t c;

	(void)state;
	dev.input_stuck = true;
	assert_false(ps2kbd_init(&kbd));
	dev.input_stuck = false;
	dev.mute = true;
	assert_false(ps2kbd_init(&kbd));
	fake_cpu_reset();
	assert_false(ps2kbd_init(&kbd));
	ps2kbd_poll(&kbd);
	ps2kbd_enable_interrupts(&kbd);
	assert_false(ps2kbd_read(&kbd, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whole_rows, setup),
		cmocka_unit_test_setup(modifiers, setup),
		cmocka_unit_test_setup(releases_make_nothing, setup),
		cmocka_unit_test_setup(extended_keys, setup),
		cmocka_unit_test_setup(pause_is_swallowed, setup),
		cmocka_unit_test_setup(controller_is_set_up, setup),
		cmocka_unit_test_setup(polling_skips_the_mouse, setup),
		cmocka_unit_test_setup(a_full_ring_drops_what_comes, setup),
		cmocka_unit_test_setup(absent_or_broken_controller, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
