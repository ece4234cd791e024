/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's device memory: frames that are its own and that the hypervisor always has in the
 * window, at GSPACE_DEVMEM_HOME, while the guest sees them where device registers say, in views.
 *
 *	window	      GSPACE_DEVMEM_HOME  [ block 0 | block 1 | ... ]
 *					      |         |
 *	second stage  view of a BAR      [ block 0 | block 1 | ... ]   of 0xa0000  [ part of one ]
 */
#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "mm/access.h"
#include "mm/frame.h"
#include "mm/gspace_internal.h"

#define HOME_VA (VM_WINDOW_BASE + GSPACE_DEVMEM_HOME)

/* --- taking --- */

/* Of the largest block up to 2 MiB for what comes next. */
static unsigned best_order(const struct gspace *g, uint64_t left)
{
	unsigned order = FRAME_ORDER_2M;

	while (PAGE_SIZE << order > left || !is_aligned(g->devmem.size, PAGE_SIZE << order)) {
		order--;
	}
	return order;
}

/* Takes it zeroed, or a page where there is none. */
static enum hv_status take_next(struct gspace *g, uint64_t left)
{
	unsigned order = best_order(g, left);
	hpa_t block;
	enum hv_status status;

	status = frame_alloc(order, FRAME_GUEST, g->owner, &block);
	if (status != HV_OK && order != FRAME_ORDER_4K) {
		order = FRAME_ORDER_4K;
		status = frame_alloc(order, FRAME_GUEST, g->owner, &block);
	}
	if (status != HV_OK) {
		return status;
	}
	status = pt_map(&g->host.pt, HOME_VA + g->devmem.size, block, PAGE_SIZE << order,
			gspace_window_attr(true, false));
	if (status != HV_OK) {
		frame_put_block(block, order);
		return status;
	}
	g->devmem.size += PAGE_SIZE << order;
	return HV_OK;
}

enum hv_status gspace_add_devmem(struct gspace *g, uint64_t size, uint64_t *offset)
{
	const uint64_t start = g->devmem.size;
	enum hv_status status = HV_OK;

	if (size == 0 || size > GSPACE_DEVMEM_MAX - start || !is_aligned(size, PAGE_SIZE)) {
		return HV_E_RANGE;
	}
	while (g->devmem.size < start + size && status == HV_OK) {
		status = take_next(g, start + size - g->devmem.size);
	}
	*offset = start;
	return status;
}

void *gspace_devmem_ptr(uint64_t offset)
{
	return access_ptr(hva(HOME_VA + offset), true);
}

/* --- views --- */

enum gspace_fault gspace_view_fault(const struct gspace *g, uint64_t addr, bool write)
{
	unsigned count = __atomic_load_n(&g->devmem.view_count, __ATOMIC_RELAXED);

	for (unsigned i = 0; i < count; i++) {
		const struct gspace_view *v = &g->devmem.views[i];

		if (addr - v->base < __atomic_load_n(&v->size, __ATOMIC_RELAXED)) {
			return write && v->read_only ? GSPACE_FAULT_ROM : GSPACE_FAULT_RETRY;
		}
	}
	return GSPACE_FAULT_MMIO;
}

uint64_t gspace_devmem_surplus(const struct gspace *g)
{
	uint64_t shown = 0;

	for (unsigned i = 0; i < GSPACE_VIEWS; i++) {
		shown += g->devmem.views[i].size;
	}
	return shown;
}

/* Whether the guest sees the view's page at `at` where the window has it, and may do no more. */
static bool page_is_right(const struct gspace *g, const struct gspace_view *v, uint64_t at)
{
	const uint64_t va = HOME_VA + v->offset + at;
	const uint64_t addr = v->base + at;
	struct pt_leaf seen;
	struct pt_leaf home;

	return pt_lookup(&g->stage2, addr, &seen) && pt_lookup(&g->host.pt, va, &home) &&
	       seen.pa.v + (addr - seen.va) == home.pa.v + (va - home.va) &&
	       seen.attr.rights == (v->read_only ? PT_R : PT_RW);
}

bool gspace_views_are_right(const struct gspace *g)
{
	for (unsigned i = 0; i < GSPACE_VIEWS; i++) {
		const struct gspace_view *v = &g->devmem.views[i];

		for (uint64_t at = 0; at < v->size; at += PAGE_SIZE) {
			if (!page_is_right(g, v, at)) {
				return false;
			}
		}
	}
	return true;
}

