/* SPDX-License-Identifier: Apache-2.0 */
/* Variables on a device: what is there after a power cut, at any moment, and after failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/base/log.h"
#include "hv/blk/varstore.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/fake_cpu.h"

#define BLOCKS 70u /* more than a word of a set */
#define SIZE (BLOCKS * VARSTORE_BLOCK)
#define DEVICE_BYTES ((BLOCKS + 1) * 2 * VARSTORE_BLOCK)

static struct disk_rig disk;
static struct varstore v;
static uint8_t contents[SIZE];
static _Alignas(4096) uint8_t staging[SIZE + VARSTORE_BLOCK];
static char why[VARSTORE_WHY_MAX];
static char text[4096];

static void keep_text(const char *line, size_t n)
{
	size_t at = strlen(text);

	snprintf(text + at, sizeof(text) - at, "%.*s", (int)n, line);
}

/* The machine starts again: memory is as firmware's template, the disk as it was. */
static enum hv_status boot(enum varstore_origin *origin)
{
	memset(contents, 0x77, sizeof(contents));
	memset(staging, 0xee, sizeof(staging));
	why[0] = '\0';
	varstore_init(&v, "guest web", contents, BLOCKS);
	return varstore_open(&v, &disk.dev, staging, origin, why);
}

static void boots_with(enum varstore_origin expected)
{
	enum varstore_origin origin;

	assert_int_equal(boot(&origin), HV_OK);
	assert_int_equal(origin, expected);
}

static void refused(enum hv_status status, const char *words)
{
	enum varstore_origin origin;

	assert_int_equal(boot(&origin), status);
	if (strstr(why, words) == NULL) {
		fail_msg("no '%s' in '%s'", words, why);
	}
	assert_int_equal(contents[0], 0x77);
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	clock_init(1000000000);
	text[0] = '\0';
	log_set_sink(keep_text);
	disk_rig_init(&disk, "nvme0 partition 3", DEVICE_BYTES / BLK_SECTOR, 512);
	disk.dev.max_count = 24; /* three blocks */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_rig_fini(&disk);
	return 0;
}

static void put(uint32_t offset, uint8_t value)
{
	varstore_put(&v, offset, &value, 1);
}

static void finish_all(void)
{
	while (disk.open_count != 0) {
		disk_rig_finish(&disk, 0);
	}
}

static void a_blank_device_takes_the_template(void **state)
{
	(void)state;
	boots_with(VARSTORE_BLANK);
	assert_int_equal(contents[SIZE - 1], 0x77);
	/* Reading writes nothing. */
	for (unsigned i = 0; i < DEVICE_BYTES; i++) {
		assert_int_equal(disk.bytes[i], 0);
	}
	assert_false(varstore_settled(&v));
	assert_true(varstore_settled(&v));
	boots_with(VARSTORE_STORED);
	assert_int_equal(contents[0], 0x77);
	/* Flash that was erased is blank as well. */
	memset(disk.bytes, 0xff, DEVICE_BYTES);
	boots_with(VARSTORE_BLANK);
}

static void what_was_put_is_there_again(void **state)
{
	static const uint8_t long_one[2 * VARSTORE_BLOCK] = {1, 2, 3};
	unsigned before;

	(void)state;
	boots_with(VARSTORE_BLANK);
	put(5, 0x11);
	put(SIZE - 1, 0x22);
	varstore_put(&v, 64 * VARSTORE_BLOCK - 1, long_one, sizeof(long_one));
	assert_int_equal(contents[5], 0x11);
	varstore_sync(&v);
	assert_true(varstore_settled(&v));
	boots_with(VARSTORE_STORED);
	assert_int_equal(contents[4], 0x77);
	assert_int_equal(contents[5], 0x11);
	assert_int_equal(contents[SIZE - 1], 0x22);
	assert_memory_equal(contents + 64 * VARSTORE_BLOCK - 1, long_one, sizeof(long_one));
	assert_true(varstore_settled(&v));
	/* Only what has changed is written: two blocks of the other copy by then, and a header. */
	put(5, 0x12);
	varstore_sync(&v);
	put(VARSTORE_BLOCK * 10, 0x33);
	varstore_sync(&v);
	before = disk.requests;
	put(6, 0x13);
	varstore_sync(&v);
	assert_int_equal(disk.requests - before, 2 + 3);
	varstore_sync(&v);
	assert_int_equal(disk.requests - before, 2 + 3);
	boots_with(VARSTORE_STORED);
	assert_int_equal(contents[5], 0x12);
	assert_int_equal(contents[6], 0x13);
	assert_int_equal(contents[VARSTORE_BLOCK * 10], 0x33);
}

