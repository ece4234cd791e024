/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose picture the machine's screen shows, and whose keyboard its keyboard is: the monitor's text,
 * or the VGA of the guest in front (hv/console.h). A guest's picture is drawn when it has changed,
 * 30 times a second at most, in steps that nobody waits for; a screen that nobody looks at costs
 * nothing. The screen is blank before it changes hands.
 *
 * Right Ctrl and F1 go to the monitor, right Ctrl and F2 to F12 to the first guests of `list`;
 * Ctrl-] goes to the monitor, too. With the baton.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct guest;

/* This guest, or the monitor (NULL), is in front from now on. */
void screen_front(struct guest *g);
/* Goes on; now and then, after RUN_CHORE_INPUT. */
void screen_poll(void);
/* One scan code byte (set 1) of the machine's keyboard. False: it is for the text console. */
bool screen_code(uint8_t code);
