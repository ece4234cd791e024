/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyboard controller. Source: IBM PS/2 Technical Reference, "Keyboard and Auxiliary Device
 * Controller"; ICH9 data sheet, "PORT92".
 *
 *	keyboard --bytes--> translation --+--> output buffer --> port 0x60, IRQ 1
 *	controller's answer --------------+
 *	mouse ----------------------------+		     IRQ 12
 */
#include "guests/devices/i8042.h"

#include "guests/devices/bytewise.h"
#include "guests/devices/scancode.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CMD_READ_RAM 0x20u  /* .. 0x3f */
#define CMD_WRITE_RAM 0x60u /* .. 0x7f */
#define RAM_INDEX 0x1fu
#define CMD_PASSWORD_TEST 0xa4u
#define CMD_MOUSE_OFF 0xa7u
#define CMD_MOUSE_ON 0xa8u
#define CMD_MOUSE_TEST 0xa9u
#define CMD_SELF_TEST 0xaau
#define CMD_KEYBOARD_TEST 0xabu
#define CMD_KEYBOARD_OFF 0xadu
#define CMD_KEYBOARD_ON 0xaeu
#define CMD_READ_INPUT_PORT 0xc0u
#define CMD_POLL_INPUT_LOW 0xc1u  /* bits 3:0 of the input port show in bits 7:4 of the status */
#define CMD_POLL_INPUT_HIGH 0xc2u /* bits 7:4 */
#define CMD_READ_OUTPUT_PORT 0xd0u
#define CMD_WRITE_OUTPUT_PORT 0xd1u
#define CMD_KEYBOARD_LOOP 0xd2u
#define CMD_MOUSE_LOOP 0xd3u
#define CMD_WRITE_MOUSE 0xd4u
#define CMD_A20_OFF 0xddu
#define CMD_A20_ON 0xdfu
#define CMD_TEST_INPUTS 0xe0u
#define CMD_PULSE 0xf0u /* .. 0xff: output port bits that are 0 in the low four go low */

#define SELF_TEST_PASSED 0x55u
#define PASSWORD_NONE 0xf1u
#define KEYBOARD_TEST_PASSED 0x00u
#define MOUSE_TEST_PASSED 0x00u
#define MOUSE_TEST_CLOCK_LOW 0x01u /* the mouse port's clock line is stuck */
#define MOUSE_NO_ANSWER 0xfeu
#define INPUT_PORT_UNLOCKED 0x80u
#define OUTPUT_PORT_IDLE 0xc0u /* clock and data of the keyboard are high */

static struct i8042 *to_i8042(struct vdev *dev)
{
	return container_of(dev, struct i8042, dev);
}

/* ---- output ---- */

static void update_irqs(struct i8042 *k)
{
	const struct i8042_byte *o = &k->output;
	bool keyboard = o->valid && !o->mouse && (k->ram[0] & I8042_MODE_KEYBOARD_IRQ) != 0;
	bool mouse = o->valid && o->mouse && (k->ram[0] & I8042_MODE_MOUSE_IRQ) != 0;

	if (keyboard != k->keyboard_level) {
		k->keyboard_level = keyboard;
		irq_line_set(&k->cfg.keyboard_irq, keyboard);
	}
	if (mouse != k->mouse_level) {
		k->mouse_level = mouse;
		irq_line_set(&k->cfg.mouse_irq, mouse);
	}
}

/* Set 2 to set 1: the break prefix becomes a bit of the code that follows it. */
static bool translate(struct i8042 *k, uint8_t *byte)
{
	if ((k->ram[0] & I8042_MODE_TRANSLATE) == 0) {
		return true;
	}
	if (*byte == SCANCODE_BREAK) {
		k->released = true;
		return false;
	}
	*byte = scancode_2_to_1(*byte) | (k->released ? SCANCODE_1_RELEASED : 0);
	k->released = false;
	return true;
}

