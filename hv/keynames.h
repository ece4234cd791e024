/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of a PC keyboard by name and, for the US layout, by character; scan code set 1. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/str.h"

#define KEY_SEQUENCE_MAX 2u
#define KEY_CHORD_MAX 4u

struct key {
	uint8_t code;  /* make code */
	bool extended; /* behind 0xe0 */
	bool shift;    /* goes with the character */
};

/* `f10`, `del`, `ctrl`, `a`; false: no key has that name. */
bool key_by_name(struct span name, struct key *out);
/* Carriage return, tab, escape, backspace and what can be printed of ASCII; false: no such key. */
bool key_by_char(char c, struct key *out);
/* The bytes of a key pressed or released; returns how many. */
unsigned key_sequence(const struct key *k, bool released, uint8_t out[KEY_SEQUENCE_MAX]);
