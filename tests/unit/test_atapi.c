/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/atapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bits.h"

static struct blk_device medium;
static struct atapi_drive drive;
static struct ata_registers regs;
static struct ata_operation op;

static int setup(void **state)
{
	(void)state;
	medium = (struct blk_device){.sectors = 4000, .block_size = BLK_SECTOR};
	atapi_init(&drive, &medium, "cd0", false);
	drive.state.attention = ATAPI_SENSE_NONE;
	return 0;
}

/* Sends a packet with a byte count of 0xfffe; returns the sense key that the host is shown. */
static unsigned send(const uint8_t packet[ATAPI_PACKET_BYTES])
{
	regs = (struct ata_registers){.command = ATA_PACKET, .lba = {0, 0xfe, 0xff}};
	atapi_execute(&drive, &regs, &op);
	assert_int_equal(op.action, ATA_DO_PACKET);
	assert_int_equal(op.bytes, ATAPI_PACKET_BYTES);
	atapi_packet(&drive, &regs, packet, &op);
	assert_int_equal(regs.count & 0xff, ATA_REASON_CD | ATA_REASON_IO);
	assert_int_equal((regs.status & ATA_STATUS_ERR) != 0, regs.error != 0);
	return regs.error >> 4;
}

static unsigned send_code(uint8_t code)
{
	const uint8_t packet[ATAPI_PACKET_BYTES] = {code};

	return send(packet);
}

static void test_read(void **state)
{
	const uint8_t read_10[12] = {0x28, 0, 0, 0, 1, 2, 0, 0, 3};
	const uint8_t read_12[12] = {0xa8, 0, 0, 0, 0, 5, 0, 0, 1, 0};
	const uint8_t read_cd[12] = {0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0x10};

	(void)state;
	assert_int_equal(send(read_10), 0);
	assert_int_equal(op.action, ATA_DO_READ);
	assert_int_equal(op.protocol, ATA_PIO_IN);
	assert_ptr_equal(op.device, &medium);
	assert_int_equal(op.sector, 0x102 * 4);
	assert_int_equal(op.bytes, 3 * 2048);
	assert_int_equal(op.drq_bytes, 31 * 2048);
	assert_int_equal(send(read_12), 0);
	assert_int_equal(op.sector, 20);
	assert_int_equal(op.bytes, 256 * 2048);
	assert_int_equal(send(read_cd), 0);
	assert_int_equal(op.sector, 28);
	assert_int_equal(op.bytes, 2 * 2048);
}

static void test_read_past_the_end(void **state)
{
	const uint8_t last[12] = {0x28, 0, 0, 0, 0x3, 0xe7, 0, 0, 1};
	const uint8_t past[12] = {0x28, 0, 0, 0, 0x3, 0xe7, 0, 0, 2};
	const uint8_t none[12] = {0x28, 0, 0, 0, 0x3, 0xe7, 0, 0, 0};
	const uint8_t wild[12] = {0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	(void)state;
	assert_int_equal(send(last), 0);
	assert_int_equal(op.action, ATA_DO_READ);
	assert_int_equal(send(past), 5);
	assert_int_equal(op.action, ATA_DONE);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_ADDRESS);
	assert_int_equal(send(wild), 5);
	assert_int_equal(send(none), 0);
	assert_int_equal(op.action, ATA_DONE);
}

static void test_raw_sectors_are_not_there(void **state)
{
	const uint8_t raw[12] = {0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0xf8};
	const uint8_t nothing[12] = {0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0};

	(void)state;
	assert_int_equal(send(raw), 5);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_FIELD);
	assert_int_equal(send(nothing), 0);
	assert_int_equal(op.action, ATA_DONE);
}

/* By minute, second, frame: from block 25 up to 75, which is not read. */
static void test_read_by_time(void **state)
{
	uint8_t read[12] = {0xb9, 0, 0, 0, 2, 25, 0, 3, 0, 0x10};

	(void)state;
	assert_int_equal(send(read), 0);
	assert_int_equal(op.action, ATA_DO_READ);
	assert_int_equal(op.sector, 25 * 4);
	assert_int_equal(op.bytes, 50 * ATAPI_BLOCK);
	read[4] = 3; /* from the end on: nothing */
	read[5] = 0;
	assert_int_equal(send(read), 0);
	assert_int_equal(op.action, ATA_DONE);
	read[5] = 1; /* backwards */
	assert_int_equal(send(read), 5);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_ADDRESS);
	read[4] = 1; /* before the disc begins */
	assert_int_equal(send(read), 5);
	read[4] = 2;
	read[6] = 79; /* past its end */
	assert_int_equal(send(read), 5);
}

