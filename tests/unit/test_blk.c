/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/api/blk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "tests/fakes/fake_cpu.h"

#define SECTORS 1000u
#define MAX_COUNT 64u

static struct blk_device device;
static _Alignas(BLK_SECTOR) uint8_t buffer[MAX_COUNT * BLK_SECTOR];
static struct blk_request *open_request;
static unsigned submitted;
static unsigned done_count;
static unsigned polls;
static unsigned polls_until_done; /* 0: done at once */

static void submit(struct blk_device *d, struct blk_request *r)
{
	assert_ptr_equal(d, &device);
	submitted++;
	if (polls_until_done == 0) {
		blk_done(d, r, HV_OK);
	} else {
		open_request = r;
	}
}

static void poll(struct blk_device *d)
{
	polls++;
	if (polls == polls_until_done) {
		blk_done(d, open_request, HV_E_IO);
	}
}

static void done(struct blk_request *r)
{
	(void)r;
	done_count++;
}

/* What `copy` returns, and how often it was reached. */
static enum hv_status copy_status;
static unsigned copied;

static enum hv_status copy(struct blk_device *d, const struct blk_request *r, struct blk_copier *c)
{
	assert_ptr_equal(d, &device);
	assert_null(r->buffer);
	assert_null(c);
	copied++;
	return copy_status;
}

static const struct blk_ops ops = {.submit = submit, .poll = poll, .copy = copy};

static int setup(void **state)
{
	(void)state;
	device = (struct blk_device){.ops = &ops,
				     .sectors = SECTORS,
				     .block_size = BLK_SECTOR,
				     .max_count = MAX_COUNT,
				     .discards = true,
				     .write_zeroes = true};
	submitted = 0;
	copied = 0;
	copy_status = HV_OK;
	done_count = 0;
	polls = 0;
	polls_until_done = 0;
	fake_cpu_reset();
	clock_init(1000000000);
	fake_tsc = 1000;
	return 0;
}

/* The status of one request; it is done once, and reached the device only if it was in order. */
static enum hv_status try(enum blk_op op, uint64_t sector, uint32_t count, void *data)
{
	struct blk_request r = {
		.op = op, .sector = sector, .count = count, .buffer = data, .done = done};
	unsigned before = submitted;
	unsigned done_before = done_count;
	uint64_t errors = device.stats.errors;

	blk_submit(&device, &r);
	assert_int_equal(done_count, done_before + 1);
	assert_int_equal(submitted, before + (r.status == HV_OK));
	assert_int_equal(device.stats.errors, errors + (r.status != HV_OK));
	return r.status;
}

static void test_ranges(void **state)
{
	(void)state;
	for (unsigned op = 0; op < BLK_OP_COUNT; op++) {
		if (op == BLK_FLUSH) {
			continue;
		}
		assert_int_equal(try(op, 0, 1, buffer), HV_OK);
		assert_int_equal(try(op, SECTORS - 8, 8, buffer), HV_OK);
		assert_int_equal(try(op, SECTORS - 8, 9, buffer), HV_E_RANGE);
		assert_int_equal(try(op, SECTORS, 1, buffer), HV_E_RANGE);
		assert_int_equal(try(op, UINT64_MAX, 2, buffer), HV_E_RANGE);
		assert_int_equal(try(op, 0, 0, buffer), HV_E_INVALID);
	}
	assert_int_equal(try(BLK_FLUSH, 0, 0, NULL), HV_OK);
	assert_int_equal(try(BLK_FLUSH, 0, 1, NULL), HV_E_INVALID);
	assert_int_equal(try(BLK_OP_COUNT, 0, 1, buffer), HV_E_INVALID);
}

static void test_transfers(void **state)
{
	(void)state;
	for (unsigned op = BLK_READ; op <= BLK_WRITE; op++) {
		assert_int_equal(try(op, 0, MAX_COUNT, buffer), HV_OK);
		assert_int_equal(try(op, 0, MAX_COUNT + 1, buffer), HV_E_INVALID);
		assert_int_equal(try(op, 0, 1, NULL), HV_E_INVALID);
		assert_int_equal(try(op, 0, 1, buffer + 256), HV_E_INVALID);
	}
	/* What moves no data may be longer. */
	assert_int_equal(try(BLK_DISCARD, 0, SECTORS, NULL), HV_OK);
	assert_int_equal(try(BLK_WRITE_ZEROES, 0, SECTORS, NULL), HV_OK);
}

static void test_blocks(void **state)
{
	(void)state;
	device.block_size = 4096;
	assert_int_equal(try(BLK_READ, 8, 16, buffer), HV_OK);
	assert_int_equal(try(BLK_READ, 4, 8, buffer), HV_E_INVALID);
	assert_int_equal(try(BLK_WRITE, 8, 4, buffer), HV_E_INVALID);
	assert_int_equal(try(BLK_DISCARD, 8, 9, NULL), HV_E_INVALID);
	assert_int_equal(try(BLK_FLUSH, 0, 0, NULL), HV_OK);
}

