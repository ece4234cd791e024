/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/exit.h"

static void every_kind_has_its_own_name(void **state)
{
	(void)state;
	for (int i = 0; i < VM_EXIT_KIND_COUNT; i++) {
		const char *name = vm_exit_kind_name((enum vm_exit_kind)i);

		assert_string_not_equal(name, "?");
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(name, vm_exit_kind_name((enum vm_exit_kind)k));
		}
	}
	assert_string_equal(vm_exit_kind_name(VM_EXIT_NESTED_FAULT), "nested-fault");
	assert_string_equal(vm_exit_kind_name(VM_EXIT_KIND_COUNT), "?");
	assert_string_equal(vm_exit_kind_name((enum vm_exit_kind) - 1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_has_its_own_name)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
