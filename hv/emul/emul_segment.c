/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that load a segment register from memory that may be a device: MOV to a segment
 * register, LLDT, LTR, and far JMP to a code segment of the same privilege. Gates, tasks and other
 * far transfers stay unhandled. Sources: Intel SDM volume 2 (each "Operation"), volume 3 "Segment
 * Descriptors"; AMD APM volume 2 "Segment Registers".
 */
#include "hv/emul/emul_internal.h"

#define SELECTOR_RPL 3u
#define SELECTOR_LDT 4u
#define ERROR_CODE(selector) ((selector)&0xfffcu)

#define TYPE_ACCESSED BIT(0)
#define TYPE_BUSY BIT(1)
#define TYPE_WRITABLE BIT(1) /* data; readable for code */
#define TYPE_CONFORMING BIT(2)
#define TYPE_CODE BIT(3)
#define TYPE_LDT 2u
#define TYPE_TSS16 1u
#define TYPE_TSS 9u

/* Where the attributes of struct vcpu_segment stand in a descriptor. */
#define DESCRIPTOR_ATTR_SHIFT 40u
#define DESCRIPTOR_ATTR 0xf0ffull

struct descriptor {
	uint64_t low;
	uint64_t high; /* of a system segment in long mode; else 0 */
	struct emul_loc loc;
	struct vcpu_segment segment;
};

static bool is_null(uint64_t selector)
{
	return (selector & ~(uint64_t)SELECTOR_RPL) == 0;
}

static bool in_long_mode(const struct emul_ctx *c)
{
	return (c->walk.efer & EFER_LMA) != 0;
}

/* ---------------------------------------------------------------- descriptors */

