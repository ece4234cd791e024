/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces on their way to the disk and back. */
#include "guests/devices/blk_pieces.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

/* States of a piece. */
#define PIECE_SENDING 0u /* blk_submit has not returned */
#define PIECE_OPEN 1u	 /* it has; who completes the piece sees to the rest */
#define PIECE_DONE 2u

static_assert(BLK_PIECES == 64, "`free` has a bit each");

struct blk_piece *blk_piece_take(struct blk_pieces *p, void *owner)
{
	struct blk_piece *piece;

	if (p->free == 0) {
		return NULL;
	}
	piece = &p->pieces[__builtin_ctzll(p->free)];
	p->free &= p->free - 1;
	piece->owner = owner;
	piece->buffer = (struct bounce_run){0};
	piece->r.buffer = NULL;
	return piece;
}

struct blk_piece *blk_piece_take_buffer(struct blk_pieces *p, void *owner, uint32_t *bytes)
{
	struct blk_piece *piece = blk_piece_take(p, owner);

	if (piece == NULL) {
		return NULL;
	}
	piece->buffer = bounce_take(&p->bounce, (unsigned)((*bytes + PAGE_SIZE - 1) / PAGE_SIZE));
	if (piece->buffer.count == 0) {
		blk_piece_give(piece);
		return NULL;
	}
	*bytes = (uint32_t)min_u64(*bytes, piece->buffer.count * PAGE_SIZE);
	piece->r.buffer = bounce_memory(&p->bounce, piece->buffer);
	return piece;
}

void blk_piece_give(struct blk_piece *piece)
{
	struct blk_pieces *p = piece->pieces;

	bounce_give(&p->bounce, piece->buffer);
	p->free |= BIT(blk_piece_index(piece));
}

/* From the disk: any CPU, any space, perhaps with the owner's lock held by send. */
static void piece_done(struct blk_request *r)
{
	struct blk_piece *piece = container_of(r, struct blk_piece, r);
	struct blk_pieces *p = piece->pieces;
	struct blk_piece *first;

	if (atomic_exchange(&piece->state, PIECE_DONE) == PIECE_SENDING) {
		return;
	}
	first = atomic_load_explicit(&p->finished, memory_order_relaxed);
	do {
		piece->next = first;
	} while (!atomic_compare_exchange_weak(&p->finished, &first, piece));
	if (first == NULL) {
		p->ops->ask(p);
	}
	/* The last that is done with the pieces: see blk_pieces_are_idle. */
	atomic_fetch_add(&p->closed, 1);
}

void blk_piece_send(struct blk_piece *piece, struct blk_device *d)
{
	struct blk_pieces *p = piece->pieces;

	atomic_store_explicit(&piece->state, PIECE_SENDING, memory_order_relaxed);
	blk_submit(d, &piece->r);
	if (atomic_exchange(&piece->state, PIECE_OPEN) == PIECE_DONE) {
		(void)p->ops->finish(p, piece);
	} else {
		p->opened++;
	}
}

/* The next one that is back; NULL: none. */
static struct blk_piece *next_returned(struct blk_pieces *p)
{
	struct blk_piece *piece = p->returned;

	if (piece == NULL) {
		piece = atomic_exchange(&p->finished, NULL);
	}
	p->returned = piece != NULL ? piece->next : NULL;
	return piece;
}

bool blk_pieces_collect(struct blk_pieces *p, uint32_t *budget)
{
	struct blk_piece *piece;

	while (*budget != 0) {
		piece = next_returned(p);
		if (piece == NULL) {
			return true;
		}
		p->collected++;
		blk_spend(budget, BLK_COST_PIECE + p->ops->finish(p, piece));
	}
	/* What is in `finished` may have been asked for before this run. */
	return p->returned == NULL && atomic_load(&p->finished) == NULL;
}

uint32_t blk_piece_bytes_max(const struct blk_device *d)
{
	uint64_t most = min_u64(BOUNCE_RUN_MAX * PAGE_SIZE, (uint64_t)d->max_count * BLK_SECTOR);

	return (uint32_t)align_down(most, most < PAGE_SIZE ? d->block_size : PAGE_SIZE);
}

void blk_pieces_init(struct blk_pieces *p, const struct blk_pieces_ops *ops, void *buffers)
{
	memset(p, 0, sizeof(*p));
	p->ops = ops;
	p->free = UINT64_MAX;
	bounce_init(&p->bounce, buffers);
	for (unsigned i = 0; i < BLK_PIECES; i++) {
		p->pieces[i].pieces = p;
		p->pieces[i].r.done = piece_done;
	}
}
