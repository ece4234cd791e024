/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/pt_rig.h"

static void leaves_are_as_the_manual_says(void **state)
{
	(void)state;
	pt_rig_long_leaves(&pt_format_host, 0);
}

static void tables_give_all_rights(void **state)
{
	(void)state;
	pt_rig_long_tables(&pt_format_host, 0);
}

static void attributes_and_addresses_come_back(void **state)
{
	(void)state;
	pt_rig_round_trip(&pt_format_host, 0);
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
