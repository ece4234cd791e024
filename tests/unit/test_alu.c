/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic and flags: all byte operands against sums of plain integers, wider sizes at their
 * edges. tests/fuzz/fuzz_emulate.c compares with the CPU itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "hv/emul/alu.h"

#define ALL (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static uint64_t when(bool on, uint64_t flag)
{
	return on ? flag : 0;
}

/* Flags of a byte result by their definitions. */
static uint64_t model(int usum, int ssum, int nibble)
{
	uint8_t result = (uint8_t)usum;

	return when(usum < 0 || usum > 255, RFLAGS_CF) |
	       when(ssum < -128 || ssum > 127, RFLAGS_OF) |
	       when(nibble < 0 || nibble > 15, RFLAGS_AF) | when(result == 0, RFLAGS_ZF) |
	       when(result >= 128, RFLAGS_SF) |
	       when(__builtin_popcount(result) % 2 == 0, RFLAGS_PF);
}

static void check_byte(enum alu_op op, int a, int b, int carry)
{
	uint64_t rflags = RFLAGS_IF | RFLAGS_DF | when(carry != 0, RFLAGS_CF);
	int in = op == ALU_ADC || op == ALU_SBB ? carry : 0;
	int sign = op == ALU_ADD || op == ALU_ADC ? 1 : -1;
	int usum = a + sign * (b + in);
	int ssum = (int8_t)a + sign * ((int8_t)b + in);
	int nibble = (a & 15) + sign * ((b & 15) + in);
	uint64_t result = alu_binary(op, (uint64_t)a, (uint64_t)b, 1, &rflags);

	assert_int_equal(result, (uint8_t)usum);
	assert_int_equal(rflags & ALL, model(usum, ssum, nibble));
	assert_int_equal(rflags & ~ALL, RFLAGS_IF | RFLAGS_DF);
}

static void test_all_bytes(void **state)
{
	static const enum alu_op ops[] = {ALU_ADD, ALU_ADC, ALU_SBB, ALU_SUB, ALU_CMP};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		for (int a = 0; a < 256; a++) {
			for (int b = 0; b < 256; b++) {
				check_byte(ops[i], a, b, (a ^ b) & 1);
				check_byte(ops[i], a, b, ~(a ^ b) & 1);
			}
		}
	}
}

static void test_wide(void **state)
{
	uint64_t f = 0;

	(void)state;
	assert_int_equal(alu_binary(ALU_ADD, ~0ull, 1, 8, &f), 0);
	assert_int_equal(f & ALL, RFLAGS_CF | RFLAGS_ZF | RFLAGS_PF | RFLAGS_AF);
	assert_int_equal(alu_binary(ALU_ADD, BIT(63) - 1, 1, 8, &f), BIT(63));
	assert_int_equal(f & ALL, RFLAGS_OF | RFLAGS_SF | RFLAGS_PF | RFLAGS_AF);
	assert_int_equal(alu_binary(ALU_SUB, 0, 1, 4, &f), 0xffffffff);
	assert_int_equal(f & ALL, RFLAGS_CF | RFLAGS_SF | RFLAGS_PF | RFLAGS_AF);
	f = ALL;
	assert_int_equal(alu_binary(ALU_XOR, 0x8000, 0, 2, &f), 0x8000);
	assert_int_equal(f & ALL, RFLAGS_SF | RFLAGS_PF);
}

static void test_inc_dec_keep_carry(void **state)
{
	uint64_t f = RFLAGS_CF;

	(void)state;
	assert_int_equal(alu_inc(0xff, 1, &f), 0);
	assert_int_equal(f & ALL, RFLAGS_CF | RFLAGS_ZF | RFLAGS_PF | RFLAGS_AF);
	f = 0;
	assert_int_equal(alu_dec(0, 2, &f), 0xffff);
	assert_int_equal(f & ALL, RFLAGS_SF | RFLAGS_PF | RFLAGS_AF);
	assert_int_equal(alu_neg(0, 4, &f), 0);
	assert_int_equal(f & (RFLAGS_CF | RFLAGS_ZF), RFLAGS_ZF);
	assert_int_equal(alu_neg(0x80, 1, &f), 0x80);
	assert_int_equal(f & (RFLAGS_CF | RFLAGS_OF), RFLAGS_CF | RFLAGS_OF);
}

struct shift_case {
	enum alu_shift op;
	uint64_t a;
	unsigned count, size;
	uint64_t carry_in, result, carry_out;
};

static const struct shift_case shifts[] = {
	{ALU_SHL, 0x81, 1, 1, 0, 0x02, 1},	{ALU_SHL, 0x01, 8, 1, 0, 0x00, 1},
	{ALU_SHL, 0x01, 9, 1, 0, 0x00, 0},	{ALU_SHR, 0x81, 1, 1, 0, 0x40, 1},
	{ALU_SHR, 0x8000, 16, 2, 0, 0, 1},	{ALU_SAR, 0x80, 31, 1, 0, 0xff, 1},
	{ALU_SAR, 0x40, 7, 1, 0, 0, 1},		{ALU_SAR, BIT(63), 63, 8, 0, ~0ull, 0},
	{ALU_SAL, 1, 31, 4, 0, 0x80000000, 0},	{ALU_ROL, 0x81, 4, 1, 0, 0x18, 0},
	{ALU_ROL, 0x81, 8, 1, 0, 0x81, 1},	{ALU_ROR, 0x01, 1, 8, 0, BIT(63), 1},
	{ALU_ROR, 0x1234, 16, 2, 1, 0x1234, 0}, {ALU_RCL, 0x80, 1, 1, 1, 0x01, 1},
	{ALU_RCL, 0x80, 9, 1, 1, 0x80, 1},	{ALU_RCR, 0x01, 1, 4, 1, 0x80000000, 1},
	{ALU_RCR, 0, 33, 8, 1, BIT(31), 0},
};

