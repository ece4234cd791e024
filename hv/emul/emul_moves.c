/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that move data without arithmetic: MOV in all forms, MOVZX, MOVSX, MOVSXD, MOVBE,
 * MOVNTI, XCHG, CMOVcc, SETcc, XLAT, and the cache-line instructions, which only touch.
 */
#include "hv/emul/alu.h"
#include "hv/emul/emul_internal.h"

enum emul_status emul_mov_rm_r(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	struct emul_rm rm;
	enum emul_status status = emul_rm_open(c, size, GWALK_WRITE, &rm);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_rm_store(c, &rm, size, emul_get(c, c->insn.reg, size));
}

enum emul_status emul_mov_r_rm(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	uint64_t value;
	enum emul_status status = emul_rm_get(c, size, &value);

	if (status == EMUL_OK) {
		emul_set(c, c->insn.reg, size, value);
	}
	return status;
}

/* C6 and C7; the decoder lets XABORT and XBEGIN through as /7. */
enum emul_status emul_mov_rm_imm(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	struct emul_rm rm;
	enum emul_status status;

	if ((c->insn.modrm & 0x38) != 0) {
		return EMUL_UNHANDLED;
	}
	status = emul_rm_open(c, size, GWALK_WRITE, &rm);
	if (status != EMUL_OK) {
		return status;
	}
	return emul_rm_store(c, &rm, size, c->insn.imm);
}

enum emul_status emul_mov_acc_moffs(struct emul_ctx *c)
{
	uint64_t value;
	enum emul_status status = emul_rm_get(c, c->insn.width, &value);

	if (status == EMUL_OK) {
		emul_set(c, GPR_RAX, c->insn.width, value);
	}
	return status;
}

enum emul_status emul_mov_moffs_acc(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	struct emul_rm rm;
	enum emul_status status = emul_rm_open(c, size, GWALK_WRITE, &rm);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_rm_store(c, &rm, size, emul_get(c, GPR_RAX, size));
}

/* Memory takes the 16-bit selector; a register takes it zero-extended to the operand size. */
enum emul_status emul_mov_rm_sreg(struct emul_ctx *c)
{
	unsigned size = c->insn.mem ? 2 : c->insn.op_size;
	uint64_t selector = emul_segment(c, c->insn.reg & 7)->selector;
	struct emul_rm rm;
	enum emul_status status = emul_rm_open(c, size, GWALK_WRITE, &rm);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_rm_store(c, &rm, size, selector);
}

/* 63 in 64-bit mode; ARPL elsewhere. Without REX.W it is a plain MOV. */
enum emul_status emul_movsxd(struct emul_ctx *c)
{
	unsigned from = c->insn.op_size == 2 ? 2 : 4;
	uint64_t value;
	enum emul_status status;

	if (c->mode != INSN_LONG64) {
		return EMUL_UNHANDLED;
	}
	status = emul_rm_get(c, from, &value);
	if (status == EMUL_OK) {
		emul_set(c, c->insn.reg, c->insn.op_size, alu_sign_extend(value, from));
	}
	return status;
}

/* 0F B6 and B7: the opcode's low bit is the size of the source. */
enum emul_status emul_movzx(struct emul_ctx *c)
{
	uint64_t value;
	enum emul_status status = emul_rm_get(c, (c->insn.opcode & 1) + 1u, &value);

	if (status == EMUL_OK) {
		emul_set(c, c->insn.reg, c->insn.op_size, value);
	}
	return status;
}

enum emul_status emul_movsx(struct emul_ctx *c)
{
	unsigned from = (c->insn.opcode & 1) + 1u;
	uint64_t value;
	enum emul_status status = emul_rm_get(c, from, &value);

	if (status == EMUL_OK) {
		emul_set(c, c->insn.reg, c->insn.op_size, alu_sign_extend(value, from));
	}
	return status;
}

/* 0F 38 F0 loads, F1 stores; with F2 they are CRC32. */
enum emul_status emul_movbe(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	unsigned down = 64 - size * 8;
	uint64_t value;
	struct emul_rm rm;
	enum emul_status status;

	if (c->insn.rep != 0 || !c->insn.mem) {
		return EMUL_UNHANDLED;
	}
	if ((c->insn.opcode & 1) == 0) {
		status = emul_rm_get(c, size, &value);
		if (status == EMUL_OK) {
			emul_set(c, c->insn.reg, size, __builtin_bswap64(value) >> down);
		}
		return status;
	}
	status = emul_rm_open(c, size, GWALK_WRITE, &rm);
	if (status != EMUL_OK) {
		return status;
	}
	value = emul_get(c, c->insn.reg, size);
	return emul_rm_store(c, &rm, size, __builtin_bswap64(value) >> down);
}

/* XCHG with memory is locked without being told so. */
enum emul_status emul_xchg(struct emul_ctx *c)
{
	unsigned size = c->insn.width;
	uint64_t mine = emul_get(c, c->insn.reg, size);
	uint64_t old;
	struct emul_rm rm;
	enum emul_status status = emul_rm_open(c, size, GWALK_WRITE, &rm);

	if (status == EMUL_OK) {
		status = emul_rm_load(c, &rm, size, &old);
	}
	if (status == EMUL_OK) {
		status = emul_rm_update(c, &rm, size, old, mine, true);
	}
	if (status == EMUL_OK) {
		emul_set(c, c->insn.reg, size, old);
	}
	return status;
}

/* The source is read, and a 32-bit destination's upper half cleared, whatever the condition. */
enum emul_status emul_cmov(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t value;
	enum emul_status status = emul_rm_get(c, size, &value);

	if (status == EMUL_OK) {
		bool met = alu_condition(c->insn.opcode, c->rflags);

		emul_set(c, c->insn.reg, size, met ? value : emul_get(c, c->insn.reg, size));
	}
	return status;
}

enum emul_status emul_setcc(struct emul_ctx *c)
{
	struct emul_rm rm;
	enum emul_status status = emul_rm_open(c, 1, GWALK_WRITE, &rm);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_rm_store(c, &rm, 1, alu_condition(c->insn.opcode, c->rflags) ? 1 : 0);
}

enum emul_status emul_xlat(struct emul_ctx *c)
{
	uint64_t offset =
		(c->gpr[GPR_RBX] + (c->gpr[GPR_RAX] & 0xff)) & size_mask(c->insn.addr_size);
	uint64_t value;
	struct emul_loc loc;
	enum emul_status status = emul_resolve(c, c->insn.segment, offset, 1, 0, &loc);

	if (status == EMUL_OK) {
		status = emul_load(c, &loc, 0, 1, &value);
	}
	if (status == EMUL_OK) {
		emul_set(c, GPR_RAX, 1, value);
	}
	return status;
}

/* CLFLUSH, CLFLUSHOPT and CLWB: checked like a byte load, and nothing to flush. */
enum emul_status emul_cache_line(struct emul_ctx *c)
{
	unsigned n = (c->insn.modrm >> 3) & 7;
	struct emul_rm rm;

	if (!c->insn.mem || c->insn.rep != 0 || (n != 7 && (n != 6 || !c->insn.opsize_prefix))) {
		return EMUL_UNHANDLED;
	}
	return emul_rm_open(c, 1, 0, &rm);
}
