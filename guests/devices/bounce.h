/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers between a guest's memory and a device of the machine: runs of pages out of a fixed amount
 * of hypervisor memory. One word of the map covers the pages that a run lies in, so that finding
 * one is a few shifts.
 */
#pragma once

#include <stdint.h>

#include "hv/base/addr.h"

#define BOUNCE_WORDS 2u
#define BOUNCE_RUN_MAX 64u /* pages */
#define BOUNCE_BYTES (PAGE_SIZE * BOUNCE_WORDS * BOUNCE_RUN_MAX)

/* Covered by its owner's lock. */
struct bounce {
	uint8_t *memory; /* BOUNCE_BYTES, page-aligned, physically contiguous */
	uint64_t free[BOUNCE_WORDS];
};

struct bounce_run {
	uint16_t first;
	uint16_t count; /* pages; 0: none */
};

void bounce_init(struct bounce *b, void *memory);
/*
 * A run of `want` pages, 1 .. BOUNCE_RUN_MAX, or where no such run is left of half as many, and so
 * on. Count 0: all pages are taken.
 */
struct bounce_run bounce_take(struct bounce *b, unsigned want);
void bounce_give(struct bounce *b, struct bounce_run run);

static inline void *bounce_memory(const struct bounce *b, struct bounce_run run)
{
	return b->memory + run.first * PAGE_SIZE;
}
