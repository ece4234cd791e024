/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/blk_transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "tests/fakes/blk_rig.h"

#define DATA_BYTES 0x80000u

/* The guest is an array. */
static uint8_t guest[DATA_BYTES];
static uint64_t guest_bytes; /* how many of them are memory */
static _Alignas(4096) uint8_t buffers[BOUNCE_BYTES];
static struct blk_transfers all;
static struct blk_transfer transfer;
static unsigned done_count, asked;

static bool copy(struct blk_transfer *t, uint64_t offset, void *memory, uint32_t bytes)
{
	if (offset + bytes > guest_bytes) {
		return false;
	}
	if (t->op == BLK_READ) {
		memcpy(guest + offset, memory, bytes);
	} else {
		memcpy(memory, guest + offset, bytes);
	}
	return true;
}

static void done(struct blk_transfer *t)
{
	assert_int_equal(t->open, 0);
	done_count++;
}

static void ask(struct blk_transfers *who)
{
	assert_ptr_equal(who, &all);
	asked++;
}

static const struct blk_transfer_ops ops = {copy, done, ask};

static int setup(void **state)
{
	(void)state;
	rig_disk_init();
	memset(guest, 0xee, sizeof(guest));
	guest_bytes = DATA_BYTES;
	done_count = 0;
	asked = 0;
	return blk_transfers_init(&all, &ops, &rig_disk, buffers) == HV_OK ? 0 : -1;
}

static void begin(enum blk_op op, uint64_t sector, uint64_t count)
{
	transfer = (struct blk_transfer){.op = op, .sector = sector, .count = count};
	blk_transfer_begin(&all, &transfer);
}

/* With budget for all of it. False: it waits. */
static bool send(void)
{
	uint32_t budget = UINT32_MAX;

	return blk_transfer_send(&transfer, &budget);
}

static void collect(void)
{
	uint32_t budget = UINT32_MAX;

	assert_true(blk_pieces_collect(&all.pieces, &budget));
}

static void once(enum blk_op op, uint64_t sector, uint64_t count)
{
	begin(op, sector, count);
	assert_true(send());
	blk_transfer_end(&transfer);
	assert_int_equal(done_count, 1);
	done_count = 0;
	assert_true(blk_pieces_all_free(&all.pieces));
	assert_true(blk_pieces_are_idle(&all.pieces));
	assert_int_equal(all.pieces.bounce.free[0] & all.pieces.bounce.free[1], UINT64_MAX);
}

static void test_init(void **state)
{
	(void)state;
	assert_int_equal(all.piece_bytes, BOUNCE_RUN_MAX * PAGE_SIZE);
	rig_disk.max_count = 3;
	rig_disk.block_size = 1024;
	assert_int_equal(blk_transfers_init(&all, &ops, &rig_disk, buffers), HV_OK);
	assert_int_equal(all.piece_bytes, 1024);
	rig_disk.max_count = 1;
	assert_int_equal(blk_transfers_init(&all, &ops, &rig_disk, buffers), HV_E_UNSUPPORTED);
	rig_disk.max_count = 2048;
	rig_disk.block_size = 8192;
	assert_int_equal(blk_transfers_init(&all, &ops, &rig_disk, buffers), HV_E_UNSUPPORTED);
}

/* By buffers and by copies: the same bytes, the same ends. */
static void test_data(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		rig_disk_init();
		rig_disk.copies = i == 1;
		once(BLK_READ, 77, DATA_BYTES / 512 - 1);
		assert_memory_equal(guest, rig_disk_data + 77 * 512, DATA_BYTES - 512);
		assert_int_equal(rig_disk_copied + rig_disk_seen[BLK_READ], 2);
		memset(guest, 0x77, 1024);
		once(BLK_WRITE, RIG_DISK_SECTORS - 2, 2);
		assert_memory_equal(rig_disk_data + RIG_DISK_BYTES - 1024, guest, 1024);
		assert_int_equal(rig_disk_data[RIG_DISK_BYTES - 1025], 0x5a);
		assert_int_equal(transfer.status, HV_OK);
	}
	once(BLK_READ, 0, 0);
	rig_disk.removed = true;
	once(BLK_READ, 0, 1);
	assert_int_equal(transfer.status, HV_E_IO);
}

static void test_bare(void **state)
{
	(void)state;
	rig_disk.sectors = 1u << 20;
	once(BLK_FLUSH, 0, 1);
	once(BLK_DISCARD, 5, 2 * BLK_PIECES_RANGE_MAX + 1);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 3);
	assert_int_equal(rig_disk.stats.sectors[BLK_DISCARD], 2 * BLK_PIECES_RANGE_MAX + 1);
	once(BLK_WRITE_ZEROES, 8, 16);
	assert_int_equal(rig_disk_data[8 * 512], 0);
	assert_int_equal(rig_disk_data[24 * 512], 24);
}

/* What is missing of the guest's memory ends the transfer; nothing behind it goes to the disk. */
static void test_broken(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		(void)setup(state);
		rig_disk.copies = i == 1;
		guest_bytes = 4096;
		once(BLK_WRITE, 8, 1024);
		assert_true(transfer.broken);
		assert_int_equal(rig_disk_data[16 * 512], 16);
		once(BLK_READ, 8, 1024);
		assert_true(transfer.broken);
	}
}

