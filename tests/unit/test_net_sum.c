/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/base/net_sum.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/fakes/net_oracle.h"

static uint32_t seed = 1;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static void sums_agree_with_the_definition(void **state)
{
	uint8_t bytes[300];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		size_t n = chance(sizeof(bytes) + 1);

		for (size_t k = 0; k < n; k++) {
			/* Words of all ones, too, where carries and the two zeros are. */
			bytes[k] = (uint8_t)(chance(3) == 0 ? 0xff : chance(256));
		}
		assert_int_equal(net_sum_fold(net_sum(bytes, n, 0)), oracle_checksum(bytes, n));
	}
	/* The example of RFC 1071, "Computing the Internet Checksum", section 3. */
	assert_int_equal(
		net_sum_fold(net_sum((const uint8_t *)"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8, 0)),
		0xffff & ~0xddf2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_agree_with_the_definition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
