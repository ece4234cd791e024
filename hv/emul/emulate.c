/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The emulator's front: fetching and decoding at RIP, the tables of handlers, and completing an
 * instruction. Also the decoding helpers for exits on control registers, debug registers and
 * INVLPG, which carry nothing out.
 */
#include "hv/emul/emulate.h"

#include "hv/emul/emul_internal.h"

/* ---------------------------------------------------------------- fetch and decode */

/*
 * The linear address of the code byte at `ip`, outside 64-bit mode; cuts *n to what the segment has
 * from there on.
 */
static enum emul_status code_in_segment(struct emul_ctx *c, uint64_t ip, uint64_t *linear,
					uint64_t *n)
{
	const struct vcpu_segment *cs = emul_segment(c, VCPU_SEG_CS);

	if (ip > cs->limit) {
		return emul_raise(c, EXC_GP, 0);
	}
	*n = min_u64(*n, (uint64_t)cs->limit - ip + 1);
	*linear = (cs->base + ip) & 0xffffffffu;
	return EMUL_OK;
}

/*
 * Appends code bytes to buf[*have..], at most to the end of a page, of the segment, and of the
 * longest instruction.
 */
static enum emul_status fetch_more(struct emul_ctx *c, uint8_t *buf, size_t *have)
{
	uint64_t linear = c->rip + *have;
	uint64_t n = INSN_BYTES_MAX - *have;
	gpa_t from;
	enum emul_status status = EMUL_OK;

	if (c->mode != INSN_LONG64) {
		status = code_in_segment(c, linear, &linear, &n);
	} else if (*have != 0 && !emul_is_canonical(c, linear)) {
		status = emul_raise(c, EXC_GP, 0);
	}
	if (status == EMUL_OK) {
		status = emul_translate(c, linear, GWALK_FETCH, &from);
	}
	if (status != EMUL_OK) {
		return status;
	}
	n = min_u64(n, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
	if (c->ops->fetch(c, from, buf + *have, n) != EMUL_ACCESS_OK) {
		return EMUL_STOP;
	}
	*have += n;
	return EMUL_OK;
}

/* Fetches page by page until the instruction is whole. */
static enum emul_status fetch_and_decode(struct emul_ctx *c, enum decode_status *decoded)
{
	uint8_t buf[INSN_PADDED] = {0};
	size_t have = 0;

	do {
		enum emul_status status = fetch_more(c, buf, &have);

		if (status != EMUL_OK) {
			return status;
		}
		*decoded = insn_decode_padded(buf, have, c->mode, &c->insn);
	} while (*decoded == DECODE_NEED_MORE);
	return EMUL_OK;
}

enum emul_status emul_decode(struct emul_ctx *c)
{
	enum decode_status decoded = DECODE_NEED_MORE;
	enum emul_status status;

