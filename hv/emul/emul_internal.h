/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the emulator's files share: registers by operand size, memory operands, and the handler
 * tables. A memory operand is first resolved (segment checks, translation, all faults), then loaded
 * and stored, which can no longer fault.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"
#include "hv/base/bits.h"
#include "hv/emul/emulate.h"

/* One handler per opcode. On EMUL_OK the caller advances RIP; on anything else but finished
 * iterations of string instructions the handler has changed nothing. */
typedef enum emul_status emul_fn(struct emul_ctx *c);

/* A memory operand after all checks. */
struct emul_loc {
	gpa_t gpa;	/* of the first byte */
	gpa_t next;	/* of the first byte in the second page, when there is one */
	unsigned first; /* bytes in the first page */
};

/* The operand that ModRM.rm names: memory or a register. */
struct emul_rm {
	bool mem;
	struct emul_loc loc;
};

/* Fills c->exception: an error code, even 0, where the vector has one; real mode never has one. */
void emul_set_exception(struct emul_ctx *c, enum exception_vector vector, uint32_t error);

static inline enum emul_status emul_raise(struct emul_ctx *c, enum exception_vector vector,
					  uint32_t error)
{
	emul_set_exception(c, vector, error);
	return EMUL_EXCEPTION;
}

/* The segment register, read from the vCPU the first time. */
const struct vcpu_segment *emul_segment(struct emul_ctx *c, unsigned seg);

/* Segment base, limit, type and canonical checks for [offset, offset + size). */
enum emul_status emul_linear(struct emul_ctx *c, unsigned seg, uint64_t offset, unsigned size,
			     bool write, uint64_t *linear);
/* emul_linear, then the translation of each page. `access` is 0 or GWALK_WRITE; size 1..16. */
enum emul_status emul_resolve(struct emul_ctx *c, unsigned seg, uint64_t offset, unsigned size,
			      unsigned access, struct emul_loc *loc);
/* Translates one byte of the guest's linear memory: EMUL_OK, _EXCEPTION, _RESTART, _STOP. */
enum emul_status emul_translate(struct emul_ctx *c, uint64_t linear, unsigned access, gpa_t *out);

/* The general cases of emul_load and emul_store: a second page, or a callback that refused. */
enum emul_status emul_load_split(struct emul_ctx *c, const struct emul_loc *loc, unsigned offset,
				 unsigned size, uint64_t *value);
enum emul_status emul_store_split(struct emul_ctx *c, const struct emul_loc *loc, unsigned offset,
				  unsigned size, uint64_t value);
/* What an access that did not go well means. */
enum emul_status emul_access_failed(enum emul_access access);

/* Reads or writes `size` (1, 2, 4, 8) bytes at `offset` of a resolved operand. */
static inline enum emul_status emul_load(struct emul_ctx *c, const struct emul_loc *loc,
					 unsigned offset, unsigned size, uint64_t *value)
{
	enum emul_access access;

	if (offset + size > loc->first) {
		return emul_load_split(c, loc, offset, size, value);
	}
	access = c->ops->read(c, gpa(loc->gpa.v + offset), size, value);
	*value &= size_mask(size);
	return access == EMUL_ACCESS_OK ? EMUL_OK : emul_access_failed(access);
}

static inline enum emul_status emul_store(struct emul_ctx *c, const struct emul_loc *loc,
					  unsigned offset, unsigned size, uint64_t value)
{
	enum emul_access access;

	if (offset + size > loc->first) {
		return emul_store_split(c, loc, offset, size, value);
	}
	access = c->ops->write(c, gpa(loc->gpa.v + offset), size, value & size_mask(size));
	return access == EMUL_ACCESS_OK ? EMUL_OK : emul_access_failed(access);
}

/* emul_rm_store of a value computed from `old`; atomic when `locked`. */
enum emul_status emul_rm_update(struct emul_ctx *c, const struct emul_rm *rm, unsigned size,
				uint64_t old, uint64_t value, bool locked);
/* AH, CH, DH and BH: byte registers 4..7 without REX. */
static inline bool emul_is_high_byte(const struct emul_ctx *c, unsigned reg, unsigned size)
{
	return size == 1 && c->insn.rex == 0 && reg >= 4;
}

static inline uint64_t emul_get(const struct emul_ctx *c, unsigned reg, unsigned size)
{
	if (emul_is_high_byte(c, reg, size)) {
		return c->gpr[reg - 4] >> 8 & 0xff;
	}
	return c->gpr[reg] & size_mask(size);
}

/* Writes a register as the CPU does: 4 bytes clear the upper half, 1 and 2 leave the rest. */
static inline void emul_set(struct emul_ctx *c, unsigned reg, unsigned size, uint64_t value)
{
	if (size >= 4) {
		c->gpr[reg] = value & size_mask(size);
	} else if (emul_is_high_byte(c, reg, size)) {
		c->gpr[reg - 4] = (c->gpr[reg - 4] & ~0xff00ull) | (value & 0xff) << 8;
	} else {
		c->gpr[reg] = (c->gpr[reg] & ~size_mask(size)) | (value & size_mask(size));
	}
}

