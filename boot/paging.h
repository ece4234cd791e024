/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader's page tables: a builder of 4-level tables in a buffer given to it. What it builds is
 * described in boot/handoff.h and lives until the hypervisor has tables of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/elf.h"
#include "boot/handoff.h"

struct paging {
	uint64_t *tables;  /* `capacity` pages, zeroed; the first is the root */
	uint64_t physical; /* address of the same memory as the CPU's page walk sees it */
	size_t capacity;   /* pages */
	size_t used;
	bool gib_pages; /* the CPU has 1 GiB pages */
};

/* Pages that paging_build needs at most for this map and image. */
size_t paging_bound(const struct handoff_memory *map, size_t count, uint64_t image_span);

/*
 * Builds everything: memory of the map (all but MMIO and reserved) 1:1 and in the direct window,
 * and the image's segments at their link addresses with their own rights, its first byte at
 * physical `image`. False when the buffer is too small. The root is p->physical.
 */
bool paging_build(struct paging *p, const struct handoff_memory *map, size_t count,
		  const struct elf_plan *plan, uint64_t image) __attribute__((warn_unused_result));
