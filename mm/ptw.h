/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page-table walker for three formats: the host's own tables, EPT and NPT. A format is const
 * data that says how an entry is put together; the walker does the rest: mapping with the largest
 * page that fits, splitting, unmapping, protecting, looking up, walking. Four levels, 48 bits.
 *
 * Callers lock; hardware may walk the tables at any moment, so each entry changes in one store and
 * a table is complete before an entry points at it.
 *
 * Sources: Intel SDM volume 3 "Paging" and "The Extended Page Table Mechanism"; AMD APM volume 2
 * "Page Translation and Protection" and "Nested Paging".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"

/* Access rights and memory type, format-neutral. */
#define PT_R 1u
#define PT_W 2u
#define PT_X 4u
#define PT_RW (PT_R | PT_W)
#define PT_RX (PT_R | PT_X)
#define PT_RWX (PT_R | PT_W | PT_X)

enum pt_memory_type {
	PT_WB = 0,
	PT_UC,
	PT_WC,
};

/*
 * What IA32_PAT holds on each CPU while it runs hypervisor code: the value after reset, but entry 5
 * is WC. The host and NPT formats count on it.
 */
#define PT_PAT_VALUE 0x0007010600070406ull

struct pt_attr {
	uint8_t rights; /* PT_R | PT_W | PT_X; R is implied by presence */
	uint8_t type;	/* enum pt_memory_type */
	bool cow;	/* software mark: a write fault here means "copy first" */
};

/* An entry of value 0 is not present in any format. */
struct pt_format {
	const char *name;
	/* Leaf entry at `level` (1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB) for `pa`. */
	uint64_t (*make_leaf)(hpa_t pa, unsigned level, struct pt_attr attr);
	uint64_t (*make_table)(hpa_t table);
	bool (*present)(uint64_t entry);
	/* Of a present entry at `level`. */
	bool (*is_leaf)(uint64_t entry, unsigned level);
	hpa_t (*address)(uint64_t entry, unsigned level);
	struct pt_attr (*attr)(uint64_t entry, unsigned level);
};

extern const struct pt_format pt_format_host;
extern const struct pt_format pt_format_ept;
extern const struct pt_format pt_format_npt;

#define PT_ENTRIES 512u
#define PT_LEVELS 4u
#define PT_LEVEL_1G 3u
#define PT_LEVEL_2M 2u
#define PT_LEVEL_4K 1u

/* log2 of what an entry at `level` covers. */
static inline unsigned pt_shift(unsigned level)
{
	return PAGE_SHIFT + 9u * (level - 1);
}

struct pt {
	const struct pt_format *format;
	uint64_t *root;	      /* level-4 table, in the direct window */
	unsigned max_level;   /* largest leaf: 1, 2 or 3, what the CPU supports */
	uint64_t table_count; /* tables allocated, root included */
	bool changed;	      /* set when an existing translation was changed or removed: flush */
	bool reserve;	      /* tables come from the pool's reserve: the core's own */
};

/* Allocates the root. HV_E_NO_MEMORY. */
enum hv_status pt_init(struct pt *pt, const struct pt_format *format,
		       unsigned max_level) HV_MUST_CHECK;
/* Frees all tables below and including the root; frames that leaves point at are not touched. */
void pt_fini(struct pt *pt);

/*
 * Maps [va, va + size) to [pa, pa + size) with the largest leaves that alignment allows; all
 * 4 KiB-aligned. Replaces what was there. HV_E_NO_MEMORY may leave a part mapped.
 */
enum hv_status pt_map(struct pt *pt, uint64_t va, hpa_t pa, uint64_t size,
		      struct pt_attr attr) HV_MUST_CHECK;
/* Removes translations, splitting large leaves at the edges. HV_E_NO_MEMORY when a split fails. */
enum hv_status pt_unmap(struct pt *pt, uint64_t va, uint64_t size) HV_MUST_CHECK;
/* Changes rights, type and mark of what is mapped in the range; holes stay holes. */
enum hv_status pt_protect(struct pt *pt, uint64_t va, uint64_t size,
			  struct pt_attr attr) HV_MUST_CHECK;
/*
 * Makes a leaf boundary at `va`: afterwards no leaf covers both va - 1 and va. A change that starts
 * and ends at such boundaries of mapped memory needs no new table. HV_E_NO_MEMORY.
 */
enum hv_status pt_split(struct pt *pt, uint64_t va) HV_MUST_CHECK;
/* The table whose entries are of `level` (1-3) on the way to `va`, made if needed; NULL without
 * memory or when a leaf is in the way. */
uint64_t *pt_table(struct pt *pt, uint64_t va, unsigned level);

struct pt_leaf {
	uint64_t va; /* of the leaf's first byte */
	hpa_t pa;
	uint64_t size; /* 4 KiB, 2 MiB or 1 GiB */
	struct pt_attr attr;
};

/* The leaf that translates `va`; false when there is none. */
bool pt_lookup(const struct pt *pt, uint64_t va, struct pt_leaf *out);
/*
 * How large a hole there is at `va`: the level of the entry that leaves it out, 0 when it is
 * mapped. A leaf of that level or below can be put there without dropping a table.
 */
unsigned pt_hole(const struct pt *pt, uint64_t va);
/* Calls `fn` for each leaf that touches [va, va + size) in ascending order until it returns false.
 */
void pt_walk(const struct pt *pt, uint64_t va, uint64_t size,
	     bool (*fn)(void *ctx, const struct pt_leaf *leaf), void *ctx);
