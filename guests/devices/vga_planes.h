/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses of the CPU to video memory at 0xa0000 to 0xbffff: through latches, write and read modes
 * to four planes, or straight to bytes where the mode is one of bytes.
 */
#pragma once

#include "guests/devices/vga_state.h"

#define VGA_WINDOW_BANK 0x10000u

/* `offset` from 0xa0000, below 0x20000. All-ones where the mode decodes no memory. */
uint8_t vga_window_read(struct vga_state *s, const struct vga_memory *m, uint32_t offset);
void vga_window_write(struct vga_state *s, const struct vga_memory *m, uint32_t offset,
		      uint8_t value);
/*
 * Whether the 64 KiB at 0xa0000 are at present 64 KiB of video memory in a row, with nothing done
 * to a byte on its way: *at is their place, a multiple of 64 KiB.
 */
bool vga_window_linear(const struct vga_state *s, const struct vga_memory *m, uint32_t *at);
/*
 * Whether it is text: 32 KiB at *at from 0xa0000 on, of which even bytes are those of plane 0 and
 * odd bytes of plane 1, at the even address, with nothing done to them.
 */
bool vga_window_text(const struct vga_state *s, uint32_t *at);
