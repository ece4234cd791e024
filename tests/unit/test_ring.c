/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/base/ring.h"
#include "tests/fakes/check.h"

#define CAP 16u

static char buf[CAP];
static struct ring r;

static int setup(void **state)
{
	(void)state;
	memset(buf, '?', sizeof(buf));
	ring_init(&r, buf, CAP);
	return 0;
}

static void an_empty_ring_has_nothing(void **state)
{
	uint64_t pos = 0;
	char out[4];

	(void)state;
	assert_int_equal(ring_start(&r), 0);
	assert_int_equal(ring_read(&r, &pos, out, sizeof(out)), 0);
	assert_int_equal(pos, 0);
}

static void readers_go_on_where_they_stopped(void **state)
{
	uint64_t one = 0;
	uint64_t two = 0;
	char out[8];

	(void)state;
	ring_write(&r, "hello", 5);
	assert_int_equal(ring_read(&r, &one, out, 3), 3);
	assert_memory_equal(out, "hel", 3);
	ring_write(&r, "you", 3);
	assert_int_equal(ring_read(&r, &one, out, sizeof(out)), 5);
	assert_memory_equal(out, "loyou", 5);
	assert_int_equal(ring_read(&r, &one, out, sizeof(out)), 0);
	assert_int_equal(ring_read(&r, &two, out, sizeof(out)), 8);
	assert_memory_equal(out, "helloyou", 8);
}

static void a_full_ring_is_read_whole(void **state)
{
	uint64_t pos = 0;
	char out[CAP + 4];

	(void)state;
	ring_write(&r, "0123456789abcdef", CAP);
	assert_int_equal(ring_start(&r), 0);
	assert_int_equal(ring_read(&r, &pos, out, sizeof(out)), CAP);
	assert_memory_equal(out, "0123456789abcdef", CAP);
}

static void late_readers_start_at_the_oldest(void **state)
{
	uint64_t pos = 2;
	char out[CAP];

	(void)state;
	ring_write(&r, "0123456789abcdefXYZ", CAP + 3);
	assert_int_equal(ring_start(&r), 3);
	assert_int_equal(ring_read(&r, &pos, out, sizeof(out)), CAP);
	assert_memory_equal(out, "3456789abcdefXYZ", CAP);
	assert_int_equal(pos, CAP + 3);
}

static void a_write_larger_than_the_ring_leaves_its_end(void **state)
{
	char data[5 * CAP + 1];
	char out[CAP];
	uint64_t pos = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (char)i;
	}
	ring_write(&r, data, sizeof(data));
	assert_int_equal(ring_read(&r, &pos, out, CAP), CAP);
	assert_memory_equal(out, data + sizeof(data) - CAP, CAP);
}

/* Random writes and reads against a flat copy of everything ever written. */
static void it_behaves_like_the_end_of_a_long_text(void **state)
{
	static char all[20000];
	size_t written = 0;
	uint64_t pos = 0;

	(void)state;
	srand(1);
	while (written + 64 < sizeof(all)) {
		size_t n = (size_t)rand() % 40;
		char out[CAP];
		size_t want = (size_t)rand() % CAP;
		uint64_t from;
		size_t got;

		for (size_t i = 0; i < n; i++) {
			all[written + i] = (char)rand();
		}
		ring_write(&r, all + written, n);
		written += n;
		from = pos < ring_start(&r) ? ring_start(&r) : pos;
		got = ring_read(&r, &pos, out, want);
		assert_int_equal(got, want < written - from ? want : written - from);
		assert_int_equal(pos, from + got);
		assert_memory_equal(out, all + from, got);
	}
}

static void sizes_are_powers_of_two(void **state)
{
	(void)state;
	EXPECT_CHECK(ring_init(&r, buf, 12));
	EXPECT_CHECK(ring_init(&r, buf, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_ring_has_nothing, setup),
		cmocka_unit_test_setup(readers_go_on_where_they_stopped, setup),
		cmocka_unit_test_setup(a_full_ring_is_read_whole, setup),
		cmocka_unit_test_setup(late_readers_start_at_the_oldest, setup),
		cmocka_unit_test_setup(a_write_larger_than_the_ring_leaves_its_end, setup),
		cmocka_unit_test_setup(it_behaves_like_the_end_of_a_long_text, setup),
		cmocka_unit_test(sizes_are_powers_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
