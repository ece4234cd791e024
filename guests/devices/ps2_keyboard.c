/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard. Source: IBM PS/2 Technical Reference, "Keyboard": commands and replies. */
#include "guests/devices/ps2_keyboard.h"

#include "guests/devices/scancode.h"
#include "hv/api/saved.h"
#include "hv/base/str.h"

#define CMD_LEDS 0xedu
#define CMD_ECHO 0xeeu
#define CMD_SET 0xf0u
#define CMD_IDENTIFY 0xf2u
#define CMD_TYPEMATIC 0xf3u
#define CMD_ENABLE 0xf4u
#define CMD_DISABLE 0xf5u
#define CMD_DEFAULTS 0xf6u
#define CMD_ALL_FIRST 0xf7u
#define CMD_ALL_LAST 0xfau
#define CMD_KEY_FIRST 0xfbu /* these three take codes of keys until the next command */
#define CMD_KEY_LAST 0xfdu
#define CMD_RESEND 0xfeu
#define CMD_RESET 0xffu
#define CMD_FIRST CMD_LEDS

#define REPLY_ACK 0xfau
#define REPLY_RESEND 0xfeu
#define REPLY_TEST_PASSED 0xaau
#define IDENTITY_0 0xabu
#define IDENTITY_1 0x83u

#define TYPEMATIC_DEFAULT 0x2bu /* 500 ms, 10.9 a second */
#define SET_DEFAULT 2u
#define SET3_PAUSE 0x62u

static void reply(struct ps2_keyboard *k, uint8_t byte)
{
	k->reply[k->reply_count++] = byte;
}

static void set_defaults(struct ps2_keyboard *k)
{
	k->set = SET_DEFAULT;
	k->typematic = TYPEMATIC_DEFAULT;
	k->key_head = 0;
	k->key_count = 0;
	k->scanning = true;
}

void ps2_keyboard_init(struct ps2_keyboard *k)
{
	*k = (struct ps2_keyboard){0};
	set_defaults(k);
}

/* The argument of k->command. */
static void take_argument(struct ps2_keyboard *k, uint8_t byte)
{
	uint8_t command = k->command;

	if (command < CMD_KEY_FIRST) {
		k->command = 0;
	}
	if (command == CMD_SET && byte > 3) {
		reply(k, REPLY_RESEND);
		return;
	}
	reply(k, REPLY_ACK);
	if (command == CMD_LEDS) {
		k->leds = byte & 7;
	} else if (command == CMD_TYPEMATIC) {
		k->typematic = byte & 0x7f;
	} else if (command == CMD_SET && byte == 0) {
		reply(k, k->set);
	} else if (command == CMD_SET) {
		k->set = byte;
	}
}

/* False: there is no such command. */
static bool take_command(struct ps2_keyboard *k, uint8_t command)
{
	switch (command) {
	case CMD_ECHO:
		reply(k, CMD_ECHO);
		return true;
	case CMD_RESEND:
		reply(k, k->last);
		return true;
	case CMD_LEDS:
	case CMD_SET:
	case CMD_TYPEMATIC:
		k->command = command;
		break;
	case CMD_ENABLE:
		k->key_count = 0;
		k->scanning = true;
		break;
	case CMD_DISABLE:
	case CMD_DEFAULTS:
		set_defaults(k);
		k->scanning = command == CMD_DEFAULTS;
		break;
	case CMD_RESET:
		set_defaults(k);
		k->leds = 0;
		break;
	default:
		if (command >= CMD_KEY_FIRST && command <= CMD_KEY_LAST) {
			k->command = command;
		} else if (command != CMD_IDENTIFY &&
			   (command < CMD_ALL_FIRST || command > CMD_ALL_LAST)) {
			reply(k, REPLY_RESEND);
			return false;
		}
		break;
	}
	reply(k, REPLY_ACK);
	if (command == CMD_IDENTIFY) {
		reply(k, IDENTITY_0);
		reply(k, IDENTITY_1);
	} else if (command == CMD_RESET) {
		reply(k, REPLY_TEST_PASSED);
	}
	return true;
}

bool ps2_keyboard_receive(struct ps2_keyboard *k, uint8_t byte)
{
	/* A byte from the host ends whatever reply is on its way. */
	k->reply_head = 0;
	k->reply_count = 0;
	if (k->command != 0 && byte < CMD_FIRST) {
		take_argument(k, byte);
		return true;
	}
	k->command = 0;
	return take_command(k, byte);
}

bool ps2_keyboard_send(struct ps2_keyboard *k, uint8_t *byte)
{
	if (k->reply_head < k->reply_count) {
		k->last = k->reply[k->reply_head++];
	} else if (k->key_count != 0) {
		k->last = k->keys[k->key_head];
		k->key_head = (k->key_head + 1) % PS2_KEYS;
		k->key_count--;
	} else {
		return false;
	}
	*byte = k->last;
	return true;
}

