/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clearing video memory by pieces. A mode of 16 MiB is to begin black, and to zero that much at
 * once would keep the CPU from others for milliseconds. So it is only noted, chunk by chunk: what
 * is looked at or written is zeroed before, the rest a piece with each access to memory, and some
 * to registers.
 */
#pragma once

#include "guests/devices/vga_state.h"

#define VGA_CHUNK 0x10000u
#define VGA_CHUNKS_MAX 256u
/* What one access zeroes at most, beside what it is about. */
#define VGA_CLEAR_STEP 0x100000u

struct vga_clear {
	uint64_t chunks[VGA_CHUNKS_MAX / 64]; /* a bit for each that is to be zeroed */
	unsigned count;			      /* of the bits */
};

/* The first `bytes` of the memory are to read zero. Zeroes less than a chunk. */
void vga_clear_begin(struct vga_clear *c, const struct vga_memory *m, uint32_t bytes);
/* Zeroes the chunks of the range that are to be. It lies in the memory. */
void vga_clear_range(struct vga_clear *c, const struct vga_memory *m, uint32_t at, uint32_t bytes);
/* Zeroes a piece of what is left, VGA_CLEAR_STEP bytes at most. */
void vga_clear_some(struct vga_clear *c, const struct vga_memory *m);

/* Whether memory holds anything that is to read zero. */
static inline bool vga_clear_pending(const struct vga_clear *c)
{
	return c->count != 0;
}
