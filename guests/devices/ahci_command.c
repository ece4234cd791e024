/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of an AHCI port: fetched from the command list, understood by the disk or drive, sent in
 * parts, finished. Sources: Serial ATA AHCI 1.3.1, "Command List Structure", "Command Table",
 * "System Software Rules"; Serial ATA Revision 3, "Device command layer protocol".
 */
#include "guests/devices/ahci_internal.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define CFL_MIN 2u
#define CFL_MAX 16u
#define BUSY (AHCI_PXTFD_BSY | AHCI_PXTFD_DRQ)

/* ---- the end ---- */

static void end_registers(struct ahci_unit *u, struct ahci_command *c)
{
	if (c->op.action == ATA_DONE) {
		return; /* they tell it already */
	}
	if (u->is_packet) {
		atapi_finish(&u->drive, &c->registers, &c->op, c->status);
	} else {
		ata_finish(&u->disk, &c->registers, &c->op, c->status, c->error_sector);
	}
}

/* All its pieces are back. */
static void finish(struct ahci_unit *u, struct ahci_command *c)
{
	uint32_t bit = BIT32(ahci_slot(u, c));

	u->taken &= ~bit;
	u->queued &= ~bit;
	if (!ahci_is_live(u, c)) {
		return;
	}
	end_registers(u, c);
	if (!c->queued) {
		ahci_tell_done(u, c);
	} else if ((c->registers.status & ATA_STATUS_ERR) != 0) {
		ahci_tell_queued_error(u, c);
	} else {
		u->done |= bit;
	}
}

/* Before a driver is told of what has to be on the medium then. */
static void flush(struct ahci_unit *u, struct ahci_command *c)
{
	bool sent;

	c->flush = false;
	sent = ahci_send_bare(u, c, BLK_FLUSH, 0, 0);
	CHECK(sent); /* it is alone, or its last piece is free, or ahci_send_data saw one */
}

void ahci_drop(struct ahci_unit *u, struct ahci_command *c)
{
	c->open--;
	if (c->open != 0) {
		return;
	}
	if (c->flush && c->status == HV_OK && ahci_is_live(u, c)) {
		flush(u, c);
	} else {
		finish(u, c);
	}
}

void ahci_become_ready(struct ahci_unit *u)
{
	if ((u->state.tfd & AHCI_PXTFD_BSY) != 0) {
		u->state.tfd = ATA_STATUS_DRDY | ATA_STATUS_DSC;
	}
}

void ahci_end_commands(struct ahci_unit *u)
{
	struct ahci_command *c = u->current;

	for (uint32_t left = u->taken; left != 0; left &= left - 1) {
		u->commands[__builtin_ctz(left)].live = false;
	}
	u->accepted = 0;
	u->draining = blk_pieces_are_open(&u->pieces);
	u->current = NULL;
	if (c != NULL) {
		ahci_drop(u, c);
	}
	if (!u->draining) {
		ahci_become_ready(u);
	} else {
		/* What came back while the function was no bus master was left where it was. */
		vwork_ask(&u->work, u->index % u->hba->vcpu_count);
	}
}

/* ---- the beginning ---- */

/* The transfer of a page: at once, as it is small and the buffers are all free. */
static void send_page(struct ahci_unit *u, struct ahci_command *c)
{
	unsigned pages = (unsigned)((c->op.bytes + PAGE_SIZE - 1) / PAGE_SIZE);
	struct bounce_run run = bounce_take(&u->pieces.bounce, pages);
	uint8_t *page = bounce_memory(&u->pieces.bounce, run);

	CHECK(run.count == pages);
	if (u->is_packet) {
		atapi_page(&u->drive, &c->op, page);
	} else {
		ata_page(&u->disk, &c->op, page);
	}
	if (!ahci_cursor_write(u, &c->data, page, (uint32_t)c->op.bytes, &c->moved)) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	}
	c->overflow = c->moved < c->op.bytes;
	bounce_give(&u->pieces.bounce, run);
}

static void begin_trim(struct ahci_unit *u, struct ahci_command *c)
{
	uint32_t bytes = (uint32_t)c->op.bytes;

	if (!ahci_cursor_read(u, &c->data, u->ranges, bytes, &c->moved)) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	} else if (c->moved < bytes) {
		c->overflow = true;
		c->status = HV_E_INVALID;
	}
}