/* ---- keys ---- */

struct key_bytes {
	uint8_t byte[PS2_KEYS];
	unsigned count;
	bool overflow;
};

static void add(struct key_bytes *out, uint8_t byte)
{
	if (out->count == PS2_KEYS) {
		out->overflow = true;
	} else {
		out->byte[out->count++] = byte;
	}
}

static void add_key(struct key_bytes *out, uint8_t code, bool released)
{
	if (code != 0) {
		if (released) {
			add(out, SCANCODE_BREAK);
		}
		add(out, code);
	}
}

/* The Pause key has no break code in set 3 and only one byte; its set 1 sequence is six. */
static void convert_to_3(struct key_bytes *out, const uint8_t *set1, size_t n)
{
	bool extended = false;

	for (size_t i = 0; i < n; i++) {
		uint8_t make = set1[i] & (uint8_t)~SCANCODE_1_RELEASED;
		bool released = make != set1[i];

		if (set1[i] == SCANCODE_PAUSE) {
			if (i + 1 < n && (set1[i + 1] & SCANCODE_1_RELEASED) == 0) {
				add(out, SET3_PAUSE);
			}
			i += 2;
		} else if (set1[i] == SCANCODE_EXTENDED) {
			extended = true;
		} else {
			add_key(out, scancode_1_to_3(make, extended), released);
			extended = false;
		}
	}
}

static void convert_to_2(struct key_bytes *out, const uint8_t *set1, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t make = set1[i] & (uint8_t)~SCANCODE_1_RELEASED;

		if (set1[i] == SCANCODE_EXTENDED || set1[i] == SCANCODE_PAUSE) {
			add(out, set1[i]);
		} else {
			add_key(out, scancode_1_to_2(make), make != set1[i]);
		}
	}
}

bool ps2_keyboard_key(struct ps2_keyboard *k, const uint8_t *set1, size_t n)
{
	struct key_bytes out = {.count = 0};

	if (!k->scanning) {
		return true;
	}
	if (k->set == 3) {
		convert_to_3(&out, set1, n);
	} else if (k->set == 2) {
		convert_to_2(&out, set1, n);
	} else {
		for (size_t i = 0; i < n; i++) {
			add(&out, set1[i]);
		}
	}
	if (out.overflow || out.count > PS2_KEYS - k->key_count) {
		return false;
	}
	for (unsigned i = 0; i < out.count; i++) {
		k->keys[(k->key_head + k->key_count++) % PS2_KEYS] = out.byte[i];
	}
	return true;
}

/* ---- saved state ---- */

void ps2_keyboard_save(const struct ps2_keyboard *k, struct ps2_keyboard_saved *out)
{
	*out = (struct ps2_keyboard_saved){
		.key_head = (uint8_t)k->key_head,
		.key_count = (uint8_t)k->key_count,
		.reply_head = (uint8_t)k->reply_head,
		.reply_count = (uint8_t)k->reply_count,
		.command = k->command,
		.last = k->last,
		.set = k->set,
		.scanning = k->scanning,
		.leds = k->leds,
		.typematic = k->typematic,
	};
	memcpy(out->keys, k->keys, sizeof(out->keys));
	memcpy(out->reply, k->reply, sizeof(out->reply));
}

static bool takes_argument(uint8_t command)
{
	return command == CMD_LEDS || command == CMD_SET || command == CMD_TYPEMATIC ||
	       (command >= CMD_KEY_FIRST && command <= CMD_KEY_LAST);
}

const char *ps2_keyboard_check(const struct ps2_keyboard_saved *in)
{
	if (in->key_head >= PS2_KEYS || in->key_count > PS2_KEYS || in->reply_count > PS2_REPLY ||
	    in->reply_head > in->reply_count) {
		return "the keyboard holds 16 bytes, and replies with up to 3";
	}
	if (in->command != 0 && !takes_argument(in->command)) {
		return "the keyboard waits for an argument of no command";
	}
	if (in->set < 1 || in->set > 3 || in->leds > 7 || in->typematic > 0x7f ||
	    !saved_is_bool(in->scanning) || !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "the keyboard has 3 sets of codes and 3 lamps";
	}
	return NULL;
}

void ps2_keyboard_load(struct ps2_keyboard *k, const struct ps2_keyboard_saved *in)
{
	*k = (struct ps2_keyboard){
		.key_head = in->key_head,
		.key_count = in->key_count,
		.reply_head = in->reply_head,
		.reply_count = in->reply_count,
		.command = in->command,
		.last = in->last,
		.set = in->set,
		.scanning = in->scanning != 0,
		.leds = in->leds,
		.typematic = in->typematic,
	};
	memcpy(k->keys, in->keys, sizeof(k->keys));
	memcpy(k->reply, in->reply, sizeof(k->reply));
}
