/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/base/chacha20.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/* RFC 8439, "Test Vector for the ChaCha20 Block Function". */
static void test_block_of_the_rfc(void **state)
{
	static const uint8_t expected[] = {
		0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3,
		0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22,
		0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa,
		0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1,
		0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
	const uint32_t nonce[] = {0x09000000, 0x4a000000, 0};
	uint32_t key[CHACHA20_KEY_WORDS];
	uint8_t out[CHACHA20_BLOCK_BYTES];
	uint8_t bytes[32];

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)i;
	}
	memcpy(key, bytes, sizeof(key));
	chacha20_block(key, 1, nonce, out);
	assert_memory_equal(out, expected, sizeof(expected));
	chacha20_block(key, 2, nonce, out);
	assert_memory_not_equal(out, expected, sizeof(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
