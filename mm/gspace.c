/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory: taking it, mapping it twice in step, copy-on-write, giving it back. */
#include "mm/gspace.h"

#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "mm/access.h"
#include "mm/buddy.h"
#include "mm/frame.h"
#include "mm/gspace_internal.h"
#include "mm/pool.h"
#include "mm/window.h"

enum hv_status gspace_init(struct gspace *g, uint16_t owner, const struct pt_format *format,
			   unsigned max_level)
{
	enum hv_status status;

	CHECK(owner >= 1 && owner <= OWNER_VM_MAX);
	*g = (struct gspace){.owner = owner, .code_level = PT_LEVEL_1G};
	status = pt_init(&g->stage2, format, max_level);
	if (status != HV_OK) {
		return status;
	}
	status = space_init(&g->host);
	if (status != HV_OK) {
		pt_fini(&g->stage2);
	}
	return status;
}

void gspace_limit_code(struct gspace *g, unsigned level)
{
	CHECK(level >= PT_LEVEL_4K && level <= PT_LEVEL_1G && g->ram_bytes == 0);
	g->code_level = level;
}

struct gspace_region *gspace_find_region(struct gspace *g, uint64_t addr)
{
	for (unsigned i = 0; i < g->region_count; i++) {
		if (addr - g->regions[i].base < g->regions[i].size) {
			__atomic_store_n(&g->hot, i, __ATOMIC_RELAXED);
			return &g->regions[i];
		}
	}
	return NULL;
}

enum hv_status gspace_add_region(struct gspace *g, uint64_t base, uint64_t size, bool writable)
{
	unsigned at = 0;

	if (size == 0 || !is_aligned(base | size, PAGE_SIZE) ||
	    !range_fits(base, size, VM_WINDOW_SIZE) || g->region_count == GSPACE_REGIONS) {
		return HV_E_RANGE;
	}
	for (unsigned i = 0; i < g->region_count; i++) {
		if (ranges_overlap(base, size, g->regions[i].base, g->regions[i].size)) {
			return HV_E_EXISTS;
		}
		at += g->regions[i].base < base;
	}
	for (unsigned i = g->region_count; i > at; i--) {
		g->regions[i] = g->regions[i - 1];
	}
	g->regions[at] = (struct gspace_region){.base = base, .size = size, .writable = writable};
	g->region_count++;
	return HV_OK;
}

struct pt_attr gspace_stage2_attr(const struct gspace *g, uint64_t size, bool writable, bool cow)
{
	unsigned rights = writable ? PT_RW : PT_R;

	if (g->code_level == PT_LEVEL_1G || size <= BIT(pt_shift(g->code_level))) {
		rights |= PT_X;
	}
	return (struct pt_attr){.rights = (uint8_t)rights, .cow = cow};
}

struct pt_attr gspace_window_attr(bool writable, bool cow)
{
	return (struct pt_attr){.rights = writable ? PT_RW : PT_R, .cow = cow};
}

/* --- populating --- */

enum hv_status gspace_map_block(struct gspace *g, const struct gspace_region *r, uint64_t addr,
				hpa_t block, uint64_t size)
{
	const uint64_t va = VM_WINDOW_BASE + addr;
	enum hv_status status = pt_map(&g->stage2, addr, block, size,
				       gspace_stage2_attr(g, size, r->writable, false));

	if (status == HV_OK) {
		status = pt_map(&g->host.pt, va, block, size, gspace_window_attr(true, false));
	}
	if (status != HV_OK) {
		/* The block starts and ends at leaf boundaries: taking it out needs no table. */
		CHECK(pt_unmap(&g->stage2, addr, size) == HV_OK);
		CHECK(pt_unmap(&g->host.pt, va, size) == HV_OK);
	}
	return status;
}

/* The order of the largest page that fits at `addr` into what is left of the region. */
static unsigned best_order(const struct gspace *g, uint64_t addr, uint64_t left)
{
	static const unsigned orders[] = {FRAME_ORDER_4K, FRAME_ORDER_2M, FRAME_ORDER_1G};
	unsigned level = g->stage2.max_level;

	while (level > PT_LEVEL_4K &&
	       (!is_aligned(addr, BIT(pt_shift(level))) || left < BIT(pt_shift(level)))) {
		level--;
	}
	return orders[level - 1];
}

/* Takes the largest block there is for the next part of the region. */
static enum hv_status take_block(struct gspace *g, const struct gspace_region *r)
{
	unsigned order = best_order(g, r->base + r->populated, r->size - r->populated);

