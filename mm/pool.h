/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hypervisor memory: page-granular blocks and small objects, always zeroed, always mapped in every
 * hypervisor address space at pool_hva(hpa) = HV_DIRECT_BASE + hpa. Only FRAME_HV and FRAME_TABLE
 * frames are mapped there, never a guest's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"

/* Zeroed pages; page-aligned. NULL when memory is used up. Order as in mm/frame.h, at most 2 MiB.
 */
void *pool_pages(unsigned order);
void pool_pages_free(void *pages, unsigned order);

/* Zeroed object of at most 2 KiB, 16-byte aligned (64 when size is a multiple of 64); larger ones
 * get whole pages. NULL when memory is used up. */
void *pool_alloc(size_t size);
/* `size` as given to pool_alloc; NULL is allowed. */
void pool_free(void *object, size_t size);

/* Physical address of pool memory or of any hypervisor-owned frame in the direct window. */
hpa_t pool_hpa(const void *p);
/* The direct-window address of a hypervisor-owned frame. */
void *pool_ptr(hpa_t p);

/* Bytes in use by pool_pages and pool_alloc, page tables included. */
uint64_t pool_bytes_used(void);
