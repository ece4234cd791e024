/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* At an odd address, with the highest bit of each part set. */
static const uint8_t bytes[] = {0, 0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8};

static void reads(void **state)
{
	(void)state;
	assert_int_equal(get_be16(bytes + 1), 0x8192);
	assert_int_equal(get_be32(bytes + 1), 0x8192a3b4);
	assert_true(get_be64(bytes + 1) == 0x8192a3b4c5d6e7f8);
	assert_int_equal(get_le16(bytes + 1), 0x9281);
	assert_int_equal(get_le32(bytes + 1), 0xb4a39281);
}

/* Bits above are left out, and bytes around are left alone. */
static void writes(void **state)
{
	uint8_t out[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
	const uint8_t expected[] = {1, 0x92, 0xa3, 0x81, 0x92, 0xa3, 0xb4,
				    8, 0xa3, 0x92, 0xb4, 0xa3, 0x92, 0x81};

	(void)state;
	put_be16(out + 1, 0x8192a3);
	put_be32(out + 3, 0x8192a3b4);
	put_le16(out + 8, 0x8192a3);
	put_le32(out + 10, 0x8192a3b4);
	assert_memory_equal(out, expected, sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
