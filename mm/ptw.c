/* SPDX-License-Identifier: Apache-2.0 */
/* The page-table walker: one recursion for all changes, one for visits. */
#include "mm/ptw.h"

#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "mm/pool.h"

#define VA_BITS MASK(47, 0)

enum change_kind {
	CHANGE_MAP,
	CHANGE_UNMAP,
	CHANGE_PROTECT,
};

/* What to do to a range; addresses have their canonical extension stripped. */
struct change {
	struct pt *pt;
	enum change_kind kind;
	uint64_t delta; /* MAP: physical - virtual, modulo 2^64 */
	struct pt_attr attr;
};

static unsigned index_at(uint64_t va, unsigned level)
{
	return (unsigned)(va >> pt_shift(level)) % PT_ENTRIES;
}

/* One store: the CPU may be reading. */
static void entry_set(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static bool leaf_at(const struct pt *pt, uint64_t entry, unsigned level)
{
	return pt->format->present(entry) && pt->format->is_leaf(entry, level);
}

static uint64_t *table_of(const struct pt *pt, uint64_t entry, unsigned level)
{
	return pool_ptr(pt->format->address(entry, level));
}

static uint64_t *table_new(struct pt *pt)
{
	uint64_t *table = pool_table(pt->reserve);

	if (table != NULL) {
		pt->table_count++;
	}
	return table;
}

/* Frees a table whose entries are of `level`, and all below it. */
static void table_free(struct pt *pt, uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < PT_ENTRIES && level > PT_LEVEL_4K; i++) {
		if (pt->format->present(table[i]) && !pt->format->is_leaf(table[i], level)) {
			table_free(pt, table_of(pt, table[i], level), level - 1);
		}
	}
	pool_table_free(table);
	pt->table_count--;
}

enum hv_status pt_init(struct pt *pt, const struct pt_format *format, unsigned max_level)
{
	CHECK(max_level >= PT_LEVEL_4K && max_level <= PT_LEVEL_1G);
	*pt = (struct pt){.format = format, .max_level = max_level};
	pt->root = table_new(pt);
	return pt->root != NULL ? HV_OK : HV_E_NO_MEMORY;
}

void pt_fini(struct pt *pt)
{
	table_free(pt, pt->root, PT_LEVELS);
	pt->root = NULL;
}

static bool same_attr(struct pt_attr a, struct pt_attr b)
{
	return (a.rights | PT_R) == (b.rights | PT_R) && a.type == b.type && a.cow == b.cow;
}

/* Replaces a whole entry by a leaf, or by nothing (value 0); drops what hung below it. */
static void entry_replace(struct pt *pt, uint64_t *entry, unsigned level, uint64_t value)
{
	uint64_t old = *entry;

	if (old == value) {
		return;
	}
	entry_set(entry, value);
	if (pt->format->present(old)) {
		pt->changed = true;
		if (!pt->format->is_leaf(old, level)) {
			table_free(pt, table_of(pt, old, level), level - 1);
		}
	}
}

/* The table below `entry`, made if there is none; a leaf becomes a table that says the same. */
static uint64_t *table_below(struct pt *pt, uint64_t *entry, unsigned level)
{
	const struct pt_format *f = pt->format;
	uint64_t old = *entry;
	uint64_t *table;

	if (f->present(old) && !f->is_leaf(old, level)) {
		return table_of(pt, old, level);
	}
	table = table_new(pt);
	if (table == NULL) {
		return NULL;
	}
	if (f->present(old)) {
		struct pt_attr attr = f->attr(old, level);
		uint64_t pa = f->address(old, level).v;

		for (uint64_t i = 0; i < PT_ENTRIES; i++) {
			table[i] =
				f->make_leaf(hpa(pa + (i << pt_shift(level - 1))), level - 1, attr);
		}
		pt->changed = true;
	}
	entry_set(entry, f->make_table(pool_hpa(table)));
	return table;
}

/* Does the change if it can be done in this entry; false: it concerns the table below. */
static bool change_here(const struct change *c, uint64_t *entry, unsigned level, uint64_t va,
			bool whole)
{
	const struct pt_format *f = c->pt->format;
	bool leaf = leaf_at(c->pt, *entry, level);
	uint64_t pa = va + c->delta;

	switch (c->kind) {
	case CHANGE_MAP:
		if (!whole || level > c->pt->max_level || !is_aligned(pa, BIT(pt_shift(level)))) {
			return false;
		}
		entry_replace(c->pt, entry, level, f->make_leaf(hpa(pa), level, c->attr));
		return true;
	case CHANGE_UNMAP:
		if (whole) {
			entry_replace(c->pt, entry, level, 0);
		}
		return whole || !f->present(*entry);
	case CHANGE_PROTECT:
	default:
		if (leaf && whole) {
			entry_replace(c->pt, entry, level,
				      f->make_leaf(f->address(*entry, level), level, c->attr));
			return true;
		}
		return !f->present(*entry) || (leaf && same_attr(f->attr(*entry, level), c->attr));
	}
}

