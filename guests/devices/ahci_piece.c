/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of an AHCI command at the disk: as large as the disk, a buffer and the table of regions
 * allow. A piece that the disk completes at once (RAM) is finished on the spot. One that completes
 * later, on any CPU, waits in `finished` for a vCPU of the guest.
 */
#include "guests/devices/ahci_internal.h"

/* States of a piece. */
#define PIECE_SENDING 0u /* blk_submit has not returned */
#define PIECE_OPEN 1u	 /* it has; who completes the piece sees to the rest */
#define PIECE_DONE 2u

/* Regions that one piece looks at, behind those that its least block may need at 2 bytes each. */
#define PIECE_REGIONS 256u

static struct ahci_piece *take_piece(struct ahci_unit *u, struct ahci_command *c)
{
	struct ahci_piece *p;

	if (u->free_pieces == 0) {
		return NULL;
	}
	p = &u->pieces[__builtin_ctzll(u->free_pieces)];
	u->free_pieces &= u->free_pieces - 1;
	p->command = c;
	p->buffer = (struct bounce_run){0};
	return p;
}

static void give_piece(struct ahci_unit *u, struct ahci_piece *p)
{
	bounce_give(&u->bounce, p->buffer);
	u->free_pieces |= BIT(p - u->pieces);
}

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

static void deliver(struct ahci_unit *u, struct ahci_piece *p)
{
	uint32_t bytes = p->r.count * BLK_SECTOR;
	uint32_t moved;

	if (ahci_cursor_write(u, &p->data, p->r.buffer, bytes, &moved)) {
		note_moved(p->command, moved, bytes);
	} else {
		ahci_stop(u, AHCI_PXIS_HBFS);
	}
}

static void finish_piece(struct ahci_unit *u, struct ahci_piece *p)
{
	struct ahci_command *c = p->command;

	note(c, p->r.status, p->sector);
	if (p->r.status == HV_OK && c->op.action == ATA_DO_READ && ahci_is_live(u, c)) {
		deliver(u, p);
	}
	give_piece(u, p);
	ahci_drop(u, c);
}

/* From the disk: any CPU, any space, perhaps with this unit's lock held by submit. */
static void piece_done(struct blk_request *r)
{
	struct ahci_piece *p = container_of(r, struct ahci_piece, r);
	struct ahci_unit *u = p->unit;
	struct ahci_piece *first;

	if (atomic_exchange(&p->state, PIECE_DONE) == PIECE_SENDING) {
		return;
	}
	first = atomic_load_explicit(&u->finished, memory_order_relaxed);
	do {
		p->next = first;
	} while (!atomic_compare_exchange_weak(&u->finished, &first, p));
	if (first == NULL) {
		vwork_ask(&u->work, u->index % u->hba->vcpu_count);
	}
	/* The last that is done with the unit: see ahci_is_idle. */
	atomic_fetch_add(&u->closed, 1);
}

void ahci_collect(struct ahci_unit *u)
{
	struct ahci_piece *p = atomic_exchange(&u->finished, NULL);

	while (p != NULL) {
		struct ahci_piece *next = p->next;

		u->returned++;
		finish_piece(u, p);
		p = next;
	}
	u->draining = u->draining && u->opened != u->returned;
}

/* ---- to the disk ---- */

/* Hands a piece to the disk, and finishes it if it comes back at once. */
static void submit(struct ahci_unit *u, struct ahci_piece *p)
{
	p->command->open++;
	p->sector = p->r.sector;
	atomic_store_explicit(&p->state, PIECE_SENDING, memory_order_relaxed);
	blk_submit(p->command->op.device, &p->r);
	if (atomic_exchange(&p->state, PIECE_OPEN) == PIECE_DONE) {
		finish_piece(u, p);
	} else {
		u->opened++;
	}
}

bool ahci_send_bare(struct ahci_unit *u, struct ahci_command *c, enum blk_op op, uint64_t sector,
		    uint32_t count)
{
	struct ahci_piece *p = take_piece(u, c);

	if (p == NULL) {
		return false;
	}
	p->r.op = op;
	p->r.sector = sector;
	p->r.count = count;
	p->r.buffer = NULL;
	submit(u, p);
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

	if (!c->op.device->copies || u->free_pieces == 0) {
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
static bool prepare(struct ahci_unit *u, struct ahci_command *c, struct ahci_piece *p,
		    uint32_t bytes)
{
	uint32_t moved = bytes;
	bool ok = true;

	p->data = c->data;
	if (c->op.action == ATA_DO_WRITE) {
		ok = ahci_cursor_read(u, &c->data, p->r.buffer, bytes, &moved);
		c->moved += moved;
	} else if (c->op.action == ATA_DO_READ) {
		ok = ahci_cursor_skip(u, &c->data, bytes, &moved);
	}
	if (!ok) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	}
	return ok;
}

static void buffer_data(struct ahci_unit *u, struct ahci_command *c, struct ahci_piece *p,
			uint32_t bytes)
{
	p->r.op = c->op.action == ATA_DO_WRITE ? BLK_WRITE : BLK_READ;
	p->r.sector = next_sector(c);
	p->r.count = bytes / BLK_SECTOR;
	p->r.buffer = bounce_memory(&u->bounce, p->buffer);
	c->sent += bytes;
	if (prepare(u, c, p, bytes)) {
		submit(u, p);
	} else {
		give_piece(u, p);
	}
}

/* What a piece may take, whole blocks. 0: a write's regions end before its data do. */
static uint32_t piece_bytes(const struct ahci_unit *u, const struct ahci_command *c, bool *ok)
{
	const struct blk_device *d = c->op.device;
	uint64_t most = min_u64(BOUNCE_RUN_MAX * PAGE_SIZE, (uint64_t)d->max_count * BLK_SECTOR);
	uint32_t bytes =
		(uint32_t)min_u64(c->op.bytes - c->sent,
				  align_down(most, most < PAGE_SIZE ? d->block_size : PAGE_SIZE));
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
	struct ahci_piece *p = take_piece(u, c);

	if (p == NULL) {
		return false;
	}
	p->buffer = bounce_take(&u->bounce, (unsigned)((bytes + PAGE_SIZE - 1) / PAGE_SIZE));
	if (p->buffer.count == 0) {
		give_piece(u, p);
		return false;
	}
	buffer_data(u, c, p, (uint32_t)min_u64(bytes, p->buffer.count * PAGE_SIZE));
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

void ahci_pieces_init(struct ahci_unit *u)
{
	u->free_pieces = MASK(AHCI_PIECES - 1, 0);
	for (unsigned i = 0; i < AHCI_PIECES; i++) {
		u->pieces[i].unit = u;
		u->pieces[i].r.done = piece_done;
	}
}
