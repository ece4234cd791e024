/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/ata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"

static struct blk_device device;
static struct ata_disk disk;
static struct ata_registers regs;
static struct ata_operation op;

static void make(uint64_t sectors, uint32_t block_size, uint8_t queue_depth)
{
	const struct ata_config cfg = {.device = &device,
				       .model = "Model",
				       .serial_ata = queue_depth != 0,
				       .queue_depth = queue_depth};

	device =
		(struct blk_device){.sectors = sectors, .block_size = block_size, .discards = true};
	assert_int_equal(ata_init(&disk, &cfg), HV_OK);
	regs = (struct ata_registers){.device = ATA_DEVICE_LBA};
}

static int setup(void **state)
{
	(void)state;
	make(BIT(30), BLK_SECTOR, 32);
	return 0;
}

static void set_lba(uint64_t lba)
{
	for (unsigned i = 0; i < 6; i++) {
		regs.lba[i] = (uint8_t)(lba >> (8 * i));
	}
}

static void execute(uint8_t command)
{
	regs.command = command;
	ata_execute(&disk, &regs, &op);
}

static void assert_done(uint8_t error)
{
	assert_int_equal(op.action, ATA_DONE);
	assert_int_equal(regs.error, error);
	assert_int_equal(regs.status,
			 ATA_STATUS_DRDY | ATA_STATUS_DSC | (error != 0 ? ATA_STATUS_ERR : 0));
}

static void test_lba28(void **state)
{
	(void)state;
	set_lba(0x123456);
	regs.device = ATA_DEVICE_LBA | 0x2;
	regs.count = 0xff07; /* the upper byte is none of a 28-bit command's */
	regs.lba[3] = 0xff;
	execute(ATA_READ_DMA);
	assert_int_equal(op.action, ATA_DO_READ);
	assert_int_equal(op.protocol, ATA_DMA_IN);
	assert_int_equal(op.sector, 0x2123456);
	assert_int_equal(op.bytes, 7 * 512);
	regs.count = 0;
	execute(ATA_WRITE_SECTORS);
	assert_int_equal(op.action, ATA_DO_WRITE);
	assert_int_equal(op.protocol, ATA_PIO_OUT);
	assert_int_equal(op.bytes, 256 * 512);
	assert_int_equal(op.drq_bytes, 512);
	assert_false(op.flush_after);
}

static void test_lba48(void **state)
{
	(void)state;
	make(BIT(40), BLK_SECTOR, 0);
	set_lba(0x9876543210);
	regs.device = ATA_DEVICE_LBA | 0xf; /* no address in it */
	regs.count = 0;
	execute(ATA_READ_DMA_EXT);
	assert_int_equal(op.action, ATA_DO_READ);
	assert_int_equal(op.sector, 0x9876543210);
	assert_int_equal(op.bytes, 65536 * 512);
	regs.count = 0x1234;
	execute(ATA_WRITE_DMA_FUA_EXT);
	assert_int_equal(op.bytes, 0x1234 * 512);
	assert_true(op.flush_after);
	execute(ATA_VERIFY_EXT);
	assert_int_equal(op.action, ATA_DO_VERIFY);
	assert_int_equal(op.protocol, ATA_NO_DATA);
}

static void test_chs(void **state)
{
	(void)state;
	regs = (struct ata_registers){.device = 3, .lba = {5, 2, 1}, .count = 1};
	execute(ATA_READ_SECTORS);
	assert_int_equal(op.sector, (0x102 * 16 + 3) * 63 + 4);
	regs.lba[0] = 63;
	execute(ATA_READ_SECTORS);
	assert_int_equal(op.action, ATA_DO_READ);
	regs.lba[0] = 64;
	execute(ATA_READ_SECTORS);
	assert_done(ATA_ERROR_IDNF);
	regs.lba[0] = 0;
	execute(ATA_READ_SECTORS);
	assert_done(ATA_ERROR_IDNF);
	/* 8 heads, 32 sectors. */
	regs = (struct ata_registers){.device = 7, .count = 32};
	execute(ATA_INIT_PARAMETERS);
	assert_done(0);
	regs = (struct ata_registers){.device = 7, .lba = {32, 1}, .count = 1};
	execute(ATA_READ_SECTORS);
	assert_int_equal(op.sector, (8 + 7) * 32 + 31);
	regs.device = 8;
	execute(ATA_READ_SECTORS);
	assert_done(ATA_ERROR_IDNF);
	regs.count = 0;
	execute(ATA_INIT_PARAMETERS);
	assert_done(ATA_ERROR_ABRT);
}

