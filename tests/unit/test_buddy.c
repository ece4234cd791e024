/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/base/bits.h"
#include "mm/buddy.h"
#include "tests/fakes/check.h"

#define FRAMES 4096u

static struct frame table[FRAMES];
static struct buddy buddy;

static int setup(void **state)
{
	(void)state;
	memset(table, 0, sizeof(table));
	buddy_init(&buddy, table, FRAMES, FRAME_FREE, 9);
	return 0;
}

/* Frames in blocks of each order, by walking the lists. */
static uint64_t count_lists(void)
{
	uint64_t frames = 0;

	for (unsigned order = 0; order <= 9; order++) {
		uint32_t prev = 0;

		for (uint32_t i = buddy.head[order]; i != 0; i = table[i].next) {
			assert_true(is_aligned(i, BIT(order)));
			assert_int_equal(table[i].order, order);
			assert_int_equal(table[i].prev, prev);
			for (uint32_t k = i; k < i + BIT(order); k++) {
				assert_int_equal(table[k].type, FRAME_FREE);
			}
			frames += BIT(order);
			prev = i;
		}
	}
	return frames;
}

static void ranges_become_the_fewest_blocks(void **state)
{
	(void)state;
	buddy_put_range(&buddy, 1, 1023);
	assert_int_equal(buddy.free, 1023);
	assert_int_equal(count_lists(), 1023);
	/* 1 .. 511 as 1, 2, 4 .. 256, then one block of 512. */
	for (unsigned order = 0; order <= 9; order++) {
		assert_int_equal(buddy.head[order], BIT(order));
		assert_int_equal(table[BIT(order)].next, 0);
	}
}

static void take_splits_and_put_joins(void **state)
{
	uint64_t first;
	uint64_t second;

	(void)state;
	buddy_put_range(&buddy, 512, 512);
	assert_true(buddy_take(&buddy, 0, &first));
	assert_int_equal(first, 512);
	assert_int_equal(count_lists(), 511);
	assert_false(buddy_take(&buddy, 9, &second));
	assert_true(buddy_take(&buddy, 8, &second));
	assert_int_equal(second, 768);
	table[first].type = FRAME_HV;
	buddy_put(&buddy, 768, 8);
	buddy_put(&buddy, first, 0);
	assert_int_equal(buddy.head[9], 512);
	assert_int_equal(count_lists(), 512);
}

static void blocks_do_not_grow_beyond_the_limit_or_the_table(void **state)
{
	(void)state;
	buddy_put_range(&buddy, 1024, 1024);
	assert_int_equal(table[1024].order, 9);
	assert_int_equal(table[1536].order, 9);
	/* The buddy of the last block lies behind the end of the table. */
	buddy_init(&buddy, table, 1536, FRAME_FREE, 18);
	buddy_put(&buddy, 1024, 9);
	assert_int_equal(table[1024].order, 9);
}

static void neighbours_of_another_kind_do_not_join(void **state)
{
	(void)state;
	buddy_put(&buddy, 512, 0);
	table[512].type = FRAME_POOL;
	table[512].order = 0;
	buddy.head[0] = 0;
	buddy_put(&buddy, 513, 0);
	assert_int_equal(buddy.head[0], 513);
	assert_int_equal(table[513].order, 0);
}

static void misuse_is_caught(void **state)
{
	(void)state;
	EXPECT_CHECK(buddy_put(&buddy, 0, 0));
	EXPECT_CHECK(buddy_put(&buddy, 513, 1));
	EXPECT_CHECK(buddy_put(&buddy, FRAMES, 0));
}

static void random_takes_never_overlap(void **state)
{
	static struct {
		uint64_t first;
		unsigned order;
	} held[FRAMES];
	unsigned count = 0;
	uint64_t frames = FRAMES - 16;

	(void)state;
	srand(3);
	buddy_put_range(&buddy, 16, frames);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned order = (unsigned)rand() % 8;
		uint64_t first;

		if (rand() % 2 == 0 && buddy_take(&buddy, order, &first)) {
			assert_true(is_aligned(first, BIT(order)) && first >= 16);
			for (uint64_t k = first; k < first + BIT(order); k++) {
				assert_int_equal(table[k].type, FRAME_FREE);
				table[k].type = FRAME_HV;
			}
			held[count].first = first;
			held[count++].order = order;
		} else if (count != 0) {
			unsigned i = (unsigned)rand() % count;

			buddy_put(&buddy, held[i].first, held[i].order);
			held[i] = held[--count];
		}
		if (step % 500 == 0) {
			assert_int_equal(count_lists(), buddy.free);
		}
	}
	while (count != 0) {
		count--;
		buddy_put(&buddy, held[count].first, held[count].order);
	}
	assert_int_equal(buddy.free, frames);
	/* All joined again: the seven whole blocks of 512 are there. */
	for (unsigned i = 0; i < 7; i++) {
		uint64_t first;

		assert_true(buddy_take(&buddy, 9, &first));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ranges_become_the_fewest_blocks, setup),
		cmocka_unit_test_setup(take_splits_and_put_joins, setup),
		cmocka_unit_test_setup(blocks_do_not_grow_beyond_the_limit_or_the_table, setup),
		cmocka_unit_test_setup(neighbours_of_another_kind_do_not_join, setup),
		cmocka_unit_test_setup(misuse_is_caught, setup),
		cmocka_unit_test_setup(random_takes_never_overlap, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
