/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and packets of any value, and a medium that comes and goes: an operation that is left
 * to do lies on the disk, and what a page holds fits where it is put.
 */
#include <assert.h>
#include <string.h>

#include "guests/devices/atapi.h"
#include "hv/base/bits.h"
#include "tests/fuzz/device_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct blk_device device;
static struct ata_disk disk;
static struct atapi_drive drive;
static struct ata_registers regs;
static struct ata_operation op;
static uint8_t page[ATA_PAGE_BYTES];

static void set_up(struct input *in)
{
	const struct ata_config cfg = {.device = &device,
				       .model = "Model",
				       .serial_ata = (take(in, 1) & 1) != 0,
				       .queue_depth = (uint8_t)(take(in, 1) % 33)};
	enum hv_status status;

	device = (struct blk_device){
		.sectors = take(in, 3) + 8,
		.block_size = (take(in, 1) & 1) != 0 ? 4096 : 512,
		.discards = (take(in, 1) & 1) != 0,
		.readonly = (take(in, 1) & 1) != 0,
	};
	status = ata_init(&disk, &cfg);
	assert(status == HV_OK);
	atapi_init(&drive, &device, "serial", cfg.serial_ata);
}

static void take_registers(struct input *in)
{
	regs.command = (uint8_t)take(in, 1);
	regs.device = (uint8_t)take(in, 1);
	regs.features = (uint16_t)take(in, 2);
	regs.count = (uint16_t)take(in, 2);
	for (unsigned i = 0; i < 6; i++) {
		regs.lba[i] = (uint8_t)take(in, 1);
	}
}

static void check_operation(void)
{
	assert(op.action == ATA_DONE || op.action == ATA_DO_FLUSH || op.bytes != 0);
	if (op.action == ATA_DO_READ || op.action == ATA_DO_WRITE || op.action == ATA_DO_VERIFY) {
		assert(op.device == &device && op.bytes % device.block_size == 0);
		assert(range_fits(op.sector, op.bytes / BLK_SECTOR, device.sectors));
		assert(op.drq_bytes != 0 && op.drq_bytes <= 0x10000 && op.drq_bytes % 2 == 0);
		assert(op.action != ATA_DO_WRITE || !device.readonly);
	}
	if (op.action == ATA_DO_PAGE) {
		assert(op.bytes <= sizeof(page) && op.drq_bytes != 0);
	}
	if (op.action == ATA_DONE) {
		assert((regs.status & (ATA_STATUS_BSY | ATA_STATUS_DRQ)) == 0);
	}
}

static enum hv_status any_status(struct input *in)
{
	return (enum hv_status)(take(in, 1) % HV_STATUS_COUNT);
}

static void command_disk(struct input *in)
{
	uint64_t sector;
	uint64_t count;

	take_registers(in);
	ata_execute(&disk, &regs, &op);
	check_operation();
	if (op.action == ATA_DO_PAGE) {
		ata_page(&disk, &op, page);
	} else if (op.action == ATA_DO_TRIM) {
		if (ata_trim_range(&disk, page, (unsigned)take(in, 1) % ATA_TRIM_RANGES, &sector,
				   &count)) {
			assert(count == 0 || range_fits(sector, count, device.sectors));
		}
	}
	if (op.action != ATA_DONE) {
		ata_finish(&disk, &regs, &op, any_status(in), op.sector);
	}
}

static void command_drive(struct input *in)
{
	uint8_t packet[ATAPI_PACKET_BYTES];

	take_registers(in);
	atapi_execute(&drive, &regs, &op);
	if (op.action == ATA_DO_PACKET) {
		for (unsigned i = 0; i < sizeof(packet); i++) {
			packet[i] = (uint8_t)take(in, 1);
		}
		atapi_packet(&drive, &regs, packet, &op);
		/* Blocks of a medium are not those of its device. */
		assert(op.action != ATA_DO_READ || op.bytes % ATAPI_BLOCK == 0);
	}
	if (op.action == ATA_DO_READ) {
		assert(range_fits(op.sector, op.bytes / BLK_SECTOR, device.sectors));
	} else {
		check_operation();
	}
	if (op.action == ATA_DO_PAGE) {
		atapi_page(&drive, &op, page);
	}
	if (op.action != ATA_DONE) {
		atapi_finish(&drive, &regs, &op, any_status(in));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	set_up(&in);
	while (in.n != 0) {
		uint8_t what = (uint8_t)take(&in, 1);

		if (what < 0x60) {
			command_disk(&in);
		} else if (what < 0xf0) {
			command_drive(&in);
		} else if (what < 0xf8) {
			(void)!atapi_eject(&drive, (what & 1) != 0);
		} else {
			atapi_insert(&drive, &device);
		}
	}
	return 0;
}