static enum hv_status change_range(const struct change *c, uint64_t *table, unsigned level,
				   uint64_t va, uint64_t end)
{
	const uint64_t span = BIT(pt_shift(level));

	while (va < end) {
		uint64_t next = min_u64(end, align_down(va, span) + span);
		uint64_t *entry = &table[index_at(va, level)];

		if (!change_here(c, entry, level, va, next - va == span)) {
			uint64_t *below = table_below(c->pt, entry, level);
			enum hv_status status = HV_E_NO_MEMORY;

			if (below != NULL) {
				status = change_range(c, below, level - 1, va, next);
			}
			if (status != HV_OK) {
				return status;
			}
		}
		va = next;
	}
	return HV_OK;
}

static enum hv_status change(const struct change *c, uint64_t va, uint64_t size)
{
	uint64_t start = va & VA_BITS;

	CHECK(is_aligned(va, PAGE_SIZE) && is_aligned(size, PAGE_SIZE));
	CHECK(range_fits(start, size, VA_BITS + 1));
	return change_range(c, c->pt->root, PT_LEVELS, start, start + size);
}

enum hv_status pt_map(struct pt *pt, uint64_t va, hpa_t pa, uint64_t size, struct pt_attr attr)
{
	struct change c = {
		.pt = pt,
		.kind = CHANGE_MAP,
		.delta = pa.v - (va & VA_BITS),
		.attr = attr,
	};

	CHECK(is_aligned(pa.v, PAGE_SIZE));
	return change(&c, va, size);
}

enum hv_status pt_unmap(struct pt *pt, uint64_t va, uint64_t size)
{
	struct change c = {.pt = pt, .kind = CHANGE_UNMAP};

	return change(&c, va, size);
}

enum hv_status pt_protect(struct pt *pt, uint64_t va, uint64_t size, struct pt_attr attr)
{
	struct change c = {.pt = pt, .kind = CHANGE_PROTECT, .attr = attr};

	return change(&c, va, size);
}

enum hv_status pt_split(struct pt *pt, uint64_t va)
{
	uint64_t *table = pt->root;

	for (unsigned level = PT_LEVELS; level > PT_LEVEL_4K; level--) {
		uint64_t *entry = &table[index_at(va, level)];

		if (!pt->format->present(*entry) ||
		    (leaf_at(pt, *entry, level) && is_aligned(va, BIT(pt_shift(level))))) {
			return HV_OK;
		}
		table = table_below(pt, entry, level);
		if (table == NULL) {
			return HV_E_NO_MEMORY;
		}
	}
	return HV_OK;
}

uint64_t *pt_table(struct pt *pt, uint64_t va, unsigned level)
{
	uint64_t *table = pt->root;

	for (unsigned at = PT_LEVELS; at > level && table != NULL; at--) {
		uint64_t *entry = &table[index_at(va, at)];

		table = leaf_at(pt, *entry, at) ? NULL : table_below(pt, entry, at);
	}
	return table;
}

static struct pt_leaf make_leaf(const struct pt *pt, uint64_t entry, unsigned level, uint64_t va)
{
	uint64_t size = BIT(pt_shift(level));

	return (struct pt_leaf){
		.va = align_down(va, size),
		.pa = pt->format->address(entry, level),
		.size = size,
		.attr = pt->format->attr(entry, level),
	};
}

bool pt_lookup(const struct pt *pt, uint64_t va, struct pt_leaf *out)
{
	const uint64_t *table = pt->root;

	for (unsigned level = PT_LEVELS; level > 0; level--) {
		uint64_t entry = table[index_at(va, level)];

		if (!pt->format->present(entry)) {
			return false;
		}
		if (pt->format->is_leaf(entry, level)) {
			*out = make_leaf(pt, entry, level, va);
			return true;
		}
		table = table_of(pt, entry, level);
	}
	return false;
}

unsigned pt_hole(const struct pt *pt, uint64_t va)
{
	const uint64_t *table = pt->root;

	for (unsigned level = PT_LEVELS; level > 0; level--) {
		uint64_t entry = table[index_at(va, level)];

		if (!pt->format->present(entry)) {
			return level;
		}
		if (pt->format->is_leaf(entry, level)) {
			break;
		}
		table = table_of(pt, entry, level);
	}
	return 0;
}

struct visit {
	const struct pt *pt;
	uint64_t extension; /* the canonical bits 63:48 of all addresses */
	bool (*fn)(void *ctx, const struct pt_leaf *leaf);
	void *ctx;
};

static bool visit_range(const struct visit *v, const uint64_t *table, unsigned level, uint64_t va,
			uint64_t end)
{
	const uint64_t span = BIT(pt_shift(level));

	for (uint64_t next; va < end; va = next) {
		uint64_t entry = table[index_at(va, level)];

		next = min_u64(end, align_down(va, span) + span);
		if (leaf_at(v->pt, entry, level)) {
			struct pt_leaf leaf = make_leaf(v->pt, entry, level, va | v->extension);

			if (!v->fn(v->ctx, &leaf)) {
				return false;
			}
		} else if (v->pt->format->present(entry) &&
			   !visit_range(v, table_of(v->pt, entry, level), level - 1, va, next)) {
			return false;
		}
	}
	return true;
}

void pt_walk(const struct pt *pt, uint64_t va, uint64_t size,
	     bool (*fn)(void *ctx, const struct pt_leaf *leaf), void *ctx)
{
	struct visit v = {.pt = pt, .extension = va & ~VA_BITS, .fn = fn, .ctx = ctx};
	uint64_t start = va & VA_BITS;

	CHECK(range_fits(start, size, VA_BITS + 1));
	(void)visit_range(&v, pt->root, PT_LEVELS, start, start + size);
}
