/* SPDX-License-Identifier: Apache-2.0 */
/* The isolation check: walks all tables and compares them with the frame table. */
#include <stddef.h>

#include "hv/base/bits.h"
#include "mm/frame.h"
#include "mm/gspace_internal.h"

/* The walk of one table. */
struct check {
	struct isolation_report *report;
	const struct gspace *g;
	bool window;	/* the VM window, not the second stage */
	uint64_t from;	/* what leaves map below this is not looked at */
	uint64_t bytes; /* mapped */
};

static void violation(struct isolation_report *r, hpa_t frame, const char *what)
{
	if (r->violations == 0) {
		r->first_violation = frame;
		r->what = what;
	}
	r->violations++;
}

/* What is wrong with a VM's reaching this frame through a leaf of these attributes; NULL: nothing.
 */
static const char *judge(const struct gspace *g, const struct frame *f, struct pt_attr attr)
{
	if (f == NULL || f->type == FRAME_ABSENT) {
		return "not memory";
	}
	if (f->type != FRAME_GUEST) {
		return f->type == FRAME_FREE ? "a free frame" : "a frame of the hypervisor";
	}
	if (attr.cow) {
		if ((attr.rights & PT_W) != 0) {
			return "a shared frame is writable";
		}
		return f->owner == OWNER_SHARED ? NULL : "copy-on-write of a frame not shared";
	}
	if (f->owner == OWNER_SHARED) {
		return "a shared frame outside copy-on-write";
	}
	if (f->owner != g->owner) {
		return "a frame of another guest";
	}
	return f->refs == 1 ? NULL : "a frame with several references";
}

/*
 * How many bytes from `at` in the window's leaf on the second stage has at the same place, has
 * given up before the window does, has hidden, or shows elsewhere; 0: it differs.
 */
static uint64_t agreed_bytes(const struct gspace *g, const struct pt_leaf *leaf, uint64_t at)
{
	uint64_t addr = leaf->va - VM_WINDOW_BASE + at;
	struct pt_leaf other;

	if (addr >= GSPACE_DEVMEM_HOME) {
		return GSPACE_DEVMEM_HOME + g->devmem.size - addr;
	}
	if (!pt_lookup(&g->stage2, addr, &other)) {
		return max_u64(gspace_parked_bytes(g, addr, hpa(leaf->pa.v + at)),
			       gspace_hidden_bytes(g, addr));
	}
	if (other.pa.v + (addr - other.va) != leaf->pa.v + at || other.attr.cow != leaf->attr.cow) {
		return 0;
	}
	return other.va + other.size - addr;
}

/* Whether second stage and the window's leaf say the same, in whatever page sizes. */
static bool agrees(const struct gspace *g, const struct pt_leaf *leaf)
{
	uint64_t at = 0;

	while (at < leaf->size) {
		uint64_t n = agreed_bytes(g, leaf, at);

		if (n == 0) {
			return false;
		}
		at += n;
	}
	return true;
}

static bool check_leaf(void *ctx, const struct pt_leaf *leaf)
{
	struct check *c = ctx;
	/* A VM may have given back a part of a large page. */
	uint64_t start = c->from > leaf->va ? c->from - leaf->va : 0;

	if (c->window && (leaf->attr.rights & PT_X) != 0) {
		violation(c->report, leaf->pa, "the window is executable");
	}
	if (c->window && !agrees(c->g, leaf)) {
		violation(c->report, leaf->pa, "window and second stage differ");
	}
	for (uint64_t at = start; at < leaf->size; at += PAGE_SIZE) {
		hpa_t frame = hpa(leaf->pa.v + at);
		const char *what = judge(c->g, frame_info(frame), leaf->attr);

		c->report->frames_checked++;
		if (what != NULL) {
			violation(c->report, frame, what);
		}
	}
	c->bytes += leaf->size - start;
	return true;
}

static void check_vm(const struct gspace *g, struct isolation_report *report)
{
	/* While a VM ends its tables still name, below fini_at, frames that are no longer its. */
	uint64_t size = VM_WINDOW_SIZE - g->fini_at;
	struct check stage2 = {.report = report, .g = g, .from = g->fini_at};
	struct check window = {
		.report = report,
		.g = g,
		.window = true,
		.from = VM_WINDOW_BASE + g->fini_at,
	};

	pt_walk(&g->stage2, g->fini_at, BIT(48) - g->fini_at, check_leaf, &stage2);
	pt_walk(&g->host.pt, VM_WINDOW_BASE + g->fini_at, size, check_leaf, &window);
	if (stage2.bytes + gspace_window_only(g) + gspace_hidden_total(g) + g->devmem.size !=
	    window.bytes + gspace_devmem_surplus(g)) {
		violation(report, hpa(0), "window and second stage differ");
	}
	if (!gspace_views_are_right(g)) {
		violation(report, hpa(0), "a view of device memory is another one");
	}
	if (!space_shares_core(&g->host)) {
		violation(report, hpa(0), "a VM's space has more than the core and its window");
	}
}

static bool check_core_leaf(void *ctx, const struct pt_leaf *leaf)
{
	struct isolation_report *report = ctx;

	for (uint64_t at = 0; at < leaf->size && leaf->pa.v + at < frame_top(); at += PAGE_SIZE) {
		const struct frame *f = frame_info(hpa(leaf->pa.v + at));

		report->frames_checked++;
		if (f != NULL && f->type == FRAME_GUEST) {
			violation(report, hpa(leaf->pa.v + at), "the core maps a guest's frame");
		}
	}
	return true;
}

void gspace_isolation_check(struct gspace *const *spaces, unsigned count,
			    struct isolation_report *out)
{
	const struct pt *core = &space_core()->pt;

	*out = (struct isolation_report){0};
	pt_walk(core, 0, BIT(47), check_core_leaf, out);
	pt_walk(core, HV_DIRECT_BASE, BIT(47), check_core_leaf, out);
	for (unsigned i = 0; i < count; i++) {
		/* Its vCPUs may be running: what they fault in changes both tables. */
		lock_acquire(&spaces[i]->lock);
		check_vm(spaces[i], out);
		lock_release(&spaces[i]->lock);
	}
}
