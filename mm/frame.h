/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame table: one entry per 4 KiB frame of physical memory, with owner, type and reference
 * count, and a buddy allocator of 4 KiB .. 1 GiB blocks over it.
 *
 * Frames that may be given to a guest are zeroed before they are given and after they are taken
 * back. The table never touches a frame's content through a permanent mapping: content is reached
 * through mm/window.h only.
 *
 * An allocated block is no object of its own: each of its frames can be put back alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"

/* Who a frame belongs to: OWNER_NONE, OWNER_HV, OWNER_SHARED or a VM's id (1 .. OWNER_VM_MAX). */
#define OWNER_NONE 0u
#define OWNER_VM_MAX 0xfff0u
#define OWNER_SHARED 0xfffeu /* guest RAM that several VMs map copy-on-write */
#define OWNER_HV 0xffffu

enum frame_type {
	FRAME_ABSENT = 0, /* not memory, or never ours to touch */
	FRAME_FREE,
	FRAME_POOL,  /* the hypervisor's, free in its pool */
	FRAME_HV,    /* hypervisor image, pool memory in use, per-CPU areas, modules */
	FRAME_TABLE, /* a page table of ours (host or second stage) */
	FRAME_GUEST, /* guest RAM */
	FRAME_TYPE_COUNT
};

#define FRAME_ORDER_4K 0u
#define FRAME_ORDER_2M 9u
#define FRAME_ORDER_1G 18u
#define FRAME_ORDER_MAX FRAME_ORDER_1G

/* Memory at and above this is not used: frame numbers have 32 bits. */
#define FRAME_TOP_MAX (1ull << 44)

struct frame {
	uint32_t next; /* free-list links: frame numbers, meaningful in the first of a free block */
	uint32_t prev;
	uint32_t refs; /* mappings that count: 0 when free, > 1 when shared copy-on-write */
	uint16_t owner;
	uint8_t type;  /* enum frame_type */
	uint8_t order; /* of the free block this frame starts; of the block in pool memory */
};
_Static_assert(sizeof(struct frame) == 16, "one cache line holds four frames");

struct frame_stats {
	uint64_t total; /* frames that are memory */
	uint64_t free;	/* frames on the free lists */
	uint64_t hv;	/* FRAME_POOL + FRAME_HV + FRAME_TABLE */
	uint64_t guest; /* FRAME_GUEST */
};

/* Frames that guests leave to the hypervisor for page tables and the like. */
#define FRAME_HV_RESERVE 512u

/* Bytes of table needed for memory that ends at `top` (host-physical, exclusive). */
uint64_t frame_table_bytes(uint64_t top);
/* `table` is zeroed memory of frame_table_bytes(top) bytes. Every frame starts FRAME_ABSENT. */
void frame_init(struct frame *table, uint64_t top);
/* Declares [base, base + size) free memory; both page-aligned, inside the table, absent so far. */
void frame_add_free(hpa_t base, uint64_t size);
/* Declares memory in use by the hypervisor from the start (image, modules, this table). */
void frame_add_used(hpa_t base, uint64_t size);

/*
 * Takes a naturally aligned block of 2^order frames, refs = 1 in each. Guest frames come zeroed.
 * HV_E_NO_MEMORY when no block of that order can be made.
 */
enum hv_status frame_alloc(unsigned order, enum frame_type type, uint16_t owner,
			   hpa_t *out) HV_MUST_CHECK;
/* As frame_alloc, but whoever calls zeroes the block before a guest can see it. */
enum hv_status frame_alloc_dirty(unsigned order, enum frame_type type, uint16_t owner,
				 hpa_t *out) HV_MUST_CHECK;
/* Drops one reference of the frame; the last one zeroes and frees it (4 KiB granular). */
void frame_put(hpa_t frame);
/* frame_put over a block of 2^order frames; cheaper when none of them is shared. */
void frame_put_block(hpa_t block, unsigned order);
/* frame_put over any page-aligned range. */
void frame_put_range(hpa_t base, uint64_t size);
/* Adds a reference to each guest frame of a range, which OWNER_SHARED owns from then on. */
void frame_share(hpa_t base, uint64_t size);
/* The holder of the last reference to a shared frame makes it its own. */
void frame_claim(hpa_t frame, uint16_t owner);
/* NULL when `frame` is outside the table. */
const struct frame *frame_info(hpa_t frame);
/* 0 when free or outside the table. */
uint32_t frame_refs(hpa_t frame);
void frame_stats(struct frame_stats *out);
/* First address behind the table's coverage. */
uint64_t frame_top(void);
/* The table itself, for the pool's own buddy lists. */
struct frame *frame_table(void);
