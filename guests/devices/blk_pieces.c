/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers, the pieces they are cut into, and what happens when those are back. */
#include "guests/devices/blk_pieces.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define COST_BARE 65536u

/* States of a piece. */
#define PIECE_SENDING 0u /* blk_submit has not returned */
#define PIECE_OPEN 1u	 /* it has; who completes the piece sees to the rest */
#define PIECE_DONE 2u

static_assert(BLK_PIECES == 64, "`free` has a bit each");

static void drop(struct blk_transfer *t);

static void spend(uint32_t *budget, uint64_t cost)
{
	*budget -= (uint32_t)min_u64(*budget, cost);
}

/* ---- pieces ---- */

/* NULL when all are at the disk. */
static struct blk_piece *take_piece(struct blk_pieces *p, struct blk_transfer *t)
{
	struct blk_piece *piece;

	if (p->free == 0) {
		return NULL;
	}
	piece = &p->pieces[__builtin_ctzll(p->free)];
	p->free &= p->free - 1;
	piece->transfer = t;
	piece->buffer = (struct bounce_run){0};
	return piece;
}

static void give_piece(struct blk_pieces *p, struct blk_piece *piece)
{
	bounce_give(&p->bounce, piece->buffer);
	p->free |= BIT(piece - p->pieces);
}

static void note_status(struct blk_transfer *t, enum hv_status status)
{
	t->status = t->status == HV_OK ? status : t->status;
}

