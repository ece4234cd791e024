/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device says to its host: FISes, which the HBA stores in guest memory and takes registers
 * and events from. Sources: Serial ATA Revision 3, "FIS types"; Serial ATA AHCI 1.3.1, "Received
 * FIS Structure", "Error Reporting and Recovery".
 *
 * Of several FISes of a kind in one go only the last would be seen, so only that one is stored.
 */
#include "guests/devices/ahci_internal.h"
#include "hv/base/bytes.h"
#include "hv/base/str.h"

#define PRD_BYTES_OFFSET offsetof(struct ahci_header, prd_bytes)
#define STATUS_READY (ATA_STATUS_DRDY | ATA_STATUS_DSC)

/* ---- to and from registers ---- */

void ahci_registers_from_fis(struct ata_registers *r, const uint8_t *fis)
{
	*r = (struct ata_registers){
		.command = fis[FIS_COMMAND],
		.device = fis[FIS_DEVICE],
		.features = (uint16_t)(fis[FIS_FEATURES] | fis[FIS_FEATURES_EXT] << 8),
		.count = (uint16_t)(fis[FIS_COUNT] | fis[FIS_COUNT_EXT] << 8),
	};
	for (unsigned i = 0; i < 3; i++) {
		r->lba[i] = fis[FIS_LBA + i];
		r->lba[3 + i] = fis[FIS_LBA_EXT + i];
	}
}

/* Register FIS, device to host; and what a PIO Setup FIS has of it. */
static void fill_registers(uint8_t *fis, uint8_t type, const struct ata_registers *r)
{
	fis[0] = type;
	fis[FIS_COMMAND] = r->status;
	fis[FIS_FEATURES] = r->error;
	fis[FIS_DEVICE] = r->device;
	put_le16(fis + FIS_COUNT, r->count);
	for (unsigned i = 0; i < 3; i++) {
		fis[FIS_LBA + i] = r->lba[i];
		fis[FIS_LBA_EXT + i] = r->lba[3 + i];
	}
}

/* ---- receiving ---- */

void ahci_stop(struct ahci_unit *u, uint32_t event)
{
	u->state.is |= event;
	u->state.stopped = true;
	ahci_end_commands(u);
}

/* As the HBA stores it; dropped while it does not take any. */
static void store(struct ahci_unit *u, unsigned offset, const uint8_t *fis, size_t n)
{
	if ((u->state.cmd & AHCI_PXCMD_FRE) != 0 &&
	    !ahci_write(u, u->state.received + offset, fis, n)) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	}
}

static void set_task_file(struct ahci_unit *u, uint8_t status, uint8_t error)
{
	u->state.tfd = status | (uint32_t)error << 8;
}

static void send_registers(struct ahci_unit *u, const struct ata_registers *r, bool interrupt)
{
	uint8_t fis[FIS_D2H_BYTES] = {0};

	fill_registers(fis, FIS_TYPE_D2H, r);
	fis[1] = interrupt ? FIS_INTERRUPT : 0;
	set_task_file(u, r->status, r->error);
	u->state.is |= interrupt ? AHCI_PXIS_DHRS : 0;
	store(u, AHCI_RECEIVED_D2H, fis, sizeof(fis));
}

/* The last one of a transfer: E_Status is the status behind it. */
static void send_pio_setup(struct ahci_unit *u, const struct ahci_command *c, bool interrupt)
{
	const struct ata_operation *op = &c->op;
	uint32_t last = op->drq_bytes == 0 ? 0 : (uint32_t)(op->bytes % op->drq_bytes);
	uint8_t fis[FIS_PIO_SETUP_BYTES] = {0};

	fill_registers(fis, FIS_TYPE_PIO_SETUP, &c->registers);
	fis[1] = (uint8_t)((op->protocol == ATA_PIO_IN ? FIS_TO_HOST : 0) |
			   (interrupt ? FIS_INTERRUPT : 0));
	fis[FIS_COMMAND] = STATUS_READY | ATA_STATUS_DRQ;
	fis[FIS_END_STATUS] = interrupt ? c->registers.status : ATA_STATUS_BSY;
	put_le16(fis + FIS_PIO_BYTES, last != 0 ? last : op->drq_bytes);
	if (interrupt) {
		set_task_file(u, c->registers.status, c->registers.error);
	}
	u->state.is |= interrupt ? AHCI_PXIS_PSS : 0;
	store(u, AHCI_RECEIVED_PIO_SETUP, fis, sizeof(fis));
}

/* ---- commands that are not queued ---- */

static bool failed(const struct ahci_command *c)
{
	return (c->registers.status & ATA_STATUS_ERR) != 0;
}

