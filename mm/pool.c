/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's pages: a second set of buddy lists over the frames that the pool owns. */
#include "mm/pool.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/lock.h"
#include "hv/base/str.h"
#include "mm/access.h"
#include "mm/buddy.h"
#include "mm/space.h"

/*
 * Free pages that only pool_table(true) may take: mapping a chunk into the direct window needs a
 * page directory and a page table at most, and two CPUs may be at it.
 */
#define RESERVE_PAGES 8u
#define CHUNK_ORDER FRAME_ORDER_2M

static struct {
	struct buddy free; /* under lock */
	uint64_t used;	   /* pages, under lock */
	pool_map_fn *map;  /* set once */
	struct spinlock lock;
} pool;

void pool_init(hpa_t chunk, uint64_t size, pool_map_fn *map)
{
	buddy_init(&pool.free, frame_table(), frame_top() >> PAGE_SHIFT, FRAME_POOL, CHUNK_ORDER);
	buddy_put_range(&pool.free, chunk.v >> PAGE_SHIFT, size >> PAGE_SHIFT);
	pool.used = 0;
	pool.map = map;
	slab_init();
}

hpa_t pool_hpa(const void *p)
{
	hva_t va = access_va(p);

	CHECK(va.v >= HV_DIRECT_BASE && va.v - HV_DIRECT_BASE < FRAME_TOP_MAX);
	return hpa(va.v - HV_DIRECT_BASE);
}

void *pool_ptr(hpa_t p)
{
	return access_ptr(hva(HV_DIRECT_BASE + p.v), true);
}

/* Takes a block if that leaves `spare` pages. */
static bool take(unsigned order, uint64_t spare, enum frame_type type, uint64_t *first)
{
	bool found;

	lock_acquire(&pool.lock);
	found = pool.free.free >= BIT(order) + spare && buddy_take(&pool.free, order, first);
	if (found) {
		pool.used += BIT(order);
		for (uint64_t i = *first; i < *first + BIT(order); i++) {
			pool.free.table[i] = (struct frame){.refs = 1,
							    .owner = OWNER_HV,
							    .type = (uint8_t)type,
							    .order = (uint8_t)order};
		}
	}
	lock_release(&pool.lock);
	return found;
}

static void give_back(void *pages, unsigned order, enum frame_type type)
{
	uint64_t first = pool_hpa(pages).v >> PAGE_SHIFT;
	const struct frame *f = frame_info(pool_hpa(pages));

	CHECK(f != NULL && f->type == (uint8_t)type && f->order == order);
	lock_acquire(&pool.lock);
	buddy_put(&pool.free, first, order);
	pool.used -= BIT(order);
	lock_release(&pool.lock);
}

/* Adds a chunk of at least 2^order pages, the largest there is up to 2 MiB. */
static bool grow(unsigned order)
{
	unsigned have = CHUNK_ORDER;
	hpa_t chunk;

	while (frame_alloc(have, FRAME_HV, OWNER_HV, &chunk) != HV_OK) {
		if (have == order) {
			return false;
		}
		have--;
	}
	if (pool.map(chunk, PAGE_SIZE << have) != HV_OK) {
		frame_put_block(chunk, have);
		return false;
	}
	lock_acquire(&pool.lock);
	buddy_put(&pool.free, chunk.v >> PAGE_SHIFT, have);
	lock_release(&pool.lock);
	return true;
}

static void *zeroed(uint64_t first, unsigned order)
{
	void *p = pool_ptr(hpa(first << PAGE_SHIFT));

	memset(p, 0, PAGE_SIZE << order);
	return p;
}

static void *take_or_grow(unsigned order, enum frame_type type)
{
	uint64_t first;

	while (!take(order, RESERVE_PAGES, type, &first)) {
		if (!grow(order)) {
			return NULL;
		}
	}
	return zeroed(first, order);
}

void *pool_pages(unsigned order)
{
	CHECK(order <= CHUNK_ORDER);
	return take_or_grow(order, FRAME_HV);
}

void pool_pages_free(void *pages, unsigned order)
{
	give_back(pages, order, FRAME_HV);
}

void *pool_table(bool reserve)
{
	uint64_t first;

	if (!reserve) {
		return take_or_grow(FRAME_ORDER_4K, FRAME_TABLE);
	}
	return take(FRAME_ORDER_4K, 0, FRAME_TABLE, &first) ? zeroed(first, FRAME_ORDER_4K) : NULL;
}

void pool_table_free(void *table)
{
	give_back(table, FRAME_ORDER_4K, FRAME_TABLE);
}

enum hv_status pool_prepare_tables(uint64_t pages)
{
	for (;;) {
		uint64_t have;

		lock_acquire(&pool.lock);
		have = pool.free.free;
		lock_release(&pool.lock);
		if (have >= pages + RESERVE_PAGES) {
			return HV_OK;
		}
		if (!grow(FRAME_ORDER_4K)) {
			return HV_E_NO_MEMORY;
		}
	}
}

uint64_t pool_bytes_used(void)
{
	uint64_t used;

	lock_acquire(&pool.lock);
	used = pool.used;
	lock_release(&pool.lock);
	return used << PAGE_SHIFT;
}
