/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a monitor at the VGA shows: from registers and video memory to pixels, row by row. Pure: a
 * guest may change both meanwhile, so who draws takes a copy of the registers first.
 */
#pragma once

#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_state.h"

enum vga_picture {
	VGA_PICTURE_BLANK,
	VGA_PICTURE_TEXT,
	VGA_PICTURE_PLANES, /* 16 colours, a bit in each plane */
	VGA_PICTURE_PAIRS,  /* two bits of a byte a pixel, as the CGA has them */
	VGA_PICTURE_BYTES,  /* 256 colours */
	VGA_PICTURE_DISPI_PLANES,
	VGA_PICTURE_DISPI_PACKED,
};

struct vga_mode {
	enum vga_picture picture;
	uint32_t width;	 /* pixels, 1 .. VGA_WIDTH_MAX */
	uint32_t height; /* rows, 1 .. VGA_HEIGHT_MAX */
	/* Of the CRTC's modes. */
	uint32_t lines_per_row; /* scan lines of a monitor, all alike */
	uint32_t dots;		/* of a character, 8 or 9 */
};

/* The phases of what blinks. */
#define VGA_BLINK_CURSOR 1u /* the cursor is to be seen */
#define VGA_BLINK_TEXT 2u   /* blinking characters are */

void vga_mode_of(const struct vga_state *s, struct vga_mode *out);
/*
 * Row `y` below mode->height as mode->width pixels, 0x00rrggbb. `mode` is of this state; `blink` is
 * VGA_BLINK_*.
 */
void vga_row(const struct vga_state *s, const struct vga_memory *m, const struct vga_mode *mode,
	     uint32_t y, unsigned blink, uint32_t *pixels);
