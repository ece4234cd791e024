/* SPDX-License-Identifier: Apache-2.0 */
/* VPIDs are handed out once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdbool.h>

#include "tests/fakes/check.h"
#include "vmx/vpid.h"

static bool seen[VPID_COUNT + 1];

static void each_is_given_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VPID_COUNT; i++) {
		uint16_t vpid = vpid_take();

		assert_int_not_equal(vpid, 0);
		assert_false(seen[vpid]);
		seen[vpid] = true;
	}
	assert_int_equal(vpid_take(), 0);
	vpid_give(0x1234);
	assert_int_equal(vpid_take(), 0x1234);
	assert_int_equal(vpid_take(), 0);
	for (unsigned i = 1; i <= VPID_COUNT; i++) {
		vpid_give((uint16_t)i);
	}
}

static void none_is_given_back_twice(void **state)
{
	uint16_t vpid = vpid_take();

	(void)state;
	vpid_give(vpid);
	EXPECT_CHECK(vpid_give(vpid));
}

static void no_vpid_may_be_given_back(void **state)
{
	(void)state;
	vpid_give(0);
	assert_int_not_equal(vpid_take(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_given_once),
		cmocka_unit_test(no_vpid_may_be_given_back),
		cmocka_unit_test(none_is_given_back_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
