/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader says, on the firmware's screen and on COM1, whichever exist, each line once. */
#pragma once

#include <efi.h>
#include <stdbool.h>
#include <stdint.h>

/* Needs gnu-efi initialised. Returns COM1's port, or 0 when the machine has no UART there. */
uint16_t console_init(void);
/* True when there is a screen with a person possibly before it. */
bool console_has_screen(void);
/* Formats as gnu-efi's Print does (%a bytes, %d, %ld, %lx, %r status); cut at 239 characters. */
void console_print(const CHAR16 *format, ...);
/* Waits for a key or `seconds`, counting down on the screens. */
void console_countdown(unsigned seconds);
