/* SPDX-License-Identifier: Apache-2.0 */
/* RAM that a running guest gives back, and the holes that this leaves. */
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "mm/frame.h"
#include "mm/gspace_internal.h"
#include "mm/pool.h"

enum hv_status gspace_allow_release(struct gspace *g)
{
	g->release = pool_alloc(sizeof(*g->release));
	return g->release != NULL ? HV_OK : HV_E_NO_MEMORY;
}

/* Counts `bytes` more of the region as holes, or as RAM again when negative. */
static void count_holes(struct gspace *g, struct gspace_region *r, int64_t bytes)
{
	uint64_t holes = r->holes + (uint64_t)bytes;

	__atomic_store_n(&r->holes, holes, __ATOMIC_RELAXED);
	__atomic_store_n(&r->solid, holes == 0 ? r->populated : 0, __ATOMIC_RELAXED);
	g->ram_bytes -= (uint64_t)bytes;
}

uint64_t gspace_holes(const struct gspace *g)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < g->region_count; i++) {
		bytes += __atomic_load_n(&g->regions[i].holes, __ATOMIC_RELAXED);
	}
	return bytes;
}

/* --- parked frames --- */

static bool is_parked_at(const struct gspace_parked *p, uint64_t addr)
{
	return addr - p->addr < p->size;
}

/* GSPACE_PARKED_MAX: none. */
static unsigned find_parked(const struct gspace_release *release, uint64_t addr)
{
	for (unsigned i = 0; i < release->count; i++) {
		if (is_parked_at(&release->parked[i], addr)) {
			return i;
		}
	}
	return GSPACE_PARKED_MAX;
}

/* The batch stays in front. */
static struct gspace_parked unpark(struct gspace_release *release, unsigned i)
{
	struct gspace_parked p = release->parked[i];

	if (i < release->batch) {
		release->batch--;
		release->parked[i] = release->parked[release->batch];
		i = release->batch;
	}
	release->count--;
	release->parked[i] = release->parked[release->count];
	return p;
}

/* Whether the window still shows what is parked there. */
static bool is_in_window(const struct gspace_release *release, unsigned i)
{
	return release->phase != GSPACE_RELEASE_BOTH || i >= release->batch;
}

uint64_t gspace_window_only(const struct gspace *g)
{
	const struct gspace_release *release = g->release;
	uint64_t bytes = 0;

	for (unsigned i = 0; release != NULL && i < release->count; i++) {
		bytes += is_in_window(release, i) ? release->parked[i].size : 0;
	}
	return bytes;
}

uint64_t gspace_parked_bytes(const struct gspace *g, uint64_t addr, hpa_t frame)
{
	const struct gspace_parked *p;
	unsigned i;

	if (g->release == NULL) {
		return 0;
	}
	i = find_parked(g->release, addr);
	if (i == GSPACE_PARKED_MAX || !is_in_window(g->release, i)) {
		return 0;
	}
	p = &g->release->parked[i];
	return p->frame.v + (addr - p->addr) == frame.v ? p->size - (addr - p->addr) : 0;
}

/* --- giving back --- */

/* Parks what one leaf has of [addr, end); *next is where the next leaf begins. */
static enum hv_status release_leaf(struct gspace *g, struct gspace_region *r, uint64_t addr,
				   uint64_t end, uint64_t *next)
{
	struct gspace_release *release = g->release;
	struct pt_leaf leaf;
	enum hv_status status;
	uint64_t size;

	if (!pt_lookup(&g->stage2, addr, &leaf)) {
		*next = addr + PAGE_SIZE;
		return HV_OK;
	}
	*next = min_u64(min_u64(end, leaf.va + leaf.size),
			align_down(addr, PAGE_SIZE_2M) + PAGE_SIZE_2M);
	if (leaf.attr.cow) {
		return HV_OK;
	}
	if (release->count == GSPACE_PARKED_MAX) {
		return HV_E_BUSY;
	}
	size = *next - addr;
	status = gspace_split_edges(g, addr, size);
	if (status != HV_OK) {
		return status;
	}
	/* Of whole leaves, of one leaf until now: no table is dropped. */
	status = pt_unmap(&g->stage2, addr, size);
	CHECK(status == HV_OK);
	release->parked[release->count++] = (struct gspace_parked){
		.addr = addr, .frame = hpa(leaf.pa.v + (addr - leaf.va)), .size = size};
	count_holes(g, r, (int64_t)size);
	return HV_OK;
}