static void test_what_a_device_lacks(void **state)
{
	(void)state;
	device.readonly = true;
	assert_int_equal(try(BLK_READ, 0, 1, buffer), HV_OK);
	assert_int_equal(try(BLK_FLUSH, 0, 0, NULL), HV_OK);
	assert_int_equal(try(BLK_WRITE, 0, 1, buffer), HV_E_INVALID);
	assert_int_equal(try(BLK_DISCARD, 0, 1, NULL), HV_E_INVALID);
	assert_int_equal(try(BLK_WRITE_ZEROES, 0, 1, NULL), HV_E_INVALID);
	device.readonly = false;
	device.discards = false;
	assert_int_equal(try(BLK_DISCARD, 0, 1, NULL), HV_E_UNSUPPORTED);
	device.write_zeroes = false;
	assert_int_equal(try(BLK_WRITE_ZEROES, 0, 1, NULL), HV_E_UNSUPPORTED);
	device.removed = true;
	assert_int_equal(try(BLK_READ, 0, 1, buffer), HV_E_IO);
}

static void test_stats(void **state)
{
	(void)state;
	(void)try(BLK_READ, 0, 3, buffer);
	(void)try(BLK_READ, 0, 4, buffer);
	(void)try(BLK_READ, SECTORS, 4, buffer);
	(void)try(BLK_WRITE, 0, 5, buffer);
	assert_int_equal(device.stats.requests[BLK_READ], 2);
	assert_int_equal(device.stats.sectors[BLK_READ], 7);
	assert_int_equal(device.stats.requests[BLK_WRITE], 1);
	assert_int_equal(device.stats.sectors[BLK_WRITE], 5);
	assert_int_equal(device.stats.errors, 1);
}

static void test_sync(void **state)
{
	struct blk_request r = {.op = BLK_READ, .count = 1, .buffer = buffer};

	(void)state;
	assert_int_equal(blk_sync(&device, &r, 1000), HV_OK);
	assert_int_equal(polls, 0);
	polls_until_done = 3;
	assert_int_equal(blk_sync(&device, &r, 1000), HV_E_IO);
	assert_int_equal(polls, 3);
	assert_int_equal(r.status, HV_E_IO);
	r.sector = SECTORS;
	assert_int_equal(blk_sync(&device, &r, 1000), HV_E_RANGE);
}

static void test_sync_gives_up(void **state)
{
	struct blk_request r = {.op = BLK_READ, .count = 1, .buffer = buffer};
	uint64_t start = fake_tsc;

	(void)state;
	polls_until_done = UINT32_MAX;
	fake_cpu.tsc_step = 100;
	assert_int_equal(blk_sync(&device, &r, 5000), HV_E_IO);
	assert_in_range(fake_tsc - start, 5000, 5500);
	assert_in_range(polls, 40, 50);
}

static enum hv_status try_copy(enum blk_op op, uint64_t sector, uint32_t count)
{
	struct blk_request r = {.op = op, .sector = sector, .count = count};

	return blk_copy(&device, &r, NULL);
}

/* The same checks and counts as on the other way. */
static void test_copy(void **state)
{
	(void)state;
	assert_int_equal(try_copy(BLK_READ, 0, 1), HV_E_UNSUPPORTED);
	device.copies = true;
	assert_int_equal(try_copy(BLK_FLUSH, 0, 0), HV_E_UNSUPPORTED);
	assert_int_equal(try_copy(BLK_WRITE_ZEROES, 0, 1), HV_E_UNSUPPORTED);
	assert_int_equal(copied + device.stats.errors, 0);
	assert_int_equal(try_copy(BLK_READ, SECTORS - 8, 8), HV_OK);
	assert_int_equal(try_copy(BLK_READ, SECTORS - 8, 9), HV_E_RANGE);
	assert_int_equal(try_copy(BLK_READ, 0, 0), HV_E_INVALID);
	assert_int_equal(try_copy(BLK_READ, 0, MAX_COUNT + 1), HV_E_INVALID);
	assert_int_equal(try_copy(BLK_WRITE, 0, MAX_COUNT), HV_OK);
	device.readonly = true;
	assert_int_equal(try_copy(BLK_WRITE, 0, 1), HV_E_INVALID);
	device.removed = true;
	assert_int_equal(try_copy(BLK_READ, 0, 1), HV_E_IO);
	assert_int_equal(copied, 2);
	assert_int_equal(device.stats.requests[BLK_READ], 1);
	assert_int_equal(device.stats.sectors[BLK_READ], 8);
	assert_int_equal(device.stats.sectors[BLK_WRITE], MAX_COUNT);
	assert_int_equal(device.stats.errors, 5);
}

/* What blk_submit will do is not counted twice. */
static void test_copy_fails(void **state)
{
	(void)state;
	device.copies = true;
	copy_status = HV_E_UNSUPPORTED;
	assert_int_equal(try_copy(BLK_READ, 0, 1), HV_E_UNSUPPORTED);
	assert_int_equal(device.stats.requests[BLK_READ] + device.stats.errors, 0);
	copy_status = HV_E_IO;
	assert_int_equal(try_copy(BLK_READ, 0, 1), HV_E_IO);
	assert_int_equal(device.stats.requests[BLK_READ], 1);
	assert_int_equal(device.stats.errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ranges, setup),
		cmocka_unit_test_setup(test_transfers, setup),
		cmocka_unit_test_setup(test_blocks, setup),
		cmocka_unit_test_setup(test_what_a_device_lacks, setup),
		cmocka_unit_test_setup(test_stats, setup),
		cmocka_unit_test_setup(test_sync, setup),
		cmocka_unit_test_setup(test_sync_gives_up, setup),
		cmocka_unit_test_setup(test_copy, setup),
		cmocka_unit_test_setup(test_copy_fails, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
