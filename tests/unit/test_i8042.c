/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/i8042.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"

static struct i8042 k;
static struct rig_line line;
static struct rig_line mouse_line;
static unsigned resets;
static unsigned a20_changes;
static bool a20;

static void count_reset(void *ctx)
{
	assert_ptr_equal(ctx, &line);
	(void)rig_in(&k.dev, 0x64); /* the lock is free */
	resets++;
}

static void set_a20(void *ctx, bool open)
{
	assert_ptr_equal(ctx, &line);
	a20_changes++;
	a20 = open;
}

static int setup(void **state)
{
	struct i8042_config cfg = {.reset = count_reset, .a20 = set_a20, .ctx = &line};

	(void)state;
	line = (struct rig_line){0};
	mouse_line = (struct rig_line){0};
	resets = 0;
	a20_changes = 0;
	a20 = true;
	cfg.keyboard_irq = rig_irq(&line);
	cfg.mouse_irq = rig_irq(&mouse_line);
	i8042_init(&k, &cfg);
	return 0;
}

static uint8_t status(void)
{
	return rig_in(&k.dev, 0x64);
}

static void command(uint8_t byte)
{
	assert_int_equal(status() & I8042_STATUS_INPUT, 0);
	rig_out(&k.dev, 0x64, byte);
}

static void data(uint8_t byte)
{
	rig_out(&k.dev, 0x60, byte);
}

/* The next byte, which must be there, without the mouse's mark. */
static uint8_t answer(void)
{
	assert_int_equal(status() & (I8042_STATUS_OUTPUT | I8042_STATUS_MOUSE), 1);
	return rig_in(&k.dev, 0x60);
}

static void assert_no_more(void)
{
	assert_int_equal(status() & I8042_STATUS_OUTPUT, 0);
	assert_false(line.level);
}

static uint8_t mode(void)
{
	command(0x20);
	return answer();
}

static void set_mode(uint8_t value)
{
	command(0x60);
	data(value);
}

static void power_on_state(void **state)
{
	(void)state;
	assert_int_equal(status(), I8042_STATUS_UNLOCKED | I8042_STATUS_SYSTEM);
	assert_int_equal(rig_in(&k.dev, 0x60), 0);
	assert_int_equal(rig_in(&k.dev, 0x92), I8042_A_A20);
	assert_int_equal(mode(), 0x65);
	assert_no_more();
}

/* Steps of Linux's i8042.c: check, self-test, no mouse, keyboard port. */
static void linux_probe(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(mode(), 0x65);
	}
	assert_int_not_equal(status() & I8042_STATUS_UNLOCKED, 0);
	set_mode(0x65 & ~1 & 0xff);
	assert_int_equal(mode(), 0x64);
	set_mode(0x60);
	assert_int_equal(status() & I8042_STATUS_SYSTEM, 0);
	command(0xaa);
	assert_int_equal(answer(), 0x55);
	assert_int_equal(mode(), 0x64);
	/* i8042_check_aux: the loop answers at once and not as a mouse port would. */
	command(0xd3);
	data(0x5a);
	assert_int_equal(status() & (I8042_STATUS_OUTPUT | I8042_STATUS_MOUSE), 1);
	(void)answer();
	command(0xa9);
	switch (answer()) {
	case 0x00:
	case 0xfa:
	case 0xff:
		fail_msg("that would be a mouse port");
		break;
	default:
		break;
	}
	command(0xab);
	assert_int_equal(answer(), 0x00);
	assert_int_equal(line.rises, 3); /* until the interrupt was disabled */
	assert_no_more();
}

static void atkbd_probe(void **state)
{
	(void)state;
	data(0xf2);
	assert_int_equal(answer(), 0xfa);
	assert_int_equal(answer(), 0xab);
	assert_int_equal(answer(), 0x41); /* 0x83, translated */
	data(0xed);
	assert_int_equal(answer(), 0xfa);
	data(0x00);
	assert_int_equal(answer(), 0xfa);
	data(0xff);
	assert_int_equal(answer(), 0xfa);
	assert_int_equal(answer(), 0xaa);
	assert_no_more();
	set_mode(0x25); /* untranslated */
	data(0xf2);
	assert_int_equal(answer(), 0xfa);
	assert_int_equal(answer(), 0xab);
	assert_int_equal(answer(), 0x83);
}

static void an_absent_mouse_times_out_at_once(void **state)
{
	(void)state;
	set_mode(0x47);
	command(0xd4);
	data(0xff);
	assert_int_equal(status() & 0x61, 0x61);
	assert_true(mouse_line.level);
	assert_int_equal(line.rises, 0);
	assert_int_equal(rig_in(&k.dev, 0x60), 0xfe);
	assert_false(mouse_line.level);
	assert_int_equal(status() & 0x61, 0);
}

