/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PS/2 keyboard as its controller sees it: bytes in, bytes out. Replies to commands go before
 * keys. No lock of its own: the controller's covers it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PS2_KEYS 16u /* bytes of scan codes that wait */
#define PS2_REPLY 3u

struct ps2_keyboard {
	uint8_t keys[PS2_KEYS];
	unsigned key_head, key_count;
	uint8_t reply[PS2_REPLY];
	unsigned reply_head, reply_count;
	uint8_t command;   /* the one whose argument comes next; 0: none */
	uint8_t last;	   /* byte sent last, for Resend */
	uint8_t set;	   /* scan code set, 1 .. 3 */
	bool scanning;	   /* keys are reported */
	uint8_t leds;	   /* bit 0 scroll, 1 num, 2 caps */
	uint8_t typematic; /* as set; keys repeat where they are pressed, not here */
};

struct ps2_keyboard_saved {
	uint8_t keys[PS2_KEYS];
	uint8_t reply[PS2_REPLY];
	uint8_t key_head, key_count;
	uint8_t reply_head, reply_count;
	uint8_t command, last, set, scanning, leds, typematic;
	uint8_t zero[3];
};
_Static_assert(sizeof(struct ps2_keyboard_saved) == 32, "no padding");

/* As after power-on, self-test reported and taken. */
void ps2_keyboard_init(struct ps2_keyboard *k);
/* A byte from the host: a command or an argument. False: it is a command that there is not. */
bool ps2_keyboard_receive(struct ps2_keyboard *k, uint8_t byte);
/* The next byte to the host; false when there is none. */
bool ps2_keyboard_send(struct ps2_keyboard *k, uint8_t *byte);
/*
 * Keys pressed or released, as whole sequences of set 1, for example {0xe0, 0x48} or {0x9e}.
 * False, and nothing is queued, when there is no room. A keyboard that is switched off takes
 * and drops them.
 */
bool ps2_keyboard_key(struct ps2_keyboard *k, const uint8_t *set1, size_t n);
/* Saved state, a part of its controller's: as in struct saved_ops. */
void ps2_keyboard_save(const struct ps2_keyboard *k, struct ps2_keyboard_saved *out);
const char *ps2_keyboard_check(const struct ps2_keyboard_saved *in);
void ps2_keyboard_load(struct ps2_keyboard *k, const struct ps2_keyboard_saved *in);
