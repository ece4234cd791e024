/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's extended page tables (SDM volume 3 "EPT Translation Mechanism" and "EPT and Memory
 * Typing"). RAM ignores the guest's PAT, so that no guest can make aliases of two cache types.
 * Accessed and dirty stay clear: they mean nothing until EPTP turns them on.
 */
#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "mm/ptw.h"

#define EPT_R BIT(0)
#define EPT_W BIT(1)
#define EPT_X BIT(2)
#define EPT_TYPE MASK(5, 3)
#define EPT_IGNORE_PAT BIT(6)
#define EPT_LARGE BIT(7)
#define EPT_COW BIT(52) /* ignored by the CPU */

#define EPT_TYPE_UC 0u
#define EPT_TYPE_WC 1u
#define EPT_TYPE_WB 6u

static uint64_t make_leaf(hpa_t pa, unsigned level, struct pt_attr attr)
{
	uint64_t e = pa.v | EPT_R;

	e |= (attr.rights & PT_W) != 0 ? EPT_W : 0;
	e |= (attr.rights & PT_X) != 0 ? EPT_X : 0;
	e |= attr.cow ? EPT_COW : 0;
	e |= level > PT_LEVEL_4K ? EPT_LARGE : 0;
	switch (attr.type) {
	case PT_UC:
		return bits_set(e, EPT_TYPE, EPT_TYPE_UC);
	case PT_WC:
		return bits_set(e, EPT_TYPE, EPT_TYPE_WC);
	default:
		return bits_set(e, EPT_TYPE, EPT_TYPE_WB) | EPT_IGNORE_PAT;
	}
}

static uint64_t make_table(hpa_t table)
{
	return table.v | EPT_R | EPT_W | EPT_X;
}

static bool present(uint64_t entry)
{
	return (entry & (EPT_R | EPT_W | EPT_X)) != 0;
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == PT_LEVEL_4K || (level < PT_LEVELS && (entry & EPT_LARGE) != 0);
}

static hpa_t address(uint64_t entry, unsigned level)
{
	uint64_t mask = PTE_ADDR;

	if (is_leaf(entry, level)) {
		mask &= ~(BIT(pt_shift(level)) - 1);
	}
	return hpa(entry & mask);
}

static struct pt_attr attr(uint64_t entry, unsigned level)
{
	struct pt_attr a = {
		.rights = (uint8_t)(PT_R | ((entry & EPT_W) != 0 ? PT_W : 0u) |
				    ((entry & EPT_X) != 0 ? PT_X : 0u)),
		.cow = (entry & EPT_COW) != 0,
	};

	(void)level;
	switch (bits_get(entry, EPT_TYPE)) {
	case EPT_TYPE_UC:
		a.type = PT_UC;
		break;
	case EPT_TYPE_WC:
		a.type = PT_WC;
		break;
	default:
		a.type = PT_WB;
		break;
	}
	return a;
}

const struct pt_format pt_format_ept = {
	.name = "EPT",
	.make_leaf = make_leaf,
	.make_table = make_table,
	.present = present,
	.is_leaf = is_leaf,
	.address = address,
	.attr = attr,
};
