/* SPDX-License-Identifier: Apache-2.0 */
/* The VGA as a VGA BIOS leaves it, for kernels that are started without one. */
#pragma once

#include "guests/devices/vga_state.h"

#define VGA_TEXT_COLUMNS 80u
#define VGA_TEXT_ROWS 25u
#define VGA_TEXT_POINTS 16u

/* 8x16 glyphs of the characters from `first` on. */
struct vga_font {
	const uint8_t (*glyphs)[VGA_TEXT_POINTS];
	unsigned first;
	unsigned count;
};

/* Mode 3: 80 x 25 characters of 9x16 dots in 16 colours, an empty screen and the font. */
void vga_text_mode(struct vga_state *s, const struct vga_memory *m, const struct vga_font *font);
