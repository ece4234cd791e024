/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an IDE channel does of a command by itself: pieces to and from the disk, and chunks of data
 * on their way to or from the host. ide_advance takes steps until one has to wait: for the disk,
 * for the host, for the bus master, or because it was enough for one exit.
 */
#include "guests/devices/ide_internal.h"

#include "guests/devices/blk_pieces.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

static unsigned work_vcpu(const struct ide_channel *c)
{
	return c->index % c->ide->vcpu_count;
}

static uint64_t sector_now(const struct ide_channel *c)
{
	return c->op.sector + (c->progress.moved + c->progress.disk) / BLK_SECTOR;
}

/* ---- the disk ---- */

/* The request is back. */
static void take_request(struct ide_channel *c)
{
	const struct blk_request *r = &c->request.r;

	if (r->status != HV_OK) {
		ide_complete(c, r->status, r->op == BLK_FLUSH ? c->op.sector : sector_now(c));
	} else if (r->op == BLK_FLUSH) {
		c->progress.flushed = true;
	} else if (r->op == BLK_DISCARD) {
		c->progress.range_done += r->count;
	} else {
		c->progress.disk += r->count * BLK_SECTOR;
	}
}

static void submit(struct ide_channel *c, enum blk_op op, uint64_t sector, uint32_t count)
{
	struct blk_request r = {.op = op, .sector = sector, .count = count};

	if (op == BLK_READ || op == BLK_WRITE) {
		r.buffer = c->buffer + c->progress.disk;
	}
	if (blk_single_send(&c->request, c->op.device, &r)) {
		take_request(c);
	}
}

/* The next piece of the chunk; returns its bytes. */
static uint32_t submit_piece(struct ide_channel *c, enum blk_op op)
{
	const struct blk_device *d = c->op.device;
	uint64_t most = align_down((uint64_t)d->max_count * BLK_SECTOR, d->block_size);
	uint32_t bytes = (uint32_t)min_u64(c->progress.chunk - c->progress.disk, most);

	submit(c, op, sector_now(c), bytes / BLK_SECTOR);
	return bytes;
}

/* ---- the host ---- */

static bool is_dma(const struct ide_channel *c)
{
	return c->op.protocol == ATA_DMA_IN || c->op.protocol == ATA_DMA_OUT;
}

/* Moves what is left of the chunk. False: the rest has to wait. */
static bool move_chunk(struct ide_channel *c, uint32_t *budget)
{
	struct ide_progress *p = &c->progress;
	uint32_t spent;

	if (!is_dma(c)) {
		ide_begin_drq(c);
		return false;
	}
	p->host += ide_master_move(c, c->buffer + p->host, p->chunk - p->host, *budget, &spent);
	*budget -= (uint32_t)min_u64(*budget, spent);
	if (c->master.failed) {
		ide_complete(c, HV_E_IO, sector_now(c));
		return false;
	}
	/* Out of budget is no reason to wait: the caller sees to that. */
	return p->host == p->chunk || *budget == 0;
}

/* ---- steps; false: the command waits, or is over ---- */

static void begin_chunk(struct ide_channel *c)
{
	struct ide_progress *p = &c->progress;

	p->chunk = (uint32_t)min_u64(c->op.bytes - p->moved, IDE_BUFFER_BYTES);
	p->host = 0;
	p->disk = 0;
	p->drq = 0;
}

/* The chunk is over. */
static void end_chunk(struct ide_channel *c)
{
	c->progress.moved += c->progress.chunk;
	c->progress.chunk = 0;
	c->progress.host = 0;
	c->progress.disk = 0;
}

static bool step_read(struct ide_channel *c, uint32_t *budget)
{
	struct ide_progress *p = &c->progress;

	if (p->disk < p->chunk) {
		uint32_t bytes = submit_piece(c, BLK_READ);

		*budget -= (uint32_t)min_u64(*budget, bytes);
		return true;
	}
	if (c->op.action == ATA_DO_READ && p->host < p->chunk && !move_chunk(c, budget)) {
		return false;
	}
	if (c->op.action == ATA_DO_VERIFY || p->host == p->chunk) {
		end_chunk(c);
	}
	return true;
}