	while (frame_alloc_dirty(order, FRAME_GUEST, g->owner, &g->pending) != HV_OK) {
		if (order == FRAME_ORDER_4K) {
			return HV_E_NO_MEMORY;
		}
		order -= FRAME_ORDER_2M;
	}
	g->pending_size = PAGE_SIZE << order;
	g->pending_zeroed = 0;
	return HV_OK;
}

/* Zeroes up to `size` bytes of the pending block and maps it when it is complete. */
static enum hv_status advance(struct gspace *g, struct gspace_region *r, uint64_t size)
{
	enum hv_status status;

	window_zero(hpa(g->pending.v + g->pending_zeroed), size);
	g->pending_zeroed += size;
	if (g->pending_zeroed < g->pending_size) {
		return HV_OK;
	}
	status = gspace_map_block(g, r, r->base + r->populated, g->pending, g->pending_size);
	if (status == HV_OK) {
		r->populated += g->pending_size;
		r->solid = r->populated;
		g->ram_bytes += g->pending_size;
		g->pending_size = 0;
		g->pending_zeroed = 0;
	}
	return status;
}

enum hv_status gspace_populate(struct gspace *g, uint64_t base, uint64_t size)
{
	struct gspace_region *r = gspace_find_region(g, base);
	enum hv_status status = HV_OK;

	if (r == NULL || !is_aligned(base | size, PAGE_SIZE) ||
	    !range_fits(base - r->base, size, r->size)) {
		return HV_E_RANGE;
	}
	if (base != r->base + r->populated + g->pending_zeroed) {
		return HV_E_INVALID;
	}
	while (size != 0 && status == HV_OK) {
		uint64_t n;

		if (g->pending_size == 0) {
			status = take_block(g, r);
		}
		if (status == HV_OK) {
			n = min_u64(size, g->pending_size - g->pending_zeroed);
			status = advance(g, r, n);
			size -= n;
		}
	}
	return status;
}

enum hv_status gspace_add_page(struct gspace *g, uint64_t addr, hpa_t contents, hpa_t *frame)
{
	enum hv_status status = gspace_add_region(g, addr, PAGE_SIZE, true);
	struct pt_leaf leaf;

	if (status == HV_OK) {
		status = gspace_populate(g, addr, PAGE_SIZE);
	}
	if (status != HV_OK) {
		return status;
	}
	gspace_find_region(g, addr)->device = true;
	CHECK(pt_lookup(&g->stage2, addr, &leaf));
	leaf.attr.rights = PT_RW;
	status = pt_protect(&g->stage2, addr, PAGE_SIZE, leaf.attr);
	CHECK(status == HV_OK);
	window_copy_frame(leaf.pa, contents);
	*frame = leaf.pa;
	g->ram_bytes -= PAGE_SIZE; /* not RAM */
	return HV_OK;
}

void gspace_unmap_leaves(struct pt *pt, uint64_t at, uint64_t size)
{
	const uint64_t end = at + size;

	while (at < end) {
		struct pt_leaf leaf;

		CHECK(pt_lookup(pt, at, &leaf));
		CHECK(leaf.va == at && leaf.size <= end - at);
		CHECK(pt_unmap(pt, at, leaf.size) == HV_OK);
		at += leaf.size;
	}
}

/* --- copy-on-write --- */

enum hv_status gspace_split_edges(struct gspace *g, uint64_t addr, uint64_t size)
{
	const uint64_t edges[2] = {addr, addr + size};
	enum hv_status status = HV_OK;

	for (unsigned i = 0; i < 2 && status == HV_OK; i++) {
		status = pt_split(&g->stage2, edges[i]);
		if (status == HV_OK) {
			status = pt_split(&g->host.pt, VM_WINDOW_BASE + edges[i]);
		}
	}
	return status;
}

/* Points the page at `frame`, its own in both tables. The edges were split: cannot fail. */
static void remap_page(struct gspace *g, uint64_t page, hpa_t frame)
{
	bool writable = gspace_find_region(g, page)->writable;
	enum hv_status status = pt_map(&g->stage2, page, frame, PAGE_SIZE,
				       gspace_stage2_attr(g, PAGE_SIZE, writable, false));

	CHECK(status == HV_OK);
	status = pt_map(&g->host.pt, VM_WINDOW_BASE + page, frame, PAGE_SIZE,
			gspace_window_attr(true, false));
	CHECK(status == HV_OK);
	space_flush(&g->host, VM_WINDOW_BASE + page, PAGE_SIZE);
}

