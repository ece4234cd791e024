/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest asked for and nobody had: ports, addresses, MSRs. All are counted, and the first
 * places by themselves, so that a person sees which register a system would like to have. No lock:
 * several vCPUs note at once.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define MISSED_PLACES 24u

struct missed_place {
	_Atomic uint64_t key; /* place | MISSED_TAKEN; 0: free, and so are all behind it */
	_Atomic uint64_t count;
};

/* All zeros: nothing missed yet. */
struct missed {
	_Atomic uint64_t total;
	struct missed_place places[MISSED_PLACES];
};

/* Notes an access. `place` is below 2^63. */
void missed_note(struct missed *m, uint64_t place);
/*
 * The count of place `i`, in the order in which they came, and the place in *place; 0 behind the
 * last one, and for i >= MISSED_PLACES.
 */
uint64_t missed_at(const struct missed *m, unsigned i, uint64_t *place);
