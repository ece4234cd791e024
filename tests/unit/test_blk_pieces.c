/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/blk_pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/blk_rig.h"

static _Alignas(4096) uint8_t buffers[BOUNCE_BYTES];
static struct blk_pieces pieces;
static unsigned finished, asked;
static uint64_t last_mark;

static uint64_t finish(struct blk_pieces *p, struct blk_piece *piece)
{
	assert_ptr_equal(p, &pieces);
	assert_ptr_equal(piece->owner, &pieces);
	finished++;
	last_mark = piece->mark;
	blk_piece_give(piece);
	return 1000;
}

static void ask(struct blk_pieces *p)
{
	assert_ptr_equal(p, &pieces);
	asked++;
}

static const struct blk_pieces_ops ops = {finish, ask};

static int setup(void **state)
{
	(void)state;
	rig_disk_init();
	finished = 0;
	asked = 0;
	blk_pieces_init(&pieces, &ops, buffers);
	return 0;
}

static void send(uint64_t sector)
{
	uint32_t bytes = BLK_SECTOR;
	struct blk_piece *piece = blk_piece_take_buffer(&pieces, &pieces, &bytes);

	assert_non_null(piece);
	assert_int_equal(bytes, BLK_SECTOR);
	piece->mark = sector;
	piece->r.op = BLK_READ;
	piece->r.sector = sector;
	piece->r.count = 1;
	blk_piece_send(piece, &rig_disk);
}

static void test_take(void **state)
{
	struct blk_piece *taken[BLK_PIECES];

	(void)state;
	for (unsigned i = 0; i < BLK_PIECES; i++) {
		taken[i] = blk_piece_take(&pieces, &pieces);
		assert_int_equal(blk_piece_index(taken[i]), i);
		assert_null(taken[i]->r.buffer);
	}
	assert_null(blk_piece_take(&pieces, &pieces));
	blk_piece_give(taken[33]);
	assert_false(blk_pieces_all_free(&pieces));
	assert_ptr_equal(blk_piece_take(&pieces, &pieces), taken[33]);
	for (unsigned i = 0; i < BLK_PIECES; i++) {
		blk_piece_give(taken[i]);
	}
	assert_true(blk_pieces_all_free(&pieces));
}

/* Less than was asked for, then none, and no piece is lost with it. */
static void test_buffers(void **state)
{
	uint32_t bytes = BOUNCE_RUN_MAX * PAGE_SIZE;
	uint32_t small = PAGE_SIZE + 1;
	struct blk_piece *first = blk_piece_take_buffer(&pieces, &pieces, &bytes);
	struct blk_piece *odd = blk_piece_take_buffer(&pieces, &pieces, &small);
	struct blk_piece *half;

	(void)state;
	assert_ptr_equal(first->r.buffer, buffers);
	assert_int_equal(small, PAGE_SIZE + 1);
	assert_ptr_equal(odd->r.buffer, buffers + BOUNCE_RUN_MAX * PAGE_SIZE);
	half = blk_piece_take_buffer(&pieces, &pieces, &bytes);
	assert_int_equal(bytes, BOUNCE_RUN_MAX * PAGE_SIZE / 2);
	for (bytes = PAGE_SIZE; blk_piece_take_buffer(&pieces, &pieces, &bytes) != NULL;) {
		assert_int_equal(bytes, PAGE_SIZE);
	}
	assert_int_equal(__builtin_popcountll(~pieces.free), 3 + 30);
	blk_piece_give(half);
	bytes = BOUNCE_RUN_MAX * PAGE_SIZE;
	assert_non_null(blk_piece_take_buffer(&pieces, &pieces, &bytes));
	assert_int_equal(bytes, BOUNCE_RUN_MAX * PAGE_SIZE / 2);
}

static void test_at_once(void **state)
{
	(void)state;
	send(9);
	assert_int_equal(finished, 1);
	assert_int_equal(last_mark, 9);
	assert_int_equal(asked, 0);
	assert_false(blk_pieces_are_open(&pieces));
	assert_true(blk_pieces_all_free(&pieces) && blk_pieces_are_idle(&pieces));
}

/* A budget that is too small ends the collecting; what is left is not lost, and comes first. */
static void test_budget(void **state)
{
	uint32_t budget = 2 * (BLK_COST_PIECE + 1000) - 1;

	(void)state;
	rig_disk_holds = true;
	for (unsigned i = 0; i < 3; i++) {
		send(i);
		rig_disk_finish(0, HV_OK);
	}
	assert_int_equal(asked, 1);
	assert_true(blk_pieces_are_idle(&pieces));
	assert_false(blk_pieces_collect(&pieces, &budget));
	assert_int_equal(finished, 2);
	assert_int_equal(budget, 0);
	assert_true(blk_pieces_are_open(&pieces));
	assert_false(blk_pieces_collect(&pieces, &budget));
	/* One more comes while the last of the old ones waits. */
	send(7);
	rig_disk_finish(0, HV_OK);
	assert_int_equal(asked, 2);
	budget = 1;
	assert_false(blk_pieces_collect(&pieces, &budget));
	assert_int_equal(finished, 3);
	assert_int_equal(last_mark, 0);
	budget = UINT32_MAX;
	assert_true(blk_pieces_collect(&pieces, &budget));
	assert_int_equal(budget, UINT32_MAX - BLK_COST_PIECE - 1000);
	assert_int_equal(last_mark, 7);
	assert_false(blk_pieces_are_open(&pieces));
	assert_true(blk_pieces_all_free(&pieces));
}

static void test_bytes_max(void **state)
{
	(void)state;
	assert_int_equal(blk_piece_bytes_max(&rig_disk), BOUNCE_RUN_MAX * PAGE_SIZE);
	rig_disk.max_count = 9;
	assert_int_equal(blk_piece_bytes_max(&rig_disk), PAGE_SIZE);
	rig_disk.max_count = 3;
	rig_disk.block_size = 1024;
	assert_int_equal(blk_piece_bytes_max(&rig_disk), 1024);
	rig_disk.max_count = 1;
	assert_int_equal(blk_piece_bytes_max(&rig_disk), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_take, setup),
		cmocka_unit_test_setup(test_buffers, setup),
		cmocka_unit_test_setup(test_at_once, setup),
		cmocka_unit_test_setup(test_budget, setup),
		cmocka_unit_test_setup(test_bytes_max, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
