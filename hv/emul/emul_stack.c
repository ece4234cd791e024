/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUSH and POP of registers, immediates and memory, CALL, RET, ENTER and LEAVE, for stacks or
 * operands that are not RAM. With two memory operands both are resolved before either is touched.
 */
#include "hv/emul/emul_internal.h"

/* Bytes of the stack pointer that count: the stack segment's width. */
static unsigned stack_width(struct emul_ctx *c)
{
	if (c->mode == INSN_LONG64) {
		return 8;
	}
	return (emul_segment(c, VCPU_SEG_SS)->attr & SEG_DB) != 0 ? 4 : 2;
}

static uint64_t stack_pointer(const struct emul_ctx *c, unsigned width)
{
	return c->gpr[GPR_RSP] & size_mask(width);
}

enum emul_status emul_push_open(struct emul_ctx *c, uint64_t *sp, struct emul_loc *slot)
{
	unsigned size = c->insn.op_size;
	unsigned width = stack_width(c);

	*sp = (stack_pointer(c, width) - size) & size_mask(width);
	return emul_resolve(c, VCPU_SEG_SS, *sp, size, GWALK_WRITE, slot);
}

enum emul_status emul_push_store(struct emul_ctx *c, uint64_t sp, const struct emul_loc *slot,
				 uint64_t value)
{
	enum emul_status status = emul_store(c, slot, 0, c->insn.op_size, value);

	if (status == EMUL_OK) {
		emul_set(c, GPR_RSP, stack_width(c), sp);
	}
	return status;
}

static enum emul_status push(struct emul_ctx *c, uint64_t value)
{
	struct emul_loc slot;
	uint64_t sp;
	enum emul_status status = emul_push_open(c, &sp, &slot);

	return status == EMUL_OK ? emul_push_store(c, sp, &slot, value) : status;
}

enum emul_status emul_push_reg(struct emul_ctx *c)
{
	return push(c, c->gpr[c->insn.reg]);
}

enum emul_status emul_push_imm(struct emul_ctx *c)
{
	return push(c, c->insn.imm);
}

enum emul_status emul_push_rm(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t sp;
	uint64_t value;
	struct emul_rm rm;
	struct emul_loc slot;
	enum emul_status status;

	c->fault_valid = false; /* two operands: which one faulted is not known */
	status = emul_rm_open(c, size, 0, &rm);
	if (status == EMUL_OK) {
		status = emul_push_open(c, &sp, &slot);
	}
	if (status == EMUL_OK) {
		status = emul_rm_load(c, &rm, size, &value);
	}
	return status == EMUL_OK ? emul_push_store(c, sp, &slot, value) : status;
}

/* Loads the top of the stack without moving the pointer. */
static enum emul_status peek(struct emul_ctx *c, unsigned width, uint64_t *value)
{
	unsigned size = c->insn.op_size;
	struct emul_loc loc;
	enum emul_status status =
		emul_resolve(c, VCPU_SEG_SS, stack_pointer(c, width), size, 0, &loc);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_load(c, &loc, 0, size, value);
}

enum emul_status emul_pop_reg(struct emul_ctx *c)
{
	unsigned width = stack_width(c);
	uint64_t value;
	enum emul_status status = peek(c, width, &value);

	if (status == EMUL_OK) {
		emul_set(c, GPR_RSP, width, stack_pointer(c, width) + c->insn.op_size);
		emul_set(c, c->insn.reg, c->insn.op_size, value);
	}
	return status;
}

/* The operand's address is computed with the stack pointer already moved (SDM "POP"). */
enum emul_status emul_pop_rm(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	unsigned width = stack_width(c);
	uint64_t old_rsp = c->gpr[GPR_RSP];
	uint64_t sp = stack_pointer(c, width);
	uint64_t value;
	struct emul_rm rm;
	struct emul_loc slot;
	enum emul_status status;

	c->fault_valid = false;
	status = emul_resolve(c, VCPU_SEG_SS, sp, size, 0, &slot);
	if (status != EMUL_OK) {
		return status;
	}
	emul_set(c, GPR_RSP, width, sp + size);
	status = emul_rm_open(c, size, GWALK_WRITE, &rm);
	if (status == EMUL_OK) {
		status = emul_load(c, &slot, 0, size, &value);
	}
	if (status == EMUL_OK) {
		status = emul_rm_store(c, &rm, size, value);
	}
	if (status != EMUL_OK) {
		c->gpr[GPR_RSP] = old_rsp;
	}
	return status;
}

/* ---------------------------------------------------------------- CALL and RET */

enum emul_status emul_check_target(struct emul_ctx *c, uint64_t target)
{
	if (c->mode == INSN_LONG64 ? !emul_is_canonical(c, target)
				   : target > emul_segment(c, VCPU_SEG_CS)->limit) {
		return emul_raise(c, EXC_GP, 0);
	}
	return EMUL_OK;
}

void emul_jump(struct emul_ctx *c, uint64_t target)
{
	c->rip = target - c->insn.length;
}

enum emul_status emul_call_rel(struct emul_ctx *c)
{
	uint64_t back = c->rip + c->insn.length;
	uint64_t target = (back + c->insn.imm) & size_mask(c->insn.op_size);
	enum emul_status status = emul_check_target(c, target);

	if (status == EMUL_OK) {
		status = push(c, back);
	}
	if (status == EMUL_OK) {
		emul_jump(c, target);
	}
	return status;
}

/* RET, and RET n, which gives the caller's arguments back too. */
enum emul_status emul_ret(struct emul_ctx *c)
{
	unsigned width = stack_width(c);
	uint64_t arguments = c->insn.opcode == 0xc2 ? c->insn.imm & 0xffff : 0;
	uint64_t target;
	enum emul_status status = peek(c, width, &target);

	if (status == EMUL_OK) {
		status = emul_check_target(c, target);
	}
	if (status == EMUL_OK) {
		emul_set(c, GPR_RSP, width, stack_pointer(c, width) + c->insn.op_size + arguments);
		emul_jump(c, target);
	}
	return status;
}

/* ---------------------------------------------------------------- ENTER and LEAVE */

/* A frame of `imm` bytes; nested ones, which copy their callers' frame pointers, are unhandled. */
enum emul_status emul_enter(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	unsigned width = stack_width(c);
	uint64_t bytes = c->insn.imm & 0xffff;
	uint64_t frame;
	struct emul_loc slot;
	enum emul_status status;

	if ((c->insn.imm2 & 0x1f) != 0) {
		return EMUL_UNHANDLED;
	}
	status = emul_push_open(c, &frame, &slot);
	if (status == EMUL_OK) {
		status = emul_push_store(c, frame, &slot, c->gpr[GPR_RBP]);
	}
	if (status == EMUL_OK) {
		emul_set(c, GPR_RBP, size, frame);
		emul_set(c, GPR_RSP, width, frame - bytes);
	}
	return status;
}

enum emul_status emul_leave(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	unsigned width = stack_width(c);
	uint64_t frame = c->gpr[GPR_RBP] & size_mask(width);
	uint64_t value;
	struct emul_loc loc;
	enum emul_status status = emul_resolve(c, VCPU_SEG_SS, frame, size, 0, &loc);

	if (status == EMUL_OK) {
		status = emul_load(c, &loc, 0, size, &value);
	}
	if (status == EMUL_OK) {
		emul_set(c, GPR_RSP, width, frame + size);
		emul_set(c, GPR_RBP, size, value);
	}
	return status;
}
