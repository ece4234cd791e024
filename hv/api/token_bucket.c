/* SPDX-License-Identifier: Apache-2.0 */
/* Rates. */
#include "hv/api/token_bucket.h"

#include "hv/api/clock.h"

void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t depth, uint64_t now)
{
	*b = (struct token_bucket){
		.level = (int64_t)depth, .rate = rate, .depth = depth, .updated = now};
}

bool token_bucket_ready(struct token_bucket *b, uint64_t now)
{
	/* CPUs do not agree to the tick. */
	uint64_t passed = now > b->updated ? now - b->updated : 0;
	uint64_t tokens = clock_muldiv(passed, b->rate, clock_hz());
	uint64_t room = (uint64_t)((int64_t)b->depth - b->level);

	if (tokens >= room) {
		b->level = (int64_t)b->depth;
		b->updated += passed;
	} else {
		b->level += (int64_t)tokens;
		/* What is left of a token goes on counting. */
		b->updated += clock_muldiv(tokens, clock_hz(), b->rate);
	}
	return b->level > 0;
}

void token_bucket_take(struct token_bucket *b, uint64_t n)
{
	b->level -= (int64_t)n;
}

uint64_t token_bucket_wait(const struct token_bucket *b)
{
	return b->level > 0 ? 0 : clock_muldiv((uint64_t)(1 - b->level), clock_hz(), b->rate) + 1;
}
