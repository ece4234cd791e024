/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a fuzz input, taken from the front; zeros once they are used up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *p;
	size_t n;
};

static inline uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++) {
		if (in->n != 0) {
			value |= (uint64_t)*in->p << (i * 8);
			in->p++;
			in->n--;
		}
	}
	return value;
}

/* An access size of the port space. */
static inline unsigned take_size(struct input *in)
{
	static const unsigned sizes[] = {1, 1, 2, 4};

	return sizes[take(in, 1) & 3];
}

/* A span of time: mostly short, at times up to 2^47 ticks. */
static inline uint64_t take_ticks(struct input *in)
{
	unsigned shift = (unsigned)take(in, 1) % 40;

	return take(in, 1) << shift;
}
