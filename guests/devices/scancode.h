/* SPDX-License-Identifier: Apache-2.0 */
/* The three scan code sets of PC keyboards (IBM PS/2 Technical Reference, "Scan Codes"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SCANCODE_EXTENDED 0xe0u
#define SCANCODE_PAUSE 0xe1u
#define SCANCODE_BREAK 0xf0u	  /* sets 2 and 3: before the code of a released key */
#define SCANCODE_1_RELEASED 0x80u /* set 1: bit of a released key */

/* What the 8042's translation makes of a byte in set 2; prefixes and replies pass. */
uint8_t scancode_2_to_1(uint8_t byte);
/* The set 2 code of a key by its set 1 make code, 1 .. 0x7f, extended or not; 0: no such key. */
uint8_t scancode_1_to_2(uint8_t make);
/* The set 3 code, which needs no prefix; 0: no such key. */
uint8_t scancode_1_to_3(uint8_t make, bool extended);
