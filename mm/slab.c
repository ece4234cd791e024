/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small objects of the pool: a slab is one page of equal objects behind a header with a bit per
 * free object. Slabs with room are in the list of their size; an empty slab goes back at once.
 */
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/list.h"
#include "hv/base/lock.h"
#include "hv/base/str.h"
#include "mm/pool.h"

#define BIN_SHIFT_MIN 4u /* 16 bytes */
#define BIN_COUNT 7u	 /* 16, 32, .. 1024 */
#define MAP_WORDS 4ull

struct slab {
	struct list_node node;	      /* in bins[bin]; alone while the slab is full */
	uint64_t free_map[MAP_WORDS]; /* bit set: object free */
	uint32_t bin;
	uint32_t used;
	uint64_t spare;
};
static_assert(sizeof(struct slab) == 64, "objects behind it keep their alignment");
static_assert((PAGE_SIZE - sizeof(struct slab)) >> BIN_SHIFT_MIN <= MAP_WORDS * 64,
	      "a bit for each object");

static struct list_node bins[BIN_COUNT]; /* under lock */
static struct spinlock lock;

static unsigned bin_of(size_t size)
{
	unsigned bin = 0;

	while (bin < BIN_COUNT && (size_t)1 << (bin + BIN_SHIFT_MIN) < size) {
		bin++;
	}
	return bin;
}

/* The smallest order that holds `size` bytes. */
static unsigned order_of(size_t size)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < size) {
		order++;
	}
	return order;
}

static struct slab *slab_create(unsigned bin)
{
	struct slab *s = pool_pages(0);
	size_t count = (PAGE_SIZE - sizeof(*s)) >> (bin + BIN_SHIFT_MIN);

	if (s == NULL) {
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		s->free_map[i / 64] |= BIT(i % 64);
	}
	s->bin = bin;
	list_append(&bins[bin], &s->node);
	return s;
}

/* Takes the first free object of a slab that has one. */
static void *slab_take(struct slab *s)
{
	size_t word = 0;
	unsigned bit;

	while (s->free_map[word] == 0) {
		word++;
		CHECK(word < MAP_WORDS);
	}
	bit = (unsigned)__builtin_ctzll(s->free_map[word]);
	s->free_map[word] &= ~BIT(bit);
	s->used++;
	if ((s->free_map[0] | s->free_map[1] | s->free_map[2] | s->free_map[3]) == 0) {
		list_remove(&s->node);
	}
	return (char *)(s + 1) + ((word * 64 + bit) << (s->bin + BIN_SHIFT_MIN));
}

void slab_init(void)
{
	for (unsigned i = 0; i < BIN_COUNT; i++) {
		list_init(&bins[i]);
	}
}

static struct slab *slab_with_room(unsigned bin)
{
	struct list_node *head = &bins[bin];

	return list_empty(head) ? slab_create(bin) : list_entry(head->next, struct slab, node);
}

void *pool_alloc(size_t size)
{
	unsigned bin = bin_of(size);
	struct slab *s;
	void *object = NULL;

	if (bin >= BIN_COUNT) {
		return size <= PAGE_SIZE_2M ? pool_pages(order_of(size)) : NULL;
	}
	lock_acquire(&lock);
	s = slab_with_room(bin);
	if (s != NULL) {
		object = slab_take(s);
	}
	lock_release(&lock);
	if (object != NULL) {
		memset(object, 0, (size_t)1 << (bin + BIN_SHIFT_MIN));
	}
	return object;
}

void pool_free(void *object, size_t size)
{
	unsigned bin = bin_of(size);
	uintptr_t at = (uintptr_t)object & (PAGE_SIZE - 1);
	struct slab *s = (struct slab *)((uintptr_t)object & ~(uintptr_t)(PAGE_SIZE - 1));
	bool empty;
	size_t i = (at - sizeof(*s)) >> (bin + BIN_SHIFT_MIN);

	if (object == NULL) {
		return;
	}
	if (bin >= BIN_COUNT) {
		pool_pages_free(object, order_of(size));
		return;
	}
	CHECK(at >= sizeof(*s) && s->bin == bin);
	CHECK(is_aligned(at - sizeof(*s), BIT(bin + BIN_SHIFT_MIN)));
	CHECK((s->free_map[i / 64] & BIT(i % 64)) == 0);
	lock_acquire(&lock);
	s->free_map[i / 64] |= BIT(i % 64);
	s->used--;
	list_remove(&s->node);
	if (s->used != 0) {
		list_append(&bins[bin], &s->node);
	}
	empty = s->used == 0;
	lock_release(&lock);
	if (empty) {
		pool_pages_free(s, 0);
	}
}