static void test_shifts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(shifts); i++) {
		const struct shift_case *t = &shifts[i];
		uint64_t f = t->carry_in;
		uint64_t result = alu_shift(t->op, t->a, t->count, t->size, &f);

		if (result != t->result || (f & RFLAGS_CF) != t->carry_out) {
			fail_msg("case %u: 0x%llx, carry %d", i, (unsigned long long)result,
				 (int)(f & RFLAGS_CF));
		}
	}
}

/* A count of 0 after masking changes no flag. */
static void test_shift_by_nothing(void **state)
{
	(void)state;
	for (unsigned op = ALU_ROL; op <= ALU_SAR; op++) {
		uint64_t f = ALL;

		assert_int_equal(alu_shift((enum alu_shift)op, 0x12, 32, 4, &f), 0x12);
		assert_int_equal(alu_shift((enum alu_shift)op, 0x12, 64, 8, &f), 0x12);
		assert_int_equal(f, ALL);
	}
}

static void test_double_shifts(void **state)
{
	uint64_t f = 0;

	(void)state;
	assert_int_equal(alu_shift_double(true, 0x80000001, 0xc0000000, 2, 4, &f), 0x7);
	assert_int_equal(f & RFLAGS_CF, 0);
	assert_int_equal(alu_shift_double(false, 3, 1, 1, 8, &f), BIT(63) | 1);
	assert_int_equal(f & RFLAGS_CF, 1);
	assert_int_equal(alu_shift_double(true, 0x1234, 0x5678, 16, 2, &f), 0x5678);
}

static void test_imul(void **state)
{
	uint64_t f = 0;

	(void)state;
	assert_int_equal(alu_imul(0xffffffff, 5, 4, &f), 0xfffffffb);
	assert_int_equal(f & (RFLAGS_CF | RFLAGS_OF), 0);
	assert_int_equal(alu_imul(0x8000, 2, 2, &f), 0);
	assert_int_equal(f & (RFLAGS_CF | RFLAGS_OF), RFLAGS_CF | RFLAGS_OF);
	assert_int_equal(alu_imul(BIT(63), ~0ull, 8, &f), BIT(63));
	assert_int_equal(f & RFLAGS_CF, RFLAGS_CF);
}

static void test_conditions(void **state)
{
	(void)state;
	assert_true(alu_condition(0x4, RFLAGS_ZF));
	assert_false(alu_condition(0x5, RFLAGS_ZF));
	assert_true(alu_condition(0x2, RFLAGS_CF));
	assert_true(alu_condition(0x6, RFLAGS_ZF));
	assert_true(alu_condition(0x7, 0));
	assert_true(alu_condition(0xc, RFLAGS_SF));
	assert_false(alu_condition(0xc, RFLAGS_SF | RFLAGS_OF));
	assert_true(alu_condition(0xe, RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF));
	assert_true(alu_condition(0xf, RFLAGS_SF | RFLAGS_OF));
	assert_true(alu_condition(0xa, RFLAGS_PF));
	assert_true(alu_condition(0x0, RFLAGS_OF));
	assert_true(alu_condition(0x9, 0));
}

/* Every byte divisor under every 16-bit dividend, against C's own. */
static void test_divisions(void **state)
{
	uint64_t result[2];

	(void)state;
	for (int n = -32768; n < 65536; n++) {
		uint64_t high = (uint64_t)(n >> 8 & 0xff);
		uint64_t low = (uint64_t)(n & 0xff);

		for (int d = -128; d < 256; d++) {
			bool fits = d != 0 && n / d >= -128 && n / d <= 127;

			if (n >= 0 && d >= 0) {
				bool ok = alu_div(high, low, (uint64_t)d, 1, result);

				assert_int_equal(ok, d != 0 && n / d <= 255);
				assert_true(!ok || (result[0] == (uint64_t)(n / d) &&
						    result[1] == (uint64_t)(n % d)));
			}
			if (n < 32768 && d < 128) {
				bool ok = alu_idiv(high, low, (uint64_t)d & 0xff, 1, result);

				assert_int_equal(ok, fits);
				assert_true(!ok || ((int64_t)result[0] == n / d &&
						    (int64_t)result[1] == n % d));
			}
		}
	}
}

/* 64 bits, where the dividend has 128. */
static void test_wide_divisions(void **state)
{
	uint64_t result[2];

	(void)state;
	assert_true(alu_div(0xfffffffffffffffe, ~0ull, ~0ull, 8, result));
	assert_int_equal(result[0], ~0ull);
	assert_int_equal(result[1], 0xfffffffffffffffe);
	assert_false(alu_div(5, 0, 5, 8, result));
	assert_true(alu_idiv(~0ull, 0x8000000000000000, 1, 8, result));
	assert_int_equal(result[0], 0x8000000000000000);
	assert_false(alu_idiv(~0ull, 0x8000000000000000, ~0ull, 8, result));
	assert_false(alu_idiv(0, 0x8000000000000000, 1, 8, result));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_bytes),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_inc_dec_keep_carry),
		cmocka_unit_test(test_shifts),
		cmocka_unit_test(test_shift_by_nothing),
		cmocka_unit_test(test_double_shifts),
		cmocka_unit_test(test_imul),
		cmocka_unit_test(test_divisions),
		cmocka_unit_test(test_wide_divisions),
		cmocka_unit_test(test_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
