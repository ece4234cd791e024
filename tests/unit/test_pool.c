/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "mm/space.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define MACHINE MIB(32)

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MACHINE);
	return 0;
}

static bool is_zero(const void *p, size_t n)
{
	const char *c = p;

	for (size_t i = 0; i < n; i++) {
		if (c[i] != 0) {
			return false;
		}
	}
	return true;
}

static void pages_are_zero_aligned_and_accounted(void **state)
{
	uint64_t before = pool_bytes_used();
	void *p = pool_pages(3);

	(void)state;
	assert_non_null(p);
	assert_true(is_aligned(pool_hpa(p).v, PAGE_SIZE << 3));
	assert_ptr_equal(pool_ptr(pool_hpa(p)), p);
	assert_true(is_zero(p, PAGE_SIZE << 3));
	assert_int_equal(pool_bytes_used(), before + (PAGE_SIZE << 3));
	assert_int_equal(frame_info(pool_hpa(p))->type, FRAME_HV);
	assert_int_equal(frame_info(pool_hpa(p))->owner, OWNER_HV);
	memset(p, 0x99, PAGE_SIZE << 3);
	pool_pages_free(p, 3);
	assert_int_equal(pool_bytes_used(), before);
	assert_int_equal(frame_info(pool_hpa(p))->type, FRAME_POOL);
	/* Again, probably the same pages: zero again. */
	p = pool_pages(3);
	assert_true(is_zero(p, PAGE_SIZE << 3));
}

static void growth_is_mapped_and_comes_from_the_frames(void **state)
{
	struct frame_stats before;
	struct frame_stats after;
	void *blocks[4];

	(void)state;
	frame_stats(&before);
	for (unsigned i = 0; i < 4; i++) {
		struct fake_translation t;

		blocks[i] = pool_pages(FRAME_ORDER_2M);
		assert_non_null(blocks[i]);
		assert_true(
			fake_translate(hva(HV_DIRECT_BASE + pool_hpa(blocks[i]).v + 0x1000), &t));
		assert_int_equal(t.pa.v, pool_hpa(blocks[i]).v + 0x1000);
		assert_true(t.write && !t.exec);
	}
	frame_stats(&after);
	assert_true(after.hv >= before.hv + 3 * 512);
	assert_int_equal(after.hv + after.free, before.hv + before.free);
	for (unsigned i = 0; i < 4; i++) {
		pool_pages_free(blocks[i], FRAME_ORDER_2M);
	}
}

static void fragments_will_do(void **state)
{
	static hpa_t taken[MACHINE / PAGE_SIZE];
	unsigned count = 0;
	unsigned pages = 0;

	(void)state;
	while (frame_alloc(0, FRAME_HV, OWNER_HV, &taken[count]) == HV_OK) {
		count++;
	}
	/* Runs of two frames are left. */
	for (unsigned i = 0; i < count; i++) {
		if ((taken[i].v >> PAGE_SHIFT) % 4 < 2) {
			frame_put(taken[i]);
		}
	}
	while (pool_pages(1) != NULL) {
		pages += 2;
	}
	assert_true(pages >= count / 2 - 512);
	assert_null(pool_pages(2));
}

static void used_up_is_null_and_tables_have_a_reserve(void **state)
{
	void *table;
	unsigned count = 0;

	(void)state;
	while (pool_pages(0) != NULL) {
	}
	assert_null(pool_alloc(100));
	assert_null(pool_table(false));
	assert_int_equal(pool_prepare_tables(1), HV_E_NO_MEMORY);
	for (;;) {
		table = pool_table(true);
		if (table == NULL) {
			break;
		}
		assert_int_equal(frame_info(pool_hpa(table))->type, FRAME_TABLE);
		assert_true(is_zero(table, PAGE_SIZE));
		count++;
	}
	assert_in_range(count, 4, 16);
}

static void prepared_tables_are_there(void **state)
{
	(void)state;
	assert_int_equal(pool_prepare_tables(1500), HV_OK);
	for (unsigned i = 0; i < 1500; i++) {
		assert_non_null(pool_table(true));
	}
}

static void our_own_mistakes_are_caught(void **state)
{
	void *p = pool_pages(1);
	void *table = pool_table(false);

	(void)state;
	EXPECT_CHECK(pool_pages_free(p, 0));
	EXPECT_CHECK(pool_table_free(p));
	EXPECT_CHECK(pool_pages_free(table, 0));
	pool_table_free(table);
	EXPECT_CHECK(pool_table_free(table));
	EXPECT_CHECK((void)pool_pages(10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pages_are_zero_aligned_and_accounted, setup),
		cmocka_unit_test_setup(growth_is_mapped_and_comes_from_the_frames, setup),
		cmocka_unit_test_setup(fragments_will_do, setup),
		cmocka_unit_test_setup(used_up_is_null_and_tables_have_a_reserve, setup),
		cmocka_unit_test_setup(prepared_tables_are_there, setup),
		cmocka_unit_test_setup(our_own_mistakes_are_caught, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
