/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory map of the handoff over arbitrary bytes. The first byte chooses the encoding: entries
 * as they are (24 bytes each), or four bytes each (gap, length, unit, type) that make sorted maps.
 * Whatever mm/plan.c believes must be disjoint, and what it calls free must be said by one entry
 * and denied by none.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "mm/frame.h"
#include "mm/plan.h"

#define ENTRIES_MAX 200u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct handoff_memory *map;
static uint64_t count;

static void demand(bool condition)
{
	if (!condition) {
		abort();
	}
}

static void decode_short(const uint8_t *data, size_t size)
{
	uint64_t at = 0;

	for (; size >= 4 && count < ENTRIES_MAX; data += 4, size -= 4) {
		/* Units of 4 KiB to 1 GiB, a nibble each; odd types and overlaps occur. */
		uint64_t gap = (uint64_t)data[0] << (12 + (data[2] & 15) % 10 * 2);
		uint64_t length = (uint64_t)data[1] << (12 + (data[2] >> 4) % 10 * 2);

		at += gap;
		map[count++] = (struct handoff_memory){at, length, data[3] % 10u, 8};
		at += (data[3] & 0x80) != 0 ? length / 2 : length;
	}
}

/* Whether the range is in one entry that says FREE and touches no other. */
static bool is_free(uint64_t base, uint64_t size)
{
	unsigned holders = 0;

	for (uint64_t i = 0; i < count; i++) {
		const struct handoff_memory *m = &map[i];
		uint64_t length = min_u64(m->size, UINT64_MAX - m->base);

		if (!ranges_overlap(base, size, m->base, length)) {
			continue;
		}
		if (m->type != HANDOFF_MEM_FREE || base < m->base ||
		    !range_fits(base - m->base, size, length)) {
			return false;
		}
		holders++;
	}
	return holders == 1;
}

static void check_walk(void)
{
	struct plan_walk w;
	struct handoff_memory m;
	uint64_t end = 0;

	plan_walk_init(&w, map, count);
	while (plan_walk_next(&w, &m)) {
		demand(m.size != 0 && is_aligned(m.base | m.size, PAGE_SIZE));
		demand(m.base >= end && m.base >= PAGE_SIZE);
		demand(range_fits(m.base, m.size, FRAME_TOP_MAX));
		if (m.type == HANDOFF_MEM_FREE) {
			demand(m.base >= MIB(1) && is_free(m.base, m.size));
		}
		end = m.base + m.size;
	}
}

static void check_plan(const struct plan *p)
{
	demand(p->top <= FRAME_TOP_MAX && is_aligned(p->top, PAGE_SIZE));
	demand(p->table_size >= frame_table_bytes(p->top));
	demand(range_fits(p->table_base, p->table_size, p->top));
	demand(range_fits(p->chunk_base, p->chunk_size, GIB(4)));
	demand(is_aligned(p->table_base | p->table_size, PAGE_SIZE));
	demand(is_aligned(p->chunk_base | p->chunk_size, PAGE_SIZE));
	demand(is_free(p->table_base, p->table_size) && is_free(p->chunk_base, p->chunk_size));
	demand(!ranges_overlap(p->table_base, p->table_size, p->chunk_base, p->chunk_size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan plan;

	if (size == 0) {
		return 0;
	}
	/* Exactly as long as the map: reading past it is a finding. */
	count = 0;
	if ((data[0] & 1) != 0) {
		map = malloc(ENTRIES_MAX * sizeof(*map));
		decode_short(data + 1, size - 1);
		map = realloc(map, count * sizeof(*map) + 1);
	} else {
		count = min_u64((size - 1) / sizeof(*map), ENTRIES_MAX);
		map = malloc(count * sizeof(*map) + 1);
		memcpy(map, data + 1, count * sizeof(*map));
	}
	if (plan_make(map, count, &plan) == HV_OK) {
		check_plan(&plan);
		check_walk();
	}
	free(map);
	return 0;
}