/* Each write is a flush, its header, a flush, in this order behind the contents. */
static void the_header_comes_behind_the_contents(void **state)
{
	(void)state;
	boots_with(VARSTORE_BLANK);
	(void)varstore_settled(&v);
	disk.holds = true;
	put(0, 0x01);
	varstore_sync(&v);
	/* The other copy has all blocks to get: 24 requests of three, at most. */
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(disk.last_op, BLK_WRITE);
		assert_true(disk.last_sector >= 2 * 8);
		disk_rig_finish(&disk, 0);
	}
	assert_int_equal(disk.last_op, BLK_FLUSH);
	disk_rig_finish(&disk, 0);
	assert_int_equal(disk.last_op, BLK_WRITE);
	assert_int_equal(disk.last_sector, 0);
	assert_int_equal(disk.last_count, 8);
	disk_rig_finish(&disk, 0);
	assert_int_equal(disk.last_op, BLK_FLUSH);
	assert_false(varstore_settled(&v));
	disk_rig_finish(&disk, 0);
	assert_int_equal(disk.open_count, 0);
	assert_true(varstore_settled(&v));
}

static void changes_meanwhile_are_written_behind(void **state)
{
	(void)state;
	boots_with(VARSTORE_BLANK);
	(void)varstore_settled(&v);
	disk.holds = true;
	put(0, 0x01);
	varstore_sync(&v);
	/* Not in this picture, but in the next one, if it was asked for. */
	put(1, 0x02);
	varstore_sync(&v);
	varstore_sync(&v);
	put(2, 0x03);
	finish_all();
	disk.holds = false;
	boots_with(VARSTORE_STORED);
	assert_int_equal(contents[0], 0x01);
	assert_int_equal(contents[1], 0x02);
	assert_int_equal(contents[2], 0x03);
	assert_true(varstore_settled(&v));
}

/* Byte 0 counts puts, and so does the last byte of each block: a whole picture has them equal. */
static void put_everywhere(uint8_t n)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		put((i + 1) * VARSTORE_BLOCK - 1, n);
	}
}

static void whatever_was_cut_off_one_picture_is_whole(void **state)
{
	static uint8_t disk_then[DEVICE_BYTES];
	uint8_t at_least = 0x77;

	(void)state;
	for (unsigned cut = 0; cut < 90; cut++) {
		memset(disk.bytes, 0, DEVICE_BYTES);
		disk.holds = false;
		boots_with(VARSTORE_BLANK);
		(void)varstore_settled(&v);
		disk.holds = true;
		at_least = 0x77;
		for (uint8_t n = 1, left = (uint8_t)cut; left != 0; n++) {
			put_everywhere(n);
			varstore_sync(&v);
			for (; disk.open_count != 0 && left != 0; left--) {
				disk_rig_finish(&disk, 0);
			}
			if (disk.open_count == 0) {
				at_least = n;
			}
		}
		/* What the disk had no time for is lost, half of it in the middle. */
		if (disk.open_count != 0 && disk.open[0]->op == BLK_WRITE) {
			memcpy(disk.bytes + disk.open[0]->sector * BLK_SECTOR, disk.open[0]->buffer,
			       700);
		}
		memcpy(disk_then, disk.bytes, sizeof(disk_then));
		disk.open_count = 0;
		disk.holds = false;
		boots_with(VARSTORE_STORED);
		for (unsigned i = 1; i <= BLOCKS; i++) {
			assert_int_equal(contents[i * VARSTORE_BLOCK - 1],
					 contents[VARSTORE_BLOCK - 1]);
		}
		assert_true(contents[VARSTORE_BLOCK - 1] == at_least ||
			    contents[VARSTORE_BLOCK - 1] == (at_least == 0x77 ? 1 : at_least + 1));
		assert_memory_equal(disk.bytes, disk_then, sizeof(disk_then));
	}
}

/* Nothing but the template can be there then: the guest starts, whatever came of that. */
static void a_first_write_that_was_cut_off_is_made_again(void **state)
{
	(void)state;
	for (unsigned cut = 0; cut < 24 + 3; cut++) {
		enum varstore_origin origin;

		memset(disk.bytes, cut % 2 == 0 ? 0 : 0xff, DEVICE_BYTES);
		boots_with(VARSTORE_BLANK);
		disk.holds = true;
		assert_false(varstore_settled(&v));
		for (unsigned i = 0; i < cut; i++) {
			disk_rig_finish(&disk, 0);
		}
		/* Of what the disk had no time for, two sectors. */
		if (disk.open_count != 0 && disk.open[0]->op == BLK_WRITE) {
			memcpy(disk.bytes + disk.open[0]->sector * BLK_SECTOR, disk.open[0]->buffer,
			       2 * BLK_SECTOR);
		}
		disk.open_count = 0;
		disk.holds = false;
		assert_int_equal(boot(&origin), HV_OK);
		assert_int_equal(contents[SIZE - 1], 0x77);
		(void)varstore_settled(&v);
		assert_true(varstore_settled(&v));
		boots_with(VARSTORE_STORED);
		assert_int_equal(contents[SIZE - 1], 0x77);
	}
}

