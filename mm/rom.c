/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's ROM: taken, written by the hypervisor only, hidden from the guest and shown again. */
#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "mm/gspace_internal.h"

enum hv_status gspace_add_rom(struct gspace *g, uint64_t base, uint64_t size)
{
	enum hv_status status = gspace_add_region(g, base, size, false);

	if (status == HV_OK) {
		status = gspace_populate(g, base, size);
	}
	if (status == HV_OK) {
		g->ram_bytes -= size;
	}
	return status;
}

enum hv_status gspace_make_rom(struct gspace *g, uint64_t base)
{
	struct gspace_region *r = gspace_find_region(g, base);

	if (r == NULL || r->base != base) {
		return HV_E_NOT_FOUND;
	}
	if (g->cow_frames != 0) {
		return HV_E_BUSY;
	}
	r->writable = false;
	return pt_protect(&g->stage2, base, r->populated,
			  gspace_stage2_attr(g, r->populated, false, false));
}

enum hv_status gspace_access_rom(struct gspace *g, gpa_t addr, uint64_t size)
{
	const struct gspace_region *r = gspace_find_region(g, addr.v);

	if (r == NULL || r->writable || !range_fits(addr.v - r->base, size, r->populated)) {
		return HV_E_RANGE;
	}
	return g->cow_frames != 0 ? gspace_make_ready(g, addr.v, size, true) : HV_OK;
}

/* --- hiding --- */

/* A ROM without leaves of 1 GiB, as the window may have smaller ones; NULL: none starts there. */
static struct gspace_region *find_rom(struct gspace *g, uint64_t base)
{
	struct gspace_region *r = gspace_find_region(g, base);

	return r != NULL && r->base == base && !r->writable && r->size < GIB(1) ? r : NULL;
}

static void set_hidden(struct gspace_region *r, bool hidden)
{
	__atomic_store_n(&r->hidden, hidden, __ATOMIC_RELAXED);
	__atomic_store_n(&r->solid, hidden ? 0 : r->populated, __ATOMIC_RELAXED);
}

/*
 * What the window has goes where the second stage has room for it. That is in the tables which are
 * left of what was there: they are at least as deep as those of the window.
 */
static void map_leaves(struct gspace *g, const struct gspace_region *r)
{
	const uint64_t end = r->base + r->populated;
	uint64_t at = r->base;

	while (at < end) {
		unsigned level = pt_hole(&g->stage2, at);
		struct pt_leaf leaf;
		uint64_t size;

		CHECK(level != 0 && pt_lookup(&g->host.pt, VM_WINDOW_BASE + at, &leaf));
		size = min_u64(BIT(pt_shift(level)), leaf.size);
		CHECK(pt_map(&g->stage2, at, hpa(leaf.pa.v + (VM_WINDOW_BASE + at - leaf.va)), size,
			     gspace_stage2_attr(g, size, false, false)) == HV_OK);
		at += size;
	}
}

enum hv_status gspace_hide_rom(struct gspace *g, uint64_t base)
{
	struct gspace_region *r = find_rom(g, base);
	enum hv_status status;

	if (r == NULL) {
		return HV_E_NOT_FOUND;
	}
	/* While it is hidden nothing says which of its frames are shared. */
	status = gspace_access_rom(g, gpa(base), r->populated);
	if (status != HV_OK) {
		return status;
	}
	lock_acquire(&g->lock);
	if (!r->hidden) {
		set_hidden(r, true);
		gspace_unmap_leaves(&g->stage2, r->base, r->populated);
	}
	lock_release(&g->lock);
	return HV_OK;
}

static void show(struct gspace *g, struct gspace_region *r)
{
	lock_acquire(&g->lock);
	if (r->hidden) {
		map_leaves(g, r);
		set_hidden(r, false);
	}
	lock_release(&g->lock);
}

enum hv_status gspace_show_rom(struct gspace *g, uint64_t base)
{
	struct gspace_region *r = find_rom(g, base);

	if (r == NULL) {
		return HV_E_NOT_FOUND;
	}
	show(g, r);
	return HV_OK;
}

void gspace_fini_roms(struct gspace *g)
{
	for (unsigned i = 0; i < g->region_count; i++) {
		show(g, &g->regions[i]);
	}
}

/* --- the isolation check --- */

uint64_t gspace_hidden_bytes(const struct gspace *g, uint64_t addr)
{
	for (unsigned i = 0; i < g->region_count; i++) {
		const struct gspace_region *r = &g->regions[i];

		if (r->hidden && addr - r->base < r->populated) {
			return r->populated - (addr - r->base);
		}
	}
	return 0;
}

uint64_t gspace_hidden_total(const struct gspace *g)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < g->region_count; i++) {
		bytes += g->regions[i].hidden ? g->regions[i].populated : 0;
	}
	return bytes;
}
