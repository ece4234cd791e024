/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of an AHCI command at the disk: as large as the disk, a buffer and the table of regions
 * allow.
 */
#include "guests/devices/ahci_internal.h"

/* Regions that one piece looks at, behind those that its least block may need at 2 bytes each. */
#define PIECE_REGIONS 256u

/* The first error counts. */
static void note(struct ahci_command *c, enum hv_status status, uint64_t sector)
{
	if (c->status == HV_OK && status != HV_OK) {
		c->status = status;
		c->error_sector = sector;
	}
}

static void note_moved(struct ahci_command *c, uint32_t moved, uint32_t wanted)
{
	c->moved += moved;
	c->overflow |= moved < wanted;
}

/* ---- back from the disk ---- */

static void deliver(struct ahci_unit *u, const struct blk_piece *piece)
{
	uint32_t bytes = piece->r.count * BLK_SECTOR;
	uint32_t moved;

	if (ahci_cursor_write(u, &u->places[blk_piece_index(piece)], piece->r.buffer, bytes,
			      &moved)) {
		note_moved(piece->owner, moved, bytes);
	} else {
		ahci_stop(u, AHCI_PXIS_HBFS);
	}
}

static uint64_t finish_piece(struct blk_pieces *p, struct blk_piece *piece)
{
	struct ahci_unit *u = container_of(p, struct ahci_unit, pieces);
	struct ahci_cursor *place = &u->places[blk_piece_index(piece)];
	struct ahci_command *c = piece->owner;
	uint32_t entries = place->entries;
	uint64_t cost = 0;

	note(c, piece->r.status, piece->mark);
	if (piece->r.status == HV_OK && c->op.action == ATA_DO_READ && ahci_is_live(u, c)) {
		deliver(u, piece);
		cost = (uint64_t)piece->r.count * BLK_SECTOR +
		       (uint64_t)(entries - place->entries) * AHCI_COST_REGION;
	}
	blk_piece_give(piece);
	ahci_drop(u, c);
	return cost;
}

static void ask(struct blk_pieces *p)
{
	struct ahci_unit *u = container_of(p, struct ahci_unit, pieces);

	vwork_ask(&u->work, u->index % u->hba->vcpu_count);
}

static const struct blk_pieces_ops pieces_ops = {finish_piece, ask};

bool ahci_collect(struct ahci_unit *u, uint32_t *budget)
{
	bool all = blk_pieces_collect(&u->pieces, budget);

	u->draining = u->draining && blk_pieces_are_open(&u->pieces);
	return all;
}

/* ---- to the disk ---- */

static void submit(struct blk_piece *piece)
{
	struct ahci_command *c = piece->owner;

	c->open++;
	piece->mark = piece->r.sector;
	blk_piece_send(piece, c->op.device);
}

bool ahci_send_bare(struct ahci_unit *u, struct ahci_command *c, enum blk_op op, uint64_t sector,
		    uint32_t count)
{
	struct blk_piece *piece = blk_piece_take(&u->pieces, c);

	if (piece == NULL) {
		return false;
	}
	piece->r.op = op;
	piece->r.sector = sector;
	piece->r.count = count;
	submit(piece);
	return true;
}

/* Between regions and the memory of a disk. */
struct copier {
	struct blk_copier c;
	const struct ahci_unit *unit;
	struct ahci_cursor data;
	uint32_t moved;
	bool is_short; /* the regions end */
	bool broken;   /* one is not RAM */
};

static bool note_copied(struct copier *copier, bool ok, uint32_t moved, uint32_t wanted)
{
	copier->broken = !ok;
	copier->moved += moved;
	copier->is_short = ok && moved < wanted;
	return ok;
}

static bool copy_from(struct blk_copier *c, const void *memory, uint32_t bytes)
{
	struct copier *copier = container_of(c, struct copier, c);
	uint32_t moved;
	bool ok = ahci_cursor_write(copier->unit, &copier->data, memory, bytes, &moved);

	return note_copied(copier, ok, moved, bytes);
}

static bool copy_to(struct blk_copier *c, void *memory, uint32_t bytes)
{
	struct copier *copier = container_of(c, struct copier, c);
	uint32_t moved;
	bool ok = ahci_cursor_read(copier->unit, &copier->data, memory, bytes, &moved);

	return note_copied(copier, ok, moved, bytes);
}

static uint64_t next_sector(const struct ahci_command *c)
{
	return c->op.sector + c->sent / BLK_SECTOR;
}

