/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "tests/fakes/check.h"

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void muldiv_matches_wide_arithmetic(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t a = next_random(&seed) >> (next_random(&seed) % 64);
		uint64_t b = next_random(&seed) >> (next_random(&seed) % 64);
		uint64_t c = (next_random(&seed) >> (next_random(&seed) % 64)) | 1;
		unsigned __int128 want = (unsigned __int128)a * b / c;
		uint64_t expect = want > UINT64_MAX ? UINT64_MAX : (uint64_t)want;

		assert_int_equal(clock_muldiv(a, b, c), expect);
	}
}

static void muldiv_edges(void **state)
{
	(void)state;
	assert_int_equal(clock_muldiv(UINT64_MAX, UINT64_MAX, UINT64_MAX), UINT64_MAX);
	assert_int_equal(clock_muldiv(UINT64_MAX, UINT64_MAX - 1, UINT64_MAX), UINT64_MAX - 1);
	assert_int_equal(clock_muldiv(UINT64_MAX, 2, 1), UINT64_MAX);
	assert_int_equal(clock_muldiv(UINT64_MAX, 1ull << 32, (1ull << 32) + 1),
			 (uint64_t)(((unsigned __int128)UINT64_MAX << 32) / ((1ull << 32) + 1)));
	assert_int_equal(clock_muldiv(0, UINT64_MAX, 7), 0);
	assert_int_equal(clock_muldiv(7, 3, 2), 10);
	EXPECT_CHECK((void)clock_muldiv(1, 1, 0));
}

static void whole_nanoseconds_survive(void **state)
{
	static const uint64_t rates[] = {1000000,    62500000,	 999999999,   1000000000,
					 2400000000, 2893202001, 3000000000u, 100000000000ull};
	static const uint64_t ns[] = {0, 1000, 1000000000ull, 86400ull * 1000000000ull};

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		clock_init(rates[i]);
		assert_int_equal(clock_hz(), rates[i]);
		assert_int_equal(clock_ns_to_ticks(1000000000ull), rates[i]);
		assert_int_equal(clock_ticks_to_ns(rates[i]), 1000000000ull);
		/* A day: where a 32-bit factor would be off by microseconds. */
		assert_int_equal(clock_ticks_to_ns(rates[i] * 86400), 86400ull * 1000000000ull);
		for (unsigned k = 0; k < sizeof(ns) / sizeof(ns[0]); k++) {
			uint64_t want =
				(uint64_t)((unsigned __int128)ns[k] * rates[i] / 1000000000u);

			assert_int_equal(clock_ns_to_ticks(ns[k]), want);
		}
	}
}

static void conversions_saturate(void **state)
{
	(void)state;
	clock_init(3000000000u);
	assert_int_equal(clock_ns_to_ticks(UINT64_MAX), UINT64_MAX);
	assert_int_equal(clock_ns_to_ticks(UINT64_MAX / 2), UINT64_MAX);
	clock_init(1000000);
	assert_int_equal(clock_ticks_to_ns(UINT64_MAX), UINT64_MAX);
	EXPECT_CHECK(clock_init(999999));
	EXPECT_CHECK(clock_init(100000000001ull));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(muldiv_matches_wide_arithmetic),
		cmocka_unit_test(muldiv_edges),
		cmocka_unit_test(whole_nanoseconds_survive),
		cmocka_unit_test(conversions_saturate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
