/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/pt_rig.h"

/* A walk of the second stage is a user access. */
#define USER 4u

static void leaves_are_as_the_manual_says(void **state)
{
	(void)state;
	pt_rig_long_leaves(&pt_format_npt, USER);
}

static void tables_give_all_rights(void **state)
{
	(void)state;
	pt_rig_long_tables(&pt_format_npt, USER);
}

static void attributes_and_addresses_come_back(void **state)
{
	(void)state;
	pt_rig_round_trip(&pt_format_npt, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_are_as_the_manual_says),
		cmocka_unit_test(tables_give_all_rights),
		cmocka_unit_test(attributes_and_addresses_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