static void a_failing_disk_is_told_once(void **state)
{
	(void)state;
	boots_with(VARSTORE_BLANK);
	(void)varstore_settled(&v);
	put(3, 0x31);
	disk.failure = HV_E_IO;
	varstore_sync(&v);
	assert_non_null(strstr(text, "guest web: variables cannot be written to nvme0 partition 3: "
				     "input/output error; they are kept in memory"));
	text[0] = '\0';
	put(4, 0x41);
	varstore_sync(&v);
	assert_null(strstr(text, "cannot"));
	assert_true(varstore_fails(&v));
	/* A guest's end does not wait for a disk that is broken. */
	assert_true(varstore_settled(&v));
	assert_int_equal(contents[3], 0x31);
	disk.failure = HV_OK;
	put(5, 0x51);
	varstore_sync(&v);
	assert_non_null(strstr(text, "are written to nvme0 partition 3 again"));
	assert_false(varstore_fails(&v));
	assert_true(varstore_settled(&v));
	boots_with(VARSTORE_STORED);
	assert_memory_equal(contents + 3, "\x31\x41\x51", 3);
}

static void a_damaged_copy_leaves_the_other(void **state)
{
	(void)state;
	boots_with(VARSTORE_BLANK);
	put(0, 0x01);
	varstore_sync(&v); /* copy 1 */
	put(0, 0x02);
	varstore_sync(&v); /* copy 0 */
	disk.bytes[2 * VARSTORE_BLOCK + 9] ^= 1;
	boots_with(VARSTORE_STORED);
	assert_int_equal(contents[0], 0x01);
	assert_non_null(strstr(text, "copy 0 of the variables on nvme0 partition 3 is damaged"));
	/* It is the one that is written next. */
	put(0, 0x03);
	varstore_sync(&v);
	boots_with(VARSTORE_STORED);
	assert_int_equal(contents[0], 0x03);
	/* A header of which a part is new. */
	disk.bytes[16] ^= 1;
	boots_with(VARSTORE_STORED);
	assert_int_equal(contents[0], 0x01);
	disk.bytes[VARSTORE_BLOCK + 40] ^= 1;
	refused(HV_E_INVALID, "variables that are damaged; to begin anew, fill the first 568 KiB");
}

static void what_is_something_else_stays(void **state)
{
	enum varstore_origin origin;

	(void)state;
	disk.bytes[DEVICE_BYTES - 1] = 1;
	refused(HV_E_INVALID, "something else than variables");
	disk.bytes[DEVICE_BYTES - 1] = 0;
	disk.bytes[1080] = 0x53;
	refused(HV_E_INVALID, "fill the first 568 KiB with zeros");
	disk.bytes[1080] = 0;
	boots_with(VARSTORE_BLANK);
	(void)varstore_settled(&v);
	varstore_init(&v, "guest web", contents, BLOCKS - 1);
	assert_int_equal(varstore_open(&v, &disk.dev, staging, &origin, why), HV_E_INVALID);
	assert_string_equal(why, "holds variables of another size, 280 KiB; wanted: 276 KiB");
}

static void devices_that_cannot_hold_it(void **state)
{
	(void)state;
	disk.dev.sectors--;
	refused(HV_E_RANGE, "has 567 KiB; needed: 568 KiB");
	disk.dev.sectors++;
	disk.dev.block_size = 8192;
	refused(HV_E_UNSUPPORTED, "blocks of 8192 bytes");
	disk.dev.block_size = 4096;
	disk.failure = HV_E_IO;
	refused(HV_E_IO, "cannot be read");
	disk.failure = HV_OK;
	boots_with(VARSTORE_BLANK);
}

static void without_a_device_memory_is_all(void **state)
{
	(void)state;
	memset(contents, 0x77, sizeof(contents));
	varstore_init(&v, "guest web", contents, BLOCKS);
	put(7, 0x08);
	varstore_sync(&v);
	assert_true(varstore_settled(&v));
	assert_int_equal(contents[7], 0x08);
	assert_int_equal(disk.requests, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_blank_device_takes_the_template),
		TEST(what_was_put_is_there_again),
		TEST(the_header_comes_behind_the_contents),
		TEST(changes_meanwhile_are_written_behind),
		TEST(whatever_was_cut_off_one_picture_is_whole),
		TEST(a_first_write_that_was_cut_off_is_made_again),
		TEST(a_failing_disk_is_told_once),
		TEST(a_damaged_copy_leaves_the_other),
		TEST(what_is_something_else_stays),
		TEST(devices_that_cannot_hold_it),
		TEST(without_a_device_memory_is_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
