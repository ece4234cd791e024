/* SPDX-License-Identifier: Apache-2.0 */
/* The buddy allocator over the frame table. */
#include "mm/buddy.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"

/* In `order` of a frame that does not start a free block. */
#define ORDER_INNER 0xffu

void buddy_init(struct buddy *b, struct frame *table, uint64_t count, enum frame_type free_type,
		unsigned max_order)
{
	CHECK(max_order <= FRAME_ORDER_MAX && count <= BIT(32));
	*b = (struct buddy){
		.table = table,
		.count = count,
		.max_order = max_order,
		.free_type = free_type,
	};
}

static void list_push(struct buddy *b, uint64_t i, unsigned order)
{
	struct frame *f = &b->table[i];

	f->order = (uint8_t)order;
	f->next = b->head[order];
	f->prev = 0;
	if (f->next != 0) {
		b->table[f->next].prev = (uint32_t)i;
	}
	b->head[order] = (uint32_t)i;
}

static void list_unlink(struct buddy *b, uint64_t i)
{
	struct frame *f = &b->table[i];

	if (f->prev != 0) {
		b->table[f->prev].next = f->next;
	} else {
		b->head[f->order] = f->next;
	}
	if (f->next != 0) {
		b->table[f->next].prev = f->prev;
	}
	f->order = ORDER_INNER;
}

static bool starts_free_block(const struct buddy *b, uint64_t i, unsigned order)
{
	return i < b->count && b->table[i].type == (uint8_t)b->free_type &&
	       b->table[i].order == order;
}

void buddy_put(struct buddy *b, uint64_t first, unsigned order)
{
	uint64_t n = BIT(order);

	CHECK(first != 0 && is_aligned(first, n) && range_fits(first, n, b->count));
	for (uint64_t i = first; i < first + n; i++) {
		b->table[i] = (struct frame){.type = (uint8_t)b->free_type, .order = ORDER_INNER};
	}
	b->free += n;
	while (order < b->max_order && starts_free_block(b, first ^ BIT(order), order)) {
		list_unlink(b, first ^ BIT(order));
		first &= ~BIT(order);
		order++;
	}
	list_push(b, first, order);
}

unsigned buddy_order(uint64_t first, uint64_t count, unsigned max_order)
{
	unsigned order = 63u - (unsigned)__builtin_clzll(count);

	if (first != 0 && (unsigned)__builtin_ctzll(first) < order) {
		order = (unsigned)__builtin_ctzll(first);
	}
	return order < max_order ? order : max_order;
}

void buddy_put_range(struct buddy *b, uint64_t first, uint64_t count)
{
	while (count != 0) {
		unsigned order = buddy_order(first, count, b->max_order);

		buddy_put(b, first, order);
		first += BIT(order);
		count -= BIT(order);
	}
}

bool buddy_take(struct buddy *b, unsigned order, uint64_t *first)
{
	unsigned have = order;

	while (have <= b->max_order && b->head[have] == 0) {
		have++;
	}
	if (have > b->max_order) {
		return false;
	}
	*first = b->head[have];
	list_unlink(b, *first);
	while (have > order) {
		have--;
		list_push(b, *first + BIT(have), have);
	}
	b->free -= BIT(order);
	return true;
}