static void refill_from_keyboard(struct i8042 *k)
{
	uint8_t byte;

	while (!k->output.valid && (k->ram[0] & I8042_MODE_KEYBOARD_OFF) == 0 &&
	       ps2_keyboard_send(&k->keyboard, &byte)) {
		if (translate(k, &byte)) {
			k->output = (struct i8042_byte){.value = byte, .valid = true};
		}
	}
}

static void refill_from_mouse(struct i8042 *k)
{
	uint8_t byte;

	if (!k->output.valid && k->cfg.mouse && (k->ram[0] & I8042_MODE_MOUSE_OFF) == 0 &&
	    ps2_mouse_send(&k->mouse, &byte)) {
		k->output = (struct i8042_byte){.value = byte, .valid = true, .mouse = true};
	}
}

/* Fills the empty output buffer: the controller's answer first, then what the keyboard has. */
static void refill(struct i8042 *k)
{
	if (k->output.valid) {
		return;
	}
	if (k->answer.valid) {
		k->output = k->answer;
		k->answer.valid = false;
		return;
	}
	refill_from_keyboard(k);
	refill_from_mouse(k);
}

static void answer(struct i8042 *k, uint8_t value)
{
	k->answer = (struct i8042_byte){.value = value, .valid = true};
}

static uint8_t read_data(struct i8042 *k)
{
	k->output.valid = false;
	update_irqs(k); /* the line falls between two bytes: an edge for each */
	return k->output.value;
}

/* What "Poll Input Port" shows in the place of the upper half. */
static uint8_t show_input_port(uint8_t status, uint8_t command)
{
	uint8_t port = INPUT_PORT_UNLOCKED;

	if (command == CMD_POLL_INPUT_LOW) {
		port = (uint8_t)(port << 4);
	}
	return (status & 0x0fu) | (port & 0xf0u);
}

static uint8_t read_status(const struct i8042 *k)
{
	uint8_t status = I8042_STATUS_UNLOCKED;

	status |= (k->ram[0] & I8042_MODE_SYSTEM) != 0 ? I8042_STATUS_SYSTEM : 0;
	status |= k->command_written ? I8042_STATUS_COMMAND : 0;
	if (k->output.valid) {
		status |= I8042_STATUS_OUTPUT;
		status |= k->output.mouse ? I8042_STATUS_MOUSE : 0;
		status |= k->output.timeout ? I8042_STATUS_TIMEOUT : 0;
	}
	return k->polled != 0 ? show_input_port(status, k->polled) : status;
}

/* ---- reset and A20 ---- */

/* Either of the two opens the gate. */
static void update_a20(struct i8042 *k)
{
	bool open = (k->output_port & I8042_OUT_A20) != 0 || (k->port_a & I8042_A_A20) != 0;

	if (open != k->a20) {
		k->a20 = open;
		if (k->cfg.a20 != NULL) {
			k->cfg.a20(k->cfg.ctx, open);
		}
	}
}

static void write_output_port(struct i8042 *k, uint8_t value)
{
	if ((value & I8042_OUT_RUN) == 0) {
		k->wants_reset = true;
	}
	k->output_port = value;
	update_a20(k);
}

/* The line is only pulsed, so the bit is stored for reading back alone. */
static void write_port_a(struct i8042 *k, uint8_t value)
{
	if ((value & ~k->port_a & I8042_A_RESET) != 0) {
		k->wants_reset = true;
	}
	k->port_a = value & (I8042_A_RESET | I8042_A_A20);
	update_a20(k);
}

static uint8_t read_output_port(const struct i8042 *k)
{
	uint8_t value =
		k->output_port & (uint8_t) ~(I8042_OUT_KEYBOARD_FULL | I8042_OUT_MOUSE_FULL);

	value |= k->keyboard_level ? I8042_OUT_KEYBOARD_FULL : 0;
	value |= k->mouse_level ? I8042_OUT_MOUSE_FULL : 0;
	return value;
}

/* ---- commands ---- */

static void set_mode(struct i8042 *k, uint8_t set, uint8_t clear)
{
	k->ram[0] = (uint8_t)((k->ram[0] | set) & ~clear);
}

