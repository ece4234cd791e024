/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/cadence.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"

/* The n-th moment, exactly, rounded down. */
static uint64_t moment(uint64_t start, uint64_t n, uint64_t count, uint64_t hz)
{
	return start + (uint64_t)((unsigned __int128)n * count * clock_hz() / hz);
}

static void check_no_drift(uint64_t clock, uint64_t count, uint64_t hz)
{
	struct cadence c;

	clock_init(clock);
	cadence_start(&c, 12345, count, hz);
	for (uint64_t n = 1; n < 5000; n++) {
		assert_true(c.next == moment(12345, n, count, hz));
		assert_true(cadence_skip(&c, c.next) >= 1);
	}
}

static void test_no_drift(void **state)
{
	(void)state;
	check_no_drift(2399999987, 1000000, 1000000000);
	check_no_drift(2399999987, 65536, 1193182);
	check_no_drift(3000000001, 7, 1000);
	check_no_drift(99999999977, UINT32_MAX * 128ull, 1000000000);
}

/* However many periods are skipped at once, the grid is the same. */
static void test_skip_lands_on_the_grid(void **state)
{
	static const uint64_t gaps[] = {1, 2, 999, 1000003, 77777777777, 1ull << 50};
	const uint64_t count = 999983;
	const uint64_t hz = 1000000000;

	(void)state;
	clock_init(2123456789);
	for (size_t i = 0; i < ARRAY_SIZE(gaps); i++) {
		struct cadence c;
		uint64_t now;
		uint64_t n;

		cadence_start(&c, 5, count, hz);
		now = c.next + gaps[i];
		n = 1 + cadence_skip(&c, now);
		assert_true(c.next == moment(5, n, count, hz));
		assert_true(c.next > now);
		assert_true(moment(5, n - 1, count, hz) <= now);
	}
}

static void test_skip_before_next_does_nothing(void **state)
{
	struct cadence c;

	(void)state;
	clock_init(1000000000);
	cadence_start(&c, 100, 50, 1000000000);
	assert_int_equal(c.next, 150);
	assert_int_equal(cadence_skip(&c, 149), 0);
	assert_int_equal(c.next, 150);
	assert_int_equal(cadence_skip(&c, 150), 1);
	assert_int_equal(c.next, 200);
}

/* Several moments in one tick: skipping ends, and counts them. */
static void test_period_shorter_than_a_tick(void **state)
{
	struct cadence c;
	uint64_t passed;

	(void)state;
	clock_init(1000000);
	cadence_start(&c, 0, 1, 1000000000);
	passed = cadence_skip(&c, 1000000);
	assert_true(c.next == 1000001);
	assert_in_range(passed, 1000000000, 1000001001);
}

static void a_loaded_one_goes_on(void **state)
{
	struct cadence a;
	struct cadence b;

	(void)state;
	clock_init(1000000007);
	cadence_start(&a, 500, 3, 7);
	(void)cadence_skip(&a, 5000000000);
	cadence_start(&b, 0, 3, 7);
	cadence_load(&b, a.next, a.carry, 5000000000);
	for (unsigned i = 0; i < 50; i++) {
		uint64_t at = a.next;

		assert_int_equal(b.next, at);
		assert_int_equal(cadence_skip(&a, at), 1);
		assert_int_equal(cadence_skip(&b, at), 1);
	}
	/* From ages ago it would be skipped for ages. */
	cadence_load(&b, 1, 0, UINT64_MAX / 2);
	assert_int_equal(b.next, UINT64_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_drift),
		cmocka_unit_test(test_skip_lands_on_the_grid),
		cmocka_unit_test(test_skip_before_next_does_nothing),
		cmocka_unit_test(test_period_shorter_than_a_tick),
		cmocka_unit_test(a_loaded_one_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
