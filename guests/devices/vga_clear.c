/* SPDX-License-Identifier: Apache-2.0 */
/* Clearing video memory by pieces: which are left. */
#include "guests/devices/vga_clear.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

static bool is_marked(const struct vga_clear *c, uint32_t chunk)
{
	return (c->chunks[chunk / 64] & BIT(chunk % 64)) != 0;
}

static void zero_chunk(struct vga_clear *c, const struct vga_memory *m, uint32_t chunk)
{
	if (is_marked(c, chunk)) {
		memset(m->bytes + (size_t)chunk * VGA_CHUNK, 0, VGA_CHUNK);
		c->chunks[chunk / 64] &= ~BIT(chunk % 64);
		c->count--;
	}
}

void vga_clear_begin(struct vga_clear *c, const struct vga_memory *m, uint32_t bytes)
{
	uint32_t whole = bytes / VGA_CHUNK;

	for (uint32_t i = 0; i < whole; i++) {
		c->count += !is_marked(c, i);
		c->chunks[i / 64] |= BIT(i % 64);
	}
	memset(m->bytes + (size_t)whole * VGA_CHUNK, 0, bytes % VGA_CHUNK);
}

void vga_clear_range(struct vga_clear *c, const struct vga_memory *m, uint32_t at, uint32_t bytes)
{
	for (uint32_t i = at / VGA_CHUNK; c->count != 0 && i <= (at + bytes - 1) / VGA_CHUNK; i++) {
		zero_chunk(c, m, i);
	}
}

void vga_clear_some(struct vga_clear *c, const struct vga_memory *m)
{
	unsigned left = VGA_CLEAR_STEP / VGA_CHUNK;

	for (unsigned word = 0; word < ARRAY_SIZE(c->chunks); word++) {
		for (; c->chunks[word] != 0 && left != 0; left--) {
			zero_chunk(c, m, word * 64 + (unsigned)__builtin_ctzll(c->chunks[word]));
		}
	}
}
