/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory is mapped once, 1:1, in pages of 2 MiB or 1 GiB; the direct window's entries of the root
 * point at the same tables, with no-execute added. Sources: Intel SDM volume 3, "4-Level Paging";
 * AMD APM volume 2, "Long-Mode Page Translation".
 */
#include "boot/paging.h"

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

#define SHIFT_4K 12u
#define SHIFT_2M 21u
#define SHIFT_1G 30u
#define SHIFT_ROOT 39u
#define SIZE_2M (1ull << SHIFT_2M)
#define ENTRIES 512u
#define DIRECT_SLOT ((HANDOFF_DIRECT_BASE >> SHIFT_ROOT) % ENTRIES)
/* The window has as many slots as 1:1 memory may: boot/memmap.h ends both at 32 TiB. */
#define MEMORY_SLOTS 64u

/* Memory that is contiguous once its ends are rounded out to 2 MiB. */
struct run {
	uint64_t base;
	uint64_t end;
};

struct mapping {
	uint64_t virtual_base;
	uint64_t physical_base;
	uint64_t size;
	uint64_t flags;
	unsigned shift_min; /* smallest page: 12 or 21; base and size are multiples of it */
};

static bool is_memory(const struct handoff_memory *m)
{
	return m->type != HANDOFF_MEM_MMIO && m->type != HANDOFF_MEM_RESERVED;
}

/* Takes the next run off the sorted map, starting at entry *next; false behind the last. */
static bool next_run(const struct handoff_memory *map, size_t count, size_t *next, struct run *out)
{
	bool found = false;

	for (; *next < count; (*next)++) {
		const struct handoff_memory *m = &map[*next];
		uint64_t base = m->base & ~(SIZE_2M - 1);
		uint64_t end = (m->base + m->size + SIZE_2M - 1) & ~(SIZE_2M - 1);

		if (!is_memory(m)) {
			continue;
		}
		if (!found) {
			*out = (struct run){base, end};
			found = true;
		} else if (base <= out->end) {
			out->end = end;
		} else {
			break;
		}
	}
	return found;
}

/* How many naturally aligned blocks of 2^shift bytes [base, end) touches, not counting the one
 * numbered *last; leaves the number of the final one there. */
static size_t blocks_touched(struct run run, unsigned shift, uint64_t *last)
{
	uint64_t first = run.base >> shift;
	uint64_t final = (run.end - 1) >> shift;
	size_t n = (size_t)(final - first + 1) - (first == *last ? 1 : 0);

	*last = final;
	return n;
}

size_t paging_bound(const struct handoff_memory *map, size_t count, uint64_t image_span)
{
	/* The root; for the image one table of each upper level and its 4 KiB ones. */
	size_t pages = 1 + 2 + (size_t)(image_span >> SHIFT_2M) + 2;
	uint64_t last_slot = ~0ull;
	uint64_t last_gib = ~0ull;
	struct run run;

	for (size_t i = 0; next_run(map, count, &i, &run);) {
		pages += blocks_touched(run, SHIFT_ROOT, &last_slot);
		pages += blocks_touched(run, SHIFT_1G, &last_gib);
	}
	return pages;
}

static uint64_t *table_at(const struct paging *p, uint64_t entry)
{
	return p->tables + ((entry & PTE_ADDR) - p->physical) / sizeof(uint64_t);
}

/* The table that `entry` points at, made when there is none; NULL when the buffer is used up. */
static uint64_t *lower_table(struct paging *p, uint64_t *entry)
{
	if ((*entry & PTE_P) == 0) {
		if (p->used == p->capacity) {
			return NULL;
		}
		*entry = (p->physical + (p->used << SHIFT_4K)) | PTE_P | PTE_W | PTE_A;
		p->used++;
	}
	return table_at(p, *entry);
}

/* The largest page for the mapping's start: 2^shift bytes, aligned on both sides. */
static unsigned leaf_shift(const struct paging *p, const struct mapping *m)
{
	static const unsigned shifts[] = {SHIFT_1G, SHIFT_2M, SHIFT_4K};
	uint64_t bits = m->virtual_base | m->physical_base;

	for (unsigned i = p->gib_pages ? 0 : 1; i < 3; i++) {
		uint64_t size = 1ull << shifts[i];

		if (shifts[i] == m->shift_min || ((bits & (size - 1)) == 0 && m->size >= size)) {
			return shifts[i];
		}
	}
	return m->shift_min;
}

static bool map_leaf(struct paging *p, const struct mapping *m, unsigned leaf)
{
	uint64_t *table = p->tables;
	unsigned shift = SHIFT_ROOT;

	while (shift > leaf) {
		table = lower_table(p, &table[(m->virtual_base >> shift) % ENTRIES]);
		if (table == NULL) {
			return false;
		}
		shift -= 9;
	}
	table[(m->virtual_base >> shift) % ENTRIES] = m->physical_base | m->flags | PTE_P | PTE_A |
						      PTE_D | (leaf > SHIFT_4K ? PTE_PS : 0);
	return true;
}

static bool map(struct paging *p, struct mapping m)
{
	while (m.size > 0) {
		unsigned leaf = leaf_shift(p, &m);
		uint64_t size = 1ull << leaf;

		if (!map_leaf(p, &m, leaf)) {
			return false;
		}
		m.virtual_base += size;
		m.physical_base += size;
		m.size -= size;
	}
	return true;
}

static bool map_memory(struct paging *p, const struct handoff_memory *entries, size_t count)
{
	struct run run;

	for (size_t i = 0; next_run(entries, count, &i, &run);) {
		struct mapping m = {.virtual_base = run.base,
				    .physical_base = run.base,
				    .size = run.end - run.base,
				    .flags = PTE_W,
				    .shift_min = SHIFT_2M};

		if (!map(p, m)) {
			return false;
		}
	}
	for (unsigned slot = 0; slot < MEMORY_SLOTS; slot++) {
		if (p->tables[slot] != 0) {
			p->tables[DIRECT_SLOT + slot] = p->tables[slot] | PTE_NX;
		}
	}
	return true;
}

static bool map_image(struct paging *p, const struct elf_plan *plan, uint64_t image)
{
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *s = &plan->segments[i];
		struct mapping m = {
			.virtual_base = s->address,
			.physical_base = image + (s->address - plan->base),
			.size = (s->memory_size + 4095) & ~4095ull,
			.flags = ((s->flags & ELF_W) != 0 ? PTE_W : 0) |
				 ((s->flags & ELF_X) != 0 ? 0 : PTE_NX),
			.shift_min = SHIFT_4K,
		};

		if (!map(p, m)) {
			return false;
		}
	}
	return true;
}

bool paging_build(struct paging *p, const struct handoff_memory *map, size_t count,
		  const struct elf_plan *plan, uint64_t image)
{
	if (p->capacity == 0) {
		return false;
	}
	p->used = 1;
	return map_memory(p, map, count) && map_image(p, plan, image);
}