/* Takes out what is mapped of a view, `size` bytes. Under lock. */
static void unmap_view(struct gspace *g, struct gspace_view *v, uint64_t size)
{
	gspace_unmap_leaves(&g->stage2, v->base, size);
	__atomic_store_n(&v->size, 0, __ATOMIC_RELAXED);
}

/*
 * Maps the next piece of a view, `done` bytes of which are mapped, *size bytes at most, which
 * becomes what it was: as large a leaf as the window has and as can be put there without dropping a
 * table. Under lock.
 */
static enum hv_status map_piece(struct gspace *g, const struct gspace_view *wanted, uint64_t done,
				uint64_t *size)
{
	const struct pt_attr attr = {.rights = wanted->read_only ? PT_R : PT_RW};
	const uint64_t at = wanted->base + done;
	const uint64_t offset = wanted->offset + done;
	struct pt_leaf home;
	uint64_t piece = PAGE_SIZE;

	CHECK(pt_lookup(&g->host.pt, HOME_VA + offset, &home));
	if (home.size >= PAGE_SIZE_2M && *size >= PAGE_SIZE_2M &&
	    is_aligned(at | offset, PAGE_SIZE_2M) && pt_hole(&g->stage2, at) >= PT_LEVEL_2M) {
		piece = PAGE_SIZE_2M;
	}
	*size = piece;
	return pt_map(&g->stage2, at, hpa(home.pa.v + (HOME_VA + offset - home.va)), piece, attr);
}

/* Whether memory of the guest, or another view, is in the range. */
static bool is_taken(const struct gspace *g, const struct gspace_view *wanted)
{
	for (unsigned i = 0; i < g->region_count; i++) {
		if (ranges_overlap(wanted->base, wanted->size, g->regions[i].base,
				   g->regions[i].size)) {
			return true;
		}
	}
	for (unsigned i = 0; i < GSPACE_VIEWS; i++) {
		const struct gspace_view *v = &g->devmem.views[i];

		if (v->size != 0 && ranges_overlap(wanted->base, wanted->size, v->base, v->size)) {
			return true;
		}
	}
	return false;
}

static enum hv_status map_view(struct gspace *g, struct gspace_view *v,
			       const struct gspace_view *wanted)
{
	enum hv_status status = HV_OK;
	uint64_t done = 0;

	v->base = wanted->base;
	while (done < wanted->size && status == HV_OK) {
		uint64_t piece = wanted->size - done;

		status = map_piece(g, wanted, done, &piece);
		done += status == HV_OK ? piece : 0;
	}
	if (status != HV_OK) {
		unmap_view(g, v, done);
		return status;
	}
	v->offset = wanted->offset;
	v->read_only = wanted->read_only;
	__atomic_store_n(&v->size, wanted->size, __ATOMIC_RELAXED);
	return HV_OK;
}

enum hv_status gspace_show_devmem(struct gspace *g, unsigned view, const struct gspace_view *wanted)
{
	struct gspace_view *v = &g->devmem.views[view];
	enum hv_status status = HV_OK;

	CHECK(view < GSPACE_VIEWS);
	lock_acquire(&g->lock);
	if (view >= g->devmem.view_count) {
		__atomic_store_n(&g->devmem.view_count, view + 1, __ATOMIC_RELAXED);
	}
	unmap_view(g, v, v->size);
	if (wanted->size == 0) {
		status = HV_OK;
	} else if (!is_aligned(wanted->base | wanted->offset | wanted->size, PAGE_SIZE) ||
		   !range_fits(wanted->offset, wanted->size, g->devmem.size) ||
		   !range_fits(wanted->base, wanted->size, BIT(PT_LEVELS * 9 + PAGE_SHIFT))) {
		status = HV_E_RANGE;
	} else if (is_taken(g, wanted)) {
		status = HV_E_EXISTS;
	} else {
		status = map_view(g, v, wanted);
	}
	lock_release(&g->lock);
	return status;
}

/* --- giving back --- */

void gspace_fini_devmem(struct gspace *g, uint64_t *budget)
{
	for (unsigned i = 0; i < GSPACE_VIEWS; i++) {
		struct gspace_view *v = &g->devmem.views[i];

		unmap_view(g, v, v->size);
	}
	while (g->devmem.size != 0 && *budget != 0) {
		struct pt_leaf leaf;

		CHECK(pt_lookup(&g->host.pt, HOME_VA + g->devmem.size - PAGE_SIZE, &leaf));
		CHECK(pt_unmap(&g->host.pt, leaf.va, leaf.size) == HV_OK);
		frame_put_range(leaf.pa, leaf.size);
		g->devmem.size -= leaf.size;
		*budget -= min_u64(leaf.size, *budget);
	}
}
