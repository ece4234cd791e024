/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest asked a disk for, cut into pieces that the disk takes in one go, for models whose
 * requests may be many at a time.
 *
 *	transfer --cut--> pieces, each with a buffer --blk_submit--> disk
 *	    |                                                         |
 *	    +--blk_copy, where the disk is memory: no piece, no buffer|
 *	    |                                                         |
 *	  done <--all back-- pieces <--data to the guest--  collect <-+  on any CPU, in any space
 *
 * A piece that the disk completes at once (RAM) is finished on the spot. One that completes later
 * waits in `finished` until the owner collects it. What may be open is bounded by pieces and
 * buffers; when they are used up, a transfer waits for a completion.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/bounce.h"
#include "hv/api/blk.h"

#define BLK_PIECES 64u
/* Sectors of one discard or write-zeroes: bounds the time that a disk in RAM takes. */
#define BLK_PIECES_RANGE_MAX 16384u

/* What one run handles at most before the guest goes on: about a millisecond in RAM. */
#define BLK_RUN_BYTES (1u << 20)
/* What a request counts for besides its data. */
#define BLK_COST_REQUEST 4096u

struct blk_pieces;

/* Covered by the owner's lock. The first four are set before blk_transfer_begin. */
struct blk_transfer {
	enum blk_op op;
	bool flush_after; /* what was written must be on the medium */
	uint64_t sector;
	uint64_t count; /* sectors; a flush counts as one */
	uint64_t sent;	/* how many of them went to the disk */
	struct blk_pieces *pieces;
	uint32_t generation;
	uint16_t open;	       /* pieces at the disk, and one until blk_transfer_end */
	bool broken;	       /* the guest's memory could not be reached */
	enum hv_status status; /* the first error */
};

struct blk_pieces_ops {
	/*
	 * Moves the bytes from `offset` of the transfer's data on: from `memory` to the guest for a
	 * read, to `memory` for a write. False: the guest has no such memory.
	 */
	bool (*copy)(struct blk_transfer *t, uint64_t offset, void *memory, uint32_t bytes);
	/* All is back, or given up (blk_transfer_is_live). */
	void (*done)(struct blk_transfer *t);
	/* Some piece has come back: blk_pieces_collect is wanted. Any CPU and space, any lock. */
	void (*ask)(struct blk_pieces *p);
};

struct blk_piece {
	struct blk_request r;
	struct blk_pieces *pieces;
	struct blk_transfer *transfer;
	struct blk_piece *next; /* in `finished` */
	uint64_t offset;	/* in the transfer's data */
	struct bounce_run buffer;
	_Atomic uint32_t state;
};

/* Covered by the owner's lock, but for what is atomic. */
struct blk_pieces {
	const struct blk_pieces_ops *ops;
	struct blk_device *device;
	uint32_t piece_bytes; /* the most that the disk is given at once */
	uint32_t generation;
	struct bounce bounce;
	uint64_t free; /* a bit each */
	struct blk_piece *_Atomic finished;
	uint64_t opened;	 /* pieces that were not done at once */
	_Atomic uint64_t closed; /* of these, done, and left alone by the disk */
	struct blk_piece pieces[BLK_PIECES];
};

/*
 * `buffers`: BOUNCE_BYTES of pool pages. HV_E_UNSUPPORTED: the disk's blocks are larger than a
 * page, or it takes less than a block at once.
 */
enum hv_status blk_pieces_init(struct blk_pieces *p, const struct blk_pieces_ops *ops,
			       struct blk_device *device, void *buffers) HV_MUST_CHECK;
void blk_transfer_begin(struct blk_pieces *p, struct blk_transfer *t);
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
/* Finishes what has come back. */
void blk_pieces_collect(struct blk_pieces *p);
/* Transfers of before do not touch the guest any more; their pieces keep their buffers. */
void blk_pieces_give_up(struct blk_pieces *p);

static inline bool blk_transfer_is_live(const struct blk_transfer *t)
{
	return t->generation == t->pieces->generation;
}

/* Whether all pieces have been collected. */
static inline bool blk_pieces_all_free(const struct blk_pieces *p)
{
	return p->free == UINT64_MAX;
}

/* Without the lock, when nothing more is sent: whether the disk is done with all that was open. */
static inline bool blk_pieces_are_idle(const struct blk_pieces *p)
{
	return p->opened == atomic_load(&p->closed);
}
