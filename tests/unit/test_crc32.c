/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/crc32.h"

/* The check value of the catalogues, and what zlib says of others. */
static void known_values(void **state)
{
	static const uint8_t zeros[32];

	(void)state;
	assert_int_equal(crc32(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32(0, zeros, sizeof(zeros)), 0x190a55ad);
	assert_int_equal(crc32(0, "", 0), 0);
}

static void parts_go_on(void **state)
{
	(void)state;
	assert_int_equal(crc32(crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values),
		cmocka_unit_test(parts_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
