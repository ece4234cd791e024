/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "hv/wallclock.h"
#include "tests/fakes/fake_cpu.h"

#define HZ 2400000000ull

static void the_tsc_carries_it_on(void **state)
{
	uint32_t nanoseconds;

	(void)state;
	fake_cpu_reset();
	clock_init(HZ);
	fake_tsc = 12345;
	wallclock_set(1767225600);
	assert_int_equal(wallclock_now(), 1767225600);
	fake_tsc += HZ - 1;
	assert_int_equal(wallclock_now(), 1767225600);
	fake_tsc += 1;
	assert_int_equal(wallclock_now(), 1767225601);
	fake_tsc += HZ / 4;
	assert_int_equal(wallclock_read(&nanoseconds), 1767225601);
	assert_int_equal(nanoseconds, 250000000);
	fake_tsc += 86400 * HZ * 365;
	assert_int_equal(wallclock_now(), 1767225601 + 86400 * 365);
}

static void it_can_be_set_again(void **state)
{
	(void)state;
	wallclock_set(100);
	fake_tsc += 5 * HZ;
	wallclock_set(50);
	fake_tsc += HZ;
	assert_int_equal(wallclock_now(), 51);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tsc_carries_it_on),
		cmocka_unit_test(it_can_be_set_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
