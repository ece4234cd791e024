/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses and keys against the keyboard controller; its lines must follow its output buffer. */
#include "guests/devices/i8042.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct i8042 k;
static struct rig_line line;
static struct rig_line mouse_line;
static unsigned resets;
static bool a20;

static void count_reset(void *ctx)
{
	(void)ctx;
	resets++;
}

static void set_a20(void *ctx, bool open)
{
	(void)ctx;
	assert(open != a20);
	a20 = open;
}

static void press(struct input *in, unsigned n)
{
	uint8_t keys[32];

	for (unsigned i = 0; i < n; i++) {
		keys[i] = (uint8_t)take(in, 1);
	}
	(void)i8042_key(&k, keys, n);
}

static void move(struct input *in)
{
	const struct ps2_movement by = {.x = (int16_t)take(in, 2),
					.y = (int8_t)take(in, 1),
					.wheel = (int8_t)take(in, 1),
					.buttons = (uint8_t)take(in, 1)};

	i8042_move(&k, &by);
}

static void step(struct input *in)
{
	static const uint16_t ports[] = {0x60, 0x64, 0x92, 0x60};
	uint8_t op = (uint8_t)take(in, 1);
	uint16_t port = ports[op & 3];

	switch (op >> 2 & 7) {
	case 0:
	case 1:
	case 2:
		rig_out(&k.dev, port, (uint8_t)take(in, 1));
		break;
	case 3:
	case 4:
		(void)rig_in(&k.dev, port);
		break;
	case 5:
		press(in, op >> 3);
		break;
	case 6:
		(void)rig_read(&k.dev, BUS_PIO, port, 4);
		rig_write(&k.dev, BUS_PIO, port, 2, take(in, 2));
		break;
	default:
		move(in);
		if (op == 0xff) {
			k.dev.ops->reset(&k.dev);
		}
		break;
	}
}

static void invariants(void)
{
	bool off = (k.ram[0] & I8042_MODE_KEYBOARD_OFF) != 0;

	assert(line.level == (k.output.valid && !k.output.mouse && (k.ram[0] & 1) != 0));
	assert(mouse_line.level == (k.output.valid && k.output.mouse && (k.ram[0] & 2) != 0));
	assert((rig_in(&k.dev, 0x64) & I8042_STATUS_INPUT) == 0);
	assert(k.keyboard.key_count <= PS2_KEYS && k.keyboard.key_head < PS2_KEYS);
	assert(k.keyboard.reply_head <= k.keyboard.reply_count);
	assert(k.keyboard.reply_count <= PS2_REPLY);
	assert(k.mouse.reply_head <= k.mouse.reply_count && k.mouse.reply_count <= PS2_MOUSE_REPLY);
	assert(k.mouse.packet_head <= k.mouse.packet_count);
	assert(k.mouse.packet_count <= PS2_MOUSE_PACKET);
	assert(k.mouse.id == 0 || k.mouse.id == 3 || k.mouse.id == 4);
	assert(k.keyboard.set >= 1 && k.keyboard.set <= 3);
	/* Nothing waits behind an empty output buffer. */
	assert(k.output.valid || !k.answer.valid);
	assert(k.output.valid || off || k.keyboard.key_count == 0);
	assert(!k.wants_reset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct i8042_config cfg = {.reset = count_reset, .a20 = set_a20};

	line = (struct rig_line){0};
	mouse_line = (struct rig_line){0};
	a20 = true;
	cfg.keyboard_irq = rig_irq(&line);
	cfg.mouse_irq = rig_irq(&mouse_line);
	cfg.mouse = take(&in, 1) % 2 != 0;
	i8042_init(&k, &cfg);
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	/* Whatever was written, a reader comes to an end and the controller still answers. */
	for (unsigned i = 0; i < 256 && (rig_in(&k.dev, 0x64) & 1) != 0; i++) {
		(void)rig_in(&k.dev, 0x60);
	}
	rig_out(&k.dev, 0x64, 0xaa);
	assert((rig_in(&k.dev, 0x64) & 1) != 0 && rig_in(&k.dev, 0x60) == 0x55);
	return 0;
}