static int setup_with_mouse(void **state)
{
	struct i8042_config cfg;

	(void)setup(state);
	cfg = k.cfg;
	cfg.mouse = true;
	i8042_init(&k, &cfg);
	return 0;
}

/* The next byte, which must be the mouse's. */
static uint8_t from_mouse(void)
{
	assert_int_equal(status() & 0x61, 0x21);
	return rig_in(&k.dev, 0x60);
}

static void to_mouse(uint8_t byte)
{
	command(0xd4);
	data(byte);
}

/* Steps of Linux's i8042.c and psmouse: loop, test, reset, movement. */
static void a_mouse_is_found_and_moves(void **state)
{
	const struct ps2_movement by = {.x = 3, .y = -1, .buttons = PS2_MOUSE_LEFT};

	(void)state;
	command(0xd3);
	data(0x5a);
	assert_int_equal(from_mouse(), 0x5a);
	command(0xa9);
	assert_int_equal(answer(), 0x00);
	set_mode(0x47);
	to_mouse(0xff);
	assert_true(mouse_line.level);
	assert_int_equal(from_mouse(), 0xfa);
	assert_int_equal(from_mouse(), 0xaa);
	assert_int_equal(from_mouse(), 0x00);
	assert_int_equal(mouse_line.rises, 3);
	to_mouse(0xf4);
	assert_int_equal(from_mouse(), 0xfa);
	i8042_move(&k, &by);
	assert_int_equal(from_mouse(), 0x29);
	assert_int_equal(from_mouse(), 0x03);
	assert_int_equal(from_mouse(), 0xff);
	assert_no_more();
	/* Nothing comes while the port is off, and all of it later. */
	command(0xa7);
	i8042_move(&k, &by);
	assert_no_more();
	command(0xa8);
	assert_int_equal(from_mouse(), 0x09 | 0x20);
	assert_int_equal(line.rises, 1); /* of the test command, before 0x47 */
}

static void keys_go_before_movement(void **state)
{
	const struct ps2_movement by = {.x = 1};

	(void)state;
	set_mode(0x47);
	to_mouse(0xf4);
	(void)from_mouse();
	assert_true(i8042_key(&k, (const uint8_t *)"\x1e\x9e", 2));
	i8042_move(&k, &by);
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(answer(), 0x9e);
	assert_int_equal(from_mouse(), 0x08);
}

static void keys_interrupt_one_by_one(void **state)
{
	static const uint8_t up[] = {0xe0, 0x48, 0xe0, 0xc8};

	(void)state;
	assert_true(i8042_key(&k, up, sizeof(up)));
	for (unsigned i = 0; i < sizeof(up); i++) {
		assert_true(line.level);
		assert_int_equal(line.rises, i + 1);
		assert_int_equal(answer(), up[i]); /* translation gives back set 1 */
	}
	assert_no_more();
	assert_int_equal(rig_in(&k.dev, 0x60), 0xc8); /* the last byte stays readable */
	assert_int_equal(line.rises, 4);
}

static void translation_keeps_every_key(void **state)
{
	(void)state;
	for (unsigned make = 1; make <= 0x58; make++) {
		uint8_t press = (uint8_t)make;
		uint8_t release = (uint8_t)(make | 0x80);

		assert_true(i8042_key(&k, &press, 1));
		assert_true(i8042_key(&k, &release, 1));
		assert_int_equal(answer(), press);
		assert_int_equal(answer(), release);
	}
	assert_no_more();
}

static void keyboard_off_holds_keys_back(void **state)
{
	static const uint8_t a = 0x1e;

	(void)state;
	command(0xad);
	assert_true(i8042_key(&k, &a, 1));
	assert_no_more();
	assert_int_equal(mode(), 0x75);
	command(0xae);
	assert_int_equal(answer(), 0x1e);
	command(0xad);
	data(0xee); /* a byte for the keyboard switches it on */
	assert_int_equal(answer(), 0xee);
	assert_int_equal(mode(), 0x65);
}

/* An unread key comes before the controller's answer, and neither is lost. */
static void answers_wait_for_the_buffer(void **state)
{
	static const uint8_t keys[] = {0x1e, 0x30};

	(void)state;
	assert_true(i8042_key(&k, keys, 2));
	command(0x20);
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(answer(), 0x65);
	assert_int_equal(answer(), 0x30);
	assert_no_more();
}