static void test_flush_after(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		(void)setup(state);
		rig_disk.copies = i == 1;
		begin(BLK_WRITE, 8, 4);
		transfer.flush_after = true;
		assert_true(send());
		assert_int_equal(rig_disk_seen[BLK_FLUSH], 0);
		rig_disk_holds = true;
		blk_transfer_end(&transfer);
		assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
		assert_int_equal(done_count, 0);
		rig_disk_finish(0, HV_E_IO);
		collect();
		assert_int_equal(done_count, 1);
		assert_int_equal(transfer.status, HV_E_IO);
	}
	/* Not for one that failed. */
	(void)setup(state);
	begin(BLK_WRITE, RIG_DISK_SECTORS, 4);
	transfer.flush_after = true;
	assert_true(send());
	blk_transfer_end(&transfer);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 0);
	assert_int_equal(done_count, 1);
}

/* More than buffers hold, back in any order. */
static void test_later(void **state)
{
	unsigned turn = 0;

	(void)state;
	rig_disk_holds = true;
	rig_disk.max_count = 8;
	assert_int_equal(blk_transfers_init(&all, &ops, &rig_disk, buffers), HV_OK);
	begin(BLK_READ, 40, DATA_BYTES / 512);
	assert_false(send());
	assert_int_equal(rig_disk_open_count, BLK_PIECES);
	assert_false(blk_pieces_are_idle(&all.pieces));
	while (rig_disk_open_count != 0) {
		rig_disk_finish(turn++ % 2 != 0 ? 0 : rig_disk_open_count - 1, HV_OK);
		assert_int_equal(asked, turn);
		collect();
		(void)send();
	}
	assert_true(send());
	assert_int_equal(done_count, 0);
	blk_transfer_end(&transfer);
	assert_int_equal(done_count, 1);
	assert_memory_equal(guest, rig_disk_data + 40 * 512, DATA_BYTES);
	assert_true(blk_pieces_all_free(&all.pieces));
}

/* Asked once for all that comes back before it is collected. */
static void test_asks_once(void **state)
{
	(void)state;
	rig_disk_holds = true;
	begin(BLK_READ, 0, 1024);
	assert_true(send());
	blk_transfer_end(&transfer);
	rig_disk_finish(0, HV_OK);
	rig_disk_finish(0, HV_E_IO);
	assert_int_equal(asked, 1);
	assert_true(blk_pieces_are_idle(&all.pieces));
	assert_false(blk_pieces_all_free(&all.pieces));
	collect();
	assert_int_equal(done_count, 1);
	assert_int_equal(transfer.status, HV_E_IO);
}

static void test_budget(void **state)
{
	uint32_t budget = 300000;

	(void)state;
	begin(BLK_READ, 0, 1024);
	assert_true(blk_transfer_send(&transfer, &budget));
	assert_int_equal(budget, 0);
	begin(BLK_DISCARD, 0, 8);
	assert_false(blk_transfer_send(&transfer, &budget));
	budget = 1;
	assert_true(blk_transfer_send(&transfer, &budget));
}

/* What is given up does not touch the guest when it comes back. */
static void test_give_up(void **state)
{
	(void)state;
	rig_disk_holds = true;
	begin(BLK_READ, 0, 8);
	assert_true(send());
	blk_transfer_end(&transfer);
	blk_transfers_give_up(&all);
	assert_false(blk_transfer_is_live(&transfer));
	rig_disk_finish(0, HV_OK);
	collect();
	assert_int_equal(done_count, 1);
	assert_int_equal(guest[0], 0xee);
	assert_true(blk_pieces_all_free(&all.pieces));
}

/* All pieces are open, and a write that waits for one is ended. */
static void test_ended_early(void **state)
{
	struct blk_transfer waits = {.op = BLK_WRITE, .count = 8, .flush_after = true};
	uint32_t budget = UINT32_MAX;

	(void)state;
	rig_disk_holds = true;
	rig_disk.max_count = 8;
	assert_int_equal(blk_transfers_init(&all, &ops, &rig_disk, buffers), HV_OK);
	begin(BLK_READ, 0, 8ull * BLK_PIECES);
	assert_true(send());
	blk_transfer_begin(&all, &waits);
	assert_false(blk_transfer_send(&waits, &budget));
	blk_transfer_end(&waits);
	assert_int_equal(done_count, 1);
	blk_transfer_end(&transfer);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	collect();
	assert_int_equal(done_count, 2);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 0);
	assert_true(blk_pieces_all_free(&all.pieces));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_init, setup),
		cmocka_unit_test_setup(test_data, setup),
		cmocka_unit_test_setup(test_bare, setup),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_flush_after),
		cmocka_unit_test_setup(test_later, setup),
		cmocka_unit_test_setup(test_asks_once, setup),
		cmocka_unit_test_setup(test_budget, setup),
		cmocka_unit_test_setup(test_give_up, setup),
		cmocka_unit_test_setup(test_ended_early, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
