/* SPDX-License-Identifier: Apache-2.0 */
/* I/O queues at work. Source: NVM Express Base Specification 1.4, "NVM Command Set". */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define COMPARE_BYTES 512u
#define COST_RANGE 512u
static_assert(NVME_CTL_COMMANDS == 32, "free_commands has a bit each");

/* ---- the data of a command, for blk_transfer ---- */

static struct nvme_ctl_command *command_of(struct blk_transfer *t)
{
	return container_of(t, struct nvme_ctl_command, transfer);
}

/* Whether what the disk has is what the guest has, part by part. */
static bool compare(struct nvme_ctl_command *cmd, uint32_t offset, const uint8_t *memory,
		    uint32_t bytes)
{
	uint8_t part[COMPARE_BYTES];

	while (bytes != 0 && !cmd->differs) {
		uint32_t n = (uint32_t)min_u64(bytes, sizeof(part));

		if (!nvme_ctl_prps_get(cmd->queue->ctl->vm, &cmd->prps, offset, part, n)) {
			return false;
		}
		cmd->differs = memcmp(part, memory, n) != 0;
		offset += n;
		memory += n;
		bytes -= n;
	}
	return true;
}

static bool copy(struct blk_transfer *t, uint64_t offset, void *memory, uint32_t bytes)
{
	struct nvme_ctl_command *cmd = command_of(t);
	struct vm *vm = cmd->queue->ctl->vm;

	if (cmd->compare) {
		return compare(cmd, (uint32_t)offset, memory, bytes);
	}
	return t->op == BLK_READ
		       ? nvme_ctl_prps_put(vm, &cmd->prps, (uint32_t)offset, memory, bytes)
		       : nvme_ctl_prps_get(vm, &cmd->prps, (uint32_t)offset, memory, bytes);
}

/* ---- the end of a command ---- */

static uint16_t status_of(const struct nvme_ctl_command *cmd)
{
	if (cmd->status != NVME_SC_SUCCESS) {
		return cmd->status;
	}
	if (cmd->transfer.broken) {
		return NVME_SC_DATA_TRANSFER | NVME_SC_DNR;
	}
	if (cmd->transfer.status != HV_OK) {
		return cmd->transfer.op == BLK_READ ? NVME_SC_READ_ERROR : NVME_SC_WRITE_FAULT;
	}
	return cmd->differs ? NVME_SC_COMPARE | NVME_SC_DNR : NVME_SC_SUCCESS;
}

static void log_failure(struct nvme_ctl_command *cmd, uint16_t status)
{
	const struct nvme_error error = {
		.queue = (uint16_t)cmd->queue->id,
		.command = cmd->id,
		.status = (uint16_t)(status << 1),
		.block = cmd->block,
		.nsid = 1,
	};

	if (status != NVME_SC_SUCCESS) {
		nvme_ctl_log_error(cmd->queue->ctl, &error);
	}
}

/* All of it is back. */
static void done(struct blk_transfer *t)
{
	struct nvme_ctl_command *cmd = command_of(t);
	struct nvme_ctl_queue *q = cmd->queue;
	uint16_t status = status_of(cmd);

	q->free_commands |= BIT32(cmd - q->commands);
	if (!blk_transfer_is_live(t)) {
		nvme_ctl_unreserve(q->ctl, q->id);
		return;
	}
	log_failure(cmd, status);
	nvme_ctl_complete(q->ctl, q->id, cmd->id, status, 0);
}

static void ask(struct blk_transfers *all)
{
	nvme_ctl_queue_ask(container_of(all, struct nvme_ctl_queue, transfers));
}

static const struct blk_transfer_ops transfer_ops = {copy, done, ask};

/* ---- the beginning of a command ---- */

static bool writes(uint8_t opcode)
{
	return opcode == NVME_WRITE || opcode == NVME_WRITE_ZEROES || opcode == NVME_DSM;
}

