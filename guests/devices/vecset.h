/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of the 256 interrupt vectors with a summary of its non-empty words, so that the highest
 * member is found in two steps however many there are. IRR, ISR and TMR of a LAPIC are such sets.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/bits.h"

#define VECSET_WORDS 8u

struct vecset {
	uint32_t summary; /* bit n: word[n] is not zero */
	uint32_t word[VECSET_WORDS];
};

static inline void vecset_clear(struct vecset *s)
{
	*s = (struct vecset){0};
}

static inline bool vecset_test(const struct vecset *s, uint8_t vector)
{
	return (s->word[vector / 32] >> (vector % 32)) & 1;
}

static inline void vecset_add(struct vecset *s, uint8_t vector)
{
	s->word[vector / 32] |= BIT32(vector % 32);
	s->summary |= BIT32(vector / 32);
}

static inline void vecset_remove(struct vecset *s, uint8_t vector)
{
	s->word[vector / 32] &= ~BIT32(vector % 32);
	if (s->word[vector / 32] == 0) {
		s->summary &= ~BIT32(vector / 32);
	}
}

/* The highest member; -1 when the set is empty. */
static inline int vecset_highest(const struct vecset *s)
{
	if (s->summary == 0) {
		return -1;
	}
	int w = 31 - __builtin_clz(s->summary);
	return w * 32 + 31 - __builtin_clz(s->word[w]);
}
