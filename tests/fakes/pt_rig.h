/* SPDX-License-Identifier: Apache-2.0 */
/* What formats of page tables have in common; include cmocka.h first. */
#pragma once

#include "hv/base/bits.h"
#include "mm/ptw.h"

/* `touched`: bits that a CPU sets in a leaf, which must change nothing. */
static inline void pt_rig_round_trip(const struct pt_format *f, uint64_t touched)
{
	for (unsigned bits = 0; bits < 4 * 3 * 2 * 3; bits++) {
		struct pt_attr attr = {
			.rights = (uint8_t)(PT_R | (bits % 4) << 1),
			.type = (uint8_t)(bits / 4 % 3),
			.cow = bits / 12 % 2 != 0,
		};
		unsigned level = 1 + bits / 24;
		hpa_t pa = hpa(0x000fffffc0000000ull);
		uint64_t e = f->make_leaf(pa, level, attr);

		assert_true(f->present(e));
		assert_true(f->is_leaf(e, level));
		assert_int_equal(f->address(e | touched, level).v, pa.v);
		assert_int_equal(f->attr(e | touched, level).rights, attr.rights);
		assert_int_equal(f->attr(e, level).type, attr.type);
		assert_int_equal(f->attr(e, level).cow, attr.cow);
	}
	assert_false(f->present(0));
}

/*
 * Bits by number, as the manual's figure of a long-mode entry has them; `always`: which this format
 * sets besides present, accessed and dirty.
 */
static inline void pt_rig_long_leaves(const struct pt_format *f, uint64_t always)
{
	const struct pt_attr rwx = {.rights = PT_RWX};
	const struct pt_attr ro = {.rights = PT_R};
	const struct pt_attr rw_uc = {.rights = PT_RW, .type = PT_UC};
	const struct pt_attr wc = {.rights = PT_RWX, .type = PT_WC};
	const struct pt_attr cow = {.rights = PT_RX, .cow = true};
	const uint64_t base = 1 | 0x60 | always;

	assert_int_equal(f->make_leaf(hpa(0x12345000), 1, rwx), 0x12345000 | base | 2);
	assert_int_equal(f->make_leaf(hpa(0x12345000), 1, ro), 0x12345000 | base | BIT(63));
	assert_int_equal(f->make_leaf(hpa(0x200000), 2, rwx), 0x200000 | base | 2 | 0x80);
	assert_int_equal(f->make_leaf(hpa(GIB(3)), 3, rwx), GIB(3) | base | 2 | 0x80);
	assert_int_equal(f->make_leaf(hpa(0), 1, rw_uc), base | 2 | 0x18 | BIT(63));
	/* PAT index 5: the PAT bit is 7 in a small leaf and 12 in a large one. */
	assert_int_equal(f->make_leaf(hpa(0), 1, wc), base | 2 | 0x08 | 0x80);
	assert_int_equal(f->make_leaf(hpa(0), 2, wc), base | 2 | 0x08 | 0x80 | 0x1000);
	assert_int_equal(f->make_leaf(hpa(0), 1, cow), base | 0x200);
}

static inline void pt_rig_long_tables(const struct pt_format *f, uint64_t always)
{
	assert_int_equal(f->make_table(hpa(0x7000)), 0x7000 | 3 | 0x20 | always);
	assert_false(f->is_leaf(f->make_table(hpa(0x7000)), 2));
	assert_int_equal(f->address(0x7000 | 3 | BIT(63), 4).v, 0x7000);
}