static unsigned sector_shift(const struct nvme_ctl *c)
{
	return (unsigned)__builtin_ctz(c->device->block_size / BLK_SECTOR);
}

/* "Starting LBA" and "Number of Logical Blocks" of commands that have them. */
static uint16_t take_range(struct nvme_ctl_command *cmd, uint64_t start, uint64_t blocks)
{
	const struct nvme_ctl *c = cmd->queue->ctl;
	unsigned shift = sector_shift(c);

	cmd->block = start;
	if (!range_fits(start, blocks, c->device->sectors >> shift)) {
		return NVME_SC_LBA_RANGE | NVME_SC_DNR;
	}
	cmd->transfer.sector = start << shift;
	cmd->transfer.count = blocks << shift;
	return NVME_SC_SUCCESS;
}

static uint16_t take_blocks(struct nvme_ctl_command *cmd, const struct nvme_command *e)
{
	return take_range(cmd, e->dw10 | (uint64_t)e->dw11 << 32, (e->dw12 & 0xffffu) + 1);
}

static void flush_after_write(struct nvme_ctl_command *cmd, const struct nvme_command *e)
{
	cmd->transfer.flush_after =
		(e->dw12 & NVME_FUA) != 0 || atomic_load(&cmd->queue->ctl->write_through);
}

