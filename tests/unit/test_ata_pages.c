/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guests/devices/ata.h"
#include "hv/base/bits.h"

static struct blk_device device;
static struct ata_disk disk;
static uint8_t page[ATA_PAGE_BYTES];

static void identify(uint64_t sectors, uint32_t block_size, uint8_t queue_depth)
{
	const struct ata_config cfg = {.device = &device,
				       .model = "Model of it",
				       .serial_ata = queue_depth != 0,
				       .queue_depth = queue_depth};
	const struct ata_operation op = {.action = ATA_DO_PAGE, .page = ATA_PAGE_IDENTIFY};

	device = (struct blk_device){
		.sectors = sectors, .block_size = block_size, .serial = "abc", .discards = true};
	assert_int_equal(ata_init(&disk, &cfg), HV_OK);
	ata_page(&disk, &op, page);
}

static unsigned word(unsigned index)
{
	return (unsigned)(page[index * 2] | page[index * 2 + 1] << 8);
}

static uint64_t words(unsigned first, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++) {
		value |= (uint64_t)word(first + i) << (16 * i);
	}
	return value;
}

static void assert_sum_is_zero(void)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < sizeof(page); i++) {
		sum = (uint8_t)(sum + page[i]);
	}
	assert_int_equal(sum, 0);
}

static void test_text(void **state)
{
	(void)state;
	identify(BIT(30), BLK_SECTOR, 0);
	assert_memory_equal(page + ATA_ID_SERIAL * 2, "ba c                ", 20);
	assert_memory_equal(page + ATA_ID_MODEL * 2, "oMed lfoi ", 10);
	assert_int_equal(page[ATA_ID_MODEL * 2 + 10], ' ');
	assert_int_equal(page[ATA_ID_MODEL * 2 + 11], 't');
	assert_int_equal(page[ATA_ID_INTEGRITY * 2], 0xa5);
	assert_sum_is_zero();
}

static void test_sizes(void **state)
{
	(void)state;
	identify(BIT(30), BLK_SECTOR, 0);
	assert_int_equal(words(ATA_ID_SECTORS_28, 2), ATA_LBA28_MAX);
	assert_int_equal(words(ATA_ID_SECTORS_48, 4), BIT(30));
	assert_int_equal(word(ATA_ID_CYLINDERS), 16383);
	assert_int_equal(words(ATA_ID_CURRENT + 3, 2), 16514064);
	assert_int_equal(word(ATA_ID_SECTOR_SIZE), 0x6003);
	identify(16 * 63 * 10 + 5, BLK_SECTOR, 0);
	assert_int_equal(word(ATA_ID_CYLINDERS), 10);
	assert_int_equal(word(ATA_ID_HEADS), 16);
	assert_int_equal(word(ATA_ID_SECTORS), 63);
	assert_int_equal(words(ATA_ID_SECTORS_28, 2), 16 * 63 * 10 + 5);
	identify(BIT(30), 4096, 0);
	assert_int_equal(words(ATA_ID_SECTORS_48, 4), BIT(27));
	assert_int_equal(word(ATA_ID_SECTOR_SIZE), 0x5000);
	assert_int_equal(words(ATA_ID_SECTOR_WORDS, 2), 2048);
}

static void test_settings(void **state)
{
	const struct ata_operation op = {.action = ATA_DO_PAGE, .page = ATA_PAGE_IDENTIFY};

	(void)state;
	identify(BIT(30), BLK_SECTOR, 0);
	/* Exactly one DMA mode is selected. */
	assert_int_equal(word(ATA_ID_MULTIWORD), 0x0407);
	assert_int_equal(word(ATA_ID_ULTRA), 0x003f);
	assert_int_equal(word(ATA_ID_MULTIPLE), 0x0110);
	assert_int_equal(word(ATA_ID_ENABLED_1) & ATA_ID_WRITE_CACHE, ATA_ID_WRITE_CACHE);
	assert_int_equal(word(ATA_ID_COMMANDS_2) & 0xc000, 0x4000);
	disk.state.ultra = 4;
	disk.state.multiple = 0;
	disk.state.write_cache = false;
	disk.state.heads = 8;
	disk.state.sectors = 32;
	ata_page(&disk, &op, page);
	assert_int_equal(word(ATA_ID_ULTRA), 0x103f);
	assert_int_equal(word(ATA_ID_MULTIPLE), 0);
	assert_int_equal(word(ATA_ID_ENABLED_1) & ATA_ID_WRITE_CACHE, 0);
	assert_int_equal(word(ATA_ID_CURRENT + 1), 8);
	assert_int_equal(word(ATA_ID_CURRENT + 2), 32);
	assert_int_equal(word(ATA_ID_HEADS), 16);
}

static void test_transports(void **state)
{
	(void)state;
	identify(BIT(30), BLK_SECTOR, 0);
	assert_int_equal(word(ATA_ID_SATA), 0);
	assert_int_equal(word(ATA_ID_RESET_RESULT), 0x600b);
	identify(BIT(30), BLK_SECTOR, 32);
	assert_int_equal(word(ATA_ID_QUEUE_DEPTH), 31);
	assert_int_equal(word(ATA_ID_SATA) & ATA_ID_SATA_NCQ, ATA_ID_SATA_NCQ);
	assert_int_equal(word(ATA_ID_RESET_RESULT), 0);
	assert_int_equal(word(ATA_ID_DSM), 1);
}

static void test_smart(void **state)
{
	static const enum ata_page_kind kinds[] = {ATA_PAGE_SMART_DATA, ATA_PAGE_SMART_THRESHOLDS};

	(void)state;
	identify(BIT(30), BLK_SECTOR, 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct ata_operation op = {.action = ATA_DO_PAGE, .page = kinds[i]};

		ata_page(&disk, &op, page);
		assert_int_equal(word(0), 0x0010);
		assert_sum_is_zero();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),	 cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_settings), cmocka_unit_test(test_transports),
		cmocka_unit_test(test_smart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
