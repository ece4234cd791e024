/* SPDX-License-Identifier: Apache-2.0 */
/* The memory map as input: what can be believed, and room for the first things in it. */
#include "mm/plan.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "mm/frame.h"

#define LOW_MEMORY_END MIB(1)
#define CHUNK_SIZE PAGE_SIZE_2M
#define CHUNK_SIZE_MIN KIB(512)
/* The table of dense memory is 1/256 of it. A map with holes may make it up to 1/32. */
#define TABLE_SHARE 32u

void plan_walk_init(struct plan_walk *w, const struct handoff_memory *map, uint64_t count)
{
	*w = (struct plan_walk){.map = map, .count = count};
}

/* Memory of the map that may end up in the frame table; the rest is not ours. */
static bool is_ours(uint32_t type)
{
	return type == HANDOFF_MEM_FREE || type == HANDOFF_MEM_LOADER ||
	       type == HANDOFF_MEM_IMAGE || type == HANDOFF_MEM_MODULE;
}

static void complain(const struct plan_walk *w, const struct handoff_memory *m, const char *why)
{
	if (!w->quiet) {
		log_warn("memory map: 0x%llx + 0x%llx (type %u) left out: %s",
			 (unsigned long long)m->base, (unsigned long long)m->size,
			 (unsigned)m->type, why);
	}
}

/* Cuts [*base, *end) of an entry that overlaps others down to what is its own. */
static bool resolve_overlap(struct plan_walk *w, const struct handoff_memory *m, uint64_t *base,
			    uint64_t *end)
{
	bool more = w->next < w->count;
	bool overlaps = *base < w->end || (more && m[1].base < *end);

	if (overlaps && m->type == HANDOFF_MEM_FREE) {
		complain(w, m, "free memory that overlaps");
		return false;
	}
	*base = max_u64(*base, w->end);
	if (more) {
		*end = min_u64(*end, m[1].base);
	}
	return *base < *end;
}

/* Page-aligned, inwards for memory of ours, and without what nobody may use. */
static bool trim(const struct handoff_memory *m, uint64_t *base, uint64_t *end)
{
	*end = min_u64(*end, FRAME_TOP_MAX);
	if (*base >= *end) {
		return false;
	}
	if (m->type == HANDOFF_MEM_FREE) {
		*base = max_u64(*base, LOW_MEMORY_END);
	}
	*base = is_ours(m->type) ? align_up(*base, PAGE_SIZE) : align_down(*base, PAGE_SIZE);
	*end = align_down(*end, PAGE_SIZE);
	/* Frame 0 has no number. */
	*base = max_u64(*base, PAGE_SIZE);
	return *base < *end;
}

bool plan_walk_next(struct plan_walk *w, struct handoff_memory *out)
{
	while (w->next < w->count) {
		const struct handoff_memory *m = &w->map[w->next++];
		uint64_t base = m->base;
		uint64_t end;
		bool good;

		if (__builtin_add_overflow(m->base, m->size, &end)) {
			complain(w, m, "wraps");
			end = UINT64_MAX;
			w->end = end;
			continue;
		}
		good = m->size != 0 && resolve_overlap(w, m, &base, &end);
		w->end = max_u64(w->end, m->base + m->size);
		if (!good) {
			continue;
		}
		if (trim(m, &base, &end)) {
			*out = (struct handoff_memory){base, end - base, m->type, m->attributes};
			return true;
		}
		if (is_ours(m->type) && base >= FRAME_TOP_MAX) {
			complain(w, m, "too high");
		}
	}
	return false;
}

static bool sorted(const struct handoff_memory *map, uint64_t count)
{
	for (uint64_t i = 1; i < count; i++) {
		if (map[i].base < map[i - 1].base) {
			return false;
		}
	}
	return true;
}

/* The next part of the type, without log lines. */
static bool next_free(struct plan_walk *w, struct handoff_memory *out)
{
	w->quiet = true;
	while (plan_walk_next(w, out)) {
		if (out->type == HANDOFF_MEM_FREE) {
			return true;
		}
	}
	return false;
}

