/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of pages in a bit map. */
#include "guests/devices/bounce.h"

#include "hv/base/bits.h"

void bounce_init(struct bounce *b, void *memory)
{
	b->memory = memory;
	for (unsigned i = 0; i < BOUNCE_WORDS; i++) {
		b->free[i] = ~0ull;
	}
}

/* Bit n: pages n .. n + count - 1 are free. Each step doubles the length that is known of. */
static uint64_t runs(uint64_t free, unsigned count)
{
	unsigned known = 1;

	while (known < count && free != 0) {
		unsigned step = known < count - known ? known : count - known;

		free &= free >> step;
		known += step;
	}
	return free;
}

static uint64_t run_mask(struct bounce_run run)
{
	return (~0ull >> (BOUNCE_RUN_MAX - run.count)) << (run.first % BOUNCE_RUN_MAX);
}

struct bounce_run bounce_take(struct bounce *b, unsigned want)
{
	for (unsigned count = want; count != 0; count /= 2) {
		for (unsigned i = 0; i < BOUNCE_WORDS; i++) {
			uint64_t found = runs(b->free[i], count);
			struct bounce_run run = {.count = (uint16_t)count};

			if (found != 0) {
				run.first = (uint16_t)(i * BOUNCE_RUN_MAX +
						       (unsigned)__builtin_ctzll(found));
				b->free[i] &= ~run_mask(run);
				return run;
			}
		}
	}
	return (struct bounce_run){0};
}

void bounce_give(struct bounce *b, struct bounce_run run)
{
	if (run.count != 0) {
		b->free[run.first / BOUNCE_RUN_MAX] |= run_mask(run);
	}
}
