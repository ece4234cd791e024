/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buddy allocator: free blocks of 2^order frames, naturally aligned, in one list per order.
 * The links live in the frame table, so it needs no memory of its own. There are two instances over
 * the one table: the machine's free memory (mm/frame.c) and the pool's (mm/pool.c); a frame's type
 * tells which of them it is free in.
 *
 * Callers lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/frame.h"

struct buddy {
	struct frame *table;
	uint64_t count;	    /* frames in the table */
	unsigned max_order; /* blocks do not grow beyond */
	enum frame_type free_type;
	uint32_t head[FRAME_ORDER_MAX + 1]; /* frame number; 0 when empty: frame 0 is never free */
	uint64_t free;			    /* frames in all lists */
};

void buddy_init(struct buddy *b, struct frame *table, uint64_t count, enum frame_type free_type,
		unsigned max_order);
/* Frees an aligned block, whose frames become free_type, and joins it with free neighbours. */
void buddy_put(struct buddy *b, uint64_t first, unsigned order);
/* As above for any run of frames. */
void buddy_put_range(struct buddy *b, uint64_t first, uint64_t count);
/* Takes an aligned block; its frames stay free_type until the caller says what they are. */
bool buddy_take(struct buddy *b, unsigned order, uint64_t *first);
/* The largest block that starts at frame `first`, is naturally aligned and at most `count`. */
unsigned buddy_order(uint64_t first, uint64_t count, unsigned max_order);