	if (c->decoded) {
		return EMUL_OK;
	}
	if (c->bytes_count != 0) {
		decoded = insn_decode(c->bytes, c->bytes_count, c->mode, &c->insn);
	}
	if (decoded == DECODE_NEED_MORE) {
		status = fetch_and_decode(c, &decoded);
		if (status != EMUL_OK) {
			return status;
		}
	}
	if (decoded != DECODE_OK) {
		return emul_raise(c, decoded == DECODE_TOO_LONG ? EXC_GP : EXC_UD, 0);
	}
	c->decoded = true;
	return EMUL_OK;
}

/* ---------------------------------------------------------------- dispatch */

#define X4(at, fn) [at] = fn, [(at) + 1] = fn, [(at) + 2] = fn, [(at) + 3] = fn
#define X8(at, fn) X4(at, fn), X4((at) + 4, fn)
#define X16(at, fn) X8(at, fn), X8((at) + 8, fn)
#define ALU(at) \
	[at] = emul_alu_rm_r, [(at) + 1] = emul_alu_rm_r, [(at) + 2] = emul_alu_r_rm, \
	[(at) + 3] = emul_alu_r_rm, [(at) + 4] = emul_alu_acc_imm, [(at) + 5] = emul_alu_acc_imm

static emul_fn *const handlers_one[256] = {
	ALU(0x00),
	ALU(0x08),
	ALU(0x10),
	ALU(0x18),
	ALU(0x20),
	ALU(0x28),
	ALU(0x30),
	ALU(0x38),
	X8(0x50, emul_push_reg),
	X8(0x58, emul_pop_reg),
	[0x63] = emul_movsxd,
	[0x68] = emul_push_imm,
	[0x69] = emul_imul_r_rm_imm,
	[0x6a] = emul_push_imm,
	[0x6b] = emul_imul_r_rm_imm,
	X4(0x6c, emul_string),
	X4(0x80, emul_alu_rm_imm),
	[0x84] = emul_test_rm_r,
	[0x85] = emul_test_rm_r,
	[0x86] = emul_xchg,
	[0x87] = emul_xchg,
	[0x88] = emul_mov_rm_r,
	[0x89] = emul_mov_rm_r,
	[0x8a] = emul_mov_r_rm,
	[0x8b] = emul_mov_r_rm,
	[0x8c] = emul_mov_rm_sreg,
	[0x8e] = emul_mov_sreg_rm,
	[0x8f] = emul_pop_rm,
	[0xa0] = emul_mov_acc_moffs,
	[0xa1] = emul_mov_acc_moffs,
	[0xa2] = emul_mov_moffs_acc,
	[0xa3] = emul_mov_moffs_acc,
	X4(0xa4, emul_string),
	[0xa8] = emul_test_acc_imm,
	[0xa9] = emul_test_acc_imm,
	[0xaa] = emul_string,
	[0xab] = emul_string,
	X4(0xac, emul_string),
	[0xc0] = emul_shift_imm,
	[0xc1] = emul_shift_imm,
	[0xc2] = emul_ret,
	[0xc3] = emul_ret,
	[0xc6] = emul_mov_rm_imm,
	[0xc7] = emul_mov_rm_imm,
	[0xc8] = emul_enter,
	[0xc9] = emul_leave,
	[0xd0] = emul_shift_one,
	[0xd1] = emul_shift_one,
	[0xd2] = emul_shift_cl,
	[0xd3] = emul_shift_cl,
	[0xd7] = emul_xlat,
	[0xe8] = emul_call_rel,
	[0xf6] = emul_group3,
	[0xf7] = emul_group3,
	[0xfe] = emul_inc_dec,
	[0xff] = emul_inc_dec,
};

static emul_fn *const handlers_0f[256] = {
	[0x00] = emul_group6,	    [0x01] = emul_group7,	[0xbc] = emul_bit_scan,
	[0xbd] = emul_bit_scan,	    [0x10] = emul_sse_move,	[0x11] = emul_sse_move,
	[0x28] = emul_sse_move,	    [0x29] = emul_sse_move,	[0x2b] = emul_sse_move,
	X16(0x40, emul_cmov),	    [0x6e] = emul_sse_move,	[0x6f] = emul_sse_move,
	[0x7e] = emul_sse_move,	    [0x7f] = emul_sse_move,	X16(0x90, emul_setcc),
	[0xa3] = emul_bit_reg,	    [0xa4] = emul_shift_double, [0xa5] = emul_shift_double,
	[0xab] = emul_bit_reg,	    [0xac] = emul_shift_double, [0xad] = emul_shift_double,
	[0xae] = emul_cache_line,   [0xaf] = emul_imul_r_rm,	[0xb0] = emul_cmpxchg,
	[0xb1] = emul_cmpxchg,	    [0xb3] = emul_bit_reg,	[0xb6] = emul_movzx,
	[0xb7] = emul_movzx,	    [0xba] = emul_bit_imm,	[0xbb] = emul_bit_reg,
	[0xbe] = emul_movsx,	    [0xbf] = emul_movsx,	[0xc0] = emul_xadd,
	[0xc1] = emul_xadd,	    [0xc3] = emul_mov_rm_r, /* MOVNTI */
	[0xc7] = emul_cmpxchg_wide, [0xd6] = emul_sse_move,	[0xe7] = emul_sse_move,
};

static emul_fn *handler_of(const struct insn *insn)
{
	if (insn->map == INSN_MAP_ONE) {
		return handlers_one[insn->opcode];
	}
	if (insn->map == INSN_MAP_0F) {
		return handlers_0f[insn->opcode];
	}
	if (insn->map == INSN_MAP_0F38 && (insn->opcode & 0xfe) == 0xf0) {
		return emul_movbe;
	}
	return NULL;
}

void emul_advance(struct emul_ctx *c, unsigned length)
{
	c->rip += length;
	if (c->mode != INSN_LONG64) {
		c->rip &= 0xffffffffu;
	}
	c->single_step = (c->rflags & RFLAGS_TF) != 0;
	c->rflags &= ~RFLAGS_RF;
}

enum emul_status emulate(struct emul_ctx *c)
{
	emul_fn *handler;
	enum emul_status status = emul_decode(c);

	if (status != EMUL_OK) {
		return status;
	}
	handler = handler_of(&c->insn);
	if (handler == NULL) {
		return EMUL_UNHANDLED;
	}
	status = handler(c);
	if (status == EMUL_OK) {
		emul_advance(c, c->insn.length);
	}
	return status;
}

/* ---------------------------------------------------------------- decoding for other exits */

static bool is_0f(const struct insn *insn, uint8_t opcode)
{
	return insn->map == INSN_MAP_0F && insn->opcode == opcode;
}

static unsigned group_number(const struct insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

static enum emul_status mov_cr(const struct insn *insn, struct vm_exit_cr *out)
{
	if (!is_0f(insn, 0x20) && !is_0f(insn, 0x22)) {
		return EMUL_UNHANDLED;
	}
	*out = (struct vm_exit_cr){
		.cr = insn->reg,
		.write = insn->opcode == 0x22,
		.decoded = true,
		.gpr = insn->rm,
	};
	return EMUL_OK;
}

enum emul_status emul_cr_access(struct emul_ctx *c, struct vm_exit_cr *out)
{
	const struct insn *insn = &c->insn;
	uint64_t value;
	enum emul_status status = emul_decode(c);

	if (status != EMUL_OK) {
		return status;
	}
	if (is_0f(insn, 0x06)) {
		*out = (struct vm_exit_cr){.cr = 0, .write = true, .decoded = true, .clts = true};
		return EMUL_OK;
	}
	if (is_0f(insn, 0x01) && group_number(insn) == 6) {
		status = emul_rm_get(c, 2, &value);
		*out = (struct vm_exit_cr){.cr = 0,
					   .write = true,
					   .decoded = true,
					   .lmsw = true,
					   .lmsw_value = (uint16_t)value};
		return status;
	}
	return mov_cr(insn, out);
}