static void execute(struct ahci_unit *u, struct ahci_command *c)
{
	if (c->registers.command == ATA_DIAGNOSTIC) {
		c->op = (struct ata_operation){.action = ATA_DONE};
		ata_set_signature(&c->registers, u->is_packet);
	} else if (!u->is_packet) {
		ata_execute(&u->disk, &c->registers, &c->op);
	} else {
		atapi_execute(&u->drive, &c->registers, &c->op);
		if (c->op.action == ATA_DO_PACKET) {
			atapi_packet(&u->drive, &c->registers, c->packet, &c->op);
		}
	}
	if (c->op.lacks != LACKS_NOTHING) {
		pci_device_lacks(&u->hba->pci, c->op.lacks, c->op.lacked);
	}
}

/* The device lets go of the command's slot; SActive tells of it from now on. */
static void accept(struct ahci_unit *u, struct ahci_command *c)
{
	uint32_t bit = BIT32(ahci_slot(u, c));

	if (c->op.tag != ahci_slot(u, c)) {
		c->op.action = ATA_DONE;
		ata_abort(&c->registers);
	}
	u->state.ci &= ~bit;
	u->state.tfd = ATA_STATUS_DRDY | ATA_STATUS_DSC;
	u->accepted |= bit;
	u->newest = c;
	u->queued |= bit;
}

/* What was queued before a command that is not is told of first. False: the port has stopped. */
static bool become_busy(struct ahci_unit *u, const struct ahci_command *c)
{
	if (!c->queued) {
		ahci_tell_queued(u);
	}
	if (u->state.stopped) {
		return false;
	}
	u->state.tfd = ATA_STATUS_BSY;
	return true;
}

static void begin(struct ahci_unit *u, struct ahci_command *c)
{
	c->begun = true;
	if (!become_busy(u, c)) {
		return;
	}
	execute(u, c);
	if (c->queued) {
		accept(u, c);
	}
	switch (c->op.action) {
	case ATA_DO_PAGE:
		send_page(u, c);
		break;
	case ATA_DO_TRIM:
		begin_trim(u, c);
		break;
	case ATA_DO_FLUSH:
		c->flush = true;
		break;
	case ATA_DO_READ:
	case ATA_DO_WRITE:
	case ATA_DO_VERIFY:
		c->flush = c->op.flush_after;
		break;
	case ATA_DONE:
	case ATA_DO_PACKET: /* atapi_packet has made something else of it */
		break;
	}
}

/* ---- parts ---- */

static bool moves_sectors(const struct ahci_command *c)
{
	return c->op.action == ATA_DO_READ || c->op.action == ATA_DO_WRITE ||
	       c->op.action == ATA_DO_VERIFY;
}

/* The next part of a trim. False: no piece is left. */
static bool send_trim(struct ahci_unit *u, struct ahci_command *c, uint32_t *budget)
{
	uint32_t count;

	if (c->trim_count == 0) {
		if (!ata_trim_range(&u->disk, u->ranges, c->trim_index, &c->trim_sector,
				    &c->trim_count)) {
			c->status = HV_E_RANGE;
			return true;
		}
		c->trim_index++;
		blk_spend(budget, AHCI_COST_REGION);
		return true;
	}
	count = (uint32_t)min_u64(c->trim_count, BLK_PIECES_RANGE_MAX);
	if (!ahci_send_bare(u, c, BLK_DISCARD, c->trim_sector, count)) {
		return false;
	}
	c->trim_sector += count;
	c->trim_count -= count;
	blk_spend(budget, BLK_COST_BARE);
	return true;
}

/* Whether a part of it is left; after an error none is. */
static bool has_parts(const struct ahci_command *c)
{
	if (c->status != HV_OK) {
		return false;
	}
	if (c->op.action == ATA_DO_TRIM) {
		return c->trim_count != 0 || c->trim_index < c->op.bytes / sizeof(uint64_t);
	}
	return moves_sectors(c) && c->sent < c->op.bytes;
}

static bool send_part(struct ahci_unit *u, struct ahci_command *c, uint32_t *budget)
{
	uint64_t cost;

	if (c->op.action == ATA_DO_TRIM) {
		return send_trim(u, c, budget);
	}
	if (!ahci_send_data(u, c, &cost)) {
		return false;
	}
	blk_spend(budget, cost);
	return true;
}

/* Sends what is left of the current command. False: it has to wait. */
static bool send_current(struct ahci_unit *u, uint32_t *budget)
{
	struct ahci_command *c = u->current;

	if (!c->begun) {
		if (!c->queued && u->queued != 0) {
			return false;
		}
		begin(u, c);
	}
	while (u->current == c && has_parts(c)) {
		if (*budget == 0 || !send_part(u, c, budget)) {
			return false;
		}
	}
	if (u->current == c) {
		u->current = NULL;
		ahci_drop(u, c);
	}
	return true;
}

