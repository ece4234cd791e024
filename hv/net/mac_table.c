/* SPDX-License-Identifier: Apache-2.0 */
/* What a switch has learnt. */
#include "hv/net/mac_table.h"

#include <assert.h>
#include <stdbool.h>

#include "hv/api/clock.h"

static_assert((MAC_TABLE_SETS & (MAC_TABLE_SETS - 1)) == 0, "a hash is cut by a mask");

/* Odd, with bits everywhere: the upper half of a product depends on all bits of an address. */
#define HASH_FACTOR 0x9e3779b97f4a7c15ull

static unsigned set_of(uint64_t mac)
{
	return (unsigned)(mac * HASH_FACTOR >> 32) & (MAC_TABLE_SETS - 1);
}

/* CPUs do not agree to the tick: it may have been heard of a moment after `now`. */
static bool holds(const struct mac_entry *e, uint64_t now)
{
	return e->mac != 0 &&
	       (now <= e->heard || now - e->heard < clock_ns_to_ticks(MAC_TABLE_AGE_NS));
}

void mac_table_learn(struct mac_table *t, uint64_t mac, uint32_t port, uint64_t now)
{
	struct mac_entry *set = t->sets[set_of(mac)];
	struct mac_entry *place = &set[0];

	for (unsigned i = 0; i < MAC_TABLE_WAYS; i++) {
		if (set[i].mac == mac) {
			place = &set[i];
			break;
		}
		/* A free one was never heard of. */
		if (set[i].heard < place->heard) {
			place = &set[i];
		}
	}
	*place = (struct mac_entry){mac, now, port};
}

uint32_t mac_table_find(const struct mac_table *t, uint64_t mac, uint64_t now)
{
	const struct mac_entry *set = t->sets[set_of(mac)];

	for (unsigned i = 0; i < MAC_TABLE_WAYS; i++) {
		if (set[i].mac == mac && holds(&set[i], now)) {
			return set[i].port;
		}
	}
	return MAC_TABLE_UNKNOWN;
}

void mac_table_forget(struct mac_table *t, uint32_t port)
{
	for (unsigned i = 0; i < MAC_TABLE_MAX; i++) {
		struct mac_entry *e = &t->sets[i / MAC_TABLE_WAYS][i % MAC_TABLE_WAYS];

		if (e->port == port) {
			*e = (struct mac_entry){0};
		}
	}
}

unsigned mac_table_count(const struct mac_table *t, uint64_t now)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MAC_TABLE_MAX; i++) {
		count += holds(&t->sets[i / MAC_TABLE_WAYS][i % MAC_TABLE_WAYS], now) ? 1 : 0;
	}
	return count;
}
