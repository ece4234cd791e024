/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/blk/overlay_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/addr.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

#define PAGE ((size_t)BLK_OVERLAY_GRANULE)

static struct overlay_tree tree;
static uint64_t used_before;

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(32));
	used_before = pool_bytes_used();
	return 0;
}

static uint64_t used(void)
{
	return pool_bytes_used() - used_before;
}

/* All of a granule has this byte, and none of its neighbours. */
static void assert_granule(uint64_t granule, uint8_t byte)
{
	const uint8_t *page = overlay_tree_lookup(&tree, granule);

	assert_non_null(page);
	assert_true(page[0] == byte && page[PAGE - 1] == byte);
}

static void test_levels(void **state)
{
	(void)state;
	overlay_tree_init(&tree, 1, 0);
	assert_int_equal(overlay_tree_granules(&tree), 512);
	overlay_tree_init(&tree, 512, 0);
	assert_int_equal(tree.levels, 1);
	overlay_tree_init(&tree, 513, 0);
	assert_int_equal(overlay_tree_granules(&tree), 512 * 512);
	overlay_tree_init(&tree, 1ull << 45, 0);
	assert_int_equal(tree.levels, 5);
	assert_null(overlay_tree_lookup(&tree, (1ull << 45) - 1));
}

static void test_pages(void **state)
{
	uint8_t fill[PAGE];
	uint8_t *page;

	(void)state;
	memset(fill, 0x33, sizeof(fill));
	overlay_tree_init(&tree, 513, 0);
	page = overlay_tree_open(&tree, 7, fill);
	assert_int_equal(page[PAGE - 1], 0x33);
	assert_int_equal(tree.bytes, 3 * PAGE);
	memset(page, 0x44, PAGE);
	/* What is there is not filled again. */
	assert_ptr_equal(overlay_tree_open(&tree, 7, fill), page);
	assert_granule(7, 0x44);
	assert_null(overlay_tree_lookup(&tree, 6));
	assert_null(overlay_tree_lookup(&tree, 7 + 512));
	assert_int_equal(overlay_tree_open(&tree, 512, NULL)[0], 0);
	assert_int_equal(used(), tree.bytes);
	overlay_tree_clear(&tree);
	assert_int_equal(used(), 0);
	assert_null(overlay_tree_lookup(&tree, 7));
}

/* A mark that stands for many is taken apart where one of them changes. */
static void test_marks(void **state)
{
	uint8_t fill[PAGE];

	(void)state;
	memset(fill, 0x33, sizeof(fill));
	overlay_tree_init(&tree, 1024, 0);
	assert_true(overlay_tree_mark(&tree, 0, overlay_tree_granules(&tree), true));
	assert_int_equal(tree.bytes, 0);
	assert_granule(1023, 0);
	assert_int_equal(overlay_tree_open(&tree, 600, fill)[0], 0); /* zeros, not absent */
	memset(overlay_tree_open(&tree, 600, NULL), 0x55, PAGE);
	assert_granule(599, 0);
	assert_granule(600, 0x55);
	assert_true(overlay_tree_mark(&tree, 510, 602, false));
	assert_granule(509, 0);
	assert_null(overlay_tree_lookup(&tree, 510));
	assert_null(overlay_tree_lookup(&tree, 600));
	assert_granule(602, 0);
	assert_int_equal(used(), tree.bytes);
	overlay_tree_clear(&tree);
	assert_int_equal(used(), 0);
}

/* Nothing beyond the limit, and what is there stays. */
static void test_limit(void **state)
{
	(void)state;
	overlay_tree_init(&tree, 1024, 4 * PAGE);
	memset(overlay_tree_open(&tree, 0, NULL), 0x11, PAGE);
	assert_non_null(overlay_tree_open(&tree, 1, NULL));
	assert_null(overlay_tree_open(&tree, 2, NULL));
	assert_null(overlay_tree_open(&tree, 700, NULL));
	assert_false(overlay_tree_mark(&tree, 700, 701, true));
	assert_granule(0, 0x11);
	assert_null(overlay_tree_lookup(&tree, 2));
	assert_true(overlay_tree_mark(&tree, 1, 2, false));
	assert_non_null(overlay_tree_open(&tree, 2, NULL));
	overlay_tree_clear(&tree);
	assert_int_equal(used(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_levels, setup),
		cmocka_unit_test_setup(test_pages, setup),
		cmocka_unit_test_setup(test_marks, setup),
		cmocka_unit_test_setup(test_limit, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
