/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU's own long-mode tables, supervisor pages only. */
#include "mm/pt_long.h"

static uint64_t make_table(hpa_t table)
{
	return table.v | PTE_P | PTE_W | PTE_A;
}

const struct pt_format pt_format_host = {
	.name = "host",
	.make_leaf = pt_long_leaf,
	.make_table = make_table,
	.present = pt_long_present,
	.is_leaf = pt_long_is_leaf,
	.address = pt_long_address,
	.attr = pt_long_attr,
};
