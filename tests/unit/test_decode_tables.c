/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of the opcode tables that a slip of one column would break. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "hv/emul/decode_tables.h"

static bool listed(const uint8_t *list, size_t n, unsigned opcode)
{
	return memchr(list, (int)opcode, n) != NULL;
}

/* Each opcode has `attr` exactly when the list names it. */
static void assert_exactly(const uint16_t *table, unsigned attr, const uint8_t *list, size_t n)
{
	for (unsigned op = 0; op < 256; op++) {
		if (((table[op] & attr) != 0) != listed(list, n, op)) {
			fail_msg("opcode %02x, attribute %04x", op, attr);
		}
	}
}

static void test_prefixes(void **state)
{
	static const uint8_t list[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
				       0x66, 0x67, 0xf0, 0xf2, 0xf3};

	(void)state;
	assert_exactly(insn_attr_one, INSN_ATTR_PREFIX, list, sizeof(list));
	assert_exactly(insn_attr_0f, INSN_ATTR_PREFIX, list, 0);
}

/* SDM volume 2 "Opcode Map", superscript i64; 40..4F are REX there. */
static void test_not_in_64_bit_mode(void **state)
{
	static const uint8_t list[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
				       0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
				       0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x60, 0x61, 0x62,
				       0x82, 0x9a, 0xc4, 0xc5, 0xce, 0xd4, 0xd5, 0xd6, 0xea};

	(void)state;
	assert_exactly(insn_attr_one, INSN_ATTR_NOT64, list, sizeof(list));
}

static void test_lockable(void **state)
{
	static const uint8_t one[] = {0x00, 0x01, 0x08, 0x09, 0x10, 0x11, 0x18, 0x19,
				      0x20, 0x21, 0x28, 0x29, 0x30, 0x31, 0x86, 0x87};
	static const uint8_t two[] = {0xab, 0xb0, 0xb1, 0xb3, 0xbb, 0xc0, 0xc1};

	(void)state;
	assert_exactly(insn_attr_one, INSN_ATTR_LOCK, one, sizeof(one));
	assert_exactly(insn_attr_0f, INSN_ATTR_LOCK, two, sizeof(two));
}

static void test_immediates_of_0f(void **state)
{
	static const uint8_t bytes[] = {0x0f, 0x70, 0x71, 0x72, 0x73, 0xa4,
					0xac, 0xba, 0xc2, 0xc4, 0xc5, 0xc6};

	(void)state;
	for (unsigned op = 0; op < 256; op++) {
		unsigned imm = (insn_attr_0f[op] & INSN_ATTR_IMM) >> 12;
		unsigned want = listed(bytes, sizeof(bytes), op) ? INSN_IMM_BYTE : INSN_IMM_NONE;

		want = (op & 0xf0) == 0x80 ? INSN_IMM_BRANCH : want;
		assert_int_equal(imm, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_not_in_64_bit_mode),
		cmocka_unit_test(test_lockable),
		cmocka_unit_test(test_immediates_of_0f),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
