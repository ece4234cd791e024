/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions: MOVS, CMPS, STOS, LODS, SCAS, INS and OUTS, with or without repetition. One
 * call does at most EMUL_REP_MAX iterations; registers then stand as after an interrupt between
 * two iterations, and running the guest at the same RIP goes on with the rest.
 */
#include "hv/emul/alu.h"
#include "hv/emul/emul_internal.h"

#define USES_SI 1u
#define USES_DI 2u
#define COMPARES 4u

/* One iteration: everything but the index and count registers. */
typedef enum emul_status string_fn(struct emul_ctx *c, unsigned size);

struct string_op {
	string_fn *once;
	unsigned flags;
};

static enum emul_status resolve_si(struct emul_ctx *c, unsigned size, struct emul_loc *loc)
{
	uint64_t offset = emul_get(c, GPR_RSI, c->insn.addr_size);

	return emul_resolve(c, c->insn.segment, offset, size, 0, loc);
}

/* The destination is always in ES. */
static enum emul_status resolve_di(struct emul_ctx *c, unsigned size, unsigned access,
				   struct emul_loc *loc)
{
	uint64_t offset = emul_get(c, GPR_RDI, c->insn.addr_size);

	return emul_resolve(c, VCPU_SEG_ES, offset, size, access, loc);
}

static enum emul_status load_si(struct emul_ctx *c, unsigned size, uint64_t *value)
{
	struct emul_loc loc;
	enum emul_status status = resolve_si(c, size, &loc);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_load(c, &loc, 0, size, value);
}

/* Source and destination are both resolved before a device is read. */
static enum emul_status movs(struct emul_ctx *c, unsigned size)
{
	struct emul_loc from;
	struct emul_loc to;
	uint64_t value;
	enum emul_status status = resolve_si(c, size, &from);

	if (status == EMUL_OK) {
		status = resolve_di(c, size, GWALK_WRITE, &to);
	}
	if (status == EMUL_OK) {
		status = emul_load(c, &from, 0, size, &value);
	}
	if (status == EMUL_OK) {
		status = emul_store(c, &to, 0, size, value);
	}
	return status;
}

static enum emul_status cmps(struct emul_ctx *c, unsigned size)
{
	struct emul_loc first;
	struct emul_loc second;
	uint64_t a;
	uint64_t b;
	enum emul_status status = resolve_si(c, size, &first);

	if (status == EMUL_OK) {
		status = resolve_di(c, size, 0, &second);
	}
	if (status == EMUL_OK) {
		status = emul_load(c, &first, 0, size, &a);
	}
	if (status == EMUL_OK) {
		status = emul_load(c, &second, 0, size, &b);
	}
	if (status == EMUL_OK) {
		alu_binary(ALU_CMP, a, b, size, &c->rflags);
	}
	return status;
}

static enum emul_status stos(struct emul_ctx *c, unsigned size)
{
	struct emul_loc to;
	enum emul_status status = resolve_di(c, size, GWALK_WRITE, &to);

	if (status != EMUL_OK) {
		return status;
	}
	return emul_store(c, &to, 0, size, emul_get(c, GPR_RAX, size));
}

static enum emul_status lods(struct emul_ctx *c, unsigned size)
{
	uint64_t value;
	enum emul_status status = load_si(c, size, &value);

	if (status == EMUL_OK) {
		emul_set(c, GPR_RAX, size, value);
	}
	return status;
}

static enum emul_status scas(struct emul_ctx *c, unsigned size)
{
	struct emul_loc at;
	uint64_t value;
	enum emul_status status = resolve_di(c, size, 0, &at);

	if (status == EMUL_OK) {
		status = emul_load(c, &at, 0, size, &value);
	}
	if (status == EMUL_OK) {
		alu_binary(ALU_CMP, emul_get(c, GPR_RAX, size), value, size, &c->rflags);
	}
	return status;
}

/* Whether the CPU has checked the right to the port that DX names, for this size. */
static bool is_port_checked(const struct emul_ctx *c, unsigned size)
{
	return c->io_size == size && c->io_port == (uint16_t)c->gpr[GPR_RDX];
}

static enum emul_status ins(struct emul_ctx *c, unsigned size)
{
	struct emul_loc to;
	uint64_t value = 0;
	enum emul_status status;

	if (!is_port_checked(c, size)) {
		return EMUL_UNHANDLED;
	}
	status = resolve_di(c, size, GWALK_WRITE, &to);
	if (status != EMUL_OK) {
		return status;
	}
	if (c->ops->io_in(c, c->io_port, size, &value) != EMUL_ACCESS_OK) {
		return EMUL_STOP;
	}
	return emul_store(c, &to, 0, size, value);
}

static enum emul_status outs(struct emul_ctx *c, unsigned size)
{
	uint64_t value;
	enum emul_status status;

	if (!is_port_checked(c, size)) {
		return EMUL_UNHANDLED;
	}
	status = load_si(c, size, &value);
	if (status != EMUL_OK) {
		return status;
	}
	return c->ops->io_out(c, c->io_port, size, value) == EMUL_ACCESS_OK ? EMUL_OK : EMUL_STOP;
}

/* Indexed by the opcode's bits 4:1: 6C INS, 6E OUTS, A4 MOVS, A6 CMPS, AA STOS, AC LODS, AE SCAS.
 */
