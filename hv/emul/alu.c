/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results and flags of the integer instructions. Carries are found bit-parallel: for a sum, the
 * carry out of each bit is the majority of both operands and the complement of the result.
 * Sources: Intel SDM volume 1 "EFLAGS Register", volume 2 for each instruction.
 */
#include "hv/emul/alu.h"

#include "hv/base/bits.h"
#include "hv/cpu/regs.h"

#define ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static bool top_bit(uint64_t value, unsigned size)
{
	return (value >> (size * 8 - 1) & 1) != 0;
}

static uint64_t flag(bool on, uint64_t bit)
{
	return on ? bit : 0;
}

/* PF, ZF and SF of a result. */
static uint64_t result_flags(uint64_t result, unsigned size)
{
	unsigned parity = (unsigned)result & 0xff;

	parity ^= parity >> 4;
	parity = 0x6996u >> (parity & 15) & 1; /* odd number of ones */
	return flag(parity == 0, RFLAGS_PF) | flag(result == 0, RFLAGS_ZF) |
	       flag(top_bit(result, size), RFLAGS_SF);
}

static uint64_t add(uint64_t a, uint64_t b, uint64_t carry, unsigned size, uint64_t *rflags)
{
	uint64_t result = (a + b + carry) & size_mask(size);
	uint64_t carries = (a & b) | ((a | b) & ~result);

	*rflags = (*rflags & ~ARITHMETIC) | result_flags(result, size) |
		  flag(top_bit(carries, size), RFLAGS_CF) | flag((carries & 8) != 0, RFLAGS_AF) |
		  flag(top_bit((a ^ result) & (b ^ result), size), RFLAGS_OF);
	return result;
}

static uint64_t sub(uint64_t a, uint64_t b, uint64_t borrow, unsigned size, uint64_t *rflags)
{
	uint64_t result = (a - b - borrow) & size_mask(size);
	uint64_t borrows = (~a & b) | ((~a | b) & result);

	*rflags = (*rflags & ~ARITHMETIC) | result_flags(result, size) |
		  flag(top_bit(borrows, size), RFLAGS_CF) | flag((borrows & 8) != 0, RFLAGS_AF) |
		  flag(top_bit((a ^ b) & (a ^ result), size), RFLAGS_OF);
	return result;
}

/* AND, OR, XOR and TEST clear CF, OF and (undefined, but so on all CPUs) AF. */
static uint64_t logic(uint64_t result, unsigned size, uint64_t *rflags)
{
	*rflags = (*rflags & ~ARITHMETIC) | result_flags(result, size);
	return result;
}

uint64_t alu_binary(enum alu_op op, uint64_t a, uint64_t b, unsigned size, uint64_t *rflags)
{
	uint64_t carry = *rflags & RFLAGS_CF;

	switch (op) {
	case ALU_ADD:
		return add(a, b, 0, size, rflags);
	case ALU_OR:
		return logic(a | b, size, rflags);
	case ALU_ADC:
		return add(a, b, carry, size, rflags);
	case ALU_SBB:
		return sub(a, b, carry, size, rflags);
	case ALU_AND:
		return logic(a & b, size, rflags);
	case ALU_SUB:
	case ALU_CMP:
		return sub(a, b, 0, size, rflags);
	case ALU_XOR:
		break;
	}
	return logic(a ^ b, size, rflags);
}

uint64_t alu_inc(uint64_t a, unsigned size, uint64_t *rflags)
{
	uint64_t carry = *rflags & RFLAGS_CF;
	uint64_t result = add(a, 1, 0, size, rflags);

	*rflags = (*rflags & ~RFLAGS_CF) | carry;
	return result;
}

uint64_t alu_dec(uint64_t a, unsigned size, uint64_t *rflags)
{
	uint64_t carry = *rflags & RFLAGS_CF;
	uint64_t result = sub(a, 1, 0, size, rflags);

	*rflags = (*rflags & ~RFLAGS_CF) | carry;
	return result;
}

uint64_t alu_neg(uint64_t a, unsigned size, uint64_t *rflags)
{
	return sub(0, a, 0, size, rflags);
}

