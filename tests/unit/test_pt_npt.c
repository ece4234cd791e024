/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "mm/ptw.h"

/* Bits by number, as the manual's figure of a long-mode entry has them. */
static void leaves_are_as_the_manual_says(void **state)
{
	const struct pt_format *f = &pt_format_npt;
	const struct pt_attr rwx = {.rights = PT_RWX};
	const struct pt_attr ro = {.rights = PT_R};
	const struct pt_attr rw_uc = {.rights = PT_RW, .type = PT_UC};
	const struct pt_attr wc = {.rights = PT_RWX, .type = PT_WC};
	const struct pt_attr cow = {.rights = PT_RX, .cow = true};
	/* P, A, D, and what is always set in this format. */
	const uint64_t base = 1 | 0x60 | 4;

	(void)state;
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

static void tables_give_all_rights(void **state)
{
	(void)state;
	assert_int_equal(pt_format_npt.make_table(hpa(0x7000)), 0x7000 | 3 | 0x20 | 4);
	assert_false(pt_format_npt.is_leaf(pt_format_npt.make_table(hpa(0x7000)), 2));
	assert_int_equal(pt_format_npt.address(0x7000 | 3 | BIT(63), 4).v, 0x7000);
}

static void attributes_and_addresses_come_back(void **state)
{
	const struct pt_format *f = &pt_format_npt;

	(void)state;
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
		assert_int_equal(f->address(e, level).v, pa.v);
		assert_int_equal(f->attr(e, level).rights, attr.rights);
		assert_int_equal(f->attr(e, level).type, attr.type);
		assert_int_equal(f->attr(e, level).cow, attr.cow);
	}
	assert_false(f->present(0));
}

/* Index n of IA32_PAT. */
static unsigned pat(unsigned n)
{
	return (unsigned)(PT_PAT_VALUE >> (8 * n)) & 0xff;
}

static void the_pat_has_the_types_where_entries_point(void **state)
{
	(void)state;
	assert_int_equal(pat(0), 6); /* WB */
	assert_int_equal(pat(3), 0); /* UC */
	assert_int_equal(pat(5), 1); /* WC */
	/* The rest as after reset. */
	assert_int_equal(pat(1), 4);
	assert_int_equal(pat(2), 7);
	assert_int_equal(PT_PAT_VALUE >> 48, 0x0007);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_are_as_the_manual_says),
		cmocka_unit_test(tables_give_all_rights),
		cmocka_unit_test(attributes_and_addresses_come_back),
		cmocka_unit_test(the_pat_has_the_types_where_entries_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