/* The next `bytes` without a buffer. False: the disk cannot, or a flush might find no piece. */
static bool copy_data(struct ahci_unit *u, struct ahci_command *c, uint32_t bytes)
{
	struct blk_request part = {.op = c->op.action == ATA_DO_WRITE ? BLK_WRITE : BLK_READ,
				   .sector = next_sector(c),
				   .count = bytes / BLK_SECTOR};
	struct copier copier = {
		.c = {.from = copy_from, .to = copy_to}, .unit = u, .data = c->data};
	enum hv_status status;

	if (!c->op.device->copies || u->pieces.free == 0) {
		return false;
	}
	status = blk_copy(c->op.device, &part, &copier.c);
	if (status == HV_E_UNSUPPORTED) {
		return false;
	}
	c->data = copier.data;
	c->moved += copier.moved;
	c->overflow |= copier.is_short;
	c->sent += bytes;
	if (copier.broken) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	} else {
		note(c, status, part.sector);
	}
	return true;
}

/* Fills the buffer of a write, or remembers where a read goes. False: nothing is to be sent. */
static bool prepare(struct ahci_unit *u, struct ahci_command *c, struct blk_piece *piece,
		    uint32_t bytes)
{
	uint32_t moved = bytes;
	bool ok = true;

	u->places[blk_piece_index(piece)] = c->data;
	if (c->op.action == ATA_DO_WRITE) {
		ok = ahci_cursor_read(u, &c->data, piece->r.buffer, bytes, &moved);
		c->moved += moved;
	} else if (c->op.action == ATA_DO_READ) {
		ok = ahci_cursor_skip(u, &c->data, bytes, &moved);
	}
	if (!ok) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	}
	return ok;
}

/* What a piece may take, whole blocks. 0: a write's regions end before its data do. */
static uint32_t piece_bytes(const struct ahci_unit *u, const struct ahci_command *c, bool *ok)
{
	const struct blk_device *d = c->op.device;
	uint32_t bytes = (uint32_t)min_u64(c->op.bytes - c->sent, blk_piece_bytes_max(d));
	uint32_t regions = d->block_size / 2 + PIECE_REGIONS;
	uint32_t there;

	*ok = true;
	if (c->op.action == ATA_DO_VERIFY ||
	    (c->op.action == ATA_DO_READ && c->data.entries <= regions)) {
		return bytes;
	}
	there = ahci_cursor_measure(u, &c->data, bytes, regions, ok);
	if (c->op.action == ATA_DO_READ && there < d->block_size) {
		return bytes; /* what has no region is dropped */
	}
	return (uint32_t)align_down(there, d->block_size);
}

/* As much of `bytes` as a buffer is left for. False: none, or no piece. */
static bool send_piece(struct ahci_unit *u, struct ahci_command *c, uint32_t bytes)
{
	struct blk_piece *piece = blk_piece_take_buffer(&u->pieces, c, &bytes);

	if (piece == NULL) {
		return false;
	}
	piece->r.op = c->op.action == ATA_DO_WRITE ? BLK_WRITE : BLK_READ;
	piece->r.sector = next_sector(c);
	piece->r.count = bytes / BLK_SECTOR;
	c->sent += bytes;
	if (prepare(u, c, piece, bytes)) {
		submit(piece);
	} else {
		blk_piece_give(piece);
	}
	return true;
}

/* The device would wait for the rest of its data. */
static void end_short(struct ahci_command *c)
{
	note(c, HV_E_INVALID, next_sector(c));
	c->overflow = true;
	c->sent = c->op.bytes;
}

bool ahci_send_data(struct ahci_unit *u, struct ahci_command *c, uint64_t *cost)
{
	uint32_t entries = c->data.entries;
	bool ok;
	uint32_t bytes = piece_bytes(u, c, &ok);

	*cost = bytes;
	if (!ok) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	} else if (bytes == 0) {
		end_short(c);
	} else if ((c->op.action == ATA_DO_VERIFY || !copy_data(u, c, bytes)) &&
		   !send_piece(u, c, bytes)) {
		return false;
	}
	*cost += (uint64_t)(entries - c->data.entries) * AHCI_COST_REGION;
	return true;
}

void ahci_pieces_init(struct ahci_unit *u, void *buffers)
{
	blk_pieces_init(&u->pieces, &pieces_ops, buffers);
}
