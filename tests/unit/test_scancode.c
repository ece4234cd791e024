/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/scancode.h"

/* Keys everybody knows: set 1, set 2, set 3. */
static const uint8_t known[][3] = {
	{0x01, 0x76, 0x08}, {0x02, 0x16, 0x16}, {0x1e, 0x1c, 0x1c}, {0x39, 0x29, 0x29},
	{0x1c, 0x5a, 0x5a}, {0x1d, 0x14, 0x11}, {0x3b, 0x05, 0x07}, {0x41, 0x83, 0x37},
	{0x44, 0x09, 0x4f}, {0x57, 0x78, 0x56}, {0x58, 0x07, 0x5e}, {0x0e, 0x66, 0x66},
	{0x2a, 0x12, 0x12}, {0x3a, 0x58, 0x14}, {0x45, 0x77, 0x76}, {0x54, 0x84, 0x57},
	{0x56, 0x61, 0x13}, {0x53, 0x71, 0x71}, {0x32, 0x3a, 0x3a}, {0x10, 0x15, 0x15},
};

static void known_keys(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_int_equal(scancode_1_to_2(known[i][0]), known[i][1]);
		assert_int_equal(scancode_2_to_1(known[i][1]), known[i][0]);
		assert_int_equal(scancode_1_to_3(known[i][0], false), known[i][2]);
	}
	assert_int_equal(scancode_1_to_3(0x48, true), 0x63); /* Up */
	assert_int_equal(scancode_1_to_3(0x53, true), 0x64); /* Delete */
	assert_int_equal(scancode_1_to_3(0x2a, true), 0); /* the false shift of an extended key */
}

/* A key through the keyboard and back through the controller is the key it was. */
static void sets_1_and_2_are_inverse(void **state)
{
	(void)state;
	for (unsigned make = 1; make < 0x80; make++) {
		uint8_t code = scancode_1_to_2((uint8_t)make);

		if (make <= 0x58) {
			assert_int_not_equal(code, 0);
		}
		if (code != 0) {
			assert_int_equal(scancode_2_to_1(code), make);
		}
	}
	assert_int_equal(scancode_1_to_2(0), 0);
}

/* The table is a permutation but for the four entries that no key uses. */
static void translation_is_almost_one_to_one(void **state)
{
	unsigned seen[256] = {0};

	(void)state;
	for (unsigned byte = 0; byte < 0x80; byte++) {
		seen[scancode_2_to_1((uint8_t)byte)]++;
	}
	for (unsigned i = 0; i < 256; i++) {
		assert_in_range(seen[i], 0, 1);
	}
	assert_int_equal(seen[0xff], 1);
}

static void replies_pass(void **state)
{
	(void)state;
	assert_int_equal(scancode_2_to_1(0xfa), 0xfa);
	assert_int_equal(scancode_2_to_1(0xaa), 0xaa);
	assert_int_equal(scancode_2_to_1(0xab), 0xab);
	assert_int_equal(scancode_2_to_1(0xe0), 0xe0);
	assert_int_equal(scancode_2_to_1(0xee), 0xee);
}

static void set_3_codes_differ(void **state)
{
	unsigned seen[256] = {0};

	(void)state;
	for (unsigned make = 1; make < 0x80; make++) {
		seen[scancode_1_to_3((uint8_t)make, false)]++;
		seen[scancode_1_to_3((uint8_t)make, true)]++;
	}
	for (unsigned i = 1; i < 256; i++) {
		/* Print Screen and SysRq are one key. */
		assert_in_range(seen[i], 0, i == 0x57 ? 2 : 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_keys),
		cmocka_unit_test(sets_1_and_2_are_inverse),
		cmocka_unit_test(translation_is_almost_one_to_one),
		cmocka_unit_test(replies_pass),
		cmocka_unit_test(set_3_codes_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
