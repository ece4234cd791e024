/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host format and NPT share: both are long-mode entries. Accessed and dirty are set from
 * the start, so that the CPU never has to write a table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "mm/ptw.h"

#define PT_LONG_COW BIT(9)	/* available to software */
#define PT_LONG_PAT_4K BIT(7)	/* third PAT index bit of a 4 KiB leaf */
#define PT_LONG_PAT_BIG BIT(12) /* the same in a 2 MiB or 1 GiB leaf */

static inline uint64_t pt_long_pat_bit(unsigned level)
{
	return level == PT_LEVEL_4K ? PT_LONG_PAT_4K : PT_LONG_PAT_BIG;
}

/* PAT index 0 is WB, 3 is UC, 5 is WC (PT_PAT_VALUE). */
static inline uint64_t pt_long_type(unsigned type, unsigned level)
{
	switch (type) {
	case PT_UC:
		return PTE_PCD | PTE_PWT;
	case PT_WC:
		return pt_long_pat_bit(level) | PTE_PWT;
	default:
		return 0;
	}
}

static inline uint64_t pt_long_leaf(hpa_t pa, unsigned level, struct pt_attr attr)
{
	return pa.v | PTE_P | PTE_A | PTE_D | ((attr.rights & PT_W) != 0 ? PTE_W : 0) |
	       ((attr.rights & PT_X) != 0 ? 0 : PTE_NX) | (attr.cow ? PT_LONG_COW : 0) |
	       (level > PT_LEVEL_4K ? PTE_PS : 0) | pt_long_type(attr.type, level);
}

static inline bool pt_long_present(uint64_t entry)
{
	return (entry & PTE_P) != 0;
}

static inline bool pt_long_is_leaf(uint64_t entry, unsigned level)
{
	return level == PT_LEVEL_4K || (level < PT_LEVELS && (entry & PTE_PS) != 0);
}

/* Of a leaf, or at level 4 of a table. */
static inline hpa_t pt_long_address(uint64_t entry, unsigned level)
{
	uint64_t mask = PTE_ADDR;

	if (level > PT_LEVEL_4K && pt_long_is_leaf(entry, level)) {
		mask &= ~(BIT(pt_shift(level)) - 1);
	}
	return hpa(entry & mask);
}

static inline struct pt_attr pt_long_attr(uint64_t entry, unsigned level)
{
	struct pt_attr attr = {
		.rights = (uint8_t)(PT_R | ((entry & PTE_W) != 0 ? PT_W : 0u) |
				    ((entry & PTE_NX) != 0 ? 0u : PT_X)),
		.type = PT_WB,
		.cow = (entry & PT_LONG_COW) != 0,
	};

	if ((entry & pt_long_pat_bit(level)) != 0) {
		attr.type = PT_WC;
	} else if ((entry & PTE_PCD) != 0) {
		attr.type = PT_UC;
	}
	return attr;
}
