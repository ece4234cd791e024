/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address-space identifiers. Each CPU hands out its ASIDs in ascending order; when they are used up
 * a new generation starts, the CPU flushes everything once, and each vCPU gets a new ASID when it
 * runs next. A vCPU that needs its translations forgotten keeps its ASID where the CPU can flush
 * by ASID, and takes a fresh one where it cannot.
 *
 * Source: AMD APM volume 2 "TLB Control".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Of one CPU; touched by that CPU only. */
struct asid_pool {
	uint64_t generation; /* 0: none was ever handed out */
	uint32_t next;
	uint32_t count; /* ASIDs 1 .. count exist */
	bool flush_by_asid;
};

/* Of one vCPU; all zero at first. */
struct asid_slot {
	const struct asid_pool *pool; /* that `asid` comes from; NULL before the first run */
	uint64_t generation;
	uint32_t asid;
};

/*
 * Starts over on a CPU whose TLB holds who knows what; `count` >= 1. Slots filled earlier from this
 * pool stop matching.
 */
void asid_pool_init(struct asid_pool *pool, uint32_t count, bool flush_by_asid);

/* Whether the slot's ASID is not, or no longer, its own on the pool's CPU. */
static inline bool asid_is_stale(const struct asid_pool *pool, const struct asid_slot *slot)
{
	return slot->pool != pool || slot->generation != pool->generation;
}

/* The slow half of asid_assign. */
uint8_t asid_renew(struct asid_pool *pool, struct asid_slot *slot, bool flush);

/*
 * Makes slot->asid valid for the next run on the pool's CPU, with no translation older than a flush
 * that was asked for. Returns the TLB_CONTROL value for that run. A vCPU that comes back to a CPU
 * gets a new ASID there: what it did elsewhere has not reached this CPU's TLB.
 */
static inline uint8_t asid_assign(struct asid_pool *pool, struct asid_slot *slot, bool flush)
{
	if (!flush && !asid_is_stale(pool, slot)) {
		return 0;
	}
	return asid_renew(pool, slot, flush);
}
