/* SPDX-License-Identifier: Apache-2.0 */
/* What an IDE channel does by itself: pieces of the disk, chunks of DMA, what comes back late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ide_rig.h"

#define READY (ATA_STATUS_DRDY | ATA_STATUS_DSC)
#define BUFFER (RIG_RAM_BASE + 0x10000u)

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

static uint8_t *buffer(void)
{
	return rig_ram + (BUFFER - RIG_RAM_BASE);
}

static uint32_t sector_at(uint32_t index)
{
	uint32_t n;

	memcpy(&n, buffer() + index * 512, sizeof(n));
	return n;
}

/* Descriptors for `sectors` from BUFFER on, 64 KiB each at most. */
static void prepare(uint32_t sectors)
{
	uint32_t bytes = sectors * 512;
	uint32_t at = 0;

	for (unsigned i = 0; at < bytes; i++) {
		uint32_t part = bytes - at < 0x10000 ? bytes - at : 0x10000;

		rig_prd(i, BUFFER + at, part, at + part == bytes);
		at += part;
	}
}

static void command_ext(uint8_t command, uint32_t lba, uint16_t count)
{
	rig_write_at(0, 2, 1, count >> 8);
	for (unsigned i = 3; i < 6; i++) {
		rig_write_at(0, i, 1, 0);
	}
	rig_command(0, command, lba, (uint8_t)count);
}

static void test_read_dma(void **state)
{
	(void)state;
	prepare(200);
	rig_command(0, ATA_READ_DMA, 1000, 200);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	rig_master_start(0, true);
	assert_int_equal(rig_lines[0].rises, 1);
	/* All descriptors are used up: not active any more. */
	assert_int_equal(rig_master_read(2, 1), 4);
	assert_int_equal(rig_status(0), READY);
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(sector_at(i), 1000 + i);
	}
}

static void test_write_dma(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 600 * 512; i++) {
		buffer()[i] = (uint8_t)(i * 7 + i / 512);
	}
	prepare(600);
	rig_master_start(0, false); /* the order is the host's affair */
	command_ext(ATA_WRITE_DMA_EXT, 300, 600);
	assert_int_equal(rig_status(0), READY);
	assert_memory_equal(rig_disk_data + 300 * 512, buffer(), 600 * 512);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 0);
	assert_true(rig_disk_longest * 512 <= IDE_BUFFER_BYTES);
}

static void test_flush_after(void **state)
{
	(void)state;
	prepare(8);
	rig_master_start(0, false);
	command_ext(ATA_WRITE_DMA_FUA_EXT, 0, 8);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_int_equal(rig_status(0), READY);
}

static void test_small_pieces(void **state)
{
	(void)state;
	rig_disk.max_count = 3;
	prepare(100);
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 5, 100);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_disk_longest, 3);
	assert_int_equal(sector_at(99), 104);
	/* A DRQ of 16 sectors is whole all the same. */
	rig_command(0, ATA_READ_MULTIPLE, 5, 16);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_DRQ);
	rig_read_data(0, buffer(), 16 * 512);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(sector_at(15), 20);
}

static void test_disk_takes_time(void **state)
{
	(void)state;
	rig_disk_holds = true;
	prepare(512);
	rig_master_start(0, true);
	command_ext(ATA_READ_DMA_EXT, 0, 512);
	assert_int_equal(rig_disk_open_count, 1);
	assert_false(ide_is_idle(&ide));
	rig_disk_finish(0, HV_OK);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	rig_run_work();
	assert_int_equal(rig_disk_open_count, 1); /* the second chunk */
	assert_int_equal(sector_at(255), 255);
	rig_disk_finish(0, HV_OK);
	rig_run_work();
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(sector_at(511), 511);
	assert_true(ide_is_idle(&ide));
}

static void test_disk_error(void **state)
{
	(void)state;
	rig_disk_holds = true;
	prepare(512);
	rig_master_start(0, true);
	command_ext(ATA_READ_DMA_EXT, 0x1000, 512);
	rig_disk_finish(0, HV_OK);
	rig_run_work();
	rig_disk_finish(0, HV_E_IO);
	rig_run_work();
	assert_int_equal(rig_lines[0].rises, 1);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_ERR);
	assert_int_equal(rig_read_at(0, 1, 1), ATA_ERROR_UNC);
	assert_int_equal(rig_read_at(0, 4, 1), 0x11); /* the first that could not be read */
	/* The next command knows nothing of it. */
	rig_disk_holds = false;
	rig_master_start(0, true);
	command_ext(ATA_READ_DMA_EXT, 0, 512);
	assert_int_equal(rig_status(0), READY);
}