/* Eight bytes of a descriptor table, which the CPU reads with its own rights. */
static enum emul_status read_table(struct emul_ctx *c, uint64_t linear, struct emul_loc *loc,
				   uint64_t *value)
{
	uint8_t access = c->access;
	enum emul_status status;

	if (c->mode != INSN_LONG64) {
		linear &= 0xffffffffu;
	}
	loc->first = (unsigned)min_u64(8, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
	c->access = 0;
	status = emul_translate(c, linear, 0, &loc->gpa);
	if (status == EMUL_OK && loc->first < 8) {
		status = emul_translate(c, linear + loc->first, 0, &loc->next);
	}
	c->access = access;
	return status == EMUL_OK ? emul_load(c, loc, 0, 8, value) : status;
}

static void unpack(const struct descriptor *d, uint64_t selector, struct vcpu_segment *out)
{
	uint64_t limit = bits_get(d->low, MASK(15, 0)) | bits_get(d->low, MASK(51, 48)) << 16;

	out->selector = (uint16_t)selector;
	out->attr = (uint32_t)(d->low >> DESCRIPTOR_ATTR_SHIFT & DESCRIPTOR_ATTR);
	out->base = bits_get(d->low, MASK(39, 16)) | bits_get(d->low, MASK(63, 56)) << 24 |
		    d->high << 32;
	out->limit = (uint32_t)((out->attr & SEG_G) != 0 ? limit << 12 | 0xfff : limit);
}

/* `system`: a segment of 16 bytes in long mode. */
static enum emul_status read_descriptor(struct emul_ctx *c, uint64_t selector, bool system,
					struct descriptor *d)
{
	bool local = (selector & SELECTOR_LDT) != 0;
	bool wide = system && in_long_mode(c);
	uint64_t at = selector & ~7ull;
	struct vcpu_segment table;
	struct emul_loc ignored;
	enum emul_status status;

	c->ops->get_segment(c, local ? VCPU_SEG_LDTR : VCPU_SEG_GDTR, &table);
	if ((local && (table.attr & SEG_UNUSABLE) != 0) || at + (wide ? 15 : 7) > table.limit) {
		return emul_raise(c, EXC_GP, ERROR_CODE(selector));
	}
	d->high = 0;
	status = read_table(c, table.base + at, &d->loc, &d->low);
	if (status == EMUL_OK && wide) {
		status = read_table(c, table.base + at + 8, &ignored, &d->high);
	}
	if (status == EMUL_OK) {
		unpack(d, selector, &d->segment);
	}
	return status;
}

/* Sets bits of the type, in memory too, unless they are set. */
static enum emul_status set_type(struct emul_ctx *c, struct descriptor *d, uint64_t bits)
{
	uint64_t changed = d->low | bits << DESCRIPTOR_ATTR_SHIFT;
	enum emul_access access;

	d->segment.attr |= (uint32_t)bits;
	if (changed == d->low) {
		return EMUL_OK;
	}
	if (d->loc.first < 8) {
		return EMUL_UNHANDLED;
	}
	access = c->ops->compare_exchange(c, d->loc.gpa, 8, d->low, changed);
	return access == EMUL_ACCESS_OK ? EMUL_OK : emul_access_failed(access);
}

static void load_null(struct emul_ctx *c, enum vcpu_seg seg, uint64_t selector)
{
	struct vcpu_segment s = {.selector = (uint16_t)selector,
				 .attr = (uint32_t)(SEG_UNUSABLE | (uint64_t)c->cpl << 5)};

	c->ops->set_segment(c, seg, &s);
}

/* Without descriptors: real mode. */
static void load_real(struct emul_ctx *c, enum vcpu_seg seg, uint64_t selector)
{
	struct vcpu_segment s = *emul_segment(c, seg);

	s.selector = (uint16_t)selector;
	s.base = selector << 4;
	c->ops->set_segment(c, seg, &s);
}

/* ---------------------------------------------------------------- LLDT, LTR */

#define GROUP6_LLDT 2u
#define GROUP6_LTR 3u

static bool is_system_type(const struct emul_ctx *c, const struct descriptor *d, bool task)
{
	uint64_t type = d->segment.attr & (SEG_S | SEG_TYPE);

	if (bits_get(d->high, MASK(44, 40)) != 0) {
		return false;
	}
	if (!task) {
		return type == TYPE_LDT;
	}
	return type == TYPE_TSS || (type == TYPE_TSS16 && !in_long_mode(c));
}

static enum emul_status load_system(struct emul_ctx *c, uint64_t selector, bool task)
{
	struct descriptor d;
	enum emul_status status;

	if (is_null(selector) && !task) {
		load_null(c, VCPU_SEG_LDTR, selector);
		return EMUL_OK;
	}
	if (is_null(selector) || (selector & SELECTOR_LDT) != 0) {
		return emul_raise(c, EXC_GP, ERROR_CODE(selector));
	}
	status = read_descriptor(c, selector, true, &d);
	if (status != EMUL_OK) {
		return status;
	}
	if (!is_system_type(c, &d, task)) {
		return emul_raise(c, EXC_GP, ERROR_CODE(selector));
	}
	if ((d.segment.attr & SEG_P) == 0) {
		return emul_raise(c, EXC_NP, ERROR_CODE(selector));
	}
	status = set_type(c, &d, task ? TYPE_BUSY : 0);
	if (status == EMUL_OK) {
		c->ops->set_segment(c, task ? VCPU_SEG_TR : VCPU_SEG_LDTR, &d.segment);
	}
	return status;
}

enum emul_status emul_group6(struct emul_ctx *c)
{
	unsigned n = (c->insn.modrm >> 3) & 7;
	uint64_t selector = 0;
	enum emul_status status;

	if ((n != GROUP6_LLDT && n != GROUP6_LTR) || c->ops->set_segment == NULL) {
		return EMUL_UNHANDLED;
	}
	if (c->mode == INSN_REAL16) {
		return emul_raise(c, EXC_UD, 0);
	}
	if (c->cpl != 0) {
		return emul_raise(c, EXC_GP, 0);
	}
	status = emul_rm_get(c, 2, &selector);
	return status == EMUL_OK ? load_system(c, selector, n == GROUP6_LTR) : status;
}

/* ---------------------------------------------------------------- MOV to ES, SS, DS, FS, GS */

/* A stack is writable data of exactly this privilege. */
static bool fits_stack(const struct emul_ctx *c, const struct descriptor *d)
{
	uint32_t attr = d->segment.attr;

	return (attr & (SEG_S | TYPE_CODE | TYPE_WRITABLE)) == (SEG_S | TYPE_WRITABLE) &&
	       (d->segment.selector & SELECTOR_RPL) == c->cpl && bits_get(attr, SEG_DPL) == c->cpl;
}

/* Data, or code that may be read; conforming code whatever its privilege. */
static bool fits_data(const struct emul_ctx *c, const struct descriptor *d)
{
	uint32_t attr = d->segment.attr;
	uint64_t dpl = bits_get(attr, SEG_DPL);
	uint64_t rpl = d->segment.selector & SELECTOR_RPL;

	if ((attr & SEG_S) == 0 || (attr & (TYPE_CODE | TYPE_WRITABLE)) == TYPE_CODE) {
		return false;
	}
	return (attr & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING) ||
	       (rpl <= dpl && c->cpl <= dpl);
}

static enum emul_status load_data(struct emul_ctx *c, enum vcpu_seg seg, uint64_t selector)
{
	bool stack = seg == VCPU_SEG_SS;
	struct descriptor d;
	enum emul_status status;

	if (is_null(selector)) {
		if (stack && (c->mode != INSN_LONG64 || c->cpl == 3 ||
			      (selector & SELECTOR_RPL) != c->cpl)) {
			return emul_raise(c, EXC_GP, 0);
		}
		load_null(c, seg, selector);
		return EMUL_OK;
	}
	status = read_descriptor(c, selector, false, &d);
	if (status != EMUL_OK) {
		return status;
	}
	if (!(stack ? fits_stack : fits_data)(c, &d)) {
		return emul_raise(c, EXC_GP, ERROR_CODE(selector));
	}
	if ((d.segment.attr & SEG_P) == 0) {
		return emul_raise(c, stack ? EXC_SS : EXC_NP, ERROR_CODE(selector));
	}
	status = set_type(c, &d, TYPE_ACCESSED);
	if (status == EMUL_OK) {
		c->ops->set_segment(c, seg, &d.segment);
	}
	return status;
}

enum emul_status emul_mov_sreg_rm(struct emul_ctx *c)
{
	enum vcpu_seg seg = (enum vcpu_seg)(c->insn.reg & 7);
	uint64_t selector = 0;
	enum emul_status status;

	if (c->ops->set_segment == NULL) {
		return EMUL_UNHANDLED;
	}
	status = emul_rm_get(c, 2, &selector);
	if (status != EMUL_OK) {
		return status;
	}
	if (c->mode == INSN_REAL16) {
		load_real(c, seg, selector);
		return EMUL_OK;
	}
	return load_data(c, seg, selector);
}

/* ---------------------------------------------------------------- far JMP */

static bool may_enter(const struct emul_ctx *c, const struct descriptor *d, uint64_t selector)
{
	uint32_t attr = d->segment.attr;
	uint64_t dpl = bits_get(attr, SEG_DPL);

	if (in_long_mode(c) && (attr & (SEG_L | SEG_DB)) == (SEG_L | SEG_DB)) {
		return false;
	}
	if ((attr & TYPE_CONFORMING) != 0) {
		return dpl <= c->cpl;
	}
	return (selector & SELECTOR_RPL) <= c->cpl && dpl == c->cpl;
}

static enum emul_status enter_code(struct emul_ctx *c, uint64_t selector, uint64_t target)
{
	struct descriptor d;
	bool wide;
	enum emul_status status;

	if (is_null(selector)) {
		return emul_raise(c, EXC_GP, 0);
	}
	status = read_descriptor(c, selector, false, &d);
	if (status != EMUL_OK) {
		return status;
	}
	if ((d.segment.attr & SEG_S) == 0) {
		return EMUL_UNHANDLED; /* a gate or a task */
	}
	if ((d.segment.attr & TYPE_CODE) == 0 || !may_enter(c, &d, selector)) {
		return emul_raise(c, EXC_GP, ERROR_CODE(selector));
	}
	if ((d.segment.attr & SEG_P) == 0) {
		return emul_raise(c, EXC_NP, ERROR_CODE(selector));
	}
	wide = in_long_mode(c) && (d.segment.attr & SEG_L) != 0;
	if (wide ? !emul_is_canonical(c, target) : target > d.segment.limit) {
		return emul_raise(c, EXC_GP, 0);
	}
	status = set_type(c, &d, TYPE_ACCESSED);
	if (status == EMUL_OK) {
		d.segment.selector = (uint16_t)((selector & ~(uint64_t)SELECTOR_RPL) | c->cpl);
		c->ops->set_segment(c, VCPU_SEG_CS, &d.segment);
		emul_jump(c, target);
	}
	return status;
}

enum emul_status emul_far_jump(struct emul_ctx *c)
{
	unsigned size = c->insn.op_size;
	uint64_t target = 0;
	uint64_t selector = 0;
	struct emul_loc loc;
	enum emul_status status;

	if (c->ops->set_segment == NULL || !c->insn.mem) {
		return EMUL_UNHANDLED;
	}
	status = emul_resolve(c, c->insn.segment, emul_effective(c), size + 2, 0, &loc);
	if (status == EMUL_OK) {
		status = emul_load(c, &loc, 0, size, &target);
	}
	if (status == EMUL_OK) {
		status = emul_load(c, &loc, size, 2, &selector);
	}
	if (status != EMUL_OK || c->mode != INSN_REAL16) {
		return status != EMUL_OK ? status : enter_code(c, selector, target);
	}
	if (target > emul_segment(c, VCPU_SEG_CS)->limit) {
		return emul_raise(c, EXC_GP, 0);
	}
	load_real(c, VCPU_SEG_CS, selector);
	emul_jump(c, target);
	return EMUL_OK;
}
