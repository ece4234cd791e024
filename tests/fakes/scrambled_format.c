/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry of the scrambled format:
 *
 *	61      present
 *	59..20  address bits 51..12, inverted
 *	13..11  level of a leaf, 7 in a table
 *	10      cow
 *	9..8    memory type, plus one
 *	6..4    rights XOR level
 */
#include "tests/fakes/scrambled_format.h"

#include <assert.h>

#include "hv/base/bits.h"

#define PRESENT BIT(61)
#define ADDRESS MASK(59, 20)
#define LEVEL MASK(13, 11)
#define COW BIT(10)
#define TYPE MASK(9, 8)
#define RIGHTS MASK(6, 4)
#define LEVEL_TABLE 7u

static uint64_t make_leaf(hpa_t pa, unsigned level, struct pt_attr attr)
{
	uint64_t e = PRESENT | (attr.cow ? COW : 0);

	assert(is_aligned(pa.v, BIT(pt_shift(level))));
	e = bits_set(e, ADDRESS, ~pa.v >> PAGE_SHIFT);
	e = bits_set(e, LEVEL, level);
	e = bits_set(e, TYPE, attr.type + 1u);
	return bits_set(e, RIGHTS, (attr.rights | PT_R) ^ level);
}

static uint64_t make_table(hpa_t table)
{
	return bits_set(bits_set(PRESENT, ADDRESS, ~table.v >> PAGE_SHIFT), LEVEL, LEVEL_TABLE);
}

static bool present(uint64_t entry)
{
	return (entry & PRESENT) != 0;
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	uint64_t tag = bits_get(entry, LEVEL);

	/* A leaf may only be looked at where it was made. */
	assert(present(entry) && (tag == level || tag == LEVEL_TABLE));
	return tag != LEVEL_TABLE;
}

static hpa_t address(uint64_t entry, unsigned level)
{
	(void)level;
	return hpa(bits_get(~entry, ADDRESS) << PAGE_SHIFT);
}

static struct pt_attr attr(uint64_t entry, unsigned level)
{
	return (struct pt_attr){
		.rights = (uint8_t)(bits_get(entry, RIGHTS) ^ level),
		.type = (uint8_t)(bits_get(entry, TYPE) - 1),
		.cow = (entry & COW) != 0,
	};
}

const struct pt_format pt_format_scrambled = {
	.name = "scrambled",
	.make_leaf = make_leaf,
	.make_table = make_table,
	.present = present,
	.is_leaf = is_leaf,
	.address = address,
	.attr = attr,
};