static void test_byte_count(void **state)
{
	static const struct {
		uint16_t limit;
		uint32_t drq;
	} rows[] = {{0, 63488}, {0xffff, 63488}, {2048, 2048}, {5000, 4096}, {101, 100}};
	const uint8_t read[12] = {0x28, 0, 0, 0, 0, 0, 0, 0, 100};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		regs = (struct ata_registers){
			.command = ATA_PACKET,
			.features = 1,
			.lba = {0, (uint8_t)rows[i].limit, (uint8_t)(rows[i].limit >> 8)}};
		atapi_execute(&drive, &regs, &op);
		atapi_packet(&drive, &regs, read, &op);
		assert_int_equal(op.drq_bytes, rows[i].drq);
		assert_int_equal(op.protocol, ATA_DMA_IN);
	}
}

static void test_no_medium(void **state)
{
	(void)state;
	assert_int_equal(send_code(0x00), 0);
	drive.medium = NULL;
	assert_int_equal(send_code(0x00), 2);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_TRAY_CLOSED);
	assert_int_equal(send_code(0x25), 2);
	medium.sectors = 3; /* not one block */
	drive.medium = &medium;
	assert_int_equal(send_code(0x25), 2);
	assert_int_equal(send_code(0xff), 5);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_OPCODE);
}

static void test_tray(void **state)
{
	const uint8_t open[12] = {0x1b, 0, 0, 0, 2};
	const uint8_t close[12] = {0x1b, 0, 0, 0, 3};
	const uint8_t lock[12] = {0x1e, 0, 0, 0, 1};
	const uint8_t unlock[12] = {0x1e, 0, 0, 0, 0};

	(void)state;
	assert_int_equal(send(lock), 0);
	assert_int_equal(send(open), 5);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_LOCKED);
	assert_int_equal(send(unlock), 0);
	assert_int_equal(send(open), 0);
	assert_int_equal(drive.state.event, ATAPI_EVENT_REMOVED);
	assert_int_equal(send_code(0x00), 2);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_TRAY_OPEN);
	assert_int_equal(send(close), 0);
	assert_int_equal(send_code(0x00), 6);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_CHANGED);
	assert_int_equal(send_code(0x00), 0);
}

static void test_attention(void **state)
{
	(void)state;
	atapi_reset(&drive);
	assert_int_equal(send_code(0x4a), 5); /* is answered: polling is missing */
	assert_int_equal(send_code(0x28), 6);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_RESET);
	assert_int_equal(send_code(0x00), 0);
	atapi_reset(&drive);
	assert_int_equal(send_code(0xff), 6);
	assert_int_equal(send_code(0xff), 5);
}

static void test_eject_and_insert(void **state)
{
	const uint8_t lock[12] = {0x1e, 0, 0, 0, 1};
	struct blk_device other = {.sectors = 8, .block_size = BLK_SECTOR};

	(void)state;
	assert_int_equal(send(lock), 0);
	assert_int_equal(atapi_eject(&drive, false), HV_E_BUSY);
	assert_int_equal(drive.state.event, ATAPI_EVENT_EJECT);
	assert_true(atapi_is_loaded(&drive));
	assert_int_equal(atapi_eject(&drive, true), HV_OK);
	assert_int_equal(drive.state.event, ATAPI_EVENT_REMOVED);
	assert_false(drive.state.locked);
	assert_int_equal(send_code(0x00), 2);
	assert_int_equal(atapi_eject(&drive, true), HV_E_NOT_FOUND);
	atapi_insert(&drive, &other);
	assert_int_equal(drive.state.event, ATAPI_EVENT_NEW);
	assert_int_equal(send_code(0x00), 6);
	assert_int_equal(send_code(0x00), 0);
	assert_ptr_equal(drive.medium, &other);
}

static void test_read_error(void **state)
{
	const uint8_t read[12] = {0x28, 0, 0, 0, 0, 0, 0, 0, 1};

	(void)state;
	assert_int_equal(send(read), 0);
	atapi_finish(&drive, &regs, &op, HV_E_IO);
	assert_int_equal(regs.error >> 4, 3);
	assert_int_equal(regs.status & ATA_STATUS_ERR, ATA_STATUS_ERR);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_READ_ERROR);
	assert_int_equal(send(read), 0);
	atapi_finish(&drive, &regs, &op, HV_OK);
	assert_int_equal(regs.status, ATA_STATUS_DRDY | ATA_STATUS_DSC);
}

