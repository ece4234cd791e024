/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/pt_rig.h"

/* SDM, "Format of an EPT Page-Table Entry that Maps a 4-KByte Page" and its neighbours. */
static void leaves_are_as_the_manual_says(void **state)
{
	const struct pt_format *f = &pt_format_ept;

	(void)state;
	/* RWX, WB (6 in 5:3), ignore PAT. */
	assert_int_equal(f->make_leaf(hpa(0x12345000), 1, (struct pt_attr){.rights = PT_RWX}),
			 0x12345000 | 7 | 6 << 3 | 0x40);
	assert_int_equal(f->make_leaf(hpa(0x200000), 2, (struct pt_attr){.rights = PT_RX}),
			 0x200000 | 5 | 6 << 3 | 0x40 | 0x80);
	assert_int_equal(f->make_leaf(hpa(GIB(5)), 3, (struct pt_attr){.rights = PT_R}),
			 GIB(5) | 1 | 6 << 3 | 0x40 | 0x80);
	/* Device memory leaves the last word to the guest's PAT. */
	assert_int_equal(f->make_leaf(hpa(0), 1, (struct pt_attr){.rights = PT_RW, .type = PT_UC}),
			 3);
	assert_int_equal(f->make_leaf(hpa(0), 1, (struct pt_attr){.rights = PT_RW, .type = PT_WC}),
			 3 | 8);
	assert_int_equal(f->make_leaf(hpa(0), 1, (struct pt_attr){.rights = PT_RX, .cow = true}),
			 5 | 6 << 3 | 0x40 | BIT(52));
}

static void writable_without_readable_cannot_be_made(void **state)
{
	(void)state;
	/* Would be an EPT misconfiguration. */
	assert_int_equal(pt_format_ept.make_leaf(hpa(0), 1, (struct pt_attr){.rights = PT_W}) & 7,
			 3);
}

static void tables_give_all_rights_and_nothing_reserved(void **state)
{
	(void)state;
	assert_int_equal(pt_format_ept.make_table(hpa(0x7000)), 0x7007);
	assert_false(pt_format_ept.is_leaf(0x7007, 3));
	assert_false(pt_format_ept.is_leaf(0x7087, 4));
	assert_int_equal(pt_format_ept.address(0x7007, 4).v, 0x7000);
}

static void attributes_and_addresses_come_back(void **state)
{
	(void)state;
	pt_rig_round_trip(&pt_format_ept, BIT(8) | BIT(9)); /* accessed and dirty */
	assert_true(pt_format_ept.present(4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_are_as_the_manual_says),
		cmocka_unit_test(writable_without_readable_cannot_be_made),
		cmocka_unit_test(tables_give_all_rights_and_nothing_reserved),
		cmocka_unit_test(attributes_and_addresses_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