/* Commands without data byte and answer. */
static void do_command(struct i8042 *k, uint8_t command)
{
	switch (command) {
	case CMD_MOUSE_OFF:
		set_mode(k, I8042_MODE_MOUSE_OFF, 0);
		break;
	case CMD_MOUSE_ON:
		set_mode(k, 0, I8042_MODE_MOUSE_OFF);
		break;
	case CMD_KEYBOARD_OFF:
		set_mode(k, I8042_MODE_KEYBOARD_OFF, 0);
		break;
	case CMD_KEYBOARD_ON:
		set_mode(k, 0, I8042_MODE_KEYBOARD_OFF);
		break;
	case CMD_A20_OFF:
		write_output_port(k, k->output_port & (uint8_t)~I8042_OUT_A20);
		break;
	case CMD_A20_ON:
		write_output_port(k, k->output_port | I8042_OUT_A20);
		break;
	default:
		if (command < CMD_PULSE) {
			vdev_lacks(&k->dev, LACKS_COMMAND, command);
		} else if ((command & I8042_OUT_RUN) == 0) {
			k->wants_reset = true;
		}
		break;
	}
}

static void write_command(struct i8042 *k, uint8_t command)
{
	k->command = 0;
	switch (command) {
	case CMD_PASSWORD_TEST:
		answer(k, PASSWORD_NONE);
		break;
	case CMD_MOUSE_TEST:
		answer(k, (uint8_t)(k->cfg.mouse ? MOUSE_TEST_PASSED : MOUSE_TEST_CLOCK_LOW));
		break;
	case CMD_SELF_TEST:
		set_mode(k, I8042_MODE_SYSTEM, 0);
		answer(k, SELF_TEST_PASSED);
		break;
	case CMD_KEYBOARD_TEST:
		answer(k, KEYBOARD_TEST_PASSED);
		break;
	case CMD_READ_INPUT_PORT:
		answer(k, INPUT_PORT_UNLOCKED);
		break;
	case CMD_READ_OUTPUT_PORT:
		answer(k, read_output_port(k));
		break;
	case CMD_TEST_INPUTS:
		answer(k, 0);
		break;
	case CMD_POLL_INPUT_LOW:
	case CMD_POLL_INPUT_HIGH:
		k->polled = command;
		break;
	case CMD_WRITE_OUTPUT_PORT:
	case CMD_KEYBOARD_LOOP:
	case CMD_MOUSE_LOOP:
	case CMD_WRITE_MOUSE:
		k->command = command;
		break;
	default:
		if ((command & ~RAM_INDEX) == CMD_READ_RAM) {
			answer(k, k->ram[command & RAM_INDEX]);
		} else if ((command & ~RAM_INDEX) == CMD_WRITE_RAM) {
			k->command = command;
		} else {
			do_command(k, command);
		}
		break;
	}
}

static void write_mouse(struct i8042 *k, uint8_t value)
{
	if (k->cfg.mouse) {
		set_mode(k, 0, I8042_MODE_MOUSE_OFF);
		if (!ps2_mouse_receive(&k->mouse, value)) {
			vdev_lacks(&k->dev, LACKS_MOUSE, value);
		}
	} else {
		k->answer = (struct i8042_byte){
			.value = MOUSE_NO_ANSWER, .valid = true, .mouse = true, .timeout = true};
	}
}

/* The byte that a command waits for, or one for the keyboard, which that switches on. */
static void write_data(struct i8042 *k, uint8_t value)
{
	uint8_t command = k->command;

	k->command = 0;
	switch (command) {
	case 0:
		set_mode(k, 0, I8042_MODE_KEYBOARD_OFF);
		if (!ps2_keyboard_receive(&k->keyboard, value)) {
			vdev_lacks(&k->dev, LACKS_KEYBOARD, value);
		}
		break;
	case CMD_WRITE_OUTPUT_PORT:
		write_output_port(k, value);
		break;
	case CMD_KEYBOARD_LOOP:
	case CMD_MOUSE_LOOP:
		answer(k, value);
		/* Without a mouse port the byte does not look like a mouse's. */
		k->answer.mouse = command == CMD_MOUSE_LOOP && k->cfg.mouse;
		break;
	case CMD_WRITE_MOUSE:
		write_mouse(k, value);
		break;
	default:
		k->ram[command & RAM_INDEX] = value;
		break;
	}
}

