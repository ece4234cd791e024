/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/status.h"

static void each_code_has_its_own_name(void **state)
{
	(void)state;
	for (int i = 0; i < HV_STATUS_COUNT; i++) {
		const char *name = hv_status_name((enum hv_status)i);

		assert_true(strlen(name) > 0);
		assert_string_not_equal(name, "unknown status");
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(name, hv_status_name((enum hv_status)j));
		}
	}
	assert_string_equal(hv_status_name(HV_OK), "ok");
	assert_string_equal(hv_status_name(HV_E_NO_MEMORY), "no memory");
}

static void any_number_has_some_name(void **state)
{
	(void)state;
	assert_string_equal(hv_status_name(HV_STATUS_COUNT), "unknown status");
	assert_string_equal(hv_status_name((enum hv_status) - 1), "unknown status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_has_its_own_name),
		cmocka_unit_test(any_number_has_some_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