static void test_end_of_disk(void **state)
{
	(void)state;
	make(100, BLK_SECTOR, 0);
	set_lba(98);
	regs.count = 2;
	execute(ATA_READ_DMA_EXT);
	assert_int_equal(op.action, ATA_DO_READ);
	regs.count = 3;
	execute(ATA_READ_DMA_EXT);
	assert_done(ATA_ERROR_IDNF);
	set_lba(0xffffffffffff);
	regs.count = 1;
	execute(ATA_WRITE_SECTORS_EXT);
	assert_done(ATA_ERROR_IDNF);
	set_lba(100);
	execute(ATA_SEEK);
	assert_done(ATA_ERROR_IDNF);
	set_lba(99);
	execute(ATA_SEEK);
	assert_done(0);
}

static void test_large_blocks(void **state)
{
	(void)state;
	make(800, 4096, 0);
	set_lba(99);
	regs.count = 1;
	execute(ATA_READ_SECTORS_EXT);
	assert_int_equal(op.sector, 792);
	assert_int_equal(op.bytes, 4096);
	assert_int_equal(op.drq_bytes, 4096);
	regs.count = 2;
	execute(ATA_READ_SECTORS_EXT);
	assert_done(ATA_ERROR_IDNF);
}

static void test_multiple(void **state)
{
	(void)state;
	set_lba(0);
	regs.count = 40;
	execute(ATA_READ_MULTIPLE);
	assert_int_equal(op.drq_bytes, 16 * 512);
	regs.count = 3;
	execute(ATA_SET_MULTIPLE);
	assert_done(ATA_ERROR_ABRT);
	regs.count = 32;
	execute(ATA_SET_MULTIPLE);
	assert_done(ATA_ERROR_ABRT);
	regs.count = 4;
	execute(ATA_SET_MULTIPLE);
	assert_done(0);
	execute(ATA_WRITE_MULTIPLE_EXT);
	assert_int_equal(op.drq_bytes, 4 * 512);
	execute(ATA_WRITE_MULTIPLE_FUA_EXT);
	assert_true(op.flush_after);
	regs.count = 0;
	execute(ATA_SET_MULTIPLE);
	assert_done(0);
	execute(ATA_READ_MULTIPLE);
	assert_done(ATA_ERROR_ABRT);
}

static void test_read_only(void **state)
{
	(void)state;
	device.readonly = true;
	regs.count = 1;
	execute(ATA_WRITE_DMA);
	assert_done(ATA_ERROR_ABRT);
	execute(ATA_WRITE_FPDMA);
	assert_done(ATA_ERROR_ABRT);
	regs.features = ATA_DSM_TRIM;
	execute(ATA_DSM);
	assert_done(ATA_ERROR_ABRT);
	execute(ATA_READ_DMA);
	assert_int_equal(op.action, ATA_DO_READ);
}

static void test_write_cache(void **state)
{
	(void)state;
	regs.features = ATA_FEATURE_CACHE_OFF;
	execute(ATA_SET_FEATURES);
	assert_int_equal(op.action, ATA_DO_FLUSH);
	regs.count = 1;
	execute(ATA_WRITE_DMA);
	assert_true(op.flush_after);
	execute(ATA_READ_DMA);
	assert_false(op.flush_after);
	regs.features = ATA_FEATURE_CACHE_ON;
	execute(ATA_SET_FEATURES);
	assert_done(0);
	execute(ATA_WRITE_DMA);
	assert_false(op.flush_after);
}