/* Gives the VM a frame of its own for the page: a copy, or the old one if nobody else has it. */
static enum hv_status break_cow(struct gspace *g, uint64_t page)
{
	struct pt_leaf leaf;
	enum hv_status status;
	hpa_t old;
	hpa_t fresh;

	if (!pt_lookup(&g->stage2, page, &leaf) || !leaf.attr.cow) {
		return HV_OK;
	}
	status = gspace_split_edges(g, page, PAGE_SIZE);
	if (status != HV_OK) {
		return status;
	}
	old = hpa(leaf.pa.v + (page - leaf.va));
	if (frame_refs(old) == 1) {
		frame_claim(old, g->owner);
		remap_page(g, page, old);
	} else {
		status = frame_alloc_dirty(FRAME_ORDER_4K, FRAME_GUEST, g->owner, &fresh);
		if (status != HV_OK) {
			return status;
		}
		window_copy_frame(fresh, old);
		remap_page(g, page, fresh);
		frame_put(old);
	}
	g->cow_frames--;
	return HV_OK;
}

enum gspace_fault gspace_fault(struct gspace *g, gpa_t addr, bool write)
{
	const struct gspace_region *r = gspace_find_region(g, addr.v);
	enum hv_status status = HV_OK;

	if (r == NULL) {
		return gspace_view_fault(g, addr.v, write);
	}
	if (addr.v - r->base >= r->populated || gspace_is_hidden(r)) {
		return GSPACE_FAULT_MMIO;
	}
	if (!write && !gspace_has_holes(r)) {
		return GSPACE_FAULT_RETRY;
	}
	if (write && !r->writable) {
		return GSPACE_FAULT_ROM;
	}
	lock_acquire(&g->lock);
	if (gspace_has_holes(r)) {
		status = gspace_fill(g, addr.v, 1);
	}
	if (status == HV_OK && write) {
		status = break_cow(g, align_down(addr.v, PAGE_SIZE));
	}
	lock_release(&g->lock);
	return status == HV_OK ? GSPACE_FAULT_RETRY : GSPACE_FAULT_NO_MEMORY;
}

/* Gives the guest's code at `addr` leaves that may be executable, up to a whole large page of them.
 */
static enum hv_status allow_code(struct gspace *g, uint64_t addr)
{
	struct pt_leaf leaf;
	struct pt_attr attr;
	enum hv_status status = HV_OK;
	uint64_t size;
	uint64_t base;

	if (!pt_lookup(&g->stage2, addr, &leaf) || (leaf.attr.rights & PT_X) != 0) {
		return HV_OK;
	}
	size = min_u64(leaf.size, BIT(pt_shift(g->code_level + 1)));
	base = align_down(addr, size);
	if (leaf.size > BIT(pt_shift(g->code_level))) {
		status = pt_split(&g->stage2, base + BIT(pt_shift(g->code_level)));
	}
	if (status != HV_OK) {
		return status;
	}
	attr = leaf.attr;
	attr.rights |= PT_X;
	return pt_protect(&g->stage2, base, size, attr);
}

enum gspace_fault gspace_fetch_fault(struct gspace *g, gpa_t addr)
{
	enum gspace_fault fault = gspace_fault(g, addr, false);
	const struct gspace_region *r = gspace_find_region(g, addr.v);
	enum hv_status status;

	if (fault == GSPACE_FAULT_RETRY && (r == NULL || r->device)) {
		return GSPACE_FAULT_MMIO;
	}
	if (fault != GSPACE_FAULT_RETRY || g->code_level == PT_LEVEL_1G) {
		return fault;
	}
	lock_acquire(&g->lock);
	status = allow_code(g, addr.v);
	lock_release(&g->lock);
	return status == HV_OK ? GSPACE_FAULT_RETRY : GSPACE_FAULT_NO_MEMORY;
}

enum hv_status gspace_make_ready(struct gspace *g, uint64_t addr, uint64_t size, bool write)
{
	enum hv_status status;

	lock_acquire(&g->lock);
	status = gspace_fill(g, addr, size);
	for (uint64_t page = align_down(addr, PAGE_SIZE);
	     write && page < addr + size && status == HV_OK; page += PAGE_SIZE) {
		status = break_cow(g, page);
	}
	lock_release(&g->lock);
	return status;
}

/*
 * Whether all of the range is populated, not hidden, and writable if `write`, be it of several
 * regions. *holes: one of these has any.
 */