/* ---- accesses ---- */

static uint8_t read_byte(struct vdev *dev, uint64_t addr)
{
	struct i8042 *k = to_i8042(dev);

	switch (addr) {
	case LAYOUT_I8042_DATA:
		return read_data(k);
	case LAYOUT_I8042_STATUS:
		return read_status(k);
	case I8042_PORT_A:
		return k->port_a;
	default:
		return 0xff;
	}
}

static void write_byte(struct vdev *dev, uint64_t addr, uint8_t value)
{
	struct i8042 *k = to_i8042(dev);

	switch (addr) {
	case LAYOUT_I8042_DATA:
		k->command_written = false;
		k->polled = 0;
		write_data(k, value);
		break;
	case LAYOUT_I8042_STATUS:
		k->command_written = true;
		k->polled = 0;
		write_command(k, value);
		break;
	case I8042_PORT_A:
		write_port_a(k, value);
		break;
	default:
		break;
	}
}

static uint64_t i8042_read(struct vdev *dev, const struct vdev_access *a)
{
	struct i8042 *k = to_i8042(dev);
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_byte);
	refill(k);
	update_irqs(k);
	lock_release(&dev->lock);
	return value;
}

static void i8042_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct i8042 *k = to_i8042(dev);
	bool reset;

	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_byte);
	refill(k);
	update_irqs(k);
	reset = k->wants_reset;
	k->wants_reset = false;
	lock_release(&dev->lock);
	if (reset && k->cfg.reset != NULL) {
		k->cfg.reset(k->cfg.ctx);
	}
}

/* What a BIOS leaves: keyboard on, interrupting and translated, no mouse, A20 open. */
static void power_on(struct i8042 *k)
{
	ps2_keyboard_init(&k->keyboard);
	ps2_mouse_init(&k->mouse);
	for (unsigned i = 0; i < I8042_RAM; i++) {
		k->ram[i] = 0;
	}
	k->ram[0] = I8042_MODE_KEYBOARD_IRQ | I8042_MODE_SYSTEM | I8042_MODE_MOUSE_OFF |
		    I8042_MODE_TRANSLATE;
	k->command = 0;
	k->command_written = false;
	k->polled = 0;
	k->output = (struct i8042_byte){0};
	k->answer = (struct i8042_byte){0};
	k->released = false;
	k->output_port = OUTPUT_PORT_IDLE | I8042_OUT_RUN | I8042_OUT_A20;
	k->port_a = I8042_A_A20;
}

static void i8042_reset(struct vdev *dev)
{
	struct i8042 *k = to_i8042(dev);

	lock_acquire(&dev->lock);
	power_on(k);
	update_a20(k);
	update_irqs(k);
	lock_release(&dev->lock);
}

static const struct vdev_ops i8042_ops = {
	.name = "8042",
	.read = i8042_read,
	.write = i8042_write,
	.reset = i8042_reset,
};

/* ---- saved state ---- */

static void save_byte(const struct i8042_byte *b, struct i8042_byte_saved *out)
{
	*out = (struct i8042_byte_saved){b->value, b->valid, b->mouse, b->timeout};
}

static bool byte_is_sound(const struct i8042_byte_saved *in)
{
	return saved_is_bool(in->valid) && saved_is_bool(in->mouse) && saved_is_bool(in->timeout);
}

static void load_byte(struct i8042_byte *b, const struct i8042_byte_saved *in)
{
	*b = (struct i8042_byte){in->value, in->valid != 0, in->mouse != 0, in->timeout != 0};
}

