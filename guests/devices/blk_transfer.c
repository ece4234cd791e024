/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers, the pieces they are cut into, and what happens when those are back. */
#include "guests/devices/blk_transfer.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

static void drop(struct blk_transfer *t);

/* ---- pieces ---- */

static void note_status(struct blk_transfer *t, enum hv_status status)
{
	t->status = t->status == HV_OK ? status : t->status;
}

static uint64_t finish_piece(struct blk_pieces *p, struct blk_piece *piece)
{
	struct blk_transfers *all = container_of(p, struct blk_transfers, pieces);
	struct blk_transfer *t = piece->owner;
	uint32_t bytes = 0;

	note_status(t, piece->r.status);
	if (piece->r.status == HV_OK && piece->r.op == BLK_READ && blk_transfer_is_live(t)) {
		bytes = piece->r.count * BLK_SECTOR;
		t->broken = !all->ops->copy(t, piece->mark, piece->r.buffer, bytes) || t->broken;
	}
	blk_piece_give(piece);
	drop(t);
	return bytes;
}

static void ask(struct blk_pieces *p)
{
	struct blk_transfers *all = container_of(p, struct blk_transfers, pieces);

	all->ops->ask(all);
}

static const struct blk_pieces_ops pieces_ops = {finish_piece, ask};

static void send_piece(struct blk_transfer *t, struct blk_piece *piece)
{
	t->open++;
	blk_piece_send(piece, t->all->device);
}

/* ---- what has no data ---- */

/* Flush, discard, write-zeroes: the next part. 0: no piece is left. */
static uint64_t send_bare(struct blk_transfer *t)
{
	struct blk_piece *piece = blk_piece_take(&t->all->pieces, t);
	bool flush = t->op == BLK_FLUSH;
	uint64_t count = min_u64(t->count - t->sent, BLK_PIECES_RANGE_MAX);

	if (piece == NULL) {
		return 0;
	}
	piece->r.op = t->op;
	piece->r.sector = flush ? 0 : t->sector + t->sent;
	piece->r.count = flush ? 0 : (uint32_t)count;
	t->sent += count;
	send_piece(t, piece);
	return BLK_COST_BARE;
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

	t->broken = t->broken || !t->all->ops->copy(t, c->offset, memory, bytes);
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
	struct blk_device *d = t->all->device;
	struct blk_request part = {
		.op = t->op, .sector = t->sector + t->sent, .count = bytes / BLK_SECTOR};
	struct copier copier = {.c = {.from = copy_from, .to = copy_to},
				.transfer = t,
				.offset = t->sent * BLK_SECTOR};
	enum hv_status status;

	if (!d->copies || t->all->pieces.free == 0) {
		return false;
	}
	status = blk_copy(d, &part, &copier.c);
	if (status == HV_E_UNSUPPORTED) {
		return false;
	}
	note_status(t, status);
	return true;
}

/* Gives the part, which has its piece and buffer, to the disk. */
static void send_buffer(struct blk_transfer *t, struct blk_piece *piece, uint32_t bytes)
{
	piece->mark = t->sent * BLK_SECTOR;
	piece->r.op = t->op;
	piece->r.sector = t->sector + t->sent;
	piece->r.count = bytes / BLK_SECTOR;
	if (t->op == BLK_WRITE && !t->all->ops->copy(t, piece->mark, piece->r.buffer, bytes)) {
		t->broken = true;
		blk_piece_give(piece);
		return;
	}
	send_piece(t, piece);
}

/* The next part of the data: its bytes. 0: no piece or no buffer is left. */
static uint64_t send_data(struct blk_transfer *t)
{
	uint64_t left = (t->count - t->sent) * BLK_SECTOR;
	uint32_t bytes = (uint32_t)min_u64(left, t->all->piece_bytes);
	struct blk_piece *piece;

	if (!copy_data(t, bytes)) {
		piece = blk_piece_take_buffer(&t->all->pieces, t, &bytes);
		if (piece == NULL) {
			return 0;
		}
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
		t->all->ops->done(t);
	}
}

void blk_transfer_begin(struct blk_transfers *all, struct blk_transfer *t)
{
	t->all = all;
	t->generation = all->generation;
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
		blk_spend(budget, cost);
	}
	return true;
}

void blk_transfer_end(struct blk_transfer *t)
{
	drop(t);
}

void blk_transfers_give_up(struct blk_transfers *all)
{
	all->generation++;
}

enum hv_status blk_transfers_init(struct blk_transfers *all, const struct blk_transfer_ops *ops,
				  struct blk_device *device, void *buffers)
{
	if (device->block_size > PAGE_SIZE ||
	    (uint64_t)device->max_count * BLK_SECTOR < device->block_size) {
		return HV_E_UNSUPPORTED;
	}
	*all = (struct blk_transfers){
		.ops = ops, .device = device, .piece_bytes = blk_piece_bytes_max(device)};
	blk_pieces_init(&all->pieces, &pieces_ops, buffers);
	return HV_OK;
}