static void interrupt_can_be_enabled_late(void **state)
{
	static const uint8_t a = 0x1e;

	(void)state;
	set_mode(0x64);
	assert_true(i8042_key(&k, &a, 1));
	assert_false(line.level);
	set_mode(0x65);
	assert_true(line.level);
	set_mode(0x64);
	assert_false(line.level);
	assert_int_equal(answer(), 0x1e);
}

static void controller_memory(void **state)
{
	(void)state;
	for (uint8_t i = 1; i < 32; i++) {
		command(0x60 + i);
		data((uint8_t)(i * 7));
	}
	for (uint8_t i = 1; i < 32; i++) {
		command(0x20 + i);
		assert_int_equal(answer(), (uint8_t)(i * 7));
	}
	assert_int_equal(mode(), 0x65);
}

static void mouse_port_switches(void **state)
{
	(void)state;
	command(0xa8);
	assert_int_equal(mode() & I8042_MODE_MOUSE_OFF, 0);
	command(0xa7);
	assert_int_equal(mode() & I8042_MODE_MOUSE_OFF, I8042_MODE_MOUSE_OFF);
}

static void the_status_can_show_the_input_port(void **state)
{
	(void)state;
	command(0xc1);
	assert_int_equal(status() >> 4, 0);
	assert_int_equal(status() & 0x0f, I8042_STATUS_SYSTEM | I8042_STATUS_COMMAND);
	command(0xc2);
	assert_int_equal(status() >> 4, 8); /* not locked */
	data(0xf4);
	assert_int_equal(status() & 0xf0, I8042_STATUS_UNLOCKED);
	assert_int_equal(answer(), 0xfa);
}

static void no_password_is_set(void **state)
{
	(void)state;
	command(0xa4);
	assert_int_equal(answer(), 0xf1);
	assert_no_more();
}

static void status_tells_the_last_port(void **state)
{
	(void)state;
	command(0xe0);
	assert_int_equal(status() & I8042_STATUS_COMMAND, I8042_STATUS_COMMAND);
	assert_int_equal(answer(), 0);
	data(0xee);
	assert_int_equal(status() & I8042_STATUS_COMMAND, 0);
	assert_int_equal(answer(), 0xee);
	command(0xc0);
	assert_int_equal(answer(), 0x80);
	command(0xd2);
	data(0xf0); /* as from the keyboard, but not translated */
	assert_true(line.level);
	assert_int_equal(answer(), 0xf0);
}

/* A command forgets an earlier one that still waited for its byte. */
static void commands_replace_each_other(void **state)
{
	(void)state;
	command(0xd1);
	command(0xab);
	assert_int_equal(answer(), 0);
	data(0xee); /* the keyboard's, not the output port's */
	assert_int_equal(answer(), 0xee);
	assert_int_equal(resets, 0);
}

static void reset_pulses(void **state)
{
	(void)state;
	command(0xff);
	command(0xf1);
	command(0xfd);
	assert_int_equal(resets, 0);
	command(0xfe);
	assert_int_equal(resets, 1);
	command(0xf0);
	assert_int_equal(resets, 2);
	command(0xd1);
	data(0xcf);
	assert_int_equal(resets, 2);
	command(0xd1);
	data(0xce);
	assert_int_equal(resets, 3);
	data(0xfe); /* to the keyboard: Resend */
	assert_int_equal(resets, 3);
}

static void port_a_resets_on_a_rising_bit(void **state)
{
	(void)state;
	rig_out(&k.dev, 0x92, 0x02);
	assert_int_equal(resets, 0);
	rig_out(&k.dev, 0x92, 0x03);
	assert_int_equal(resets, 1);
	rig_out(&k.dev, 0x92, 0x03);
	assert_int_equal(resets, 1);
	rig_out(&k.dev, 0x92, 0xfe);
	assert_int_equal(rig_in(&k.dev, 0x92), 0x02);
	rig_out(&k.dev, 0x92, 0x01);
	assert_int_equal(resets, 2);
}

static void a20_has_two_gates(void **state)
{
	(void)state;
	command(0xd0);
	assert_int_equal(answer(), 0xc3);
	command(0xdd);
	assert_int_equal(a20_changes, 0); /* port 0x92 holds it open */
	rig_out(&k.dev, 0x92, 0x00);
	assert_int_equal(a20_changes, 1);
	assert_false(a20);
	command(0xd0);
	assert_int_equal(answer() & 0x03, 0x01);
	command(0xd1);
	data(0xc3);
	assert_true(a20);
	rig_out(&k.dev, 0x92, 0x02);
	assert_int_equal(a20_changes, 2);
	command(0xdd);
	command(0xdf);
	assert_int_equal(a20_changes, 2);
	command(0xd0);
	assert_int_equal(answer(), 0xc3);
	assert_int_equal(resets, 0);
}

