/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's PS/2 keyboard. */
#include "drivers/ps2kbd.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"

#define PORT_DATA 0x60
#define PORT_STATUS 0x64
#define PORT_COMMAND 0x64

#define STATUS_OUTPUT_FULL 0x01u
#define STATUS_INPUT_FULL 0x02u
#define STATUS_AUX 0x20u /* the byte is the mouse's */
#define STATUS_ABSENT 0xffu

#define COMMAND_READ_CONFIG 0x20u
#define COMMAND_WRITE_CONFIG 0x60u
#define CONFIG_KEYBOARD_IRQ 0x01u
#define CONFIG_AUX_IRQ 0x02u
#define CONFIG_KEYBOARD_OFF 0x10u
#define CONFIG_TRANSLATE 0x40u
#define KEYBOARD_ENABLE 0xf4u

#define WAIT_READS 50000u
/* Bytes fetched by one poll; also what a controller can have pending at the start. */
#define POLL_BYTES 32u

#define CODE_RELEASE 0x80u
#define CODE_EXTENDED 0xe0u
#define CODE_PAUSE 0xe1u
#define CODE_CONTROL 0x1du
#define CODE_SHIFT_LEFT 0x2au
#define CODE_SHIFT_RIGHT 0x36u
#define CODE_CAPS_LOCK 0x3au
#define CODE_KEYPAD_ENTER 0x1cu
#define CODE_KEYPAD_SLASH 0x35u

/* Characters of codes 0 .. 0x39; the keypad follows from 0x47 on. */
static const char plain[] =
	"\0\0331234567890-=\x7f\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
	"\0\033!@#$%^&*()_+\x7f\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static const char keypad[] = "789-456+1230.";
#define PLAIN_COUNT 0x3au
#define KEYPAD_FIRST 0x47u
static_assert(sizeof(plain) == PLAIN_COUNT + 1, "one character per code");
static_assert(sizeof(shifted) == PLAIN_COUNT + 1, "one character per code");

/* Extended keys as ECMA-48 terminals send them. */
static const struct {
	uint8_t code;
	char sequence[PS2KBD_SEQUENCE + 1];
} extended_keys[] = {
	{0x47, "\033[H"}, {0x48, "\033[A"}, {0x49, "\033[5~"}, {0x4b, "\033[D"},  {0x4d, "\033[C"},
	{0x4f, "\033[F"}, {0x50, "\033[B"}, {0x51, "\033[6~"}, {0x52, "\033[2~"}, {0x53, "\033[3~"},
};

static size_t one(char out[PS2KBD_SEQUENCE], char c)
{
	out[0] = c;
	return 1;
}

