/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/stack_guard.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

static void guard_is_random_and_ends_in_a_zero_byte(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.rdrand_next = 0x1122334455667787ull;
	stack_guard_init();
	assert_int_equal(__stack_chk_guard, 0x1122334455667700ull);
}

static void without_rdrand_the_time_serves(void **state)
{
	uintptr_t first;

	(void)state;
	fake_cpu_reset();
	fake_cpu.rdrand_works = false;
	fake_tsc = 123456789;
	stack_guard_init();
	first = __stack_chk_guard;
	fake_tsc = 123456790;
	stack_guard_init();
	assert_int_equal(first & 0xff, 0);
	assert_int_not_equal(first, 0);
	assert_int_not_equal(first, __stack_chk_guard);
}

static void a_smashed_stack_stops_the_machine(void **state)
{
	(void)state;
	EXPECT_CHECK(__stack_chk_fail());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guard_is_random_and_ends_in_a_zero_byte),
		cmocka_unit_test(without_rdrand_the_time_serves),
		cmocka_unit_test(a_smashed_stack_stops_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
