/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and granules are pages of the pool. */
#include "hv/blk/overlay_tree.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "mm/frame.h"
#include "mm/pool.h"

#define NODE_BITS 9u
#define NODE_ENTRIES (1u << NODE_BITS)
/* What the guests' disks leave of the machine's memory for everything else. */
#define OVERLAY_LEAVES MIB(8)

/* NULL: absent. At the lowest level a granule's page; above it a node. Or the mark for zeros. */
struct node {
	void *entries[NODE_ENTRIES];
};
static_assert(sizeof(struct node) == BLK_OVERLAY_GRANULE, "nodes and granules are pages");
static_assert(BLK_OVERLAY_GRANULE == PAGE_SIZE, "nodes and granules are pages");

/* The mark for zeros is a granule of them; never written. */
static uint8_t zeros[BLK_OVERLAY_GRANULE];
#define ZEROS ((void *)zeros)

static bool is_memory(const void *entry)
{
	return entry != NULL && entry != ZEROS;
}

static unsigned index_at(uint64_t granule, unsigned level)
{
	return (unsigned)(granule >> (level * NODE_BITS)) % NODE_ENTRIES;
}

const void *overlay_tree_lookup(const struct overlay_tree *t, uint64_t granule)
{
	const void *entry = t->root;

	for (unsigned level = t->levels; level > 0 && is_memory(entry); level--) {
		entry = ((const struct node *)entry)->entries[index_at(granule, level - 1)];
	}
	return entry;
}

/* A zeroed page within the limit; NULL: there is none. */
static void *take_page(struct overlay_tree *t)
{
	struct frame_stats machine;
	void *page = NULL;

	frame_stats(&machine);
	if (machine.free * PAGE_SIZE >= OVERLAY_LEAVES &&
	    (t->limit == 0 || range_fits(t->bytes, PAGE_SIZE, t->limit))) {
		page = pool_pages(0);
	}
	t->bytes += page != NULL ? PAGE_SIZE : 0;
	return page;
}

static void give_page(struct overlay_tree *t, void *page)
{
	pool_pages_free(page, 0);
	t->bytes -= PAGE_SIZE;
}

/* The node in *entry, made if there is none, with what stood there in all its entries. */
static struct node *open_node(struct overlay_tree *t, void **entry)
{
	struct node *node = *entry;

	if (is_memory(node)) {
		return node;
	}
	node = take_page(t);
	if (node == NULL) {
		return NULL;
	}
	for (unsigned i = 0; *entry == ZEROS && i < NODE_ENTRIES; i++) {
		node->entries[i] = ZEROS;
	}
	*entry = node;
	return node;
}

/* Where the granule's entry is; NULL: no memory. */
static void **open_entry(struct overlay_tree *t, uint64_t granule)
{
	void **entry = &t->root;

	for (unsigned level = t->levels; level > 0; level--) {
		struct node *node = open_node(t, entry);

		if (node == NULL) {
			return NULL;
		}
		entry = &node->entries[index_at(granule, level - 1)];
	}
	return entry;
}

/* Frees what `entry` stands for; `level` is the number of node levels in it. */
static void drop(struct overlay_tree *t, void *entry, unsigned level)
{
	struct node *node = entry;

	if (!is_memory(entry)) {
		return;
	}
	for (unsigned i = 0; level > 0 && i < NODE_ENTRIES; i++) {
		drop(t, node->entries[i], level - 1);
	}
	give_page(t, entry);
}

/* Granules [first, end) become `mark`, which is NULL or ZEROS. */
struct mark {
	uint64_t first;
	uint64_t end;
	void *mark;
};

/*
 * Marks what of `m` lies below `entry`, which stands for the granules from `base` on; false: no
 * memory to take apart an entry that stands for more.
 */
static bool mark_below(struct overlay_tree *t, void **entry, unsigned level, uint64_t base,
		       const struct mark *m)
{
	uint64_t span = BIT(level * NODE_BITS);
	uint64_t child = span >> NODE_BITS;
	struct node *node;

	if (m->first <= base && base + span <= m->end) {
		drop(t, *entry, level);
		*entry = m->mark;
		return true;
	}
	if (*entry == m->mark) {
		return true;
	}
	node = open_node(t, entry);
	if (node == NULL) {
		return false;
	}
	for (unsigned i = 0; i < NODE_ENTRIES; i++) {
		uint64_t at = base + i * child;

		if (ranges_overlap(at, child, m->first, m->end - m->first) &&
		    !mark_below(t, &node->entries[i], level - 1, at, m)) {
			return false;
		}
	}
	return true;
}

/* ---- what the overlay calls ---- */

uint8_t *overlay_tree_open(struct overlay_tree *t, uint64_t granule, const uint8_t *fill)
{
	void **entry = open_entry(t, granule);
	uint8_t *page;

	if (entry == NULL || is_memory(*entry)) {
		return entry == NULL ? NULL : *entry;
	}
	page = take_page(t);
	if (page == NULL) {
		return NULL;
	}
	if (*entry == NULL && fill != NULL) {
		memcpy(page, fill, BLK_OVERLAY_GRANULE);
	}
	*entry = page;
	return page;
}

bool overlay_tree_mark(struct overlay_tree *t, uint64_t first, uint64_t end, bool to_zeros)
{
	const struct mark m = {first, end, to_zeros ? ZEROS : NULL};

	return mark_below(t, &t->root, t->levels, 0, &m);
}

uint64_t overlay_tree_granules(const struct overlay_tree *t)
{
	return BIT(t->levels * NODE_BITS);
}

void overlay_tree_clear(struct overlay_tree *t)
{
	drop(t, t->root, t->levels);
	t->root = NULL;
}

void overlay_tree_init(struct overlay_tree *t, uint64_t granules, uint64_t limit)
{
	*t = (struct overlay_tree){.levels = 1, .limit = limit};
	while (overlay_tree_granules(t) < granules) {
		t->levels++;
	}
}
