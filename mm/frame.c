/* SPDX-License-Identifier: Apache-2.0 */
/* The frame table: what each frame of physical memory is, and giving and taking of free ones. */
#include "mm/frame.h"

#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/lock.h"
#include "mm/buddy.h"
#include "mm/window.h"

static struct {
	struct frame *table;
	uint64_t count;
	struct buddy free;	  /* under lock */
	struct frame_stats stats; /* under lock; stats.free is read from the lists */
	struct spinlock lock;
} frames;

uint64_t frame_table_bytes(uint64_t top)
{
	return (align_up(top, PAGE_SIZE) >> PAGE_SHIFT) * sizeof(struct frame);
}

void frame_init(struct frame *table, uint64_t top)
{
	CHECK(top <= FRAME_TOP_MAX);
	frames.table = table;
	frames.count = align_up(top, PAGE_SIZE) >> PAGE_SHIFT;
	frames.stats = (struct frame_stats){0};
	buddy_init(&frames.free, table, frames.count, FRAME_FREE, FRAME_ORDER_MAX);
}

/* The index of the first frame of a range that must lie in the table. */
static uint64_t index_of(hpa_t base, uint64_t frame_count)
{
	CHECK(is_aligned(base.v, PAGE_SIZE));
	CHECK(range_fits(base.v >> PAGE_SHIFT, frame_count, frames.count));
	return base.v >> PAGE_SHIFT;
}

static void mark(uint64_t first, uint64_t count, struct frame what)
{
	for (uint64_t i = first; i < first + count; i++) {
		frames.table[i] = what;
	}
}

/* The counter that frames of a type in use belong to. */
static uint64_t *counter(uint8_t type)
{
	return type == FRAME_GUEST ? &frames.stats.guest : &frames.stats.hv;
}

static uint64_t add_range(hpa_t base, uint64_t size)
{
	uint64_t n = size >> PAGE_SHIFT;
	uint64_t first = index_of(base, n);

	CHECK(n != 0 && is_aligned(size, PAGE_SIZE));
	/* The plan's parts are disjoint: the ends stand for all of it. */
	CHECK(frames.table[first].type == FRAME_ABSENT);
	CHECK(frames.table[first + n - 1].type == FRAME_ABSENT);
	frames.stats.total += n;
	return first;
}

void frame_add_free(hpa_t base, uint64_t size)
{
	uint64_t first = add_range(base, size);

	buddy_put_range(&frames.free, first, size >> PAGE_SHIFT);
}

void frame_add_used(hpa_t base, uint64_t size)
{
	uint64_t first = add_range(base, size);

	mark(first, size >> PAGE_SHIFT,
	     (struct frame){.refs = 1, .owner = OWNER_HV, .type = FRAME_HV});
	frames.stats.hv += size >> PAGE_SHIFT;
}

enum hv_status frame_alloc_dirty(unsigned order, enum frame_type type, uint16_t owner, hpa_t *out)
{
	uint64_t reserve = type == FRAME_GUEST ? FRAME_HV_RESERVE : 0;
	uint64_t first = 0;
	bool found;

	CHECK(order <= FRAME_ORDER_MAX);
	CHECK(type == FRAME_GUEST ? owner >= 1 && owner <= OWNER_VM_MAX
				  : type == FRAME_HV && owner == OWNER_HV);
	lock_acquire(&frames.lock);
	found = frames.free.free >= BIT(order) + reserve && buddy_take(&frames.free, order, &first);
	if (found) {
		*counter((uint8_t)type) += BIT(order);
	}
	lock_release(&frames.lock);
	if (!found) {
		return HV_E_NO_MEMORY;
	}
	mark(first, BIT(order), (struct frame){.refs = 1, .owner = owner, .type = (uint8_t)type});
	*out = hpa(first << PAGE_SHIFT);
	return HV_OK;
}

enum hv_status frame_alloc(unsigned order, enum frame_type type, uint16_t owner, hpa_t *out)
{
	enum hv_status status = frame_alloc_dirty(order, type, owner, out);

