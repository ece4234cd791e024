/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rate with some slack: a bucket that fills at `rate` a second up to `depth`. What is taken may
 * make a debt, so that the average is exact however large the pieces are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Covered by its user's lock. Times are ticks of hv/api/clock.h. */
struct token_bucket {
	int64_t level;
	uint64_t rate;	/* a second; > 0 */
	uint64_t depth; /* up to 2^62 */
	uint64_t updated;
};

/* Full at `now`. */
void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t depth, uint64_t now);
/* Whether something may be taken at `now`; a time before the last one counts as that one. */
bool token_bucket_ready(struct token_bucket *b, uint64_t now);
/* Takes `n`, up to 2^42. */
void token_bucket_take(struct token_bucket *b, uint64_t n);
/* When it is ready if nothing is taken meanwhile: ticks from `updated` on. */
uint64_t token_bucket_wait(const struct token_bucket *b);
