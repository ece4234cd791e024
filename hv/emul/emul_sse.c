/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSE moves between memory and the 128-bit registers, for memory-copy routines that meet a device:
 * MOVUPS, MOVAPS, MOVDQU, MOVDQA, MOVNTPS, MOVNTDQ, MOVSS, MOVSD, MOVD, MOVQ; and MOVQ of MMX. Only
 * when the caller gave access to the registers. Source: Intel SDM volume 2.
 */
#include "hv/emul/emul_internal.h"

enum sse_prefix { PREFIX_NONE = 1, PREFIX_66 = 2, PREFIX_F3 = 4, PREFIX_F2 = 8 };

/* A form: which mandatory prefixes choose it, bytes moved, direction. */
struct sse_form {
	uint8_t opcode;
	uint8_t prefixes; /* enum sse_prefix, any of */
	uint8_t size;	  /* 4, 8 or 16; 0: 4, or 8 with REX.W */
	bool store;
	bool aligned; /* #GP unless aligned to 16 */
	bool mmx;
};

static const struct sse_form forms[] = {
	{0x10, PREFIX_NONE | PREFIX_66, 16, false, false, false},
	{0x10, PREFIX_F3, 4, false, false, false},
	{0x10, PREFIX_F2, 8, false, false, false},
	{0x11, PREFIX_NONE | PREFIX_66, 16, true, false, false},
	{0x11, PREFIX_F3, 4, true, false, false},
	{0x11, PREFIX_F2, 8, true, false, false},
	{0x28, PREFIX_NONE | PREFIX_66, 16, false, true, false},
	{0x29, PREFIX_NONE | PREFIX_66, 16, true, true, false},
	{0x2b, PREFIX_NONE | PREFIX_66, 16, true, true, false},
	{0x6e, PREFIX_66, 0, false, false, false},
	{0x6f, PREFIX_NONE, 8, false, false, true},
	{0x6f, PREFIX_66, 16, false, true, false},
	{0x6f, PREFIX_F3, 16, false, false, false},
	{0x7e, PREFIX_66, 0, true, false, false},
	{0x7e, PREFIX_F3, 8, false, false, false},
	{0x7f, PREFIX_NONE, 8, true, false, true},
	{0x7f, PREFIX_66, 16, true, true, false},
	{0x7f, PREFIX_F3, 16, true, false, false},
	{0xd6, PREFIX_66, 8, true, false, false},
	{0xe7, PREFIX_66, 16, true, true, false},
};

static enum sse_prefix prefix_of(const struct insn *insn)
{
	if (insn->rep != 0) {
		return insn->rep == 0xf3 ? PREFIX_F3 : PREFIX_F2;
	}
	return insn->opsize_prefix ? PREFIX_66 : PREFIX_NONE;
}

static const struct sse_form *find_form(const struct insn *insn)
{
	enum sse_prefix prefix = prefix_of(insn);

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		if (forms[i].opcode == insn->opcode && (forms[i].prefixes & prefix) != 0) {
			return &forms[i];
		}
	}
	return NULL;
}

/* Registers 16 to 23 stand for MM0 to MM7, of which only 8 bytes count. */
static unsigned register_of(const struct insn *insn, const struct sse_form *form)
{
	return form->mmx ? EMUL_MMX_FIRST + (insn->reg & 7u) : insn->reg;
}

static enum emul_status sse_load(struct emul_ctx *c, const struct emul_loc *loc, unsigned reg,
				 unsigned size)
{
	uint64_t value[2] = {0, 0};
	enum emul_status status = emul_load(c, loc, 0, size < 8 ? size : 8, &value[0]);

	if (status == EMUL_OK && size == 16) {
		status = emul_load(c, loc, 8, 8, &value[1]);
	}
	if (status == EMUL_OK) {
		c->ops->set_xmm(c, reg, value);
	}
	return status;
}

static enum emul_status sse_store(struct emul_ctx *c, const struct emul_loc *loc, unsigned reg,
				  unsigned size)
{
	uint64_t value[2];
	enum emul_status status;

	c->ops->get_xmm(c, reg, value);
	status = emul_store(c, loc, 0, size < 8 ? size : 8, value[0]);
	if (status == EMUL_OK && size == 16) {
		status = emul_store(c, loc, 8, 8, value[1]);
	}
	return status;
}

/* MMX does not ask for CR4.OSFXSR. */
static enum emul_status check_enabled(struct emul_ctx *c, const struct sse_form *form)
{
	if ((c->walk.cr0 & CR0_EM) != 0 || (!form->mmx && (c->walk.cr4 & CR4_OSFXSR) == 0)) {
		return emul_raise(c, EXC_UD, 0);
	}
	return (c->walk.cr0 & CR0_TS) != 0 ? emul_raise(c, EXC_NM, 0) : EMUL_OK;
}

enum emul_status emul_sse_move(struct emul_ctx *c)
{
	const struct insn *insn = &c->insn;
	const struct sse_form *form = find_form(insn);
	uint64_t linear;
	struct emul_loc loc;
	unsigned size;
	enum emul_status status;

	if (form == NULL || !insn->mem || c->ops->get_xmm == NULL || c->ops->set_xmm == NULL) {
		return EMUL_UNHANDLED;
	}
	status = check_enabled(c, form);
	if (status != EMUL_OK) {
		return status;
	}
	size = form->size != 0 ? form->size : (insn->rex & 8) != 0 ? 8 : 4;
	status = emul_linear(c, insn->segment, emul_effective(c), size, form->store, &linear);
	if (status != EMUL_OK) {
		return status;
	}
	if (form->aligned && (linear & 15) != 0) {
		return emul_raise(c, EXC_GP, 0);
	}
	status = emul_resolve(c, insn->segment, emul_effective(c), size,
			      form->store ? GWALK_WRITE : 0, &loc);
	if (status != EMUL_OK) {
		return status;
	}
	return form->store ? sse_store(c, &loc, register_of(insn, form), size)
			   : sse_load(c, &loc, register_of(insn, form), size);
}
