/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private copy-on-write layer over a device that is only read: what is written stays in
 * hypervisor memory, in granules of 4 KiB, and hides what lies below.
 *
 *	read      | base | granule | zeros | base |
 *	             ^        ^        ^
 *	          absent    a page   a mark, no memory
 *
 * The granules hang in a tree (overlay_tree.h).
 *
 * Nothing is ever lost but with the machine: a flush has nothing to do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"
#include "hv/base/lock.h"
#include "hv/blk/overlay_tree.h"

#define BLK_OVERLAY_OWNER_MAX 64u

struct blk_overlay {
	struct blk_device dev;
	struct blk_device *base;
	char owner[BLK_OVERLAY_OWNER_MAX];
	/* Covers what follows and all granules; the pool is used under it, nothing else. */
	struct spinlock lock;
	struct overlay_tree tree;
	uint64_t failed_writes;
	bool complained; /* the event about a write without memory was given */
};

/*
 * `base` outlives the overlay, which has its size. `owner` begins the event of the first write that
 * found no memory ("guest web: disk 0"). HV_E_UNSUPPORTED: the base's blocks are larger than a
 * granule, or it has more than 2^48 sectors.
 */
enum hv_status blk_overlay_init(struct blk_overlay *o, struct blk_device *base, const char *owner,
				uint64_t limit) HV_MUST_CHECK;
/* Gives all memory back; no request is open. */
void blk_overlay_fini(struct blk_overlay *o);
/* Bytes of hypervisor memory that it takes now. */
uint64_t blk_overlay_bytes(struct blk_overlay *o);
