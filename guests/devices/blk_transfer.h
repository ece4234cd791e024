/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest asked a disk for, cut into pieces that the disk takes in one go, for models whose
 * requests may be many at a time.
 *
 *	transfer --cut--> pieces, each with a buffer --blk_submit--> disk
 *	    |                                                         |
 *	    +--blk_copy, where the disk is memory: no piece, no buffer|
 *	    |                                                         |
 *	  done <--all back-- pieces <--data to the guest--  collect <-+
 *
 * When pieces or buffers are used up, a transfer waits for a completion.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/blk_pieces.h"

struct blk_transfers;

/* Covered by the owner's lock. The first four are set before blk_transfer_begin. */
struct blk_transfer {
	enum blk_op op;
	bool flush_after; /* what was written must be on the medium */
	uint64_t sector;
	uint64_t count; /* sectors; a flush counts as one */
	uint64_t sent;	/* how many of them went to the disk */
	struct blk_transfers *all;
	uint32_t generation;
	uint16_t open;	       /* pieces at the disk, and one until blk_transfer_end */
	bool broken;	       /* the guest's memory could not be reached */
	enum hv_status status; /* the first error */
};

struct blk_transfer_ops {
	/*
	 * Moves the bytes from `offset` of the transfer's data on: from `memory` to the guest for a
	 * read, to `memory` for a write. False: the guest has no such memory.
	 */
	bool (*copy)(struct blk_transfer *t, uint64_t offset, void *memory, uint32_t bytes);
	/* All is back, or given up (blk_transfer_is_live). */
	void (*done)(struct blk_transfer *t);
	/* As that of blk_pieces. */
	void (*ask)(struct blk_transfers *all);
};

/* Those of one queue; covered by the owner's lock. */
struct blk_transfers {
	const struct blk_transfer_ops *ops;
	struct blk_device *device;
	uint32_t piece_bytes; /* the most that the disk is given at once */
	uint32_t generation;
	struct blk_pieces pieces;
};

/*
 * `buffers`: BOUNCE_BYTES of pool pages. HV_E_UNSUPPORTED: the disk's blocks are larger than a
 * page, or it takes less than a block at once.
 */
enum hv_status blk_transfers_init(struct blk_transfers *all, const struct blk_transfer_ops *ops,
				  struct blk_device *device, void *buffers) HV_MUST_CHECK;
void blk_transfer_begin(struct blk_transfers *all, struct blk_transfer *t);
/*
 * Sends what is left, and takes what it costs off *budget. False: it has to wait, for a completion
 * if some budget is left.
 */
bool blk_transfer_send(struct blk_transfer *t, uint32_t *budget);
/*
 * Nothing more will be sent, be it all or not: `done` is called when all is back, perhaps now.
 * Right after the last of a transfer with data and `flush_after`.
 */
void blk_transfer_end(struct blk_transfer *t);
/* Transfers of before do not touch the guest any more; their pieces keep their buffers. */
void blk_transfers_give_up(struct blk_transfers *all);

static inline bool blk_transfer_is_live(const struct blk_transfer *t)
{
	return t->generation == t->all->generation;
}
