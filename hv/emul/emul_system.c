/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions of operating systems whose operand may be device memory: SMSW, and near JMP and CALL
 * through memory.
 */
#include "hv/emul/emul_internal.h"

/* ---------------------------------------------------------------- 0F 01 */

#define GROUP7_SMSW 4u

/* To memory always 16 bits. User programs may not look where UMIP forbids it. */
static enum emul_status smsw(struct emul_ctx *c)
{
	unsigned size = c->insn.mem ? 2 : c->insn.op_size;
	struct emul_rm rm;
	enum emul_status status;

	if ((c->walk.cr4 & CR4_UMIP) != 0 && c->cpl > 0) {
		return emul_raise(c, EXC_GP, 0);
	}
	status = emul_rm_open(c, size, GWALK_WRITE, &rm);
	return status == EMUL_OK ? emul_rm_store(c, &rm, size, c->walk.cr0) : status;
}

enum emul_status emul_group7(struct emul_ctx *c)
{
	return ((c->insn.modrm >> 3) & 7) == GROUP7_SMSW ? smsw(c) : EMUL_UNHANDLED;
}

/* ---------------------------------------------------------------- FF /2, /4 */

#define GROUP5_CALL 2u
#define GROUP5_JMP 4u
#define GROUP5_FAR_JMP 5u

/* The stack is found writable before the operand is read, which may be a device's. */
static enum emul_status call(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t back = c->rip + c->insn.length;
	uint64_t target = 0;
	struct emul_rm rm;
	struct emul_loc slot;
	uint64_t sp;
	enum emul_status status;

	c->fault_valid = false; /* two operands: which one faulted is not known */
	status = emul_rm_open(c, size, 0, &rm);
	if (status == EMUL_OK) {
		status = emul_push_open(c, &sp, &slot);
	}
	if (status == EMUL_OK) {
		status = emul_rm_load(c, &rm, size, &target);
	}
	if (status == EMUL_OK) {
		status = emul_check_target(c, target);
	}
	if (status == EMUL_OK) {
		status = emul_push_store(c, sp, &slot, back);
	}
	if (status == EMUL_OK) {
		emul_jump(c, target);
	}
	return status;
}

enum emul_status emul_jump_rm(struct emul_ctx *c)
{
	unsigned n = (c->insn.modrm >> 3) & 7;
	uint64_t target = 0;
	enum emul_status status;

	if (c->insn.opcode == 0xff && n == GROUP5_FAR_JMP) {
		return emul_far_jump(c);
	}
	if (c->insn.opcode != 0xff || (n != GROUP5_CALL && n != GROUP5_JMP)) {
		return EMUL_UNHANDLED;
	}
	if (n == GROUP5_CALL) {
		return call(c);
	}
	status = emul_rm_get(c, c->insn.op_size, &target);
	if (status == EMUL_OK) {
		status = emul_check_target(c, target);
	}
	if (status == EMUL_OK) {
		emul_jump(c, target);
	}
	return status;
}
