/* SPDX-License-Identifier: Apache-2.0 */
/* The KVM clock page, read as Linux reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/pvclock.h"

static const uint64_t rates[] = {1000000,    999999999,	 1000000000, 1000000001, 1193182000,
				 1999999999, 2000000000, 2000000001, 2394461000, 2799998123,
				 3579545,    3999999999, 4200000000, 5000000000, 100000000000};

/* Linux, pvclock_scale_delta: a 64-bit product kept at 96 bits. */
static uint64_t scale(const struct pvclock_vcpu_time_info *info, uint64_t delta)
{
	if (info->tsc_shift < 0) {
		delta >>= -info->tsc_shift;
	} else {
		delta <<= info->tsc_shift;
	}
	return (uint64_t)(((unsigned __int128)delta * info->tsc_to_system_mul) >> 32);
}

static void the_multiplier_has_all_its_bits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		uint32_t mul;
		int8_t shift;

		pvclock_scale(rates[i], &mul, &shift);
		/* Just below 2^31 where the rate is an odd number of ticks over a power of two. */
		assert_true(mul >= (1u << 31) - 4);
	}
}

static void nanoseconds_are_right_to_a_millionth(void **state)
{
	static const uint64_t seconds[] = {1, 60, 86400};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(seconds); j++) {
			struct pvclock_vcpu_time_info info;
			uint64_t want = seconds[j] * 1000000000;
			uint64_t got;

			pvclock_fill(&info, rates[i], 0, 0, 0);
			got = scale(&info, seconds[j] * rates[i]);
			/* Two parts in 2^32 and the tick that was shifted out. */
			assert_true(got <= want);
			assert_true(want - got <= want / 1000000000 + 1000);
		}
	}
}

static void time_begins_where_the_page_says(void **state)
{
	struct pvclock_vcpu_time_info info;

	(void)state;
	pvclock_fill(&info, 2000000000, 5000, 777, PVCLOCK_TSC_STABLE);
	assert_int_equal(info.tsc_timestamp, 5000);
	assert_int_equal(info.system_time, 777);
	assert_int_equal(info.flags, PVCLOCK_TSC_STABLE);
	assert_int_equal(info.version, 0);
	assert_int_equal(info.pad0, 0);
	assert_int_equal(info.system_time + scale(&info, 7000 - info.tsc_timestamp), 777 + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_multiplier_has_all_its_bits),
		cmocka_unit_test(nanoseconds_are_right_to_a_millionth),
		cmocka_unit_test(time_begins_where_the_page_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