/* Room for the table of memory up to `top` at the end of the highest free part that has it. */
static bool place_table(struct plan *p, const struct handoff_memory *map, uint64_t count)
{
	struct plan_walk w;
	struct handoff_memory m;
	uint64_t align = PAGE_SIZE_2M;

	p->table_size = align_up(frame_table_bytes(p->top), PAGE_SIZE);
	p->table_base = 0;
	for (; p->table_base == 0 && align >= PAGE_SIZE; align >>= PAGE_SHIFT_2M - PAGE_SHIFT) {
		plan_walk_init(&w, map, count);
		while (next_free(&w, &m)) {
			uint64_t end = min_u64(m.base + m.size, p->top);
			uint64_t base =
				end >= p->table_size ? align_down(end - p->table_size, align) : 0;

			if (base >= m.base) {
				p->table_base = base;
			}
		}
	}
	return p->table_base != 0;
}

/* Puts the chunk at the start of [base, end) if it fits there. */
static bool try_chunk(struct plan *p, uint64_t base, uint64_t end, uint64_t size)
{
	base = align_up(base, size);
	if (base >= end || end - base < size) {
		return false;
	}
	p->chunk_base = base;
	p->chunk_size = size;
	return true;
}

/* The lowest place for a chunk of `size` bytes below 4 GiB, where 32-bit CR3 loads reach. */
static bool place_chunk(struct plan *p, const struct handoff_memory *map, uint64_t count,
			uint64_t size)
{
	const uint64_t table_end = p->table_base + p->table_size;
	struct plan_walk w;
	struct handoff_memory m;

	plan_walk_init(&w, map, count);
	while (next_free(&w, &m)) {
		uint64_t end = min_u64(m.base + m.size, GIB(4));

		/* Before the table and behind it, where it lies in this part. */
		if (p->table_base < m.base || p->table_base >= end) {
			if (try_chunk(p, m.base, end, size)) {
				return true;
			}
		} else if (try_chunk(p, m.base, p->table_base, size) ||
			   try_chunk(p, table_end, end, size)) {
			return true;
		}
	}
	return false;
}

/* Bytes of ours below `limit`, and the highest end among them. */
static uint64_t measure(const struct handoff_memory *map, uint64_t count, uint64_t limit,
			uint64_t *top)
{
	struct plan_walk w;
	struct handoff_memory m;
	uint64_t bytes = 0;

	plan_walk_init(&w, map, count);
	w.quiet = true;
	*top = 0;
	while (plan_walk_next(&w, &m)) {
		if (is_ours(m.type) && m.base + m.size <= limit) {
			bytes += m.size;
			*top = m.base + m.size;
		}
	}
	return bytes;
}

enum hv_status plan_make(const struct handoff_memory *map, uint64_t count, struct plan *out)
{
	uint64_t limit = FRAME_TOP_MAX;
	uint64_t bytes;

	*out = (struct plan){0};
	if (!sorted(map, count)) {
		log_error("memory map: not sorted");
		return HV_E_INVALID;
	}
	for (;;) {
		bytes = measure(map, count, limit, &out->top);
		if (bytes == 0) {
			log_error("memory map: no room for the frame table");
			return HV_E_NO_MEMORY;
		}
		if (frame_table_bytes(out->top) <= bytes / TABLE_SHARE &&
		    place_table(out, map, count)) {
			break;
		}
		limit = out->top - 1;
	}
	if (limit != FRAME_TOP_MAX) {
		log_warn("memory map: memory above 0x%llx is too far up to be used",
			 (unsigned long long)out->top);
	}
	if (!place_chunk(out, map, count, CHUNK_SIZE) &&
	    !place_chunk(out, map, count, CHUNK_SIZE_MIN)) {
		log_error("memory map: no free 512 KiB below 4 GiB");
		return HV_E_NO_MEMORY;
	}
	return HV_OK;
}