enum hv_status gspace_release(struct gspace *g, uint64_t base, uint64_t size, uint64_t *done)
{
	struct gspace_region *r = gspace_find_region(g, base);
	enum hv_status status = HV_OK;
	uint64_t at = base;

	*done = 0;
	if (g->release == NULL) {
		return HV_E_NOT_FOUND;
	}
	if (r == NULL || !r->writable || r->device || !is_aligned(base | size, PAGE_SIZE) ||
	    !range_fits(base - r->base, size, r->populated)) {
		return HV_E_RANGE;
	}
	lock_acquire(&g->lock);
	while (at < base + size && status == HV_OK) {
		uint64_t next = at;

		status = release_leaf(g, r, at, base + size, &next);
		if (status == HV_OK) {
			at = next;
		}
	}
	lock_release(&g->lock);
	*done = at - base;
	return status;
}

static void unmap_window(struct gspace *g, const struct gspace_parked *p)
{
	gspace_unmap_leaves(&g->host.pt, VM_WINDOW_BASE + p->addr, p->size);
}

/* Takes one of the batch out; false when it is empty. */
static bool take_parked(struct gspace *g, struct gspace_parked *out)
{
	bool found;

	lock_acquire(&g->lock);
	found = g->release->batch != 0;
	if (found) {
		*out = unpark(g->release, g->release->batch - 1);
	} else {
		g->release->phase = GSPACE_RELEASE_IDLE;
	}
	lock_release(&g->lock);
	return found;
}

static enum gspace_release_next free_batch(struct gspace *g, uint64_t budget)
{
	struct gspace_parked p;
	uint64_t freed = 0;

	while (freed < budget && take_parked(g, &p)) {
		frame_put_range(p.frame, p.size);
		freed += p.size;
	}
	return GSPACE_RELEASE_AGAIN;
}

static enum gspace_release_next begin_batch(struct gspace *g)
{
	struct gspace_release *release = g->release;
	enum gspace_release_next next = GSPACE_RELEASE_DONE;

	lock_acquire(&g->lock);
	if (release->count != 0) {
		release->batch = release->count;
		release->phase = GSPACE_RELEASE_STAGE2;
		next = GSPACE_RELEASE_FLUSH;
	}
	lock_release(&g->lock);
	return next;
}

static enum gspace_release_next clear_window(struct gspace *g)
{
	struct gspace_release *release = g->release;

	lock_acquire(&g->lock);
	for (unsigned i = 0; i < release->batch; i++) {
		unmap_window(g, &release->parked[i]);
	}
	release->phase = GSPACE_RELEASE_BOTH;
	lock_release(&g->lock);
	return GSPACE_RELEASE_FLUSH;
}

enum gspace_release_next gspace_release_step(struct gspace *g, uint64_t budget)
{
	if (g->release == NULL) {
		return GSPACE_RELEASE_DONE;
	}
	switch (g->release->phase) {
	case GSPACE_RELEASE_STAGE2:
		return clear_window(g);
	case GSPACE_RELEASE_BOTH:
		return free_batch(g, budget);
	case GSPACE_RELEASE_IDLE:
	default:
		return begin_batch(g);
	}
}

/* No CPU is in the space any more: there is nothing to wait for. */
static void clear_all(struct gspace *g)
{
	struct gspace_release *release = g->release;

	for (unsigned i = 0; i < release->count; i++) {
		if (is_in_window(release, i)) {
			unmap_window(g, &release->parked[i]);
		}
	}
	release->batch = release->count;
	release->phase = GSPACE_RELEASE_BOTH;
}

