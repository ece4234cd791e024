/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the loader's memory map: which parts of it can be believed, and where in free memory the
 * frame table and the pool's first chunk go. Pure: nothing is touched.
 *
 * The map must be sorted by base. Parts that do not hold together are left out with a log line:
 * entries that wrap, free memory that overlaps something, memory too high to have a frame number.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/base/status.h"

struct plan {
	uint64_t top;	     /* end of the memory that is used */
	uint64_t table_base; /* frame table, in free memory */
	uint64_t table_size; /* page-aligned */
	uint64_t chunk_base; /* the pool's first chunk, in free memory below 4 GiB */
	uint64_t chunk_size;
};

/* HV_E_INVALID when the map is not sorted, HV_E_NO_MEMORY when there is no room. */
enum hv_status plan_make(const struct handoff_memory *map, uint64_t count,
			 struct plan *out) HV_MUST_CHECK;

/* A walk over the believable parts of the map in ascending order, disjoint and page-aligned. */
struct plan_walk {
	const struct handoff_memory *map;
	uint64_t count;
	uint64_t next;
	uint64_t end; /* of all entries so far */
	bool quiet;   /* no log lines: somebody else printed them */
};

void plan_walk_init(struct plan_walk *w, const struct handoff_memory *map, uint64_t count);
bool plan_walk_next(struct plan_walk *w, struct handoff_memory *out);
