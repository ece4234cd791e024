/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/blk/image.h"
#include "tests/fakes/disk_rig.h"

#define SECTORS 20u

static _Alignas(BLK_SECTOR) uint8_t data[SECTORS * BLK_SECTOR];
static struct blk_image image;

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i / BLK_SECTOR + i);
	}
	assert_int_equal(blk_image_init(&image, "web/root.img", data, sizeof(data)), HV_OK);
	return 0;
}

static void reads_its_sectors(void **state)
{
	_Alignas(BLK_SECTOR) uint8_t buffer[3 * BLK_SECTOR];
	struct disk_rig_request q;

	(void)state;
	assert_int_equal(image.dev.sectors, SECTORS);
	assert_string_equal(image.dev.name, "web/root.img");
	disk_rig_ask(&image.dev, &q, BLK_READ, SECTORS - 3, 3, buffer);
	assert_int_equal(q.done, 1);
	assert_int_equal(q.r.status, HV_OK);
	assert_memory_equal(buffer, data + (SECTORS - 3) * BLK_SECTOR, sizeof(buffer));
	disk_rig_ask(&image.dev, &q, BLK_READ, SECTORS - 2, 3, buffer);
	assert_int_equal(q.r.status, HV_E_RANGE);
}

static void copies_its_sectors(void **state)
{
	uint8_t got[3 * BLK_SECTOR] = {0};
	struct disk_rig_copier short_one = disk_rig_copier(got, BLK_SECTOR);
	struct blk_request two = {.op = BLK_READ, .count = 2};

	(void)state;
	assert_int_equal(disk_rig_try_copy(&image.dev, BLK_READ, SECTORS - 3, 3, got), HV_OK);
	assert_memory_equal(got, data + (SECTORS - 3) * BLK_SECTOR, sizeof(got));
	assert_int_equal(disk_rig_try_copy(&image.dev, BLK_READ, SECTORS - 2, 3, got), HV_E_RANGE);
	assert_int_equal(disk_rig_try_copy(&image.dev, BLK_WRITE, 0, 1, got), HV_E_INVALID);
	assert_int_equal(blk_copy(&image.dev, &two, &short_one.c), HV_E_IO);
}

static void is_never_written(void **state)
{
	static uint8_t before[sizeof(data)];
	_Alignas(BLK_SECTOR) uint8_t buffer[BLK_SECTOR] = {1, 2, 3};
	struct disk_rig_request q;

	(void)state;
	memcpy(before, data, sizeof(data));
	disk_rig_ask(&image.dev, &q, BLK_WRITE, 1, 1, buffer);
	assert_int_equal(q.r.status, HV_E_INVALID);
	disk_rig_ask(&image.dev, &q, BLK_WRITE_ZEROES, 1, 1, NULL);
	assert_int_not_equal(q.r.status, HV_OK);
	disk_rig_ask(&image.dev, &q, BLK_DISCARD, 1, 1, NULL);
	assert_int_not_equal(q.r.status, HV_OK);
	disk_rig_ask(&image.dev, &q, BLK_FLUSH, 0, 0, NULL);
	assert_int_equal(q.r.status, HV_OK);
	assert_memory_equal(before, data, sizeof(data));
}

static void sizes_that_are_no_disk(void **state)
{
	struct blk_image other;

	(void)state;
	assert_int_equal(blk_image_init(&other, "x", data, 0), HV_E_INVALID);
	assert_int_equal(blk_image_init(&other, "x", data, 511), HV_E_INVALID);
	assert_int_equal(blk_image_init(&other, "x", data, 513), HV_E_INVALID);
	assert_int_equal(blk_image_init(&other, "x", data, 512), HV_OK);
	assert_int_equal(other.dev.sectors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_its_sectors, setup),
		cmocka_unit_test_setup(copies_its_sectors, setup),
		cmocka_unit_test_setup(is_never_written, setup),
		cmocka_unit_test_setup(sizes_that_are_no_disk, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
