/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/base/bits.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define OBJECTS 600

static uint64_t start;

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(32));
	start = pool_bytes_used();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	/* Empty slabs went back. */
	assert_int_equal(pool_bytes_used(), start);
	return 0;
}

static void objects_are_zero_and_aligned(void **state)
{
	static const size_t sizes[] = {0,   1,	 16,   17,   64,   100, 128,
				       192, 640, 1000, 1024, 1025, 5000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *first = pool_alloc(sizes[i]);
		char *second = pool_alloc(sizes[i]);

		assert_true((uintptr_t)second % 16 == 0);
		assert_true(sizes[i] % 64 != 0 || sizes[i] == 0 || (uintptr_t)second % 64 == 0);
		assert_true(second >= first + sizes[i] || first >= second + sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++) {
			assert_int_equal(second[k], 0);
		}
		memset(second, 0x66, sizes[i]);
		pool_free(second, sizes[i]);
		second = pool_alloc(sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++) {
			assert_int_equal(second[k], 0);
		}
		pool_free(first, sizes[i]);
		pool_free(second, sizes[i]);
	}
	assert_null(pool_alloc(PAGE_SIZE_2M + 1));
	assert_null(pool_alloc(SIZE_MAX));
	pool_free(NULL, 16);
	pool_free(NULL, 100000);
}

static void random_objects_keep_their_content(void **state)
{
	static struct {
		unsigned char *p;
		size_t size;
	} held[OBJECTS];

	(void)state;
	srand(5);
	for (unsigned step = 0; step < 30000; step++) {
		unsigned i = (unsigned)rand() % OBJECTS;

		if (held[i].p == NULL) {
			held[i].size = (size_t)(1 + rand() % (rand() % 8 == 0 ? 4096 : 300));
			held[i].p = pool_alloc(held[i].size);
			assert_non_null(held[i].p);
			for (size_t k = 0; k < held[i].size; k++) {
				assert_int_equal(held[i].p[k], 0);
			}
			memset(held[i].p, (int)i, held[i].size);
		} else {
			for (size_t k = 0; k < held[i].size; k++) {
				assert_int_equal(held[i].p[k], i & 0xff);
			}
			pool_free(held[i].p, held[i].size);
			held[i].p = NULL;
		}
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		pool_free(held[i].p, held[i].size);
	}
}

static void small_objects_share_a_page(void **state)
{
	void *objects[252];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
		objects[i] = pool_alloc(16);
	}
	assert_int_equal(pool_bytes_used(), start + PAGE_SIZE);
	/* A full slab that has room again is used before a new one. */
	pool_free(objects[100], 16);
	objects[100] = pool_alloc(16);
	assert_int_equal(pool_bytes_used(), start + PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
		pool_free(objects[i], 16);
	}
}

static void our_own_mistakes_are_caught(void **state)
{
	char *p = pool_alloc(100);
	char *q = pool_alloc(100);

	(void)state;
	EXPECT_CHECK(pool_free(p, 16));
	EXPECT_CHECK(pool_free(p + 16, 100));
	pool_free(p, 100);
	EXPECT_CHECK(pool_free(p, 100));
	pool_free(q, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(objects_are_zero_and_aligned, setup, teardown),
		cmocka_unit_test_setup_teardown(random_objects_keep_their_content, setup, teardown),
		cmocka_unit_test_setup_teardown(small_objects_share_a_page, setup, teardown),
		cmocka_unit_test_setup(our_own_mistakes_are_caught, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
