/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The granules of 4 KiB that an overlay has, in a tree of 512 entries a node, as deep as the
 * device's size needs.
 *
 *	root --> node --> node --> granule's page
 *	           |        +----> absent
 *	           +-------------> zeros: a mark, no memory
 *
 * An entry at any depth may be absent or the mark for zeros: then it stands for all below it, so
 * that zeroing or discarding a whole disk takes one entry.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BLK_OVERLAY_GRANULE 4096u

/* Covered by its owner's lock; the pool is used under it. */
struct overlay_tree {
	unsigned levels; /* of nodes below `root` */
	uint64_t limit;	 /* bytes; 0: none */
	void *root;
	uint64_t bytes; /* granules and nodes */
};

/* All is absent. `granules`: how many the device has, >= 1. */
void overlay_tree_init(struct overlay_tree *t, uint64_t granules, uint64_t limit);
/* Gives all memory back. */
void overlay_tree_clear(struct overlay_tree *t);
/* How many granules there is room for: at least those of the device. */
uint64_t overlay_tree_granules(const struct overlay_tree *t);
/* What the granule has, to be read only; a page of zeros where it is marked. NULL: it is absent. */
const void *overlay_tree_lookup(const struct overlay_tree *t, uint64_t granule);
/*
 * The granule's page, to be written; a new one has zeros, or what is in `fill` if it was absent.
 * NULL: no memory.
 */
uint8_t *overlay_tree_open(struct overlay_tree *t, uint64_t granule, const uint8_t *fill);
/* Granules first .. end - 1 become zeros or absent. False: no memory for that, some may have. */
bool overlay_tree_mark(struct overlay_tree *t, uint64_t first, uint64_t end, bool to_zeros);
