/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hypervisor memory: page-granular blocks and small objects, always zeroed, always mapped in every
 * hypervisor address space at pool_ptr(hpa) = HV_DIRECT_BASE + hpa. Only frames of the hypervisor
 * are mapped there, never a guest's; modules read-only, the image not at all.
 *
 * The pool grows by 2 MiB chunks of the frame allocator (smaller ones when memory is fragmented)
 * and keeps what it has. Functions here may be called on any CPU.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"

/* Zeroed pages; page-aligned. NULL when memory is used up. Order as in mm/frame.h, at most 2 MiB.
 */
void *pool_pages(unsigned order);
void pool_pages_free(void *pages, unsigned order);

/* Zeroed object of at most 1 KiB, 16-byte aligned (64 when size is a multiple of 64); larger ones
 * get whole pages. NULL when memory is used up, and for more than 2 MiB. */
void *pool_alloc(size_t size);
/* `size` as given to pool_alloc; NULL is allowed. */
void pool_free(void *object, size_t size);

/* Physical address of pool memory or of any hypervisor-owned frame in the direct window. */
hpa_t pool_hpa(const void *p);
/* The direct-window address of a hypervisor-owned frame. */
void *pool_ptr(hpa_t p);

/* Bytes in use by pool_pages and pool_alloc, page tables included. */
uint64_t pool_bytes_used(void);

/*
 * For mm only.
 *
 * pool_init gives the pool its first chunk, mapped already and declared used in the frame table;
 * `map` maps further chunks into the direct window and may take tables with pool_table(true).
 */
typedef enum hv_status pool_map_fn(hpa_t base, uint64_t size);
void pool_init(hpa_t chunk, uint64_t size, pool_map_fn *map);
/* The small objects' part of pool_init. */
void slab_init(void);
/* A zeroed page marked FRAME_TABLE. With `reserve` from what is left, so that mapping a new chunk
 * never needs one. NULL when memory is used up. */
void *pool_table(bool reserve);
void pool_table_free(void *table);
/* Makes sure that `pages` calls of pool_table(true) succeed if nothing else comes between. */
enum hv_status pool_prepare_tables(uint64_t pages) HV_MUST_CHECK;
