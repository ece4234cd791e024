/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "hv/api/token_bucket.h"
#include "hv/base/bits.h"

#define HZ 2000000000ull

static int setup(void **state)
{
	(void)state;
	clock_init(HZ);
	return 0;
}

static void a_full_bucket_gives_its_depth_at_once(void **state)
{
	struct token_bucket b;
	unsigned taken = 0;

	(void)state;
	token_bucket_init(&b, 1000, 50, 7);
	while (token_bucket_ready(&b, 7)) {
		token_bucket_take(&b, 1);
		taken++;
	}
	assert_int_equal(taken, 50);
	/* A year later it is as full as before, no fuller. */
	taken = 0;
	while (token_bucket_ready(&b, 7 + HZ * 31536000)) {
		token_bucket_take(&b, 1);
		taken++;
	}
	assert_int_equal(taken, 50);
}

/* Whatever the sizes and however often somebody looks, the average is the rate. */
static void the_average_is_exact(void **state)
{
	static const uint64_t rates[] = {3, 1000, 1000000, 125000000, 10000000000ull};
	static const uint32_t sizes[] = {1, 60, 1514, 65536};

	(void)state;
	for (unsigned r = 0; r < ARRAY_SIZE(rates); r++) {
		for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
			struct token_bucket b;
			uint64_t sent = 0;
			uint64_t now = 1;
			uint64_t due;

			token_bucket_init(&b, rates[r], 100, now);
			for (unsigned i = 0; i < 3000; i++) {
				while (token_bucket_ready(&b, now)) {
					token_bucket_take(&b, sizes[s]);
					sent += sizes[s];
				}
				/* Often too early, now and then when it is time. */
				now += token_bucket_wait(&b) / 3 + 1;
			}
			due = clock_muldiv(now, rates[r], HZ) + 100;
			assert_in_range(sent, due > 65636 ? due - due / 1000 - 200 : 0,
					due + sizes[s] + due / 1000);
		}
	}
}

static void it_says_when_it_is_ready_again(void **state)
{
	struct token_bucket b;
	uint64_t wait;

	(void)state;
	token_bucket_init(&b, 1000000, 1000, 0);
	assert_int_equal(token_bucket_wait(&b), 0);
	token_bucket_take(&b, 65536);
	wait = token_bucket_wait(&b);
	/* 64,537 tokens are missing, at 2,000 ticks each. */
	assert_in_range(wait, 64537ull * 2000, 64537ull * 2000 + 2);
	assert_false(token_bucket_ready(&b, wait - 3));
	assert_true(token_bucket_ready(&b, b.updated + token_bucket_wait(&b)));
}

/* Another CPU's clock is a little behind: that is no time passed, and no year either. */
static void a_clock_that_is_behind_fills_nothing(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 1000, 50, HZ);
	token_bucket_take(&b, 60);
	assert_false(token_bucket_ready(&b, HZ - 100));
	assert_int_equal(b.level, -10);
	assert_int_equal(b.updated, HZ);
	token_bucket_init(&b, 1000, 50, HZ);
	assert_true(token_bucket_ready(&b, HZ - 100));
	assert_int_equal(b.updated, HZ);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_full_bucket_gives_its_depth_at_once, setup),
		cmocka_unit_test_setup(the_average_is_exact, setup),
		cmocka_unit_test_setup(a_clock_that_is_behind_fills_nothing, setup),
		cmocka_unit_test_setup(it_says_when_it_is_ready_again, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