static size_t extended_key(uint8_t code, char out[PS2KBD_SEQUENCE])
{
	if (code == CODE_KEYPAD_ENTER) {
		return one(out, '\r');
	}
	if (code == CODE_KEYPAD_SLASH) {
		return one(out, '/');
	}
	for (size_t i = 0; i < ARRAY_SIZE(extended_keys); i++) {
		if (extended_keys[i].code == code) {
			size_t n = str_len(extended_keys[i].sequence);

			memcpy(out, extended_keys[i].sequence, n);
			return n;
		}
	}
	return 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t plain_key(const struct ps2kbd *k, uint8_t code, char out[PS2KBD_SEQUENCE])
{
	bool shift = k->shift_left || k->shift_right;
	char c;

	if (code >= KEYPAD_FIRST && code < KEYPAD_FIRST + sizeof(keypad) - 1) {
		return one(out, keypad[code - KEYPAD_FIRST]);
	}
	if (code >= PLAIN_COUNT || plain[code] == '\0') {
		return 0;
	}
	if (k->caps_lock && is_letter(plain[code])) {
		shift = !shift;
	}
	c = (shift ? shifted : plain)[code];
	/* Control takes the upper bits away: ^A is 1, ^[ is Escape, ^] is 0x1d. */
	if (k->control && (is_letter(c) || (c >= '@' && c <= '_'))) {
		c = (char)(c & 0x1f);
	}
	return one(out, c);
}

/* True when the code was a modifier's. */
static bool modifier(struct ps2kbd *k, uint8_t code, bool pressed, bool extended)
{
	switch (code) {
	case CODE_CONTROL:
		k->control = pressed;
		return true;
	case CODE_SHIFT_LEFT:
		/* With 0xe0 it is a fake that goes with cursor keys. */
		k->shift_left = extended ? k->shift_left : pressed;
		return true;
	case CODE_SHIFT_RIGHT:
		k->shift_right = extended ? k->shift_right : pressed;
		return true;
	case CODE_CAPS_LOCK:
		k->caps_lock ^= pressed;
		return true;
	default:
		return false;
	}
}

size_t ps2kbd_translate(struct ps2kbd *k, uint8_t code, char out[PS2KBD_SEQUENCE])
{
	bool extended = k->extended;
	bool pressed = (code & CODE_RELEASE) == 0;

	if (k->skip != 0) {
		k->skip--;
		return 0;
	}
	k->extended = code == CODE_EXTENDED;
	if (code == CODE_PAUSE) {
		k->skip = 2;
	}
	if (code == CODE_EXTENDED || code == CODE_PAUSE ||
	    modifier(k, code & 0x7f, pressed, extended) || !pressed) {
		return 0;
	}
	return extended ? extended_key(code, out) : plain_key(k, code, out);
}

static bool wait_input_empty(void)
{
	for (unsigned i = 0; i < WAIT_READS; i++) {
		if ((cpu_in8(PORT_STATUS) & STATUS_INPUT_FULL) == 0) {
			return true;
		}
	}
	return false;
}

static bool wait_output(uint8_t *value)
{
	for (unsigned i = 0; i < WAIT_READS; i++) {
		if ((cpu_in8(PORT_STATUS) & STATUS_OUTPUT_FULL) != 0) {
			*value = cpu_in8(PORT_DATA);
			return true;
		}
	}
	return false;
}

static void empty_output(void)
{
	for (unsigned i = 0; i < POLL_BYTES; i++) {
		if ((cpu_in8(PORT_STATUS) & STATUS_OUTPUT_FULL) == 0) {
			return;
		}
		(void)cpu_in8(PORT_DATA);
	}
}

static bool read_config(uint8_t *config)
{
	if (!wait_input_empty()) {
		return false;
	}
	cpu_out8(PORT_COMMAND, COMMAND_READ_CONFIG);
	return wait_output(config);
}

static bool write_config(uint8_t config)
{
	if (!wait_input_empty()) {
		return false;
	}
	cpu_out8(PORT_COMMAND, COMMAND_WRITE_CONFIG);
	if (!wait_input_empty()) {
		return false;
	}
	cpu_out8(PORT_DATA, config);
	return true;
}

bool ps2kbd_init(struct ps2kbd *k)
{
	uint8_t config;
	uint8_t answer;

	*k = (struct ps2kbd){0};
	if (cpu_in8(PORT_STATUS) == STATUS_ABSENT) {
		return false;
	}
	empty_output();
	if (!read_config(&config)) {
		return false;
	}
	config &= (uint8_t) ~(CONFIG_KEYBOARD_IRQ | CONFIG_AUX_IRQ | CONFIG_KEYBOARD_OFF);
	if (!write_config(config | CONFIG_TRANSLATE) || !wait_input_empty()) {
		return false;
	}
	cpu_out8(PORT_DATA, KEYBOARD_ENABLE);
	/* Without an answer there may be no keyboard yet; one can be plugged in. */
	(void)wait_output(&answer);
	k->present = true;
	return true;
}

static void keep(struct ps2kbd *k, uint8_t code)
{
	if (k->head - k->tail < PS2KBD_RING) {
		k->ring[k->head++ % PS2KBD_RING] = code;
	}
}

void ps2kbd_poll(struct ps2kbd *k)
{
	for (unsigned i = 0; k->present && i < POLL_BYTES; i++) {
		uint8_t status = cpu_in8(PORT_STATUS);
		uint8_t code;

		if ((status & STATUS_OUTPUT_FULL) == 0) {
			return;
		}
		code = cpu_in8(PORT_DATA);
		if ((status & STATUS_AUX) == 0) {
			keep(k, code);
		}
	}
}

void ps2kbd_enable_interrupts(struct ps2kbd *k)
{
	uint8_t config;

	if (k->present && read_config(&config)) {
		(void)write_config(config | CONFIG_KEYBOARD_IRQ);
	}
}

bool ps2kbd_read(struct ps2kbd *k, uint8_t *code)
{
	if (k->head == k->tail) {
		return false;
	}
	*code = k->ring[k->tail++ % PS2KBD_RING];
	return true;
}
