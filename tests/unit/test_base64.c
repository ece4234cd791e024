/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/base64.h"

static void assert_text(const void *bytes, size_t n, const char *text)
{
	char out[300];

	memset(out, 'x', sizeof(out));
	base64_encode(bytes, n, out);
	assert_string_equal(out, text);
	assert_int_equal(strlen(text), BASE64_CHARS(n));
}

/* RFC 4648, "Test Vectors". */
static void the_standards_examples(void **state)
{
	(void)state;
	assert_text("", 0, "");
	assert_text("f", 1, "Zg==");
	assert_text("fo", 2, "Zm8=");
	assert_text("foo", 3, "Zm9v");
	assert_text("foob", 4, "Zm9vYg==");
	assert_text("fooba", 5, "Zm9vYmE=");
	assert_text("foobar", 6, "Zm9vYmFy");
}

static void all_digits(void **state)
{
	uint8_t bytes[48];

	(void)state;
	/* Six bits each: 0, 1, .. 63. */
	for (unsigned i = 0; i < 16; i++) {
		uint32_t group = (i * 4) << 18 | (i * 4 + 1) << 12 | (i * 4 + 2) << 6 | (i * 4 + 3);

		bytes[i * 3] = (uint8_t)(group >> 16);
		bytes[i * 3 + 1] = (uint8_t)(group >> 8);
		bytes[i * 3 + 2] = (uint8_t)group;
	}
	assert_text(bytes, sizeof(bytes),
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	assert_text("\xff\xff", 2, "//8=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_standards_examples),
		cmocka_unit_test(all_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