static void execute(uint8_t command)
{
	regs.command = command;
	atapi_execute(&drive, &regs, &op);
}

static void test_ata_commands(void **state)
{
	(void)state;
	regs = (struct ata_registers){0};
	execute(ATA_IDENTIFY);
	assert_int_equal(op.action, ATA_DONE);
	assert_int_equal(regs.error, ATA_ERROR_ABRT);
	assert_int_equal(regs.lba[1], 0x14);
	assert_int_equal(regs.lba[2], 0xeb);
	execute(ATA_DEVICE_RESET);
	assert_int_equal(regs.status, 0);
	execute(ATA_READ_DMA_EXT);
	assert_int_equal(regs.error, ATA_ERROR_ABRT);
	regs.features = ATA_FEATURE_MODE;
	regs.count = 0x42;
	execute(ATA_SET_FEATURES);
	assert_int_equal(regs.error, 0);
	assert_int_equal(drive.state.ultra, 2);
	regs.features = ATA_FEATURE_CACHE_ON;
	execute(ATA_SET_FEATURES);
	assert_int_equal(regs.error, ATA_ERROR_ABRT);
	execute(ATA_CHECK_POWER);
	assert_int_equal(regs.count, ATA_POWER_ACTIVE);
	regs.features = 2; /* overlapped */
	execute(ATA_PACKET);
	assert_int_equal(regs.error, ATA_ERROR_ABRT);
}

static void test_identify(void **state)
{
	uint8_t page[ATA_PAGE_BYTES];
	uint8_t sum = 0;

	(void)state;
	execute(ATA_IDENTIFY_PACKET);
	atapi_page(&drive, &op, page);
	assert_int_equal(page[ATA_ID_MULTIWORD * 2 + 1], 0x04);
	assert_int_equal(page[ATA_ID_ULTRA * 2 + 1], 0);
	regs.features = ATA_FEATURE_MODE;
	regs.count = ATA_MODE_ULTRA | 5;
	execute(ATA_SET_FEATURES);
	execute(ATA_IDENTIFY_PACKET);
	assert_int_equal(op.action, ATA_DO_PAGE);
	assert_int_equal(op.bytes, ATA_PAGE_BYTES);
	atapi_page(&drive, &op, page);
	assert_int_equal(page[ATA_ID_MULTIWORD * 2 + 1], 0);
	assert_int_equal(page[0], 0xc0);
	assert_int_equal(page[1], 0x85);
	assert_memory_equal(page + ATA_ID_SERIAL * 2, "dc 0", 4);
	assert_int_equal(page[ATA_ID_ULTRA * 2 + 1], 0x20);
	for (unsigned i = 0; i < sizeof(page); i++) {
		sum = (uint8_t)(sum + page[i]);
	}
	assert_int_equal(sum, 0);
	atapi_finish(&drive, &regs, &op, HV_OK);
	assert_int_equal(regs.status, ATA_STATUS_DRDY | ATA_STATUS_DSC);
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	(void)send_code(0x00);
	(void)send_code(0x00);
	assert_int_equal(op.lacks, LACKS_NOTHING);
	(void)send_code(0x04); /* FORMAT UNIT */
	assert_int_equal(op.lacks, LACKS_PACKET);
	assert_int_equal(op.lacked, 0x04);
	execute(0x25);
	assert_int_equal(op.lacks, LACKS_COMMAND);
	assert_int_equal(op.lacked, 0x25);
	regs.features = 0x77;
	execute(ATA_SET_FEATURES);
	assert_int_equal(op.lacks, LACKS_FEATURE);
	assert_int_equal(op.lacked, 0x77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_read, setup),
		cmocka_unit_test_setup(test_read_past_the_end, setup),
		cmocka_unit_test_setup(test_raw_sectors_are_not_there, setup),
		cmocka_unit_test_setup(test_read_by_time, setup),
		cmocka_unit_test_setup(test_byte_count, setup),
		cmocka_unit_test_setup(test_no_medium, setup),
		cmocka_unit_test_setup(test_tray, setup),
		cmocka_unit_test_setup(test_attention, setup),
		cmocka_unit_test_setup(test_eject_and_insert, setup),
		cmocka_unit_test_setup(test_read_error, setup),
		cmocka_unit_test_setup(test_ata_commands, setup),
		cmocka_unit_test_setup(test_identify, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
