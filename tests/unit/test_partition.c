/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/blk/partition.h"
#include "tests/fakes/disk_rig.h"

#define SECTORS 400u

static struct disk_rig disk;
static struct blk_partition part;

static int setup(void **state)
{
	(void)state;
	disk_rig_init(&disk, "nvme0", SECTORS, 4096);
	assert_int_equal(blk_partition_init(&part, &disk.dev, 80, 160, false), HV_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_rig_fini(&disk);
	return 0;
}

static void requests_move_by_the_start(void **state)
{
	_Alignas(BLK_SECTOR) uint8_t buffer[8 * BLK_SECTOR];
	struct disk_rig_request q;

	(void)state;
	memset(buffer, 0x77, sizeof(buffer));
	disk_rig_ask(&part.dev, &q, BLK_WRITE, 152, 8, buffer);
	assert_int_equal(q.r.status, HV_OK);
	assert_int_equal(disk.last_sector, 80 + 152);
	assert_int_equal(disk.bytes[(80 + 152) * BLK_SECTOR], 0x77);
	assert_int_equal(disk.bytes[(80 + 160) * BLK_SECTOR], 0);
	disk_rig_ask(&part.dev, &q, BLK_DISCARD, 8, 16, NULL);
	assert_int_equal(disk.last_op, BLK_DISCARD);
	assert_int_equal(disk.last_sector, 88);
	assert_int_equal(disk.last_count, 16);
	disk_rig_ask(&part.dev, &q, BLK_FLUSH, 0, 0, NULL);
	assert_int_equal(disk.last_op, BLK_FLUSH);
	assert_int_equal(disk.last_sector, 0);
	assert_int_equal(part.dev.stats.requests[BLK_WRITE], 1);
	assert_int_equal(part.dev.stats.sectors[BLK_WRITE], 8);
}

static void nothing_beyond_its_end(void **state)
{
	_Alignas(BLK_SECTOR) uint8_t buffer[16 * BLK_SECTOR];
	struct disk_rig_request q;

	(void)state;
	disk_rig_ask(&part.dev, &q, BLK_READ, 160, 8, buffer);
	assert_int_equal(q.r.status, HV_E_RANGE);
	disk_rig_ask(&part.dev, &q, BLK_READ, 152, 16, buffer);
	assert_int_equal(q.r.status, HV_E_RANGE);
	disk_rig_ask(&part.dev, &q, BLK_WRITE, ~0ull - 79, 8, buffer);
	assert_int_equal(q.r.status, HV_E_RANGE);
	assert_int_equal(disk.requests, 0);
}

static void readonly_although_the_disk_is_not(void **state)
{
	_Alignas(BLK_SECTOR) uint8_t buffer[8 * BLK_SECTOR];
	struct disk_rig_request q;

	(void)state;
	assert_int_equal(blk_partition_init(&part, &disk.dev, 0, SECTORS, true), HV_OK);
	disk_rig_ask(&part.dev, &q, BLK_WRITE, 0, 8, buffer);
	assert_int_equal(q.r.status, HV_E_INVALID);
	disk_rig_ask(&part.dev, &q, BLK_DISCARD, 0, 8, NULL);
	assert_int_not_equal(q.r.status, HV_OK);
	assert_int_equal(disk.requests, 0);
	disk_rig_ask(&part.dev, &q, BLK_READ, 0, 8, buffer);
	assert_int_equal(q.r.status, HV_OK);
	disk.dev.readonly = true;
	assert_int_equal(blk_partition_init(&part, &disk.dev, 0, 8, false), HV_OK);
	assert_true(part.dev.readonly);
}

static void places_that_cannot_be(void **state)
{
	struct blk_partition p;

	(void)state;
	assert_int_equal(blk_partition_init(&p, &disk.dev, 0, 0, false), HV_E_RANGE);
	assert_int_equal(blk_partition_init(&p, &disk.dev, 392, 16, false), HV_E_RANGE);
	assert_int_equal(blk_partition_init(&p, &disk.dev, ~0ull - 7, 16, false), HV_E_RANGE);
	assert_int_equal(blk_partition_init(&p, &disk.dev, 4, 8, false), HV_E_INVALID);
	assert_int_equal(blk_partition_init(&p, &disk.dev, 8, 4, false), HV_E_INVALID);
	assert_int_equal(blk_partition_init(&p, &disk.dev, 392, 8, false), HV_OK);
}

static void copies_if_the_disk_does(void **state)
{
	_Alignas(BLK_SECTOR) uint8_t buffer[8 * BLK_SECTOR];
	struct blk_device *d = &part.dev;

	(void)state;
	assert_int_equal(disk_rig_try_copy(d, BLK_WRITE, 152, 8, buffer), HV_E_UNSUPPORTED);
	disk.dev.copies = true;
	assert_int_equal(blk_partition_init(&part, &disk.dev, 80, 160, false), HV_OK);
	memset(buffer, 0x77, sizeof(buffer));
	assert_int_equal(disk_rig_try_copy(d, BLK_WRITE, 152, 8, buffer), HV_OK);
	assert_int_equal(disk.bytes[(80 + 152) * BLK_SECTOR], 0x77);
	assert_int_equal(disk.bytes[(80 + 152) * BLK_SECTOR - 1], 0);
	assert_int_equal(disk_rig_try_copy(d, BLK_READ, 144, 8, buffer), HV_OK);
	assert_int_equal(buffer[0], 0);
	assert_int_equal(disk_rig_try_copy(d, BLK_READ, 160, 8, buffer), HV_E_RANGE);
	assert_int_equal(part.dev.stats.sectors[BLK_WRITE], 8);
	assert_int_equal(blk_partition_init(&part, &disk.dev, 80, 160, true), HV_OK);
	assert_int_equal(disk_rig_try_copy(d, BLK_WRITE, 152, 8, buffer), HV_E_INVALID);
	assert_int_equal(disk.requests, 2);
}

static void polls_the_disk(void **state)
{
	_Alignas(BLK_SECTOR) uint8_t buffer[8 * BLK_SECTOR];
	struct disk_rig_request q;

	(void)state;
	disk.holds = true;
	disk_rig_ask(&part.dev, &q, BLK_READ, 0, 8, buffer);
	assert_int_equal(q.done, 0);
	part.dev.ops->poll(&part.dev);
	assert_int_equal(q.done, 1);
}

static void errors_count_where_they_were_asked(void **state)
{
	_Alignas(BLK_SECTOR) uint8_t buffer[8 * BLK_SECTOR];
	struct disk_rig_request q;

	(void)state;
	disk.failure = HV_E_IO;
	disk_rig_ask(&part.dev, &q, BLK_READ, 0, 8, buffer);
	assert_int_equal(q.r.status, HV_E_IO);
	assert_int_equal(part.dev.stats.errors, 1);
	assert_int_equal(disk.dev.stats.errors, 1);
	/* The same request, asked elsewhere the next time. */
	assert_null(q.r.asked);
	q.r.sector = 0;
	blk_submit(&disk.dev, &q.r);
	assert_int_equal(q.done, 2);
	assert_int_equal(part.dev.stats.errors, 1);
	assert_int_equal(disk.dev.stats.errors, 2);
	disk.failure = HV_OK;
	disk_rig_ask(&part.dev, &q, BLK_READ, 0, 8, buffer);
	assert_int_equal(part.dev.stats.errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_move_by_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_beyond_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(readonly_although_the_disk_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(places_that_cannot_be, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_count_where_they_were_asked, setup,
						teardown),
		cmocka_unit_test_setup_teardown(copies_if_the_disk_does, setup, teardown),
		cmocka_unit_test_setup_teardown(polls_the_disk, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