/* "PRD Byte Count". */
static void store_moved(struct ahci_unit *u, const struct ahci_command *c)
{
	if (c->op.bytes != 0 &&
	    !ahci_write(u, c->header + PRD_BYTES_OFFSET, &c->moved, sizeof(c->moved))) {
		ahci_stop(u, AHCI_PXIS_HBFS);
	}
}

static void set_data_events(struct ahci_unit *u, const struct ahci_command *c)
{
	u->state.is |= c->data.marked ? AHCI_PXIS_DPS : 0;
	u->state.is |= c->overflow ? AHCI_PXIS_OFS : 0;
}

/*
 * PIO to the host ends with its last data and no other FIS. A packet command tells its end by
 * registers in any case, and so does an error, which leaves the command in PxCI.
 */
void ahci_tell_done(struct ahci_unit *u, struct ahci_command *c)
{
	bool pio_in = c->op.protocol == ATA_PIO_IN && !failed(c);

	set_data_events(u, c);
	store_moved(u, c);
	if (pio_in || c->op.protocol == ATA_PIO_OUT) {
		send_pio_setup(u, c, pio_in && !u->is_packet);
	}
	if (!pio_in || u->is_packet) {
		send_registers(u, &c->registers, true);
	}
	if (u->state.stopped) {
		return;
	}
	if (failed(c)) {
		ahci_stop(u, AHCI_PXIS_TFES);
	} else {
		u->state.ci &= ~BIT32(ahci_slot(u, c));
	}
}

/* ---- queued commands ---- */

static void send_device_bits(struct ahci_unit *u, uint32_t done, uint8_t status, uint8_t error)
{
	uint8_t fis[FIS_SDB_BYTES] = {FIS_TYPE_SDB, FIS_INTERRUPT};

	fis[FIS_COMMAND] = status & FIS_SDB_STATUS;
	fis[FIS_FEATURES] = error;
	put_le32(fis + FIS_SDB_DONE, done);
	set_task_file(u, status, error);
	u->state.is |= AHCI_PXIS_SDBS;
	u->state.sact &= ~done;
	store(u, AHCI_RECEIVED_SDB, fis, sizeof(fis));
}

static void send_dma_setup(struct ahci_unit *u, const struct ahci_command *c)
{
	uint8_t fis[FIS_DMA_SETUP_BYTES] = {FIS_TYPE_DMA_SETUP};

	fis[1] = c->op.protocol == ATA_DMA_IN ? FIS_TO_HOST : 0;
	fis[FIS_DMA_BUFFER] = c->op.tag;
	put_le32(fis + FIS_DMA_BYTES, (uint32_t)c->op.bytes);
	store(u, AHCI_RECEIVED_DMA_SETUP, fis, sizeof(fis));
}

/* The device took queued commands, and asked for the data of the last. */
static void tell_accepted(struct ahci_unit *u)
{
	if (u->accepted == 0) {
		return;
	}
	u->accepted = 0;
	send_registers(u, &u->newest->registers, false);
	send_dma_setup(u, u->newest);
}

static void tell_queued_done(struct ahci_unit *u)
{
	uint32_t done = u->done;

	u->done = 0;
	if (done != 0) {
		send_device_bits(u, done, STATUS_READY, 0);
	}
}

void ahci_tell_queued(struct ahci_unit *u)
{
	tell_accepted(u);
	tell_queued_done(u);
}

void ahci_tell_queued_error(struct ahci_unit *u, const struct ahci_command *c)
{
	ahci_tell_queued(u);
	if (!u->state.stopped) {
		set_data_events(u, c);
		send_device_bits(u, 0, c->registers.status, c->registers.error);
		ahci_stop(u, AHCI_PXIS_TFES);
	}
}

/* ---- the rest ---- */

static uint32_t signature_of(const struct ata_registers *r)
{
	return (r->count & 0xffu) | (uint32_t)r->lba[0] << 8 | (uint32_t)r->lba[1] << 16 |
	       (uint32_t)r->lba[2] << 24;
}

/* While no FIS is taken the registers change all the same, and the FIS waits. */
void ahci_greet(struct ahci_unit *u)
{
	struct ata_registers r = {0};

	ata_set_signature(&r, u->is_packet);
	u->state.sig = signature_of(&r);
	send_registers(u, &r, false);
	u->state.greeting = (u->state.cmd & AHCI_PXCMD_FRE) == 0;
}

void ahci_publish(struct ahci_unit *u)
{
	bool pending;

	ahci_tell_queued(u);
	pending = (u->state.is & u->state.ie) != 0;
	if (pending != u->told) {
		u->told = pending;
		ahci_pend(u->hba, u->index, pending);
	}
}
