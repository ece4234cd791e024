/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which port a MAC was last heard of at: sets of a few ways, so that looking up is bounded and a
 * flood of made-up addresses only pushes out others. An address that is not heard of for a while
 * does not hold any more.
 */
#pragma once

#include <stdint.h>

#include "hv/api/net.h"

/* Addresses at most, and for how long they hold without being heard of again. */
#define MAC_TABLE_MAX 1024u
#define MAC_TABLE_AGE_NS 300000000000ull
#define MAC_TABLE_WAYS 4u
#define MAC_TABLE_SETS (MAC_TABLE_MAX / MAC_TABLE_WAYS)
#define MAC_TABLE_UNKNOWN (~0u)

struct mac_entry {
	uint64_t mac;	/* 0: free */
	uint64_t heard; /* ticks */
	uint32_t port;
};

/* All zero: empty. Covered by its user's lock. Times are ticks of hv/api/clock.h. */
struct mac_table {
	struct mac_entry sets[MAC_TABLE_SETS][MAC_TABLE_WAYS];
};

/* Six bytes as a number, the first one highest. */
static inline uint64_t mac_pack(const uint8_t *bytes)
{
	uint32_t high;
	uint16_t low;

	/* Without a call. */
	__builtin_memcpy(&high, bytes, sizeof(high));
	__builtin_memcpy(&low, bytes + sizeof(high), sizeof(low));
	return (uint64_t)__builtin_bswap32(high) << 16 | __builtin_bswap16(low);
}

/* Remembers where `mac` (not 0) was heard of; in a full set the one silent for longest goes. */
void mac_table_learn(struct mac_table *t, uint64_t mac, uint32_t port, uint64_t now);
/* Its port, or MAC_TABLE_UNKNOWN. */
uint32_t mac_table_find(const struct mac_table *t, uint64_t mac, uint64_t now);
/* Forgets what was heard of at a port. */
void mac_table_forget(struct mac_table *t, uint32_t port);
/* How many hold. */
unsigned mac_table_count(const struct mac_table *t, uint64_t now);