	if (status == HV_OK && type == FRAME_GUEST) {
		window_zero(*out, PAGE_SIZE << order);
	}
	return status;
}

static bool in_use(const struct frame *f)
{
	return f->refs != 0 && (f->type == FRAME_HV || f->type == FRAME_GUEST);
}

/* Gives a block whose last reference was dropped back to the free lists. */
static void release(uint64_t first, unsigned order)
{
	uint8_t type = frames.table[first].type;

	window_zero(hpa(first << PAGE_SHIFT), PAGE_SIZE << order);
	lock_acquire(&frames.lock);
	*counter(type) -= BIT(order);
	buddy_put(&frames.free, first, order);
	lock_release(&frames.lock);
}

void frame_put(hpa_t frame)
{
	uint64_t i = index_of(frame, 1);
	struct frame *f = &frames.table[i];
	bool last;

	CHECK(in_use(f));
	lock_acquire(&frames.lock);
	f->refs--;
	last = f->refs == 0;
	lock_release(&frames.lock);
	if (last) {
		release(i, FRAME_ORDER_4K);
	}
}

/* Whether nobody but the caller holds a reference to any frame of the block. */
static bool all_unshared(uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		CHECK(in_use(&frames.table[i]));
		if (frames.table[i].refs != 1 || frames.table[i].type != frames.table[first].type) {
			return false;
		}
	}
	return true;
}

void frame_put_block(hpa_t block, unsigned order)
{
	uint64_t first = index_of(block, BIT(order));

	CHECK(order <= FRAME_ORDER_MAX && is_aligned(first, BIT(order)));
	if (all_unshared(first, BIT(order))) {
		release(first, order);
		return;
	}
	for (uint64_t i = 0; i < BIT(order); i++) {
		frame_put(hpa(block.v + (i << PAGE_SHIFT)));
	}
}

void frame_put_range(hpa_t base, uint64_t size)
{
	CHECK(is_aligned(size, PAGE_SIZE));
	while (size != 0) {
		unsigned order =
			buddy_order(base.v >> PAGE_SHIFT, size >> PAGE_SHIFT, FRAME_ORDER_2M);

		frame_put_block(base, order);
		base.v += PAGE_SIZE << order;
		size -= PAGE_SIZE << order;
	}
}

void frame_share(hpa_t base, uint64_t size)
{
	uint64_t n = size >> PAGE_SHIFT;
	struct frame *f = &frames.table[index_of(base, n)];

	CHECK(is_aligned(size, PAGE_SIZE));
	for (uint64_t i = 0; i < n; i++) {
		CHECK(f[i].type == FRAME_GUEST && f[i].refs != 0 && f[i].refs != UINT32_MAX);
	}
	lock_acquire(&frames.lock);
	for (uint64_t i = 0; i < n; i++) {
		f[i].refs++;
		f[i].owner = OWNER_SHARED;
	}
	lock_release(&frames.lock);
}

void frame_claim(hpa_t frame, uint16_t owner)
{
	struct frame *f = &frames.table[index_of(frame, 1)];

	CHECK(f->type == FRAME_GUEST && f->refs == 1 && f->owner == OWNER_SHARED);
	CHECK(owner >= 1 && owner <= OWNER_VM_MAX);
	f->owner = owner;
}

const struct frame *frame_info(hpa_t frame)
{
	uint64_t i = frame.v >> PAGE_SHIFT;

	return i < frames.count ? &frames.table[i] : NULL;
}

uint32_t frame_refs(hpa_t frame)
{
	const struct frame *f = frame_info(frame);

	return f != NULL ? f->refs : 0;
}

void frame_stats(struct frame_stats *out)
{
	lock_acquire(&frames.lock);
	*out = frames.stats;
	out->free = frames.free.free;
	lock_release(&frames.lock);
}

uint64_t frame_top(void)
{
	return frames.count << PAGE_SHIFT;
}

struct frame *frame_table(void)
{
	return frames.table;
}