/* ---------------------------------------------------------------- shifts and rotates */

/* SHL, SHR and SAR by 1..63; the count may exceed the operand's width (8 and 16 bits). */
static uint64_t shift(enum alu_shift op, uint64_t a, unsigned count, unsigned size,
		      uint64_t *rflags)
{
	unsigned bits = size * 8;
	uint64_t result;
	bool carry;
	bool overflow;

	if (op == ALU_SHR) {
		result = a >> count;
		carry = (a >> (count - 1) & 1) != 0;
		overflow = top_bit(a, size);
	} else if (op == ALU_SAR) {
		uint64_t wide = alu_sign_extend(a, size);
		uint64_t fill = top_bit(a, size) ? ~(~0ull >> count) : 0;

		result = ((wide >> count) | fill) & size_mask(size);
		carry = ((wide >> (count - 1)) & 1) != 0;
		overflow = false;
	} else {
		result = (a << count) & size_mask(size);
		carry = count <= bits && (a >> (bits - count) & 1) != 0;
		overflow = top_bit(result, size) != carry;
	}
	*rflags = (*rflags & ~ARITHMETIC) | result_flags(result, size) | flag(carry, RFLAGS_CF) |
		  flag(overflow, RFLAGS_OF);
	return result;
}

static uint64_t rotate(bool left, uint64_t a, unsigned count, unsigned size, uint64_t *rflags)
{
	unsigned bits = size * 8;
	unsigned by = count % bits;
	uint64_t result = a;
	bool carry;
	bool overflow;

	if (by != 0) {
		result = left ? a << by | a >> (bits - by) : a >> by | a << (bits - by);
		result &= size_mask(size);
	}
	carry = left ? (result & 1) != 0 : top_bit(result, size);
	overflow = left ? top_bit(result, size) != carry
			: top_bit(result, size) != top_bit(result << 1, size);
	*rflags = (*rflags & ~(RFLAGS_CF | RFLAGS_OF)) | flag(carry, RFLAGS_CF) |
		  flag(overflow, RFLAGS_OF);
	return result;
}

/* Through the carry, bit by bit: at most 63 steps, and nobody does it to a device register. */
static uint64_t rotate_carry(bool left, uint64_t a, unsigned count, unsigned size, uint64_t *rflags)
{
	unsigned steps = size < 4 ? count % (size * 8 + 1) : count;
	uint64_t carry = *rflags & RFLAGS_CF;
	bool overflow;

	for (unsigned i = 0; i < steps; i++) {
		uint64_t out = left ? top_bit(a, size) : a & 1;

		a = left ? a << 1 | carry : a >> 1 | carry << (size * 8 - 1);
		a &= size_mask(size);
		carry = out;
	}
	overflow =
		left ? top_bit(a, size) != (carry != 0) : top_bit(a, size) != top_bit(a << 1, size);
	*rflags = (*rflags & ~(RFLAGS_CF | RFLAGS_OF)) | carry | flag(overflow, RFLAGS_OF);
	return a;
}

uint64_t alu_shift(enum alu_shift op, uint64_t a, unsigned count, unsigned size, uint64_t *rflags)
{
	count &= size == 8 ? 63 : 31;
	if (count == 0) {
		return a;
	}
	switch (op) {
	case ALU_ROL:
	case ALU_ROR:
		return rotate(op == ALU_ROL, a, count, size, rflags);
	case ALU_RCL:
	case ALU_RCR:
		return rotate_carry(op == ALU_RCL, a, count, size, rflags);
	case ALU_SHL:
	case ALU_SHR:
	case ALU_SAL:
	case ALU_SAR:
		break;
	}
	return shift(op, a, count, size, rflags);
}

