/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that compute: the eight arithmetic operations, TEST, INC, DEC, NOT, NEG, MUL, IMUL,
 * DIV, IDIV, shifts, rotates, bit tests, CMPXCHG, CMPXCHG8B/16B, XADD. Registers and flags change
 * last.
 */
#include "hv/emul/alu.h"
#include "hv/emul/emul_internal.h"

/* An operand that is read, changed and written back. */
struct rmw {
	struct emul_rm rm;
	uint64_t old;
};

static enum emul_status rmw_begin(struct emul_ctx *c, unsigned size, struct rmw *m)
{
	enum emul_status status = emul_rm_open(c, size, GWALK_WRITE, &m->rm);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_rm_load(c, &m->rm, size, &m->old);
}

/* Writes the result back, then the flags. */
static enum emul_status rmw_end(struct emul_ctx *c, unsigned size, const struct rmw *m,
				uint64_t value, uint64_t rflags)
{
	enum emul_status status = emul_rm_update(c, &m->rm, size, m->old, value, c->insn.lock);

	if (status == EMUL_OK) {
		c->rflags = rflags;
	}
	return status;
}

/* ---------------------------------------------------------------- ADD to CMP, TEST */

static enum alu_op alu_op_of(unsigned bits)
{
	return (enum alu_op)((bits >> 3) & 7);
}

/* op r/m, operand */
static enum emul_status alu_to_rm(struct emul_ctx *c, enum alu_op op, uint64_t operand)
{
	unsigned size = c->insn.width;
	uint64_t rflags = c->rflags;
	uint64_t result;
	struct rmw m;
	enum emul_status status;

	if (op == ALU_CMP) {
		status = emul_rm_get(c, size, &m.old);
		if (status == EMUL_OK) {
			alu_binary(op, m.old, operand, size, &c->rflags);
		}
		return status;
	}
	status = rmw_begin(c, size, &m);
	if (status != EMUL_OK) {
		return status;
	}
	result = alu_binary(op, m.old, operand, size, &rflags);
	return rmw_end(c, size, &m, result, rflags);
}

enum emul_status emul_alu_rm_r(struct emul_ctx *c)
{
	uint64_t operand = emul_get(c, c->insn.reg, c->insn.width);

	return alu_to_rm(c, alu_op_of(c->insn.opcode), operand);
}

enum emul_status emul_alu_rm_imm(struct emul_ctx *c)
{
	uint64_t operand = c->insn.imm & size_mask(c->insn.width);

	return alu_to_rm(c, alu_op_of(c->insn.modrm), operand);
}

/* op reg, value */
static void alu_to_reg(struct emul_ctx *c, unsigned reg, uint64_t value)
{
	enum alu_op op = alu_op_of(c->insn.opcode);
	unsigned size = c->insn.width;
	uint64_t result = alu_binary(op, emul_get(c, reg, size), value, size, &c->rflags);

	if (op != ALU_CMP) {
		emul_set(c, reg, size, result);
	}
}

enum emul_status emul_alu_r_rm(struct emul_ctx *c)
{
	uint64_t value;
	enum emul_status status = emul_rm_get(c, c->insn.width, &value);

	if (status == EMUL_OK) {
		alu_to_reg(c, c->insn.reg, value);
	}
	return status;
}

enum emul_status emul_alu_acc_imm(struct emul_ctx *c)
{
	alu_to_reg(c, GPR_RAX, c->insn.imm & size_mask(c->insn.width));
	return EMUL_OK;
}

static enum emul_status test_rm(struct emul_ctx *c, uint64_t operand)
{
	unsigned size = c->insn.width;
	uint64_t value;
	enum emul_status status = emul_rm_get(c, size, &value);

	if (status == EMUL_OK) {
		alu_binary(ALU_AND, value, operand & size_mask(size), size, &c->rflags);
	}
	return status;
}

enum emul_status emul_test_rm_r(struct emul_ctx *c)
{
	return test_rm(c, emul_get(c, c->insn.reg, c->insn.width));
}

enum emul_status emul_test_acc_imm(struct emul_ctx *c)
{
	unsigned size = c->insn.width;

	alu_binary(ALU_AND, emul_get(c, GPR_RAX, size), c->insn.imm & size_mask(size), size,
		   &c->rflags);
	return EMUL_OK;
}

/* ---------------------------------------------------------------- one operand */

/* MUL and IMUL of the accumulator: the product fills AX, DX:AX, EDX:EAX or RDX:RAX. */
static enum emul_status multiply(struct emul_ctx *c, bool is_signed)
{
	unsigned size = c->insn.width;
	uint64_t a = emul_get(c, GPR_RAX, size);
	uint64_t b;
	unsigned __int128 product;
	uint64_t low;
	uint64_t high;
	enum emul_status status = emul_rm_get(c, size, &b);