static bool step_write(struct ide_channel *c, uint32_t *budget)
{
	struct ide_progress *p = &c->progress;

	if (p->host < p->chunk) {
		return move_chunk(c, budget);
	}
	if (p->disk < p->chunk) {
		uint32_t bytes = submit_piece(c, BLK_WRITE);

		*budget -= (uint32_t)min_u64(*budget, bytes);
		return true;
	}
	end_chunk(c);
	return true;
}

/* One chunk: pages are small. */
static bool step_page(struct ide_channel *c, uint32_t *budget)
{
	struct ide_progress *p = &c->progress;
	struct ide_unit *unit = ide_active(c);

	if (p->disk == 0) {
		if (unit->kind == IDE_CDROM) {
			atapi_page(&unit->drive, &c->op, c->buffer);
		} else {
			ata_page(&unit->disk, &c->op, c->buffer);
		}
		p->disk = p->chunk;
	}
	if (p->host < p->chunk) {
		return move_chunk(c, budget);
	}
	end_chunk(c);
	return true;
}

/* Sectors that are left of the next range that has any; false: none has, or it is wrong. */
static bool find_range(struct ide_channel *c, uint64_t *sector, uint64_t *left)
{
	struct ide_progress *p = &c->progress;

	for (; p->ranges < p->chunk / sizeof(uint64_t); p->ranges++) {
		uint64_t count;

		if (!ata_trim_range(&ide_active(c)->disk, c->buffer, p->ranges, sector, &count)) {
			ide_complete(c, HV_E_RANGE, 0);
			return false;
		}
		if (count > p->range_done) {
			*sector += p->range_done;
			*left = count - p->range_done;
			return true;
		}
		p->range_done = 0;
	}
	end_chunk(c);
	return false;
}

static bool step_trim(struct ide_channel *c, uint32_t *budget)
{
	struct ide_progress *p = &c->progress;
	uint64_t sector;
	uint64_t left;

	if (p->host < p->chunk) {
		return move_chunk(c, budget);
	}
	if (find_range(c, &sector, &left)) {
		submit(c, BLK_DISCARD, sector, (uint32_t)min_u64(left, BLK_PIECES_RANGE_MAX));
		blk_spend(budget, BLK_COST_BARE);
	}
	return true;
}

static bool step(struct ide_channel *c, uint32_t *budget)
{
	struct ide_progress *p = &c->progress;

	if (p->chunk == 0 && p->moved == c->op.bytes) {
		if ((c->op.flush_after || c->op.action == ATA_DO_FLUSH) && !p->flushed) {
			submit(c, BLK_FLUSH, 0, 0);
			return true;
		}
		ide_complete(c, HV_OK, 0);
		return false;
	}
	if (p->chunk == 0) {
		begin_chunk(c);
	}
	switch (c->op.action) {
	case ATA_DO_READ:
	case ATA_DO_VERIFY:
		return step_read(c, budget);
	case ATA_DO_WRITE:
		return step_write(c, budget);
	case ATA_DO_TRIM:
		return step_trim(c, budget);
	case ATA_DO_PAGE:
		return step_page(c, budget);
	case ATA_DONE:
	case ATA_DO_FLUSH:
	case ATA_DO_PACKET:
		break;
	}
	return false;
}

void ide_advance(struct ide_channel *c)
{
	uint32_t budget = BLK_RUN_BYTES;

	while (c->phase == IDE_WORK && !c->request.open) {
		if (budget == 0) {
			vwork_ask(&c->work, work_vcpu(c));
			return;
		}
		if (!step(c, &budget)) {
			return;
		}
	}
}

void ide_abandon(struct ide_channel *c)
{
	c->phase = IDE_IDLE;
	blk_single_abandon(&c->request);
}

/* The request has come back, or the last run had done enough. */
static void work(struct vwork *w)
{
	struct ide_channel *c = container_of(w, struct ide_channel, work);

	lock_acquire(&c->dev.lock);
	if (blk_single_collect(&c->request)) {
		take_request(c);
	}
	ide_advance(c);
	lock_release(&c->dev.lock);
}

void ide_transfer_init(struct ide_channel *c, struct vwork_queue *queue, void *buffer)
{
	c->buffer = buffer;
	vwork_init(&c->work, queue, work);
	blk_single_init(&c->request, &c->work, work_vcpu(c));
}