static void output_port_shows_the_line(void **state)
{
	static const uint8_t a = 0x1e;

	(void)state;
	assert_true(i8042_key(&k, &a, 1));
	command(0xd0);
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(answer() & I8042_OUT_KEYBOARD_FULL, I8042_OUT_KEYBOARD_FULL);
}

static void other_accesses(void **state)
{
	(void)state;
	assert_int_equal(rig_in(&k.dev, 0x61), 0xff);
	rig_out(&k.dev, 0x61, 0);
	command(0x00);
	command(0xa0);
	command(0xcf);
	assert_no_more();
	assert_int_equal(resets, 0);
}

static void reset_returns_to_power_on(void **state)
{
	static const uint8_t a = 0x1e;

	(void)state;
	set_mode(0x01);
	command(0x7f);
	data(0xaa);
	rig_out(&k.dev, 0x92, 0x00);
	command(0xdd);
	command(0xd1);
	assert_true(i8042_key(&k, &a, 1));
	assert_true(line.level);
	assert_false(a20);
	k.dev.ops->reset(&k.dev);
	assert_false(line.level);
	assert_true(a20);
	power_on_state(state);
	command(0x3f);
	assert_int_equal(answer(), 0);
}

static void a_loaded_one_goes_on(void **state)
{
	const uint8_t key[] = {0x1e};

	(void)state;
	command(0x60); /* waits for the command byte */
	assert_true(i8042_key(&k, key, 1));
	assert_true(line.level);
	rig_out(&k.dev, I8042_PORT_A, 0);
	command(0xdd);
	assert_false(a20);
	command(0xd4);
	saved_reload(&k.saved);
	assert_true(line.level);
	assert_false(a20);
	data(0xf2); /* for the mouse, that there is not */
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(status() & (I8042_STATUS_OUTPUT | I8042_STATUS_MOUSE), 0x21);
	assert_int_equal(rig_in(&k.dev, 0x60), 0xfe);
	assert_no_more();
}

static void what_no_driver_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&k.saved, struct i8042_saved, field, value)
	assert_true(TAKES(command, 0xd4));
	assert_true(TAKES(command, 0x7f));
	assert_false(TAKES(command, 0xd5));
	assert_false(TAKES(command, 0x20));
	assert_false(TAKES(output.valid, 2));
	assert_false(TAKES(answer.mouse, 2));
	assert_false(TAKES(released, 2));
	assert_false(TAKES(port_a, 4));
	assert_false(TAKES(zero[1], 1));
	assert_false(TAKES(polled, 0xc0));
	assert_true(TAKES(polled, 0xc2));
	assert_false(TAKES(keyboard.set, 0));
	assert_false(TAKES(mouse.id, 1));
#undef TAKES
}

static void what_is_not_there_is_told(void **state)
{
	(void)state;
	k.dev.lacks = &lacks_rig;
	lacks_rig = (struct lacks){.total = 0};
	command(0xaa);
	command(0xf1);
	data(0xf2);
	assert_int_equal(lacks_rig.total, 0);
	command(0xb8);
	assert_int_equal(lacks_told("8042", LACKS_COMMAND, 0xb8), 1);
	data(0xef);
	assert_int_equal(lacks_told("8042", LACKS_KEYBOARD, 0xef), 1);
	k.cfg.mouse = true;
	command(0xd4);
	data(0xe1);
	assert_int_equal(lacks_told("8042", LACKS_MOUSE, 0xe1), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(power_on_state),
		T(linux_probe),
		T(atkbd_probe),
		T(an_absent_mouse_times_out_at_once),
		cmocka_unit_test_setup(a_mouse_is_found_and_moves, setup_with_mouse),
		cmocka_unit_test_setup(keys_go_before_movement, setup_with_mouse),
		T(keys_interrupt_one_by_one),
		T(translation_keeps_every_key),
		T(keyboard_off_holds_keys_back),
		T(answers_wait_for_the_buffer),
		T(interrupt_can_be_enabled_late),
		T(controller_memory),
		T(mouse_port_switches),
		T(status_tells_the_last_port),
		T(the_status_can_show_the_input_port),
		T(no_password_is_set),
		T(commands_replace_each_other),
		T(reset_pulses),
		T(port_a_resets_on_a_rising_bit),
		T(a20_has_two_gates),
		T(output_port_shows_the_line),
		T(other_accesses),
		T(reset_returns_to_power_on),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(what_no_driver_can_make_of_it_is_refused, setup),
		cmocka_unit_test_setup(what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