static void save(void *dev, void *out)
{
	struct i8042 *k = dev;
	struct i8042_saved *saved = out;

	lock_acquire(&k->dev.lock);
	ps2_keyboard_save(&k->keyboard, &saved->keyboard);
	ps2_mouse_save(&k->mouse, &saved->mouse);
	memcpy(saved->ram, k->ram, sizeof(saved->ram));
	save_byte(&k->output, &saved->output);
	save_byte(&k->answer, &saved->answer);
	saved->command = k->command;
	saved->command_written = k->command_written;
	saved->polled = k->polled;
	saved->released = k->released;
	saved->output_port = k->output_port;
	saved->port_a = k->port_a;
	lock_release(&k->dev.lock);
}

static bool takes_data(uint8_t command)
{
	return (command >= CMD_WRITE_OUTPUT_PORT && command <= CMD_WRITE_MOUSE) ||
	       (command & ~RAM_INDEX) == CMD_WRITE_RAM;
}

static const char *check(void *dev, const void *in)
{
	const struct i8042_saved *saved = in;
	const char *wrong = ps2_keyboard_check(&saved->keyboard);

	(void)dev;
	if (wrong == NULL) {
		wrong = ps2_mouse_check(&saved->mouse);
	}
	if (wrong != NULL) {
		return wrong;
	}
	if (saved->command != 0 && !takes_data(saved->command)) {
		return "it waits for the data of no command";
	}
	if (saved->polled != 0 && saved->polled != CMD_POLL_INPUT_LOW &&
	    saved->polled != CMD_POLL_INPUT_HIGH) {
		return "no command shows the input port so";
	}
	if (!byte_is_sound(&saved->output) || !byte_is_sound(&saved->answer) ||
	    !saved_is_bool(saved->command_written) || !saved_is_bool(saved->released) ||
	    (saved->port_a & ~(I8042_A_RESET | I8042_A_A20)) != 0 ||
	    !saved_is_zero(saved->zero, sizeof(saved->zero))) {
		return "port A has 2 bits, a flag 1";
	}
	return NULL;
}

static void load(void *dev, const void *in)
{
	struct i8042 *k = dev;
	const struct i8042_saved *saved = in;

	lock_acquire(&k->dev.lock);
	ps2_keyboard_load(&k->keyboard, &saved->keyboard);
	ps2_mouse_load(&k->mouse, &saved->mouse);
	memcpy(k->ram, saved->ram, sizeof(k->ram));
	load_byte(&k->output, &saved->output);
	load_byte(&k->answer, &saved->answer);
	k->command = saved->command;
	k->command_written = saved->command_written != 0;
	k->polled = saved->polled;
	k->released = saved->released != 0;
	k->output_port = saved->output_port;
	k->port_a = saved->port_a;
	update_a20(k);
	update_irqs(k);
	lock_release(&k->dev.lock);
}

static void reset_saved(void *dev)
{
	i8042_reset(&((struct i8042 *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "8042",
	.kind = SAVED_KIND('8', '0', '4', '2'),
	.version = I8042_SAVED_VERSION,
	.bytes = sizeof(struct i8042_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void i8042_init(struct i8042 *k, const struct i8042_config *cfg)
{
	*k = (struct i8042){.dev.ops = &i8042_ops, .cfg = *cfg, .a20 = true};
	saved_device_init(&k->saved, &saved_ops, k);
	power_on(k);
}

bool i8042_key(struct i8042 *k, const uint8_t *set1, size_t n)
{
	bool taken;

	lock_acquire(&k->dev.lock);
	taken = ps2_keyboard_key(&k->keyboard, set1, n);
	refill(k);
	update_irqs(k);
	lock_release(&k->dev.lock);
	return taken;
}

void i8042_move(struct i8042 *k, const struct ps2_movement *by)
{
	if (!k->cfg.mouse) {
		return;
	}
	lock_acquire(&k->dev.lock);
	ps2_mouse_move(&k->mouse, by);
	refill(k);
	update_irqs(k);
	lock_release(&k->dev.lock);
}