	if (status != EMUL_OK) {
		return status;
	}
	if (is_signed) {
		uint64_t rest = alu_sign_extend(a, size);

		product = (unsigned __int128)((__int128)(int64_t)rest *
					      (int64_t)alu_sign_extend(b, size));
		alu_imul(a, b, size, &c->rflags);
	} else {
		product = (unsigned __int128)a * b;
		c->rflags &= ~(RFLAGS_CF | RFLAGS_OF);
		c->rflags |= product >> (size * 8) != 0 ? RFLAGS_CF | RFLAGS_OF : 0;
	}
	low = (uint64_t)product & size_mask(size);
	high = (uint64_t)(product >> (size * 8)) & size_mask(size);
	if (size == 1) {
		emul_set(c, GPR_RAX, 2, high << 8 | low);
	} else {
		emul_set(c, GPR_RAX, size, low);
		emul_set(c, GPR_RDX, size, high);
	}
	return EMUL_OK;
}

/* F6 and F7: TEST, NOT, NEG, MUL, IMUL; DIV and IDIV are not emulated. */
/* The flags are undefined and stay. */
static enum emul_status divide(struct emul_ctx *c, bool is_signed)
{
	unsigned size = c->insn.width;
	uint64_t low = emul_get(c, GPR_RAX, size);
	uint64_t high = size == 1 ? emul_get(c, GPR_RAX, 2) >> 8 : emul_get(c, GPR_RDX, size);
	uint64_t divisor;
	uint64_t result[2];
	enum emul_status status = emul_rm_get(c, size, &divisor);

	if (status != EMUL_OK) {
		return status;
	}
	if (!(is_signed ? alu_idiv : alu_div)(high, low, divisor, size, result)) {
		return emul_raise(c, EXC_DE, 0);
	}
	if (size == 1) {
		emul_set(c, GPR_RAX, 2, (result[1] & 0xff) << 8 | (result[0] & 0xff));
	} else {
		emul_set(c, GPR_RAX, size, result[0]);
		emul_set(c, GPR_RDX, size, result[1]);
	}
	return EMUL_OK;
}

enum emul_status emul_group3(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	unsigned n = (c->insn.modrm >> 3) & 7;
	uint64_t rflags = c->rflags;
	uint64_t result;
	struct rmw m;
	enum emul_status status;

	if (n < 2) {
		return test_rm(c, c->insn.imm);
	}
	if (n > 3) {
		return n < 6 ? multiply(c, n == 5) : divide(c, n == 7);
	}
	status = rmw_begin(c, size, &m);
	if (status != EMUL_OK) {
		return status;
	}
	result = n == 2 ? ~m.old & size_mask(size) : alu_neg(m.old, size, &rflags);
	return rmw_end(c, size, &m, result, rflags);
}

/* FE and FF /0 and /1; FF /6 is PUSH, the other ones branch. */
enum emul_status emul_inc_dec(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	unsigned n = (c->insn.modrm >> 3) & 7;
	uint64_t rflags = c->rflags;
	uint64_t result;
	struct rmw m;
	enum emul_status status;

	if (n > 1) {
		return n == 6 ? emul_push_rm(c) : emul_jump_rm(c);
	}
	status = rmw_begin(c, size, &m);
	if (status != EMUL_OK) {
		return status;
	}
	result = n == 0 ? alu_inc(m.old, size, &rflags) : alu_dec(m.old, size, &rflags);
	return rmw_end(c, size, &m, result, rflags);
}

enum emul_status emul_imul_r_rm(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t value;
	enum emul_status status = emul_rm_get(c, size, &value);

	if (status == EMUL_OK) {
		uint64_t a = emul_get(c, c->insn.reg, size);

		emul_set(c, c->insn.reg, size, alu_imul(a, value, size, &c->rflags));
	}
	return status;
}

enum emul_status emul_imul_r_rm_imm(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t value;
	enum emul_status status = emul_rm_get(c, size, &value);

	if (status == EMUL_OK) {
		uint64_t b = c->insn.imm & size_mask(size);

		emul_set(c, c->insn.reg, size, alu_imul(value, b, size, &c->rflags));
	}
	return status;
}

/* ---------------------------------------------------------------- shifts and bits */

static enum emul_status shift_by(struct emul_ctx *c, unsigned count)
{
	unsigned size = c->insn.width;
	enum alu_shift op = (enum alu_shift)((c->insn.modrm >> 3) & 7);
	uint64_t rflags = c->rflags;
	uint64_t result;
	struct rmw m;
	enum emul_status status = rmw_begin(c, size, &m);