/* Whether a linear address of 64-bit mode has the copies of its top bit above it. */
static inline bool emul_is_canonical(const struct emul_ctx *c, uint64_t linear)
{
	unsigned top = (c->walk.cr4 & CR4_LA57) != 0 ? 56 : 47;
	uint64_t high = linear >> top;

	return high == 0 || high == ~0ull >> top;
}

/* The effective address of the instruction's memory operand, cut to the address size. */
static inline uint64_t emul_effective(const struct emul_ctx *c)
{
	const struct insn *insn = &c->insn;
	uint64_t ea = insn->disp;

	if (insn->base < GPR_COUNT) {
		ea += c->gpr[insn->base];
	} else if (insn->base == INSN_REG_RIP) {
		ea += c->rip + insn->length;
	}
	if (insn->index != INSN_REG_NONE) {
		ea += c->gpr[insn->index] << insn->scale;
	}
	return ea & size_mask(insn->addr_size);
}

/* Resolves the r/m operand; nothing to do for a register. */
static inline enum emul_status emul_rm_open(struct emul_ctx *c, unsigned size, unsigned access,
					    struct emul_rm *rm)
{
	rm->mem = c->insn.mem;
	if (!rm->mem) {
		return EMUL_OK;
	}
	return emul_resolve(c, c->insn.segment, emul_effective(c), size, access, &rm->loc);
}

static inline enum emul_status emul_rm_load(struct emul_ctx *c, const struct emul_rm *rm,
					    unsigned size, uint64_t *value)
{
	if (!rm->mem) {
		*value = emul_get(c, c->insn.rm, size);
		return EMUL_OK;
	}
	return emul_load(c, &rm->loc, 0, size, value);
}

static inline enum emul_status emul_rm_store(struct emul_ctx *c, const struct emul_rm *rm,
					     unsigned size, uint64_t value)
{
	if (!rm->mem) {
		emul_set(c, c->insn.rm, size, value);
		return EMUL_OK;
	}
	return emul_store(c, &rm->loc, 0, size, value);
}

/* Open and load, for operands that are only read. */
static inline enum emul_status emul_rm_get(struct emul_ctx *c, unsigned size, uint64_t *value)
{
	struct emul_rm rm;
	enum emul_status status = emul_rm_open(c, size, 0, &rm);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_rm_load(c, &rm, size, value);
}

/* Resolves the slot of c->insn.op_size bytes below the stack pointer, to which *sp would point. */
enum emul_status emul_push_open(struct emul_ctx *c, uint64_t *sp, struct emul_loc *slot);
/* Stores there, and moves the pointer when that went well. */
enum emul_status emul_push_store(struct emul_ctx *c, uint64_t sp, const struct emul_loc *slot,
				 uint64_t value);

/* #GP unless `target` can be in RIP. */
enum emul_status emul_check_target(struct emul_ctx *c, uint64_t target);
/* Sets RIP so that the caller's step past the instruction ends at the target. */
void emul_jump(struct emul_ctx *c, uint64_t target);

/* emul_moves.c */
emul_fn emul_mov_rm_r, emul_mov_r_rm, emul_mov_rm_imm, emul_mov_acc_moffs, emul_mov_moffs_acc;
emul_fn emul_mov_rm_sreg, emul_movsxd, emul_movzx, emul_movsx, emul_movbe;
emul_fn emul_xchg, emul_cmov, emul_setcc, emul_xlat, emul_cache_line;
/* emul_stack.c */
emul_fn emul_push_reg, emul_push_imm, emul_push_rm, emul_pop_reg, emul_pop_rm;
emul_fn emul_call_rel, emul_ret, emul_enter, emul_leave;
/* emul_arith.c */
emul_fn emul_alu_rm_r, emul_alu_r_rm, emul_alu_acc_imm, emul_alu_rm_imm;
emul_fn emul_test_rm_r, emul_test_acc_imm, emul_group3, emul_inc_dec;
emul_fn emul_shift_imm, emul_shift_one, emul_shift_cl, emul_shift_double;
emul_fn emul_bit_reg, emul_bit_imm, emul_cmpxchg, emul_cmpxchg_wide, emul_xadd;
emul_fn emul_imul_r_rm, emul_imul_r_rm_imm;
emul_fn emul_bit_scan;
/* emul_system.c */
emul_fn emul_group7, emul_jump_rm;
/* emul_segment.c */
emul_fn emul_group6, emul_mov_sreg_rm, emul_far_jump;
/* emul_string.c */
emul_fn emul_string;
/* emul_sse.c */
emul_fn emul_sse_move;