/* Read, Write, Compare; checked as a whole, so that no piece fails for it after others. */
static uint16_t begin_transfer(struct nvme_ctl_command *cmd, const struct nvme_command *e)
{
	uint16_t status = take_blocks(cmd, e);
	uint64_t bytes = cmd->transfer.count * BLK_SECTOR;

	if (status == NVME_SC_SUCCESS && bytes > NVME_CTL_TRANSFER_MAX) {
		status = NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	if (status == NVME_SC_SUCCESS) {
		status = nvme_ctl_prps_read(cmd->queue->ctl->vm, e, (uint32_t)bytes, &cmd->prps);
	}
	cmd->transfer.op = e->opcode == NVME_WRITE ? BLK_WRITE : BLK_READ;
	cmd->compare = e->opcode == NVME_COMPARE;
	if (e->opcode == NVME_WRITE) {
		flush_after_write(cmd, e);
	}
	return status;
}

static uint16_t begin_zeroes(struct nvme_ctl_command *cmd, const struct nvme_command *e)
{
	if (!cmd->queue->ctl->device->write_zeroes) {
		return NVME_SC_BAD_OPCODE | NVME_SC_DNR;
	}
	cmd->transfer.op = BLK_WRITE_ZEROES;
	flush_after_write(cmd, e);
	return take_blocks(cmd, e);
}

/* "Dataset Management command": all but deallocating is advice that is of no use here. */
static uint16_t begin_management(struct nvme_ctl_command *cmd, const struct nvme_command *e)
{
	uint16_t count = (uint16_t)((e->dw10 & (NVME_DSM_RANGES_MAX - 1)) + 1);

	if (!cmd->queue->ctl->device->discards) {
		return NVME_SC_BAD_OPCODE | NVME_SC_DNR;
	}
	if ((e->dw11 & NVME_DSM_DEALLOCATE) == 0) {
		return NVME_SC_SUCCESS;
	}
	cmd->transfer.op = BLK_DISCARD;
	cmd->range_count = count;
	return nvme_ctl_prps_read(cmd->queue->ctl->vm, e, count * sizeof(struct nvme_range),
				  &cmd->prps);
}

static uint16_t begin(struct nvme_ctl_command *cmd, const struct nvme_command *e)
{
	const struct blk_device *d = cmd->queue->ctl->device;

	if ((e->flags & (NVME_FLAGS_FUSE | NVME_FLAGS_PSDT)) != 0) {
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	if (e->nsid != 1 && (e->opcode != NVME_FLUSH || e->nsid != NVME_NSID_ALL)) {
		return NVME_SC_BAD_NAMESPACE | NVME_SC_DNR;
	}
	if (d->readonly && writes(e->opcode)) {
		return NVME_SC_WRITE_PROTECTED | NVME_SC_DNR;
	}
	switch (e->opcode) {
	case NVME_FLUSH:
		cmd->transfer.op = BLK_FLUSH;
		cmd->transfer.count = 1;
		return NVME_SC_SUCCESS;
	case NVME_READ:
	case NVME_WRITE:
	case NVME_COMPARE:
		return begin_transfer(cmd, e);
	case NVME_WRITE_ZEROES:
		return begin_zeroes(cmd, e);
	case NVME_DSM:
		return begin_management(cmd, e);
	default:
		pci_device_lacks(&cmd->queue->ctl->pci, LACKS_REQUEST, e->opcode);
		return NVME_SC_BAD_OPCODE | NVME_SC_DNR;
	}
}

/* Makes the next entry the current command. False: the queue is not in RAM. */
static bool take_command(struct nvme_ctl_queue *q)
{
	struct nvme_ctl_command *cmd = &q->commands[__builtin_ctz(q->free_commands)];
	struct nvme_command e;

	if (!nvme_ctl_fetch(q->ctl, q->id, &e)) {
		nvme_ctl_unreserve(q->ctl, q->id);
		return false;
	}
	q->free_commands &= q->free_commands - 1;
	q->current = cmd;
	cmd->transfer = (struct blk_transfer){.op = BLK_READ};
	cmd->id = e.id;
	cmd->range = 0;
	cmd->range_count = 0;
	cmd->block = 0;
	cmd->compare = false;
	cmd->differs = false;
	blk_transfer_begin(&q->transfers, &cmd->transfer);
	cmd->status = begin(cmd, &e);
	if (cmd->status != NVME_SC_SUCCESS) {
		cmd->transfer.count = 0;
		cmd->transfer.flush_after = false;
		cmd->range_count = 0;
	}
	return true;
}

/* ---- a queue at work ---- */

static bool has_range(const struct nvme_ctl_command *cmd)
{
	return cmd->range < cmd->range_count && cmd->status == NVME_SC_SUCCESS;
}

/* The next range becomes the transfer. */
static void next_range(struct nvme_ctl_command *cmd)
{
	struct nvme_range range;
	uint32_t at = cmd->range * (uint32_t)sizeof(range);

	cmd->range++;
	cmd->transfer.sent = 0;
	cmd->transfer.count = 0;
	if (nvme_ctl_prps_get(cmd->queue->ctl->vm, &cmd->prps, at, &range, sizeof(range))) {
		cmd->status = take_range(cmd, range.start, range.blocks);
	} else {
		cmd->status = NVME_SC_DATA_TRANSFER | NVME_SC_DNR;
	}
}

/* Sends what is left of the current command. False: it has to wait. */
static bool send_current(struct nvme_ctl_queue *q, uint32_t *budget)
{
	struct nvme_ctl_command *cmd = q->current;

	while (blk_transfer_send(&cmd->transfer, budget)) {
		if (!has_range(cmd)) {
			q->current = NULL;
			blk_transfer_end(&cmd->transfer);
			return true;
		}
		if (*budget == 0) {
			return false;
		}
		next_range(cmd);
		blk_spend(budget, COST_RANGE);
	}
	return false;
}

/* One command begun, or what was left of one sent. False: it cannot go on now. */
static bool step(struct nvme_ctl_queue *q, uint32_t *budget)
{
	if (q->current != NULL) {
		return send_current(q, budget);
	}
	if (*budget == 0 || q->free_commands == 0 || atomic_load(&q->ctl->fatal) ||
	    !nvme_ctl_reserve(q->ctl, q->id)) {
		return false;
	}
	blk_spend(budget, BLK_COST_REQUEST);
	return take_command(q);
}

/* All that was there at the last look. True: some of it is left. */
static bool drain(struct nvme_ctl_queue *q, uint32_t *budget)
{
	const struct nvme_ctl_ring *r = &q->ctl->state.sq[q->id].ring;

	while (q->current != NULL || r->head != r->tail) {
		if (!step(q, budget)) {
			return true;
		}
	}
	return false;
}

/* Takes commands until there are none, something is used up, or it was enough for now. */
static void run(struct nvme_ctl_queue *q, uint32_t budget)
{
	nvme_ctl_poll(q->ctl, q->id);
	do {
		if (drain(q, &budget)) {
			/* If it is not the budget, a completion or a doorbell asks. */
			if (budget == 0) {
				nvme_ctl_queue_ask(q);
			}
			q->stalled = true;
			return;
		}
	} while (nvme_ctl_listen(q->ctl, q->id));
	q->stalled = false;
}

static void run_if_allowed(struct nvme_ctl_queue *q, uint32_t budget)
{
	if (q->ctl->state.sq[q->id].ring.made && nvme_ctl_may_run(q->ctl)) {
		run(q, budget);
		nvme_ctl_publish(q->ctl, q->id);
	}
}

void nvme_ctl_queue_run(struct nvme_ctl_queue *q)
{
	run_if_allowed(q, BLK_RUN_BYTES);
}

void nvme_ctl_queue_ask(struct nvme_ctl_queue *q)
{
	vwork_ask(&q->work, (q->id - 1) % q->ctl->vcpu_count);
}

/*
 * Pieces have come back, the last run had done enough, or bus mastering is on again. Without it
 * nothing is collected: what was read could not reach the guest.
 */
static void work(struct vwork *w)
{
	struct nvme_ctl_queue *q = container_of(w, struct nvme_ctl_queue, work);
	struct nvme_ctl *c = q->ctl;
	uint32_t budget = BLK_RUN_BYTES;
	bool deleted;

	lock_acquire(&q->lock);
	if (!c->state.sq[q->id].ring.made || pci_device_is_master(&c->pci)) {
		if (!blk_pieces_collect(&q->transfers.pieces, &budget)) {
			nvme_ctl_queue_ask(q);
		}
		run_if_allowed(q, budget);
	}
	deleted = c->state.sq[q->id].deleting;
	lock_release(&q->lock);
	if (deleted) {
		vwork_ask(&c->work, 0);
	}
}

void nvme_ctl_queue_stop(struct nvme_ctl_queue *q)
{
	struct nvme_ctl_command *cmd = q->current;

	blk_transfers_give_up(&q->transfers);
	q->ctl->state.sq[q->id].ring.made = false;
	q->stalled = false;
	q->current = NULL;
	if (cmd != NULL) {
		blk_transfer_end(&cmd->transfer);
	}
}

bool nvme_ctl_queue_drained(struct nvme_ctl_queue *q)
{
	uint32_t budget = BLK_RUN_BYTES;

	/* It is enough for all: of what was given up no data is copied. */
	static_assert(BLK_PIECES * BLK_COST_PIECE < BLK_RUN_BYTES, "none is left behind");
	return blk_pieces_collect(&q->transfers.pieces, &budget) &&
	       blk_pieces_all_free(&q->transfers.pieces);
}

enum hv_status nvme_ctl_queue_init(struct nvme_ctl *c, unsigned id,
				   const struct nvme_ctl_config *cfg)
{
	struct nvme_ctl_queue *q = cfg->queues[id - 1];

	memset(q, 0, sizeof(*q));
	c->queues[id - 1] = q;
	q->ctl = c;
	q->id = id;
	q->free_commands = UINT32_MAX;
	vwork_init(&q->work, cfg->work, work);
	for (unsigned i = 0; i < NVME_CTL_COMMANDS; i++) {
		q->commands[i].queue = q;
	}
	return blk_transfers_init(&q->transfers, &transfer_ops, c->device, cfg->buffers[id - 1]);
}