void gspace_fini_release(struct gspace *g, uint64_t *budget)
{
	struct gspace_release *release = g->release;

	if (release != NULL) {
		clear_all(g);
	}
	while (release != NULL && release->count != 0 && *budget != 0) {
		struct gspace_parked *p = &release->parked[release->count - 1];
		uint64_t n = min_u64(p->size, *budget);

		frame_put_range(hpa(p->frame.v + p->size - n), n);
		p->size -= n;
		*budget -= n;
		if (p->size == 0) {
			(void)unpark(release, release->count - 1);
		}
	}
	if (release != NULL && release->count == 0) {
		pool_free(release, sizeof(*release));
		g->release = NULL;
	}
}

/* --- taking anew --- */

/* What is parked becomes RAM again as it was: each table still has its place for it. */
static void restore(struct gspace *g, struct gspace_region *r, unsigned i)
{
	bool in_window = is_in_window(g->release, i);
	struct gspace_parked p = unpark(g->release, i);
	enum hv_status status = pt_map(&g->stage2, p.addr, p.frame, p.size,
				       gspace_stage2_attr(g, p.size, true, false));

	CHECK(status == HV_OK);
	if (!in_window) {
		status = pt_map(&g->host.pt, VM_WINDOW_BASE + p.addr, p.frame, p.size,
				gspace_window_attr(true, false));
		CHECK(status == HV_OK);
	}
	count_holes(g, r, -(int64_t)p.size);
}

static enum hv_status fill_with(struct gspace *g, struct gspace_region *r, uint64_t addr,
				unsigned order)
{
	hpa_t block;
	enum hv_status status = frame_alloc(order, FRAME_GUEST, g->owner, &block);

	if (status != HV_OK) {
		return status;
	}
	status = gspace_map_block(g, r, addr, block, PAGE_SIZE << order);
	if (status != HV_OK) {
		frame_put_block(block, order);
		return status;
	}
	count_holes(g, r, -(int64_t)(PAGE_SIZE << order));
	return HV_OK;
}

/* Whether all of the large page at `addr` is one hole without a table in its place. */
static bool is_large_hole(const struct gspace *g, const struct gspace_region *r, uint64_t addr)
{
	return addr >= r->base && range_fits(addr - r->base, PAGE_SIZE_2M, r->populated) &&
	       g->stage2.max_level >= PT_LEVEL_2M && pt_hole(&g->stage2, addr) >= PT_LEVEL_2M &&
	       pt_hole(&g->host.pt, VM_WINDOW_BASE + addr) >= PT_LEVEL_2M;
}

static enum hv_status fill_page(struct gspace *g, struct gspace_region *r, uint64_t page)
{
	const uint64_t large = align_down(page, PAGE_SIZE_2M);
	struct pt_leaf leaf;
	unsigned parked;

	if (pt_lookup(&g->stage2, page, &leaf)) {
		return HV_OK;
	}
	parked = find_parked(g->release, page);
	if (parked != GSPACE_PARKED_MAX) {
		restore(g, r, parked);
		return HV_OK;
	}
	if (is_large_hole(g, r, large) && fill_with(g, r, large, FRAME_ORDER_2M) == HV_OK) {
		return HV_OK;
	}
	return fill_with(g, r, page, FRAME_ORDER_4K);
}

enum hv_status gspace_fill(struct gspace *g, uint64_t addr, uint64_t size)
{
	enum hv_status status = HV_OK;

	for (uint64_t page = align_down(addr, PAGE_SIZE); page < addr + size && status == HV_OK;
	     page += PAGE_SIZE) {
		struct gspace_region *r = gspace_find_region(g, page);

		if (gspace_has_holes(r)) {
			status = fill_page(g, r, page);
		}
	}
	return status;
}