static void finish_piece(struct blk_pieces *p, struct blk_piece *piece)
{
	struct blk_transfer *t = piece->transfer;

	note_status(t, piece->r.status);
	if (piece->r.status == HV_OK && piece->r.op == BLK_READ && blk_transfer_is_live(t) &&
	    !p->ops->copy(t, piece->offset, piece->r.buffer, piece->r.count * BLK_SECTOR)) {
		t->broken = true;
	}
	give_piece(p, piece);
	drop(t);
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

/* Hands a piece to the disk, and finishes it if it comes back at once. */
static void send_piece(struct blk_pieces *p, struct blk_piece *piece)
{
	piece->transfer->open++;
	atomic_store_explicit(&piece->state, PIECE_SENDING, memory_order_relaxed);
	blk_submit(p->device, &piece->r);
	if (atomic_exchange(&piece->state, PIECE_OPEN) == PIECE_DONE) {
		finish_piece(p, piece);
	} else {
		p->opened++;
	}
}

/* ---- what has no data ---- */

/* Flush, discard, write-zeroes: the next part. 0: no piece is left. */
static uint64_t send_bare(struct blk_transfer *t)
{
	struct blk_piece *piece = take_piece(t->pieces, t);
	bool flush = t->op == BLK_FLUSH;
	uint64_t count = min_u64(t->count - t->sent, BLK_PIECES_RANGE_MAX);

	if (piece == NULL) {
		return 0;
	}
	piece->r.op = t->op;
	piece->r.sector = flush ? 0 : t->sector + t->sent;
	piece->r.count = flush ? 0 : (uint32_t)count;
	piece->r.buffer = NULL;
	t->sent += count;
	send_piece(t->pieces, piece);
	return COST_BARE;
}

/* ---- data ---- */

/* Between the guest and the memory of a disk. */
struct copier {
	struct blk_copier c;
	struct blk_transfer *transfer;
	uint64_t offset;
};

static bool copy_next(struct copier *c, void *memory, uint32_t bytes)
{
	struct blk_transfer *t = c->transfer;

	t->broken = t->broken || !t->pieces->ops->copy(t, c->offset, memory, bytes);
	c->offset += bytes;
	return !t->broken;
}

/* What is read is not written to: the pointer serves both directions. */
static bool copy_from(struct blk_copier *c, const void *memory, uint32_t bytes)
{
	return copy_next(container_of(c, struct copier, c), (void *)(uintptr_t)memory, bytes);
}

static bool copy_to(struct blk_copier *c, void *memory, uint32_t bytes)
{
	return copy_next(container_of(c, struct copier, c), memory, bytes);
}

/*
 * The next `bytes` of the data without a buffer. False: the disk cannot, or no piece is left for
 * the flush that may have to follow.
 */
static bool copy_data(struct blk_transfer *t, uint32_t bytes)
{
	struct blk_pieces *p = t->pieces;
	struct blk_request part = {
		.op = t->op, .sector = t->sector + t->sent, .count = bytes / BLK_SECTOR};
	struct copier copier = {.c = {.from = copy_from, .to = copy_to},
				.transfer = t,
				.offset = t->sent * BLK_SECTOR};
	enum hv_status status;

	if (!p->device->copies || p->free == 0) {
		return false;
	}
	status = blk_copy(p->device, &part, &copier.c);
	if (status == HV_E_UNSUPPORTED) {
		return false;
	}
	note_status(t, status);
	return true;
}

/* Gives the part, which has its piece and buffer, to the disk. */
static void send_buffer(struct blk_transfer *t, struct blk_piece *piece, uint32_t bytes)
{
	struct blk_pieces *p = t->pieces;

	piece->offset = t->sent * BLK_SECTOR;
	piece->r.op = t->op;
	piece->r.sector = t->sector + t->sent;
	piece->r.count = bytes / BLK_SECTOR;
	piece->r.buffer = bounce_memory(&p->bounce, piece->buffer);
	if (t->op == BLK_WRITE && !p->ops->copy(t, piece->offset, piece->r.buffer, bytes)) {
		t->broken = true;
		give_piece(p, piece);
		return;
	}
	send_piece(p, piece);
}

/* The next part of the data: its bytes. 0: no piece or no buffer is left. */
static uint64_t send_data(struct blk_transfer *t)
{
	struct blk_pieces *p = t->pieces;
	uint64_t left = (t->count - t->sent) * BLK_SECTOR;
	uint32_t bytes = (uint32_t)min_u64(left, p->piece_bytes);
	struct blk_piece *piece;

	if (!copy_data(t, bytes)) {
		piece = take_piece(p, t);
		if (piece == NULL) {
			return 0;
		}
		piece->buffer =
			bounce_take(&p->bounce, (unsigned)((bytes + PAGE_SIZE - 1) / PAGE_SIZE));
		if (piece->buffer.count == 0) {
			give_piece(p, piece);
			return 0;
		}
		bytes = (uint32_t)min_u64(bytes, piece->buffer.count * PAGE_SIZE);
		send_buffer(t, piece, bytes);
	}
	t->sent += bytes / BLK_SECTOR;
	return bytes;
}

/* ---- transfers ---- */

/* Before the owner is told of a write that must last. */
static void flush_now(struct blk_transfer *t)
{
	uint64_t cost;

	t->flush_after = false;
	t->op = BLK_FLUSH;
	t->sent = 0;
	t->count = 1;
	cost = send_bare(t);
	CHECK(cost != 0); /* the piece that came back last is free, or copy_data saw one */
}

/* Not behind one that was ended before it was all sent: there may be no piece. */
static bool wants_flush(const struct blk_transfer *t)
{
	return t->flush_after && t->sent == t->count && t->status == HV_OK && !t->broken &&
	       blk_transfer_is_live(t);
}

static void drop(struct blk_transfer *t)
{
	t->open--;
	if (t->open != 0) {
		return;
	}
	if (wants_flush(t)) {
		flush_now(t);
	} else {
		t->pieces->ops->done(t);
	}
}

void blk_transfer_begin(struct blk_pieces *p, struct blk_transfer *t)
{
	t->pieces = p;
	t->generation = p->generation;
	t->sent = 0;
	t->open = 1;
	t->broken = false;
	t->status = HV_OK;
}

bool blk_transfer_send(struct blk_transfer *t, uint32_t *budget)
{
	bool data = t->op == BLK_READ || t->op == BLK_WRITE;

	while (t->sent < t->count && !t->broken) {
		uint64_t cost = *budget == 0 ? 0 : data ? send_data(t) : send_bare(t);

		if (cost == 0) {
			return false;
		}
		spend(budget, cost);
	}
	return true;
}

void blk_transfer_end(struct blk_transfer *t)
{
	drop(t);
}

void blk_pieces_collect(struct blk_pieces *p)
{
	struct blk_piece *piece = atomic_exchange(&p->finished, NULL);

	while (piece != NULL) {
		struct blk_piece *next = piece->next;

		finish_piece(p, piece);
		piece = next;
	}
}

void blk_pieces_give_up(struct blk_pieces *p)
{
	p->generation++;
}

enum hv_status blk_pieces_init(struct blk_pieces *p, const struct blk_pieces_ops *ops,
			       struct blk_device *device, void *buffers)
{
	uint64_t most =
		min_u64(BOUNCE_RUN_MAX * PAGE_SIZE, (uint64_t)device->max_count * BLK_SECTOR);

	if (device->block_size > PAGE_SIZE || most < device->block_size) {
		return HV_E_UNSUPPORTED;
	}
	memset(p, 0, sizeof(*p));
	p->ops = ops;
	p->device = device;
	p->piece_bytes =
		(uint32_t)align_down(most, most < PAGE_SIZE ? device->block_size : PAGE_SIZE);
	p->free = UINT64_MAX;
	bounce_init(&p->bounce, buffers);
	for (unsigned i = 0; i < BLK_PIECES; i++) {
		p->pieces[i].pieces = p;
		p->pieces[i].r.done = piece_done;
	}
	return HV_OK;
}
