/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drift-free sequence of moments in guest ticks: `count` cycles of a clock of `hz` apart. A
 * period is rarely a whole number of ticks; the remainder is carried, so the n-th moment is right
 * to one tick for every n, and one step costs an addition.
 */
#pragma once

#include <stdint.h>

struct cadence {
	uint64_t next;	/* guest tick of the next moment */
	uint64_t whole; /* ticks per period, without ... */
	uint64_t rest;	/* ... rest/hz of a tick */
	uint64_t carry; /* of `next`, in 1/hz of a tick; below hz */
	uint64_t hz;
};

/* The first moment is one period after guest tick `start`. count >= 1; hz in 1 Hz .. 4 GHz. */
void cadence_start(struct cadence *c, uint64_t start, uint64_t count, uint64_t hz);
/*
 * Steps to the first moment after guest tick `now`; returns how many were passed (0 when `next`
 * already lies in the future).
 */
uint64_t cadence_skip(struct cadence *c, uint64_t now);
/*
 * To a moment that was saved: `next` and `carry` (below hz) of a cadence that was started alike. A
 * moment long before `now`, which none that somebody looks after has, becomes `now`.
 */
void cadence_load(struct cadence *c, uint64_t next, uint64_t carry, uint64_t now);