uint64_t alu_shift_double(bool left, uint64_t a, uint64_t b, unsigned count, unsigned size,
			  uint64_t *rflags)
{
	unsigned bits = size * 8;
	uint64_t result;
	bool carry;

	count &= size == 8 ? 63 : 31;
	if (count == 0) {
		return a;
	}
	if (count > bits) {
		/* 16-bit operands only; undefined. CPUs rotate through a:b:a, which this does. */
		return alu_shift_double(left, b, a, count - bits, size, rflags);
	}
	if (left) {
		result = count == bits ? b : a << count | b >> (bits - count);
		carry = (a >> (bits - count) & 1) != 0;
	} else {
		result = count == bits ? b : a >> count | b << (bits - count);
		carry = (a >> (count - 1) & 1) != 0;
	}
	result &= size_mask(size);
	*rflags = (*rflags & ~ARITHMETIC) | result_flags(result, size) | flag(carry, RFLAGS_CF) |
		  flag(top_bit(a ^ result, size), RFLAGS_OF);
	return result;
}

uint64_t alu_imul(uint64_t a, uint64_t b, unsigned size, uint64_t *rflags)
{
	__int128 product =
		(__int128)(int64_t)alu_sign_extend(a, size) * (int64_t)alu_sign_extend(b, size);
	uint64_t result = (uint64_t)product & size_mask(size);
	bool cut = product != (int64_t)alu_sign_extend(result, size);

	*rflags = (*rflags & ~ARITHMETIC) | (result_flags(result, size) & ~RFLAGS_ZF) |
		  flag(cut, RFLAGS_CF | RFLAGS_OF);
	return result;
}

/* Long division, bit by bit: there is no 128-bit division without a library. */
static bool divide(unsigned __int128 dividend, uint64_t divisor, uint64_t result[2])
{
	uint64_t rest = (uint64_t)(dividend >> 64);
	uint64_t low = (uint64_t)dividend;
	uint64_t quotient = 0;

	if (rest >= divisor) {
		return false;
	}
	for (unsigned i = 64; i-- > 0;) {
		bool carry = rest >> 63 != 0;

		rest = rest << 1 | (low >> i & 1);
		if (carry || rest >= divisor) {
			rest -= divisor;
			quotient |= 1ull << i;
		}
	}
	result[0] = quotient;
	result[1] = rest;
	return true;
}

bool alu_div(uint64_t high, uint64_t low, uint64_t divisor, unsigned size, uint64_t result[2])
{
	return divide((unsigned __int128)high << (size * 8) | low, divisor, result) &&
	       result[0] <= size_mask(size);
}

bool alu_idiv(uint64_t high, uint64_t low, uint64_t divisor, unsigned size, uint64_t result[2])
{
	__int128 top = (int64_t)alu_sign_extend(high, size);
	unsigned __int128 n = (unsigned __int128)top << (size * 8) | low;
	uint64_t d = alu_sign_extend(divisor, size);
	bool n_negative = top < 0;
	bool d_negative = d >> 63 != 0;
	uint64_t limit = size_mask(size) >> 1;

	if (!divide(n_negative ? -n : n, d_negative ? -d : d, result)) {
		return false;
	}
	if (result[0] > limit + (n_negative != d_negative ? 1 : 0)) {
		return false;
	}
	result[0] = n_negative != d_negative ? -result[0] : result[0];
	result[1] = n_negative ? -result[1] : result[1];
	return true;
}

bool alu_condition(unsigned code, uint64_t rflags)
{
	bool sign_differs = ((rflags & RFLAGS_SF) != 0) != ((rflags & RFLAGS_OF) != 0);
	bool met;

	switch (code >> 1 & 7) {
	case 0:
		met = (rflags & RFLAGS_OF) != 0;
		break;
	case 1:
		met = (rflags & RFLAGS_CF) != 0;
		break;
	case 2:
		met = (rflags & RFLAGS_ZF) != 0;
		break;
	case 3:
		met = (rflags & (RFLAGS_CF | RFLAGS_ZF)) != 0;
		break;
	case 4:
		met = (rflags & RFLAGS_SF) != 0;
		break;
	case 5:
		met = (rflags & RFLAGS_PF) != 0;
		break;
	case 6:
		met = sign_differs;
		break;
	default:
		met = sign_differs || (rflags & RFLAGS_ZF) != 0;
		break;
	}
	return met != ((code & 1) != 0);
}
