/* SPDX-License-Identifier: Apache-2.0 */
/* Names of keys. Source: IBM PS/2 Technical Reference, "Keyboard", scan code set 1. */
#include "hv/keynames.h"

#include "hv/base/bits.h"

#define RELEASED 0x80u
#define EXTENDED 0xe0u
#define CODE_COUNT 0x3au

/* What is printed on codes 0 to 0x39, without and with shift; 0: nothing. */
static const char plain[] =
	"\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
	"\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static_assert(sizeof(plain) == CODE_COUNT + 1, "one character per code");
static_assert(sizeof(shifted) == CODE_COUNT + 1, "one character per code");
#define CODE_KEYPAD_STAR 0x37u

static const struct {
	const char *name;
	uint8_t code;
	bool extended;
} names[] = {
	{"esc", 0x01, false},  {"minus", 0x0c, false}, {"backspace", 0x0e, false},
	{"tab", 0x0f, false},  {"ret", 0x1c, false},   {"enter", 0x1c, false},
	{"ctrl", 0x1d, false}, {"shift", 0x2a, false}, {"rshift", 0x36, false},
	{"alt", 0x38, false},  {"space", 0x39, false}, {"caps", 0x3a, false},
	{"f1", 0x3b, false},   {"f2", 0x3c, false},    {"f3", 0x3d, false},
	{"f4", 0x3e, false},   {"f5", 0x3f, false},    {"f6", 0x40, false},
	{"f7", 0x41, false},   {"f8", 0x42, false},    {"f9", 0x43, false},
	{"f10", 0x44, false},  {"num", 0x45, false},   {"scroll", 0x46, false},
	{"f11", 0x57, false},  {"f12", 0x58, false},   {"kp-enter", 0x1c, true},
	{"rctrl", 0x1d, true}, {"print", 0x37, true},  {"ralt", 0x38, true},
	{"home", 0x47, true},  {"up", 0x48, true},     {"pgup", 0x49, true},
	{"left", 0x4b, true},  {"right", 0x4d, true},  {"end", 0x4f, true},
	{"down", 0x50, true},  {"pgdn", 0x51, true},   {"ins", 0x52, true},
	{"del", 0x53, true},   {"win", 0x5b, true},    {"menu", 0x5d, true},
};

bool key_by_char(char c, struct key *out)
{
	for (unsigned code = 1; code < CODE_COUNT; code++) {
		if (c != '\0' && code != CODE_KEYPAD_STAR &&
		    (plain[code] == c || shifted[code] == c)) {
			*out = (struct key){.code = (uint8_t)code, .shift = plain[code] != c};
			return true;
		}
	}
	return false;
}

bool key_by_name(struct span name, struct key *out)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (span_eq(name, names[i].name)) {
			*out = (struct key){.code = names[i].code, .extended = names[i].extended};
			return true;
		}
	}
	return name.n == 1 && key_by_char(name.p[0], out);
}

unsigned key_sequence(const struct key *k, bool released, uint8_t out[KEY_SEQUENCE_MAX])
{
	unsigned n = 0;

	if (k->extended) {
		out[n++] = EXTENDED;
	}
	out[n++] = k->code | (released ? RELEASED : 0);
	return n;
}
