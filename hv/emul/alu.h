/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic as the CPU does it: results and the six status flags, for operands of 1, 2, 4 or 8
 * bytes. Pure functions. Operands have no bits above their size, neither have results. Flags that
 * the manuals leave undefined are set as current CPUs do where that is known, else left alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* In the order of the opcodes' bits 5:3. */
enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

/* In the order of ModRM.reg in group 2; SAL is SHL under a second number. */
enum alu_shift { ALU_ROL, ALU_ROR, ALU_RCL, ALU_RCR, ALU_SHL, ALU_SHR, ALU_SAL, ALU_SAR };

/* The result; for ALU_CMP the difference, which the caller drops. */
uint64_t alu_binary(enum alu_op op, uint64_t a, uint64_t b, unsigned size, uint64_t *rflags);
/* INC and DEC: CF stays. */
uint64_t alu_inc(uint64_t a, unsigned size, uint64_t *rflags);
uint64_t alu_dec(uint64_t a, unsigned size, uint64_t *rflags);
uint64_t alu_neg(uint64_t a, unsigned size, uint64_t *rflags);
/* `count` is the low byte of CL or the immediate; it is masked here. */
uint64_t alu_shift(enum alu_shift op, uint64_t a, unsigned count, unsigned size, uint64_t *rflags);
/* SHLD (left) and SHRD: `b` supplies the bits shifted in. `size` is 2, 4 or 8. */
uint64_t alu_shift_double(bool left, uint64_t a, uint64_t b, unsigned count, unsigned size,
			  uint64_t *rflags);
/* Signed product cut to `size`, as IMUL with two or three operands: CF and OF when it was cut. */
uint64_t alu_imul(uint64_t a, uint64_t b, unsigned size, uint64_t *rflags);

/*
 * high:low, of `size` bytes each, divided by `divisor`. False for what raises #DE: zero, and a
 * quotient that does not fit.
 */
bool alu_div(uint64_t high, uint64_t low, uint64_t divisor, unsigned size, uint64_t result[2]);
/* The same for signed numbers: the quotient is cut towards zero. result: quotient, remainder. */
bool alu_idiv(uint64_t high, uint64_t low, uint64_t divisor, unsigned size, uint64_t result[2]);

/* Condition codes in the order of the opcodes' low four bits: O NO B AE E NE BE A S NS P NP L ...
 */
bool alu_condition(unsigned code, uint64_t rflags);

/* `value`, of `size` bytes, as a signed number of 64 bits. */
static inline uint64_t alu_sign_extend(uint64_t value, unsigned size)
{
	uint64_t sign = 1ull << (size * 8 - 1);

	return (value ^ sign) - sign;
}
