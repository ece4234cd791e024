/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/bounce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#define PAGES (BOUNCE_WORDS * BOUNCE_RUN_MAX)

static struct bounce b;
static uint8_t memory[BOUNCE_BYTES];
static bool taken[PAGES];

static void mark(struct bounce_run run, bool now)
{
	for (unsigned i = run.first; i < run.first + (unsigned)run.count; i++) {
		assert_int_not_equal(taken[i], now);
		taken[i] = now;
	}
	/* Inside one word: nothing spills into the next. */
	assert_int_equal(run.first / BOUNCE_RUN_MAX, (run.first + run.count - 1u) / BOUNCE_RUN_MAX);
}

static int setup(void **state)
{
	(void)state;
	memset(taken, 0, sizeof(taken));
	bounce_init(&b, memory);
	return 0;
}

/* Whether there is a run of `n`, looked for one page after the other. */
static bool has_run(unsigned n)
{
	for (unsigned word = 0; word < BOUNCE_WORDS; word++) {
		unsigned len = 0;

		for (unsigned i = 0; i < BOUNCE_RUN_MAX; i++) {
			len = taken[word * BOUNCE_RUN_MAX + i] ? 0 : len + 1;
			if (len == n) {
				return true;
			}
		}
	}
	return false;
}

static void test_all_pages(void **state)
{
	struct bounce_run run;

	(void)state;
	for (unsigned i = 0; i < PAGES; i++) {
		run = bounce_take(&b, 1);
		assert_int_equal(run.count, 1);
		mark(run, true);
	}
	assert_int_equal(bounce_take(&b, 64).count, 0);
	assert_ptr_equal(bounce_memory(&b, run), memory + (PAGES - 1) * PAGE_SIZE);
	bounce_give(&b, (struct bounce_run){0});
	assert_int_equal(bounce_take(&b, 1).count, 0);
}

static void test_every_length(void **state)
{
	for (unsigned n = 1; n <= BOUNCE_RUN_MAX; n++) {
		struct bounce_run run;

		(void)setup(state);
		run = bounce_take(&b, n);
		assert_int_equal(run.count, n);
		mark(run, true);
		bounce_give(&b, run);
		assert_int_equal(bounce_take(&b, BOUNCE_RUN_MAX).count, BOUNCE_RUN_MAX);
		assert_int_equal(bounce_take(&b, BOUNCE_RUN_MAX).count, BOUNCE_RUN_MAX);
	}
}

/* Takes and gives at random: no page twice, and as long a run as there is by halves. */
static void test_random(void **state)
{
	struct bounce_run held[PAGES];
	unsigned count = 0;
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		seed = seed * 1664525 + 1013904223;
		if ((seed >> 31) != 0 && count != 0) {
			unsigned i = (seed >> 8) % count;

			bounce_give(&b, held[i]);
			mark(held[i], false);
			held[i] = held[--count];
		} else {
			unsigned want = 1 + (seed >> 8) % BOUNCE_RUN_MAX;
			struct bounce_run run = bounce_take(&b, want);

			while (want != 0 && !has_run(want)) {
				want /= 2;
			}
			assert_int_equal(run.count, want);
			if (run.count != 0) {
				mark(run, true);
				held[count++] = run;
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all_pages, setup),
		cmocka_unit_test_setup(test_every_length, setup),
		cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