static void test_modes(void **state)
{
	static const struct {
		uint8_t mode;
		bool there;
	} rows[] = {{0, true},	  {1, true},	 {2, false},   {0x0c, true},  {0x0d, false},
		    {0x22, true}, {0x23, false}, {0x45, true}, {0x46, false}, {0x18, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		regs.features = ATA_FEATURE_MODE;
		regs.count = rows[i].mode;
		execute(ATA_SET_FEATURES);
		assert_done(rows[i].there ? 0 : ATA_ERROR_ABRT);
	}
	assert_int_equal(disk.state.ultra, 5);
	assert_int_equal(disk.state.multiword, ATA_MODE_NONE);
}

static void test_queued(void **state)
{
	(void)state;
	set_lba(0x1000);
	regs.features = 0;
	regs.count = 5 << 3;
	execute(ATA_READ_FPDMA);
	assert_int_equal(op.action, ATA_DO_READ);
	assert_true(op.queued);
	assert_int_equal(op.tag, 5);
	assert_int_equal(op.bytes, 65536 * 512);
	regs.features = 8;
	regs.device |= ATA_DEVICE_FUA;
	execute(ATA_WRITE_FPDMA);
	assert_int_equal(op.bytes, 8 * 512);
	assert_true(op.flush_after);
	make(100, BLK_SECTOR, 4);
	regs.count = 4 << 3; /* a tag that there is not */
	execute(ATA_READ_FPDMA);
	assert_done(ATA_ERROR_ABRT);
	make(100, BLK_SECTOR, 0);
	execute(ATA_READ_FPDMA);
	assert_done(ATA_ERROR_ABRT);
}

static void test_queued_error_log(void **state)
{
	uint8_t page[ATA_PAGE_BYTES];
	uint8_t sum = 0;

	(void)state;
	set_lba(0x1000);
	regs.features = 8;
	regs.count = 9 << 3;
	execute(ATA_READ_FPDMA);
	ata_finish(&disk, &regs, &op, HV_E_IO, 0x1003);
	assert_int_equal(regs.error, ATA_ERROR_UNC);
	regs = (struct ata_registers){.lba = {ATA_LOG_QUEUED_ERROR}, .count = 1};
	execute(ATA_READ_LOG_EXT);
	assert_int_equal(op.action, ATA_DO_PAGE);
	ata_page(&disk, &op, page);
	assert_int_equal(page[0], 9);
	assert_int_equal(page[2] & ATA_STATUS_ERR, ATA_STATUS_ERR);
	assert_int_equal(page[3], ATA_ERROR_UNC);
	assert_int_equal(page[4], 0x03);
	assert_int_equal(page[5], 0x10);
	for (unsigned i = 0; i < sizeof(page); i++) {
		sum = (uint8_t)(sum + page[i]);
	}
	assert_int_equal(sum, 0);
	ata_page(&disk, &op, page);
	assert_int_equal(page[0], 0x80);
	regs.count = 2;
	execute(ATA_READ_LOG_EXT);
	assert_done(ATA_ERROR_ABRT);
}

static void test_trim(void **state)
{
	uint8_t ranges[16] = {0x10, 0, 0, 0, 0, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
	uint64_t sector;
	uint64_t count;

	(void)state;
	regs.features = ATA_DSM_TRIM;
	regs.count = 2;
	execute(ATA_DSM);
	assert_int_equal(op.action, ATA_DO_TRIM);
	assert_int_equal(op.protocol, ATA_DMA_OUT);
	assert_int_equal(op.bytes, 1024);
	assert_true(ata_trim_range(&disk, ranges, 0, &sector, &count));
	assert_int_equal(sector, 0x10);
	assert_int_equal(count, 4);
	assert_false(ata_trim_range(&disk, ranges, 1, &sector, &count));
	ranges[14] = 0; /* no block at no place */
	assert_true(ata_trim_range(&disk, ranges, 1, &sector, &count));
	assert_int_equal(count, 0);
	regs.count = ATA_DSM_BLOCKS_MAX + 1;
	execute(ATA_DSM);
	assert_done(ATA_ERROR_ABRT);
	regs.count = 1;
	device.discards = false;
	execute(ATA_DSM);
	assert_done(ATA_ERROR_ABRT);
}

static void test_smart(void **state)
{
	(void)state;
	regs = (struct ata_registers){
		.features = ATA_SMART_STATUS, .lba = {0, 0x4f, 0xc2}, .count = 1};
	execute(ATA_SMART);
	assert_done(0);
	assert_int_equal(regs.lba[1], 0x4f); /* it is well */
	regs.features = ATA_SMART_READ_DATA;
	execute(ATA_SMART);
	assert_int_equal(op.action, ATA_DO_PAGE);
	assert_int_equal(op.protocol, ATA_PIO_IN);
	regs.features = ATA_SMART_READ_LOG;
	regs.lba[0] = 9;
	execute(ATA_SMART);
	assert_done(ATA_ERROR_ABRT);
	regs.features = ATA_SMART_DISABLE;
	execute(ATA_SMART);
	regs.features = ATA_SMART_STATUS;
	execute(ATA_SMART);
	assert_done(ATA_ERROR_ABRT);
	regs.features = ATA_SMART_ENABLE;
	regs.lba[1] = 0;
	execute(ATA_SMART);
	assert_done(ATA_ERROR_ABRT);
}

static void test_power(void **state)
{
	(void)state;
	execute(ATA_STANDBY_NOW);
	assert_int_equal(op.action, ATA_DO_FLUSH);
	execute(ATA_CHECK_POWER);
	assert_int_equal(regs.count, ATA_POWER_STANDBY);
	regs.count = 1;
	execute(ATA_READ_DMA);
	execute(ATA_CHECK_POWER);
	assert_int_equal(regs.count, ATA_POWER_ACTIVE);
}

/* As the BIOSes and systems of before ATA-4 speak. */
static void test_old_codes(void **state)
{
	static const uint8_t now[] = {ATA_STANDBY_NOW, ATA_IDLE_NOW,	ATA_STANDBY,
				      ATA_IDLE,	       ATA_CHECK_POWER, ATA_SLEEP};

	(void)state;
	for (uint8_t i = 0; i < ARRAY_SIZE(now); i++) {
		struct ata_operation op_now;

		execute(now[i]);
		op_now = op;
		execute((uint8_t)(0x94 + i));
		assert_int_equal(op.action, op_now.action);
		assert_int_equal(regs.error, 0);
	}
	execute(0x94);
	execute(0x98);
	assert_int_equal(regs.count, ATA_POWER_STANDBY);
	execute(0x97);
	execute(0x98);
	assert_int_equal(regs.count, ATA_POWER_ACTIVE);
	execute(0x93);
	assert_done(ATA_ERROR_ABRT);
	execute(0x9a);
	assert_done(ATA_ERROR_ABRT);
	execute(0x1f); /* recalibrate, in steps of so many milliseconds */
	assert_done(0);
	regs = (struct ata_registers){.lba = {1}};
	execute(0x7a);
	assert_done(0);
	regs = (struct ata_registers){.lba = {0}}; /* no sector has that number */
	execute(0x7a);
	assert_done(ATA_ERROR_IDNF);
}

static void test_errors_have_an_address(void **state)
{
	(void)state;
	regs.count = 8;
	set_lba(0x123450);
	execute(ATA_READ_DMA);
	ata_finish(&disk, &regs, &op, HV_E_IO, 0x3123456);
	assert_int_equal(regs.status, ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_ERR);
	assert_int_equal(regs.error, ATA_ERROR_UNC);
	assert_int_equal(regs.lba[0], 0x56);
	assert_int_equal(regs.lba[2], 0x12);
	assert_int_equal(regs.device & ATA_DEVICE_HEAD, 3);
	regs = (struct ata_registers){.device = 0, .lba = {1}, .count = 200};
	execute(ATA_WRITE_SECTORS);
	ata_finish(&disk, &regs, &op, HV_E_IO, 16 * 63 + 63 + 4);
	assert_int_equal(regs.error, ATA_ERROR_ABRT);
	assert_int_equal(regs.lba[0], 5);
	assert_int_equal(regs.lba[1], 1);
	assert_int_equal(regs.device & ATA_DEVICE_HEAD, 1);
	ata_finish(&disk, &regs, &op, HV_OK, 0);
	assert_int_equal(regs.status, ATA_STATUS_DRDY | ATA_STATUS_DSC);
	assert_int_equal(regs.error, 0);
}

static void test_not_there(void **state)
{
	static const uint8_t codes[] = {
		ATA_NOP, ATA_DEVICE_RESET, ATA_PACKET, ATA_IDENTIFY_PACKET, 0xf1, 0xff};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		execute(codes[i]);
		assert_done(ATA_ERROR_ABRT);
	}
}

static void test_signature(void **state)
{
	(void)state;
	ata_set_signature(&regs, false);
	assert_int_equal(regs.count, 1);
	assert_int_equal(regs.lba[0], 1);
	assert_int_equal(regs.lba[1], 0);
	assert_int_equal(regs.error, 1);
	ata_set_signature(&regs, true);
	assert_int_equal(regs.lba[1], 0x14);
	assert_int_equal(regs.lba[2], 0xeb);
	assert_int_equal(regs.status & ATA_STATUS_DRDY, 0);
}

static void test_init(void **state)
{
	struct ata_config cfg = {.device = &device, .model = ""};

	(void)state;
	device.block_size = 8192;
	assert_int_equal(ata_init(&disk, &cfg), HV_E_UNSUPPORTED);
	device.block_size = 4096;
	device.sectors = 7;
	assert_int_equal(ata_init(&disk, &cfg), HV_E_UNSUPPORTED);
	device.sectors = 8;
	assert_int_equal(ata_init(&disk, &cfg), HV_OK);
	assert_int_equal(disk.cylinders, 1);
}

static void assert_lacks(enum lacks_kind kind, uint8_t what)
{
	assert_int_equal(op.lacks, kind);
	assert_int_equal(op.lacked, what);
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	execute(ATA_NOP);
	assert_lacks(LACKS_NOTHING, 0);
	execute(0xb1);
	assert_lacks(LACKS_COMMAND, 0xb1);
	regs.features = 0x1ef;
	execute(ATA_SET_FEATURES);
	assert_lacks(LACKS_FEATURE, 0xef);
	regs.features = 0xee;
	regs.lba[1] = 0x4f;
	regs.lba[2] = 0xc2;
	execute(ATA_SMART);
	assert_lacks(LACKS_SMART, 0xee);
	regs.lba[0] = 0x77;
	execute(ATA_READ_LOG_EXT);
	assert_lacks(LACKS_LOG, 0x77);
	execute(ATA_IDENTIFY);
	assert_lacks(LACKS_NOTHING, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_lba28, setup),
		cmocka_unit_test_setup(test_lba48, setup),
		cmocka_unit_test_setup(test_chs, setup),
		cmocka_unit_test_setup(test_end_of_disk, setup),
		cmocka_unit_test_setup(test_large_blocks, setup),
		cmocka_unit_test_setup(test_multiple, setup),
		cmocka_unit_test_setup(test_read_only, setup),
		cmocka_unit_test_setup(test_write_cache, setup),
		cmocka_unit_test_setup(test_modes, setup),
		cmocka_unit_test_setup(test_queued, setup),
		cmocka_unit_test_setup(test_queued_error_log, setup),
		cmocka_unit_test_setup(test_trim, setup),
		cmocka_unit_test_setup(test_smart, setup),
		cmocka_unit_test_setup(test_power, setup),
		cmocka_unit_test_setup(test_old_codes, setup),
		cmocka_unit_test_setup(test_errors_have_an_address, setup),
		cmocka_unit_test_setup(test_not_there, setup),
		cmocka_unit_test_setup(test_signature, setup),
		cmocka_unit_test_setup(test_init, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
