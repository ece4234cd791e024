/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DISPI registers, by which packed modes of any size are set. Sources: the VBE DISPI interface
 * of Bochs' display (its registers up to ID 0xb0c5); QEMU, "QEMU Standard VGA".
 */
#pragma once

#include "guests/devices/vga_state.h"

#define VGA_DISPI_PORT_INDEX 0x1ceu
#define VGA_DISPI_PORT_DATA 0x1cfu
#define VGA_DISPI_PORTS 4u
#define VGA_DISPI_ID_NEWEST 0xb0c5u

#define VGA_WIDTH_MAX 4096u
#define VGA_HEIGHT_MAX 4096u

/* A register; 0 where none is. */
uint16_t vga_dispi_read(const struct vga_state *s, const struct vga_memory *m, unsigned index);
/*
 * Sizes that do not fit are cut to what does. Returns how many bytes from the start of the memory
 * on are to be cleared: those of the picture when it is switched on, unless told not to.
 */
uint32_t vga_dispi_write(struct vga_state *s, const struct vga_memory *m, unsigned index,
			 uint16_t value);
/* Bytes of video memory from one line to the next; meaningful while DISPI is on. */
uint32_t vga_dispi_line_bytes(const struct vga_state *s);
/* Bits a pixel takes in memory: 4, 8, 16, 24 or 32. */
unsigned vga_dispi_pixel_bits(const struct vga_state *s);
/* Whether writes can have brought the registers into this state. */
bool vga_dispi_is_sound(const struct vga_state *s, const struct vga_memory *m);
