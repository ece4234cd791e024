/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that outlive boot services, and the list of what they are for. */
#pragma once

#include <efi.h>
#include <stdint.h>

#include "boot/memmap.h"

/*
 * Takes pages for `bytes` (at least 1) and claims them as `type`, an enum handoff_memory_type. NULL
 * when memory is used up. Their physical address is the pointer; what is in them is undefined.
 */
void *pages_take(uint64_t bytes, uint32_t type);
/* As above, one page ending below `limit`. */
void *pages_take_below(uint64_t limit, uint32_t type);
/* Gives back pages that one of the two returned, and their claim. */
void pages_give_back(void *pages);

/* All claims so far, for boot/memmap.h. */
const struct memmap_claim *pages_claims(size_t *count);
