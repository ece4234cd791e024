/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of what a guest asked a disk for, each with a buffer, of which many may be at the disk at
 * a time.
 *
 *	take --buffer--> piece --send--> disk
 *	                                  |
 *	   finish, give <-- piece <-------+ done at once (RAM)
 *	        ^                         |
 *	     collect <-- returned <-------+ later: on any CPU, in any space
 *
 * What may be open is bounded by pieces and buffers; when they are used up, the owner waits for a
 * completion.
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

/*
 * The budget of a run counts bytes of data: what one handles at most before the guest goes on is
 * about a millisecond in RAM.
 */
#define BLK_RUN_BYTES (1u << 20)
/* What counts for besides data: a request, a piece that is back, what a disk does without data. */
#define BLK_COST_REQUEST 4096u
#define BLK_COST_PIECE 1024u
#define BLK_COST_BARE 65536u

struct blk_pieces;
struct blk_piece;

struct blk_pieces_ops {
	/*
	 * A piece is back, r.status says how: to be given back, by blk_piece_give. Returns what it
	 * cost besides BLK_COST_PIECE.
	 */
	uint64_t (*finish)(struct blk_pieces *p, struct blk_piece *piece);
	/* blk_pieces_collect is wanted. Any CPU and space, any lock. */
	void (*ask)(struct blk_pieces *p);
};

struct blk_piece {
	struct blk_request r;
	struct blk_pieces *pieces;
	void *owner;		/* whose part it is */
	uint64_t mark;		/* the owner's, as r.sector may have been moved */
	struct blk_piece *next; /* in `finished` or `returned` */
	struct bounce_run buffer;
	_Atomic uint32_t state;
};

/* Covered by the owner's lock, but for what is atomic. */
struct blk_pieces {
	const struct blk_pieces_ops *ops;
	struct bounce bounce;
	uint64_t free;			    /* a bit each */
	struct blk_piece *_Atomic finished; /* by whoever the disk tells */
	struct blk_piece *returned; /* of these, seen by a collect that had no budget left */
	uint64_t opened;	    /* pieces that were not done at once */
	uint64_t collected;	    /* of these, finished by the owner */
	_Atomic uint64_t closed;    /* of these, done, and left alone by the disk */
	struct blk_piece pieces[BLK_PIECES];
};

/* `buffers`: BOUNCE_BYTES of pool pages. */
void blk_pieces_init(struct blk_pieces *p, const struct blk_pieces_ops *ops, void *buffers);
/* A piece without a buffer; NULL: all are at the disk. */
struct blk_piece *blk_piece_take(struct blk_pieces *p, void *owner);
/*
 * A piece with a buffer for `bytes`, which become fewer if there is not so much left. NULL: no
 * piece or no buffer is left.
 */
struct blk_piece *blk_piece_take_buffer(struct blk_pieces *p, void *owner, uint32_t *bytes);
void blk_piece_give(struct blk_piece *piece);
/* Hands it to the disk, and finishes it if it comes back at once. All but r.done is set. */
void blk_piece_send(struct blk_piece *piece, struct blk_device *d);
/*
 * Finishes what has come back, and takes what it cost off *budget. False: some of it is left, as
 * the budget is used up, and the owner has to come again.
 */
bool blk_pieces_collect(struct blk_pieces *p, uint32_t *budget) HV_MUST_CHECK;

static inline void blk_spend(uint32_t *budget, uint64_t cost)
{
	*budget -= cost < *budget ? (uint32_t)cost : *budget;
}

static inline unsigned blk_piece_index(const struct blk_piece *piece)
{
	return (unsigned)(piece - piece->pieces->pieces);
}

/* Whether all pieces have been given back. */
static inline bool blk_pieces_all_free(const struct blk_pieces *p)
{
	return p->free == UINT64_MAX;
}

/* Whether the disk has pieces, or the owner has not seen that they are back. */
static inline bool blk_pieces_are_open(const struct blk_pieces *p)
{
	return p->opened != p->collected;
}

/* Without the lock, when nothing more is sent: whether the disk is done with all that was open. */
static inline bool blk_pieces_are_idle(const struct blk_pieces *p)
{
	return p->opened == atomic_load(&p->closed);
}

/* The most that a disk is given at once, in whole blocks; 0: not even a block. */
uint32_t blk_piece_bytes_max(const struct blk_device *d);
