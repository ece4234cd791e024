/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AMD's nested tables: the long-mode format, walked as user accesses, so U is set throughout (APM
 * volume 2 "Nested Paging", "Nested versus Guest Page Faults, Fault Ordering").
 */
#include "mm/pt_long.h"

static uint64_t make_leaf(hpa_t pa, unsigned level, struct pt_attr attr)
{
	return pt_long_leaf(pa, level, attr) | PTE_U;
}

static uint64_t make_table(hpa_t table)
{
	return table.v | PTE_P | PTE_W | PTE_U | PTE_A;
}

const struct pt_format pt_format_npt = {
	.name = "NPT",
	.make_leaf = make_leaf,
	.make_table = make_table,
	.present = pt_long_present,
	.is_leaf = pt_long_is_leaf,
	.address = pt_long_address,
	.attr = pt_long_attr,
};
