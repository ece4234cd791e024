/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's PS/2 keyboard behind its i8042 (or the firmware's emulation of one for USB): scan
 * codes as they come for guests, and for the monitor characters: US layout, shift, control, caps
 * lock, and the cursor keys as a terminal sends them. Sources: IBM PS/2 Technical Reference,
 * "Keyboard and Auxiliary Device Controller"; scan code set 1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PS2KBD_RING 128u
/* Longest character sequence of one key. */
#define PS2KBD_SEQUENCE 4u

struct ps2kbd {
	bool present;
	bool shift_left, shift_right, control, caps_lock;
	bool extended; /* the byte before was 0xe0 */
	uint8_t skip;  /* bytes of the Pause key still to come */
	uint32_t head, tail;
	uint8_t ring[PS2KBD_RING];
};

/*
 * Finds the controller, empties it, turns translation to set 1 on and the interrupt off. False when
 * there is none: all other calls are then harmless.
 */
bool ps2kbd_init(struct ps2kbd *k);
/* Fetches what has been typed; for a timer, or from ps2kbd_enable_interrupts' handler (IRQ 1). */
void ps2kbd_poll(struct ps2kbd *k);
void ps2kbd_enable_interrupts(struct ps2kbd *k);
/* The next byte, of scan code set 1; false when there is none. */
bool ps2kbd_read(struct ps2kbd *k, uint8_t *code);

/* What a scan code byte types on the text console; returns the number of characters it makes, in
 * `out`. Pure but for *k. */
size_t ps2kbd_translate(struct ps2kbd *k, uint8_t code, char out[PS2KBD_SEQUENCE]);