static bool all_ram(struct gspace *g, uint64_t addr, uint64_t size, bool write, bool *holes)
{
	for (;;) {
		const struct gspace_region *r = gspace_find_region(g, addr);
		uint64_t here;

		if (r == NULL || addr - r->base >= r->populated || gspace_is_hidden(r) ||
		    (write && !r->writable)) {
			return false;
		}
		*holes |= gspace_has_holes(r);
		here = r->populated - (addr - r->base);
		if (size <= here) {
			return true;
		}
		addr += here;
		size -= here;
	}
}

enum hv_status gspace_access(struct gspace *g, gpa_t addr, uint64_t size, bool write)
{
	bool holes = false;

	if (!all_ram(g, addr.v, size, write, &holes)) {
		return HV_E_RANGE;
	}
	if (holes || (write && g->cow_frames != 0)) {
		return gspace_make_ready(g, addr.v, size, write);
	}
	return HV_OK;
}

void *gspace_ptr(struct gspace *g, gpa_t addr, uint64_t size, bool write)
{
	if (!gspace_hit(g, addr, size, write) && gspace_access(g, addr, size, write) != HV_OK) {
		return NULL;
	}
	return access_ptr(hva(VM_WINDOW_BASE + addr.v), write);
}

/* Counts the frames of a leaf that become shared now. */
struct share {
	uint64_t base;
	uint64_t end;
	uint64_t newly;
};

static bool share_leaf(void *ctx, const struct pt_leaf *leaf)
{
	struct share *s = ctx;
	uint64_t from = max_u64(leaf->va, s->base);
	uint64_t to = min_u64(leaf->va + leaf->size, s->end);

	frame_share(hpa(leaf->pa.v + (from - leaf->va)), to - from);
	s->newly += leaf->attr.cow ? 0 : (to - from) >> PAGE_SHIFT;
	return true;
}

enum hv_status gspace_share(struct gspace *g, uint64_t base, uint64_t size)
{
	const struct gspace_region *r = gspace_find_region(g, base);
	struct share s = {.base = base, .end = base + size};
	enum hv_status status;

	if (r == NULL || !is_aligned(base | size, PAGE_SIZE) ||
	    !range_fits(base - r->base, size, r->populated)) {
		return HV_E_RANGE;
	}
	lock_acquire(&g->lock);
	status = gspace_has_holes(r) || gspace_is_hidden(r) ? HV_E_BUSY
							    : gspace_split_edges(g, base, size);
	if (status == HV_OK) {
		pt_walk(&g->stage2, base, size, share_leaf, &s);
		g->cow_frames += s.newly;
		status = pt_protect(&g->stage2, base, size,
				    gspace_stage2_attr(g, size, false, true));
		CHECK(status == HV_OK);
		status = pt_protect(&g->host.pt, VM_WINDOW_BASE + base, size,
				    gspace_window_attr(false, true));
		CHECK(status == HV_OK);
		space_flush(&g->host, VM_WINDOW_BASE + base, size);
	}
	lock_release(&g->lock);
	return status;
}

/* --- giving back --- */

struct give_back {
	uint64_t at; /* guest-physical: everything below is gone */
	uint64_t budget;
};

static bool give_back_leaf(void *ctx, const struct pt_leaf *leaf)
{
	struct give_back *b = ctx;
	uint64_t from = max_u64(leaf->va, b->at);
	uint64_t n = min_u64(leaf->va + leaf->size - from, b->budget);

	frame_put_range(hpa(leaf->pa.v + (from - leaf->va)), n);
	b->at = from + n;
	b->budget -= n;
	return b->budget != 0;
}

/* The block that was being populated; true when the budget was not used up. */
static void give_back_pending(struct gspace *g, struct give_back *b)
{
	uint64_t n = min_u64(g->pending_size, b->budget);

	frame_put_range(g->pending, n);
	g->pending.v += n;
	g->pending_size -= n;
	b->budget -= n;
}

bool gspace_fini_step(struct gspace *g, uint64_t budget)
{
	struct give_back b = {
		.at = g->fini_at,
		.budget = max_u64(align_down(budget, PAGE_SIZE_2M), PAGE_SIZE_2M),
	};

	gspace_fini_roms(g);
	gspace_fini_devmem(g, &b.budget);
	give_back_pending(g, &b);
	gspace_fini_release(g, &b.budget);
	if (b.budget != 0) {
		pt_walk(&g->stage2, b.at, VM_WINDOW_SIZE - b.at, give_back_leaf, &b);
		g->fini_at = b.at;
	}
	if (b.budget == 0) {
		return false;
	}
	pt_fini(&g->stage2);
	space_fini(&g->host);
	*g = (struct gspace){0};
	return true;
}
