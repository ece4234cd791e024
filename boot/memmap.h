/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the firmware's memory map to the sorted, merged array of boot/handoff.h. Firmware maps are
 * input like any other: entries may be unsorted, overlap, be empty, wrap, or lie about alignment,
 * and the stride may be anything. Where two entries disagree the more restrictive one holds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"

/* EFI_MEMORY_DESCRIPTOR, version 1 (UEFI specification, "EFI_BOOT_SERVICES.GetMemoryMap()"). */
struct memmap_descriptor {
	uint32_t type;
	uint32_t pad;
	uint64_t base;
	uint64_t virtual_base;
	uint64_t pages; /* of 4 KiB */
	uint64_t attributes;
};
_Static_assert(sizeof(struct memmap_descriptor) == 40, "UEFI's size");

/* Memory the loader took and what for; stronger than anything the firmware says of it. */
struct memmap_claim {
	uint64_t base; /* 4 KiB aligned, as is size */
	uint64_t size;
	uint32_t type; /* enum handoff_memory_type */
};

struct memmap_input {
	const void *descriptors;
	size_t bytes;  /* of all descriptors */
	size_t stride; /* from one to the next, at least sizeof(struct memmap_descriptor) */
	const struct memmap_claim *claims;
	size_t claim_count;
};

/* Memory at and above this is left out: it has no place in the direct window. */
#define MEMMAP_LIMIT (32ull << 40)

/* How many entries memmap_build can produce at most. */
size_t memmap_bound(const struct memmap_input *in);

/*
 * Writes the first `capacity` entries to `out`; returns how many there are. Page 0 is never free.
 * Takes time quadratic in the number of descriptors and claims, and no memory.
 */
size_t memmap_build(const struct memmap_input *in, struct handoff_memory *out, size_t capacity);