/* ---- the command list ---- */

/* Device Control is written: "software reset". It is over when the bit goes. */
static void take_control(struct ahci_unit *u, unsigned slot, uint8_t control)
{
	bool held = (control & ATA_CONTROL_SRST) != 0;
	bool released = u->state.soft_held && !held;

	u->state.ci &= ~BIT32(slot);
	u->state.soft_held = held;
	if (held) {
		ahci_end_commands(u);
	} else if (released) {
		ahci_unit_reset_device(u);
	}
}

static void take_command(struct ahci_unit *u, unsigned slot, const struct ahci_header *h,
			 const uint8_t *table)
{
	struct ahci_command *c = &u->commands[slot];
	uint64_t regions = (h->table & ~(uint64_t)(AHCI_TABLE_ALIGN - 1)) + AHCI_TABLE_REGIONS;

	*c = (struct ahci_command){
		.header = u->state.list + slot * sizeof(*h),
		.open = 1,
		.live = true,
		.status = HV_OK,
	};
	ahci_registers_from_fis(&c->registers, table);
	ahci_cursor_init(&c->data, regions, h->prd_count);
	memcpy(c->packet, table + AHCI_TABLE_PACKET, sizeof(c->packet));
	c->queued = !u->is_packet && (c->registers.command == ATA_READ_FPDMA ||
				      c->registers.command == ATA_WRITE_FPDMA);
	u->taken |= BIT32(slot);
	u->current = c;
	/* What the device has to say from now on is about the command: it is not ready meanwhile.
	 */
	u->state.greeting = false;
}

static void take_slot(struct ahci_unit *u, unsigned slot)
{
	uint8_t table[AHCI_TABLE_PACKET + ATAPI_PACKET_BYTES];
	struct ahci_header h;
	unsigned dwords;

	u->state.ccs = slot;
	u->state.first = (slot + 1) % AHCI_SLOTS_MAX;
	if (!ahci_read(u, u->state.list + slot * sizeof(h), &h, sizeof(h)) ||
	    !ahci_read(u, h.table & ~(uint64_t)(AHCI_TABLE_ALIGN - 1), table, sizeof(table))) {
		ahci_stop(u, AHCI_PXIS_HBFS);
		return;
	}
	dwords = h.flags & AHCI_HEADER_CFL;
	if (dwords < CFL_MIN || dwords > CFL_MAX || table[0] != FIS_TYPE_H2D) {
		ahci_stop(u, AHCI_PXIS_IFS); /* the device did not accept it */
	} else if ((table[1] & FIS_H2D_COMMAND) == 0) {
		take_control(u, slot, table[FIS_CONTROL]);
	} else {
		take_command(u, slot, &h, table);
	}
}

/* Round the list, so that each slot gets its turn. False: there is none. */
static bool next_slot(const struct ahci_unit *u, unsigned *slot)
{
	uint32_t waiting = u->state.ci & ~u->taken;
	uint32_t ahead = waiting >> u->state.first << u->state.first;

	if (waiting == 0 || (u->state.tfd & BUSY) != 0) {
		return false;
	}
	*slot = (unsigned)__builtin_ctz(ahead != 0 ? ahead : waiting);
	return true;
}

static bool is_running(const struct ahci_unit *u)
{
	return (u->state.cmd & AHCI_PXCMD_ST) != 0 && !u->state.stopped && !u->draining &&
	       bits_get(u->state.sctl, AHCI_PXSCTL_DET) == AHCI_DET_NONE &&
	       pci_device_is_master(&u->hba->pci);
}

/* One command fetched, or what was left of one sent. False: it cannot go on now. */
static bool step(struct ahci_unit *u, uint32_t *budget)
{
	unsigned slot;

	if (u->current != NULL) {
		return send_current(u, budget);
	}
	if (*budget == 0) {
		return false;
	}
	if (next_slot(u, &slot)) {
		blk_spend(budget, BLK_COST_REQUEST);
		take_slot(u, slot);
	}
	return true;
}

static bool has_work(const struct ahci_unit *u)
{
	unsigned slot;

	return u->current != NULL || next_slot(u, &slot);
}

void ahci_run(struct ahci_unit *u, uint32_t budget)
{
	bool goes = true;

	while (goes && is_running(u) && has_work(u)) {
		goes = step(u, &budget);
	}
	/* If it is not the budget, something is open, and its completion asks. */
	if (!goes && budget == 0) {
		vwork_ask(&u->work, u->index % u->hba->vcpu_count);
	}
}
