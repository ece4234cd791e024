/* SPDX-License-Identifier: Apache-2.0 */
/* What mm/gspace.c, mm/release.c, mm/rom.c and mm/devmem.c share of a guest's physical address
 * space. */
#pragma once

#include "mm/gspace.h"

/* The region that holds `addr`, NULL when none does; remembers it for gspace_hit. */
struct gspace_region *gspace_find_region(struct gspace *g, uint64_t addr);

/* Of second-stage leaves that cover `size` bytes at most. */
struct pt_attr gspace_stage2_attr(const struct gspace *g, uint64_t size, bool writable, bool cow);
struct pt_attr gspace_window_attr(bool writable, bool cow);
/* Maps a zeroed block, in both tables or in none. HV_E_NO_MEMORY. */
enum hv_status gspace_map_block(struct gspace *g, const struct gspace_region *r, uint64_t addr,
				hpa_t block, uint64_t size) HV_MUST_CHECK;
/* Makes [addr, addr + size) consist of whole leaves in both tables. HV_E_NO_MEMORY. */
enum hv_status gspace_split_edges(struct gspace *g, uint64_t addr, uint64_t size) HV_MUST_CHECK;

/* Without the lock: may be old, but a CPU that has flushed since a hole was made sees it. */
static inline bool gspace_has_holes(const struct gspace_region *r)
{
	return __atomic_load_n(&r->holes, __ATOMIC_RELAXED) != 0;
}

/* Frames for all holes of [addr, addr + size), which is populated. Under lock. HV_E_NO_MEMORY. */
enum hv_status gspace_fill(struct gspace *g, uint64_t addr, uint64_t size) HV_MUST_CHECK;
/*
 * Bytes from `addr` on that are parked and still in the window as `frame`; 0 when they are not.
 * Under lock.
 */
uint64_t gspace_parked_bytes(const struct gspace *g, uint64_t addr, hpa_t frame);
/* Bytes that are in the window and, as they are parked, not in the second stage. Under lock. */
uint64_t gspace_window_only(const struct gspace *g);
/* The end of the guest: frees what is parked, `*budget` bytes of it at most, which it lowers. */
void gspace_fini_release(struct gspace *g, uint64_t *budget);

/* Frames for the holes of the range, and for `write` frames of its own for what is shared. Takes
 * the lock. HV_E_NO_MEMORY. */
enum hv_status gspace_make_ready(struct gspace *g, uint64_t addr, uint64_t size,
				 bool write) HV_MUST_CHECK;

/* Without the lock: may be old, but a CPU that has flushed since the region was hidden sees it. */
static inline bool gspace_is_hidden(const struct gspace_region *r)
{
	return __atomic_load_n(&r->hidden, __ATOMIC_RELAXED);
}

/*
 * Unmaps what begins and ends with a leaf and is mapped all through: leaf by leaf, as a whole large
 * page that consists of small ones would lose its table, which a CPU may be walking. Under lock,
 * but for the guest's end.
 */
void gspace_unmap_leaves(struct pt *pt, uint64_t at, uint64_t size);

/* Bytes from `addr` on that are hidden; 0 when it is not. Under lock. */
uint64_t gspace_hidden_bytes(const struct gspace *g, uint64_t addr);
/* All that is hidden. Under lock. */
uint64_t gspace_hidden_total(const struct gspace *g);
/* The end of the guest: its frames are all in the second stage again. */
void gspace_fini_roms(struct gspace *g);

/* gspace_fault where there is no region. Without the lock: may be old. */
enum gspace_fault gspace_view_fault(const struct gspace *g, uint64_t addr, bool write);
/* Bytes of device memory in the second stage, once per view. Under lock. */
uint64_t gspace_devmem_surplus(const struct gspace *g);
/* Whether each view shows what it is to show, with the rights that it is to have. Under lock. */
bool gspace_views_are_right(const struct gspace *g);
/* The end of the guest: frees device memory, `*budget` bytes of it or a little more, which it
 * lowers. */
void gspace_fini_devmem(struct gspace *g, uint64_t *budget);
