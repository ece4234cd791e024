/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes without a pattern that can be made again from a number. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Marsaglia, "Xorshift RNGs": the 64-bit generator with the shifts 13, 7 and 17. Never zero. */
static inline uint64_t random_next(uint64_t state)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Fills `count` words; returns the state to go on with. */
static inline uint64_t random_fill(uint64_t *words, size_t count, uint64_t state)
{
	for (size_t i = 0; i < count; i++) {
		state = random_next(state);
		words[i] = state;
	}
	return state;
}

/* The state to begin with for a number: neighbours have nothing in common. */
static inline uint64_t random_seed(uint64_t number)
{
	return random_next((number + 1) * 0x9e3779b97f4a7c15ull | 1);
}
