/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bit fields of registers, rounding, and the few macros that every C project ends up with.
 * Registers are taken apart with a mask and bits_get / bits_set, never with C bit-fields.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n) (1ull << (n))
#define BIT32(n) (1u << (n))
/* Mask of bits hi..lo, both included; 63 >= hi >= lo >= 0. */
#define MASK(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The field of `value` that the contiguous, non-zero `mask` covers, shifted down to bit 0. */
static inline uint64_t bits_get(uint64_t value, uint64_t mask)
{
	return (value & mask) / (mask & (~mask + 1));
}

/* `value` with the field under the contiguous, non-zero `mask` replaced by `field`. */
static inline uint64_t bits_set(uint64_t value, uint64_t mask, uint64_t field)
{
	return (value & ~mask) | ((field * (mask & (~mask + 1))) & mask);
}

/* Rounds down to a multiple of `align`, a power of two. */
static inline uint64_t align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

/* Rounds up to a multiple of `align`, a power of two; wraps past 2^64. */
static inline uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline bool is_aligned(uint64_t value, uint64_t align)
{
	return (value & (align - 1)) == 0;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Whether [base, base + size) lies inside [0, limit), without overflow. */
static inline bool range_fits(uint64_t base, uint64_t size, uint64_t limit)
{
	return size <= limit && base <= limit - size;
}

/* Whether [a, a + a_size) and [b, b + b_size) share a byte; neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a_size != 0 && b_size != 0 && a <= b + (b_size - 1) && b <= a + (a_size - 1);
}

/* The low `size` bytes (1, 2, 4 or 8) all ones: what an access of that width can hold. */
static inline uint64_t size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}
