/* SPDX-License-Identifier: Apache-2.0 */
/* A VGA's registers as they are saved. */
#pragma once

#include "guests/devices/vga_state.h"

struct vga_dac_saved {
	uint8_t mask;
	uint8_t read_index;
	uint8_t write_index;
	uint8_t step;
	uint8_t reading;
	uint8_t wait[2];
	uint8_t zero[1];
	uint8_t colour[VGA_DAC_BYTES];
};
_Static_assert(sizeof(struct vga_dac_saved) == 776, "no padding");

struct vga_state_saved {
	uint32_t latch;
	uint16_t dispi_index;
	uint8_t misc;
	uint8_t feature;
	uint8_t sequencer_index;
	uint8_t graphics_index;
	uint8_t crtc_index;
	uint8_t attribute_index;
	uint8_t attribute_data;
	uint8_t big_endian;
	uint8_t zero[2];
	uint8_t sequencer[VGA_SEQUENCER_REGS];
	uint8_t graphics[VGA_GRAPHICS_REGS];
	uint8_t crtc[VGA_CRTC_REGS];
	uint8_t attribute[VGA_ATTRIBUTE_REGS];
	uint16_t dispi[VGA_DISPI_REGS];
	struct vga_dac_saved dac;
};
_Static_assert(sizeof(struct vga_state_saved) == 912, "no padding");

/* As in struct saved_ops, for a VGA with that memory. */
void vga_state_save(const struct vga_state *s, struct vga_state_saved *out);
const char *vga_state_check(const struct vga_state_saved *in, const struct vga_memory *m);
void vga_state_load(struct vga_state *s, const struct vga_state_saved *in);