	if (status != EMUL_OK) {
		return status;
	}
	result = alu_shift(op, m.old, count, size, &rflags);
	return rmw_end(c, size, &m, result, rflags);
}

enum emul_status emul_shift_imm(struct emul_ctx *c)
{
	return shift_by(c, (unsigned)c->insn.imm & 0xff);
}

enum emul_status emul_shift_one(struct emul_ctx *c)
{
	return shift_by(c, 1);
}

enum emul_status emul_shift_cl(struct emul_ctx *c)
{
	return shift_by(c, (unsigned)c->gpr[GPR_RCX] & 0xff);
}

/* 0F A4 and A5 SHLD, AC and AD SHRD; the odd ones take the count from CL. */
enum emul_status emul_shift_double(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t count = (c->insn.opcode & 1) != 0 ? c->gpr[GPR_RCX] : c->insn.imm;
	uint64_t filler = emul_get(c, c->insn.reg, size);
	uint64_t rflags = c->rflags;
	uint64_t result;
	struct rmw m;
	enum emul_status status = rmw_begin(c, size, &m);

	if (status != EMUL_OK) {
		return status;
	}
	result = alu_shift_double(c->insn.opcode < 0xa8, m.old, filler, (unsigned)count & 0xff,
				  size, &rflags);
	return rmw_end(c, size, &m, result, rflags);
}

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

/* Carries out the operation on an operand that is resolved. Only CF changes. */
static enum emul_status bit_do(struct emul_ctx *c, enum bit_op op, unsigned bit,
			       const struct emul_rm *rm)
{
	unsigned size = c->insn.op_size;
	uint64_t one = BIT(bit & (size * 8 - 1));
	uint64_t result = 0;
	uint64_t rflags;
	struct rmw m = {.rm = *rm};
	enum emul_status status = emul_rm_load(c, rm, size, &m.old);

	if (status != EMUL_OK) {
		return status;
	}
	rflags = (c->rflags & ~RFLAGS_CF) | ((m.old & one) != 0 ? RFLAGS_CF : 0);
	switch (op) {
	case BIT_TEST:
		c->rflags = rflags;
		return EMUL_OK;
	case BIT_SET:
		result = m.old | one;
		break;
	case BIT_RESET:
		result = m.old & ~one;
		break;
	case BIT_COMPLEMENT:
		result = m.old ^ one;
		break;
	}
	return rmw_end(c, size, &m, result, rflags);
}

/* 0F A3, AB, B3, BB: with memory, the register is a signed bit offset into a bit string. */
enum emul_status emul_bit_reg(struct emul_ctx *c)
{
	const struct insn *insn = &c->insn;
	unsigned size = insn->op_size;
	enum bit_op op = (enum bit_op)((insn->opcode >> 3) & 3);
	uint64_t bit = alu_sign_extend(emul_get(c, insn->reg, size), size);
	struct emul_rm rm = {.mem = insn->mem};

	if (insn->mem) {
		/* The operand that holds the bit: bit / width, rounded down, times size. */
		uint64_t units = bit & ~(uint64_t)(size * 8 - 1);
		uint64_t bytes = units >> 3 | ((bit >> 63) != 0 ? MASK(63, 61) : 0);
		uint64_t ea = (emul_effective(c) + bytes) & size_mask(insn->addr_size);
		enum emul_status status = emul_resolve(c, insn->segment, ea, size,
						       op == BIT_TEST ? 0 : GWALK_WRITE, &rm.loc);

		if (status != EMUL_OK) {
			return status;
		}
	}
	return bit_do(c, op, (unsigned)bit & 63, &rm);
}

/* 0F BA /4 to /7. */
enum emul_status emul_bit_imm(struct emul_ctx *c)
{
	enum bit_op op = (enum bit_op)((c->insn.modrm >> 3) & 3);
	struct emul_rm rm;
	enum emul_status status =
		emul_rm_open(c, c->insn.op_size, op == BIT_TEST ? 0 : GWALK_WRITE, &rm);

	if (status != EMUL_OK) {
		return status;
	}
	return bit_do(c, op, (unsigned)c->insn.imm & 63, &rm);
}

/* ---------------------------------------------------------------- exchange and compare */

/*
 * When the comparison fails, memory is written with its old value; a register is left alone, even
 * the upper half that a 32-bit write would clear.
 */
