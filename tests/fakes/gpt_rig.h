/* SPDX-License-Identifier: Apache-2.0 */
/* Writes partition tables into memory, with a checksum of its own, for tests of what reads them. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "hv/blk/gpt.h"

/* A bit at a time, as the definition has it. */
static inline uint32_t gpt_rig_crc(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t crc = ~0u;

	for (size_t i = 0; i < n * 8; i++) {
		uint32_t bit = (uint32_t)(p[i / 8] >> (i % 8)) & 1;

		crc = (crc >> 1) ^ (((crc ^ bit) & 1) != 0 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static inline void gpt_rig_put(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		at[i] = (uint8_t)(value >> (8 * i));
	}
}

/* A disk image of `blocks` blocks of `block` bytes. */
struct gpt_rig {
	uint8_t *bytes;
	uint64_t blocks;
	uint32_t block;
	uint32_t entries; /* in the table */
};

static inline uint64_t gpt_rig_entry_blocks(const struct gpt_rig *g)
{
	return (g->entries * 128u + g->block - 1) / g->block;
}

static inline uint8_t *gpt_rig_header(const struct gpt_rig *g, bool backup)
{
	return g->bytes + (backup ? g->blocks - 1 : 1) * g->block;
}

static inline uint64_t gpt_rig_entries_block(const struct gpt_rig *g, bool backup)
{
	return backup ? g->blocks - 1 - gpt_rig_entry_blocks(g) : 2;
}

static inline uint8_t *gpt_rig_entry(const struct gpt_rig *g, bool backup, unsigned number)
{
	return g->bytes + gpt_rig_entries_block(g, backup) * g->block + (number - 1) * 128u;
}

/* Makes the checksums right, of both tables. */
static inline void gpt_rig_seal(const struct gpt_rig *g)
{
	for (unsigned backup = 0; backup < 2; backup++) {
		uint8_t *h = gpt_rig_header(g, backup != 0);

		gpt_rig_put(h + 88,
			    gpt_rig_crc(gpt_rig_entry(g, backup != 0, 1), g->entries * 128u), 4);
		gpt_rig_put(h + 16, 0, 4);
		gpt_rig_put(h + 16, gpt_rig_crc(h, 92), 4);
	}
}

/* An empty table. */
static inline void gpt_rig_make(const struct gpt_rig *g)
{
	uint64_t tail = gpt_rig_entry_blocks(g);

	memset(g->bytes, 0, g->blocks * g->block);
	g->bytes[446 + 4] = 0xee;
	gpt_rig_put(g->bytes + 510, 0xaa55, 2);
	for (unsigned backup = 0; backup < 2; backup++) {
		uint8_t *h = gpt_rig_header(g, backup != 0);

		memcpy(h, "EFI PART", 8);
		gpt_rig_put(h + 8, 0x10000, 4);
		gpt_rig_put(h + 12, 92, 4);
		gpt_rig_put(h + 24, backup ? g->blocks - 1 : 1, 8);
		gpt_rig_put(h + 32, backup ? 1 : g->blocks - 1, 8);
		gpt_rig_put(h + 40, 2 + tail, 8);
		gpt_rig_put(h + 48, g->blocks - 2 - tail, 8);
		gpt_rig_put(h + 72, gpt_rig_entries_block(g, backup != 0), 8);
		gpt_rig_put(h + 80, g->entries, 4);
		gpt_rig_put(h + 84, 128, 4);
	}
	gpt_rig_seal(g);
}

/* Partition `number`, blocks first .. last; its unique GUID is sixteen times `guid`. */
static inline void gpt_rig_partition(const struct gpt_rig *g, unsigned number, uint64_t first,
				     uint64_t last, const char *label, uint8_t guid)
{
	for (unsigned backup = 0; backup < 2; backup++) {
		uint8_t *e = gpt_rig_entry(g, backup != 0, number);

		memset(e, 0, 128);
		memset(e, 0x11, 16);
		memset(e + 16, guid, 16);
		gpt_rig_put(e + 32, first, 8);
		gpt_rig_put(e + 40, last, 8);
		for (unsigned i = 0; label[i] != '\0'; i++) {
			gpt_rig_put(e + 56 + 2 * i, (uint8_t)label[i], 2);
		}
	}
	gpt_rig_seal(g);
}