static const struct string_op string_ops[] = {[2] = {movs, USES_SI | USES_DI},
					      [3] = {cmps, USES_SI | USES_DI | COMPARES},
					      [5] = {stos, USES_DI},
					      [6] = {lods, USES_SI},
					      [7] = {scas, USES_DI | COMPARES}};
static const struct string_op ins_op = {ins, USES_DI};
static const struct string_op outs_op = {outs, USES_SI};

static const struct string_op *string_op_of(uint8_t opcode)
{
	if (opcode < 0x80) {
		return (opcode & 2) == 0 ? &ins_op : &outs_op;
	}
	return &string_ops[(opcode >> 1) & 7];
}

static void step_index(struct emul_ctx *c, unsigned reg, unsigned size)
{
	unsigned width = c->insn.addr_size;
	uint64_t by = (c->rflags & RFLAGS_DF) != 0 ? 0 - (uint64_t)size : size;

	emul_set(c, reg, width, emul_get(c, reg, width) + by);
}

/* Moves index and count registers past `n` iterations; returns whether another one follows. */
static bool step(struct emul_ctx *c, const struct string_op *op, unsigned size, unsigned n)
{
	unsigned width = c->insn.addr_size;
	uint64_t count;
	bool equal = (c->rflags & RFLAGS_ZF) != 0;

	if ((op->flags & USES_SI) != 0) {
		step_index(c, GPR_RSI, size * n);
	}
	if ((op->flags & USES_DI) != 0) {
		step_index(c, GPR_RDI, size * n);
	}
	if (c->insn.rep == 0) {
		return false;
	}
	count = emul_get(c, GPR_RCX, width) - n;
	emul_set(c, GPR_RCX, width, count);
	if ((op->flags & COMPARES) != 0 && equal != (c->insn.rep == 0xf3)) {
		return false;
	}
	return count != 0;
}

/*
 * How many iterations of INS or OUTS, upwards from `offset`, can be done at once: they stay in one
 * page, and the index register does not wrap.
 */
static unsigned block_size(struct emul_ctx *c, const struct string_op *op, uint64_t offset,
			   unsigned size)
{
	unsigned width = c->insn.addr_size;
	unsigned seg = op == &ins_op ? VCPU_SEG_ES : c->insn.segment;
	uint64_t most = min_u64(emul_get(c, GPR_RCX, width), EMUL_STRING_BYTES / size);
	uint64_t linear;

	if (emul_linear(c, seg, offset, size, op == &ins_op, &linear) != EMUL_OK) {
		return 0;
	}
	most = min_u64(most, (PAGE_SIZE - linear % PAGE_SIZE) / size);
	return (unsigned)min_u64(most, (size_mask(width) - offset) / size);
}

/* Iterations that were done at once; 0: the next one is to be done by itself. */
static unsigned do_block(struct emul_ctx *c, const struct string_op *op, unsigned size,
			 unsigned most)
{
	bool in = op == &ins_op;
	uint64_t offset = emul_get(c, in ? GPR_RDI : GPR_RSI, c->insn.addr_size);
	struct emul_loc loc;
	unsigned count;

	if ((op != &ins_op && op != &outs_op) || c->ops->io_in_string == NULL || c->insn.rep == 0 ||
	    (c->rflags & (RFLAGS_DF | RFLAGS_TF)) != 0 || !is_port_checked(c, size)) {
		return 0;
	}
	count = (unsigned)min_u64(block_size(c, op, offset, size), most);
	/* A fault is that of the iteration that meets it. */
	if (count < 2 || emul_resolve(c, in ? VCPU_SEG_ES : c->insn.segment, offset, count * size,
				      in ? GWALK_WRITE : 0, &loc) != EMUL_OK) {
		return 0;
	}
	return (in ? c->ops->io_in_string : c->ops->io_out_string)(c, c->io_port, size, loc.gpa,
								   count)
		       ? count
		       : 0;
}

enum emul_status emul_string(struct emul_ctx *c)
{
	const struct string_op *op = string_op_of(c->insn.opcode);
	/* INSD and OUTSD have no 64-bit form. */
	unsigned size = c->insn.opcode < 0x80 && c->insn.width == 8 ? 4 : c->insn.width;
	uint64_t rflags = c->rflags;

	if (c->insn.rep != 0 && emul_get(c, GPR_RCX, c->insn.addr_size) == 0) {
		return EMUL_OK;
	}
	c->fault_valid = false; /* the addresses move */
	for (unsigned done = 0; done < EMUL_REP_MAX;) {
		unsigned n = do_block(c, op, size, EMUL_REP_MAX - done);
		enum emul_status status = n != 0 ? EMUL_OK : op->once(c, size);

		if (status != EMUL_OK) {
			/* SDM "REP": a fault shows the flags from before the instruction. */
			c->rflags = rflags;
			return status;
		}
		n += n == 0;
		done += n;
		if (!step(c, op, size, n)) {
			return EMUL_OK;
		}
		if ((c->rflags & RFLAGS_TF) != 0) {
			c->single_step = true;
			break;
		}
	}
	c->rflags |= RFLAGS_RF;
	return EMUL_RESTART;
}