enum emul_status emul_cmpxchg(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	uint64_t expected = emul_get(c, GPR_RAX, size);
	uint64_t rflags = c->rflags;
	struct rmw m;
	bool equal;
	enum emul_status status = rmw_begin(c, size, &m);

	if (status != EMUL_OK) {
		return status;
	}
	alu_binary(ALU_CMP, expected, m.old, size, &rflags);
	equal = m.old == expected;
	if (!equal && !m.rm.mem) {
		emul_set(c, GPR_RAX, size, m.old);
		c->rflags = rflags;
		return EMUL_OK;
	}
	status = rmw_end(c, size, &m, equal ? emul_get(c, c->insn.reg, size) : m.old, rflags);
	if (status == EMUL_OK && !equal) {
		emul_set(c, GPR_RAX, size, m.old);
	}
	return status;
}

/* The two halves of CMPXCHG8B and CMPXCHG16B. */
static enum emul_status load_pair(struct emul_ctx *c, const struct emul_loc *loc, unsigned half,
				  uint64_t value[2])
{
	enum emul_status status = emul_load(c, loc, 0, half, &value[0]);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_load(c, loc, half, half, &value[1]);
}

/*
 * 0F C7 /1: RDX:RAX against memory, RCX:RBX into it. Not atomic as a whole: RAM is not emulated
 * except beside a device, where no two CPUs can agree on 16 bytes anyway.
 */
enum emul_status emul_cmpxchg_wide(struct emul_ctx *c)
{
	unsigned half = (c->insn.rex & 8) != 0 ? 8 : 4;
	uint64_t linear;
	uint64_t old[2];
	bool equal;
	struct emul_loc loc;
	enum emul_status status;

	if (!c->insn.mem || (c->insn.modrm & 0x38) != 8) {
		return EMUL_UNHANDLED;
	}
	status = emul_linear(c, c->insn.segment, emul_effective(c), half * 2, true, &linear);
	if (status != EMUL_OK) {
		return status;
	}
	if (half == 8 && (linear & 15) != 0) {
		return emul_raise(c, EXC_GP, 0);
	}
	status = emul_resolve(c, c->insn.segment, emul_effective(c), half * 2, GWALK_WRITE, &loc);
	if (status == EMUL_OK) {
		status = load_pair(c, &loc, half, old);
	}
	if (status != EMUL_OK) {
		return status;
	}
	equal = old[0] == emul_get(c, GPR_RAX, half) && old[1] == emul_get(c, GPR_RDX, half);
	status = emul_store(c, &loc, 0, half, equal ? c->gpr[GPR_RBX] : old[0]);
	if (status == EMUL_OK) {
		status = emul_store(c, &loc, half, half, equal ? c->gpr[GPR_RCX] : old[1]);
	}
	if (status != EMUL_OK) {
		return status;
	}
	c->rflags = (c->rflags & ~RFLAGS_ZF) | (equal ? RFLAGS_ZF : 0);
	if (!equal) {
		emul_set(c, GPR_RAX, half, old[0]);
		emul_set(c, GPR_RDX, half, old[1]);
	}
	return EMUL_OK;
}

/* The register takes the old value first, so that XADD of a register with itself doubles it. */
enum emul_status emul_xadd(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	uint64_t addend = emul_get(c, c->insn.reg, size);
	uint64_t rflags = c->rflags;
	uint64_t sum;
	struct rmw m;
	enum emul_status status = rmw_begin(c, size, &m);

	if (status != EMUL_OK) {
		return status;
	}
	sum = alu_binary(ALU_ADD, m.old, addend, size, &rflags);
	if (!m.rm.mem) {
		emul_set(c, c->insn.reg, size, m.old);
		return rmw_end(c, size, &m, sum, rflags);
	}
	status = rmw_end(c, size, &m, sum, rflags);
	if (status == EMUL_OK) {
		emul_set(c, c->insn.reg, size, m.old);
	}
	return status;
}

/* ---------------------------------------------------------------- BSF, BSR */

/* With F3 they are TZCNT and LZCNT where the CPU has those, which this emulator does not know. */
enum emul_status emul_bit_scan(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t value;
	enum emul_status status;

	if (c->insn.rep == 0xf3) {
		return EMUL_UNHANDLED;
	}
	status = emul_rm_get(c, size, &value);
	if (status != EMUL_OK) {
		return status;
	}
	c->rflags &= ~RFLAGS_ZF;
	if (value == 0) {
		c->rflags |= RFLAGS_ZF; /* and the register stays, as on every CPU */
	} else if (c->insn.opcode == 0xbc) {
		emul_set(c, c->insn.reg, size, (unsigned)__builtin_ctzll(value));
	} else {
		emul_set(c, c->insn.reg, size, 63u - (unsigned)__builtin_clzll(value));
	}
	return EMUL_OK;
}