/* What a reset left behind touches neither the guest nor the next command. */
static void test_reset_while_open(void **state)
{
	(void)state;
	rig_disk_holds = true;
	prepare(8);
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 0, 8);
	memset(buffer(), 0xee, 8 * 512);
	rig_control(0, ATA_CONTROL_SRST);
	rig_control(0, 0);
	assert_int_equal(rig_status(0), READY);
	rig_command(0, ATA_IDENTIFY, 0, 0);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY); /* the buffer is still the disk's */
	assert_false(ide_is_idle(&ide));
	rig_disk_finish(0, HV_E_IO);
	rig_run_work();
	assert_int_equal(rig_status(0), READY | ATA_STATUS_DRQ);
	assert_int_equal(rig_read_at(0, 0, 2), 0x0040);
	assert_int_equal(sector_at(0), 0xeeeeeeee);
	assert_true(ide_is_idle(&ide));
}

static void test_verify(void **state)
{
	(void)state;
	rig_command(0, ATA_VERIFY, 100, 0);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_disk_seen[BLK_READ], 1);
	rig_disk_holds = true;
	rig_command(0, ATA_VERIFY, 100, 1);
	rig_disk_finish(0, HV_E_IO);
	rig_run_work();
	assert_int_equal(rig_read_at(0, 1, 1), ATA_ERROR_UNC);
}

static void test_trim(void **state)
{
	const uint64_t ranges[] = {0, 40ull << 48 | 100, 0, 5000ull << 48 | 1000};

	(void)state;
	memset(buffer(), 0, 512);
	memcpy(buffer(), ranges, sizeof(ranges));
	prepare(1);
	rig_write_at(0, 1, 1, ATA_DSM_TRIM);
	rig_master_start(0, false);
	command_ext(ATA_DSM, 0, 1);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 2);
	/* One past the end of the disk: the others may have been done. */
	memcpy(buffer() + 64, &(uint64_t){2ull << 48 | (RIG_DISK_SECTORS - 1)}, 8);
	rig_write_at(0, 1, 1, ATA_DSM_TRIM);
	rig_master_start(0, false);
	command_ext(ATA_DSM, 0, 1);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_ERR);
	assert_int_equal(rig_read_at(0, 1, 1), ATA_ERROR_ABRT);
}

/* More than what is done for one exit goes on later. */
static void test_bounded(void **state)
{
	(void)state;
	rig_disk.max_count = 8192;
	for (unsigned i = 0; i < 64; i++) {
		rig_prd(i, BUFFER, 0x10000, i == 63);
	}
	rig_master_start(0, true);
	command_ext(ATA_READ_DMA_EXT, 0, 8192);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	assert_true(rig_asked);
	rig_run_work();
	assert_int_equal(rig_status(0), READY);
}

static void test_read_cd_by_dma(void **state)
{
	const uint8_t ready[12] = {0};
	const uint8_t read[12] = {0x28, 0, 0, 0, 1, 0, 0, 0, 20};

	(void)state;
	rig_write_at(1, 7, 1, ATA_PACKET);
	rig_write_data(1, ready, 12);
	prepare(80);
	rig_write_at(1, 1, 1, 1);
	rig_write_at(1, 7, 1, ATA_PACKET);
	rig_write_data(1, read, 12);
	assert_int_equal(rig_status(1), ATA_STATUS_BSY);
	rig_master_start(1, true);
	assert_int_equal(rig_status(1), READY);
	assert_int_equal(rig_read_at(1, 2, 1), ATA_REASON_IO | ATA_REASON_CD);
	assert_int_equal(sector_at(79), 0x100 * 4 + 79);
	assert_int_equal(rig_master_read(8 + 2, 1), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_read_dma, setup),
		cmocka_unit_test_setup(test_write_dma, setup),
		cmocka_unit_test_setup(test_flush_after, setup),
		cmocka_unit_test_setup(test_small_pieces, setup),
		cmocka_unit_test_setup(test_disk_takes_time, setup),
		cmocka_unit_test_setup(test_disk_error, setup),
		cmocka_unit_test_setup(test_reset_while_open, setup),
		cmocka_unit_test_setup(test_verify, setup),
		cmocka_unit_test_setup(test_trim, setup),
		cmocka_unit_test_setup(test_bounded, setup),
		cmocka_unit_test_setup(test_read_cd_by_dma, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
