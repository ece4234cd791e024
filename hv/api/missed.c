/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what nobody had: places are only ever added, so a reader needs no lock either. */
#include "hv/api/missed.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/bits.h"

#define MISSED_TAKEN BIT(63)

/* Whether `p` is this place's, taking it if it is free. */
static bool is_place(struct missed_place *p, uint64_t key)
{
	uint64_t seen = atomic_load_explicit(&p->key, memory_order_relaxed);

	return seen == key ||
	       (seen == 0 && (atomic_compare_exchange_strong(&p->key, &seen, key) || seen == key));
}

void missed_note(struct missed *m, uint64_t place)
{
	atomic_fetch_add_explicit(&m->total, 1, memory_order_relaxed);
	for (size_t i = 0; i < MISSED_PLACES; i++) {
		if (is_place(&m->places[i], place | MISSED_TAKEN)) {
			atomic_fetch_add_explicit(&m->places[i].count, 1, memory_order_relaxed);
			return;
		}
	}
}

uint64_t missed_at(const struct missed *m, unsigned i, uint64_t *place)
{
	if (i >= MISSED_PLACES) {
		return 0;
	}
	*place = atomic_load_explicit(&m->places[i].key, memory_order_relaxed) & ~MISSED_TAKEN;
	return atomic_load_explicit(&m->places[i].count, memory_order_relaxed);
}
