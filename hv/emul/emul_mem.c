/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operands: effective address, segmentation, translation, and accesses split at pages. A
 * store that crosses into a second page has both pages checked before either is touched, and
 * before the first one is marked dirty.
 */
#include "hv/emul/emul_internal.h"

/* Segment type bits of a code or data segment. */
#define TYPE_CODE BIT(3)
#define TYPE_EXPAND_DOWN BIT(2) /* data */
#define TYPE_WRITABLE BIT(1)	/* data; readable for code */

static bool has_error_code(enum exception_vector vector)
{
	return vector >= EXC_TS && vector <= EXC_PF;
}

void emul_set_exception(struct emul_ctx *c, enum exception_vector vector, uint32_t error)
{
	c->exception = (struct vcpu_event){
		.type = VCPU_EVENT_EXCEPTION,
		.vector = (uint8_t)vector,
		.has_error = has_error_code(vector) && (c->walk.cr0 & CR0_PE) != 0,
		.error = error,
	};
}

const struct vcpu_segment *emul_segment(struct emul_ctx *c, unsigned seg)
{
	if ((c->segs_known & BIT32(seg)) == 0) {
		c->ops->get_segment(c, (enum vcpu_seg)seg, &c->segs[seg]);
		c->segs_known |= (uint8_t)BIT32(seg);
	}
	return &c->segs[seg];
}

/* ---------------------------------------------------------------- addresses */

/* 64-bit mode: FS and GS have bases, nothing has limits. */
static enum emul_status linear64(struct emul_ctx *c, unsigned seg, uint64_t offset, unsigned size,
				 uint64_t *linear)
{
	uint64_t first = offset;

	if (seg >= VCPU_SEG_FS) {
		first += emul_segment(c, seg)->base;
	}
	if (!emul_is_canonical(c, first) || !emul_is_canonical(c, first + size - 1)) {
		return emul_raise(c, seg == VCPU_SEG_SS ? EXC_SS : EXC_GP, 0);
	}
	*linear = first;
	return EMUL_OK;
}

static bool is_outside(const struct vcpu_segment *s, uint64_t first, uint64_t last)
{
	bool down = (s->attr & (TYPE_CODE | TYPE_EXPAND_DOWN)) == TYPE_EXPAND_DOWN;

	if (!down) {
		return last > s->limit;
	}
	return first <= s->limit || last > ((s->attr & SEG_DB) != 0 ? 0xffffffffu : 0xffffu);
}

/* Whether a protected-mode segment allows this kind of access at all. */
static bool is_type_ok(const struct vcpu_segment *s, bool write)
{
	if ((s->attr & SEG_UNUSABLE) != 0) {
		return false;
	}
	if (write) {
		return (s->attr & (TYPE_CODE | TYPE_WRITABLE)) == TYPE_WRITABLE;
	}
	return (s->attr & (TYPE_CODE | TYPE_WRITABLE)) != TYPE_CODE;
}

enum emul_status emul_linear(struct emul_ctx *c, unsigned seg, uint64_t offset, unsigned size,
			     bool write, uint64_t *linear)
{
	const struct vcpu_segment *s;
	bool refused;

	if (c->mode == INSN_LONG64) {
		return linear64(c, seg, offset, size, linear);
	}
	s = emul_segment(c, seg);
	if (c->mode == INSN_REAL16) {
		refused = offset + size - 1 > s->limit;
	} else {
		refused = !is_type_ok(s, write) || is_outside(s, offset, offset + size - 1);
	}
	if (refused) {
		return emul_raise(c, seg == VCPU_SEG_SS ? EXC_SS : EXC_GP, 0);
	}
	*linear = (s->base + offset) & 0xffffffffu;
	return EMUL_OK;
}

static enum emul_status not_translated(struct emul_ctx *c, uint64_t linear,
				       enum gwalk_status status, uint32_t error)
{
	if (status == GWALK_FAULT) {
		c->exception_payload = linear;
		return emul_raise(c, EXC_PF, error);
	}
	return status == GWALK_CONFLICT ? EMUL_RESTART : EMUL_STOP;
}

enum emul_status emul_translate(struct emul_ctx *c, uint64_t linear, unsigned access, gpa_t *out)
{
	struct gwalk_result result = {.error = 0};
	enum gwalk_status status;
	unsigned flags = access | c->access;

	if (c->ops->walk != NULL) {
		status = c->ops->walk(&c->walk, gva(linear), flags, &result);
	} else {
		status = gwalk(&c->walk, gva(linear), flags, &result);
	}
	if (status == GWALK_OK) {
		*out = result.gpa;
		return EMUL_OK;
	}
	return not_translated(c, linear, status, result.error);
}

/* Both pages of an operand that crosses: checked first, marked accessed and dirty afterwards. */
static enum emul_status translate_two(struct emul_ctx *c, uint64_t linear, unsigned access,
				      struct emul_loc *loc)
{
	uint64_t second = linear + loc->first;
	enum emul_status status;

	if (c->mode != INSN_LONG64) {
		second &= 0xffffffffu;
	}
	status = emul_translate(c, linear, access | GWALK_PROBE, &loc->gpa);
	if (status == EMUL_OK) {
		status = emul_translate(c, second, access, &loc->next);
	}
	if (status == EMUL_OK) {
		status = emul_translate(c, linear, access, &loc->gpa);
	}
	return status;
}

/* Out of line, so that the short way needs no frame. */
static __attribute__((noinline)) enum emul_status resolve(struct emul_ctx *c, unsigned seg,
							  uint64_t offset, unsigned size,
							  unsigned access, struct emul_loc *loc)
{
	uint64_t linear;
	uint64_t room;
	enum emul_status status = emul_linear(c, seg, offset, size, access != 0, &linear);

	if (status != EMUL_OK) {
		return status;
	}
	room = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
	if (room < size) {
		loc->first = (unsigned)room;
		return translate_two(c, linear, access, loc);
	}
	loc->first = size;
	loc->next = gpa(0); /* never used */
	return emul_translate(c, linear, access, &loc->gpa);
}

/*
 * Whether the CPU's report of a second-stage fault already says where the bytes at `offset` lead:
 * an access in the same place of the page, with the same right, and not over the page's end.
 */
static bool is_reported(const struct emul_ctx *c, uint64_t linear, unsigned size, unsigned access)
{
	uint64_t in_page = linear & (PAGE_SIZE - 1);

	return c->fault_valid && in_page == (c->fault_gpa.v & (PAGE_SIZE - 1)) &&
	       in_page + size <= PAGE_SIZE && (c->fault_write || access == 0);
}

/* The short way is that of 64-bit code whose access to a device made the exit. */
enum emul_status emul_resolve(struct emul_ctx *c, unsigned seg, uint64_t offset, unsigned size,
			      unsigned access, struct emul_loc *loc)
{
	if (c->mode == INSN_LONG64 && seg < VCPU_SEG_FS && emul_is_canonical(c, offset) &&
	    is_reported(c, offset, size, access)) {
		loc->gpa = c->fault_gpa;
		loc->next = gpa(0);
		loc->first = size;
		return EMUL_OK;
	}
	return resolve(c, seg, offset, size, access, loc);
}

/* ---------------------------------------------------------------- accesses */

enum emul_status emul_access_failed(enum emul_access access)
{
	return access == EMUL_ACCESS_CHANGED ? EMUL_RESTART : EMUL_STOP;
}

static gpa_t byte_at(const struct emul_loc *loc, unsigned offset)
{
	return gpa(offset < loc->first ? loc->gpa.v + offset : loc->next.v + (offset - loc->first));
}

/* The largest naturally aligned piece that starts at `offset` of an operand that crosses pages. */
static unsigned piece_size(const struct emul_loc *loc, unsigned offset, unsigned left)
{
	uint64_t addr = byte_at(loc, offset).v;
	unsigned size = 8;

	while (size > left || (addr & (size - 1)) != 0) {
		size /= 2;
	}
	return size;
}

enum emul_status emul_load_split(struct emul_ctx *c, const struct emul_loc *loc, unsigned offset,
				 unsigned size, uint64_t *value)
{
	uint64_t whole = 0;

	for (unsigned done = 0; done < size;) {
		unsigned n = piece_size(loc, offset + done, size - done);
		uint64_t part = 0;
		enum emul_access access = c->ops->read(c, byte_at(loc, offset + done), n, &part);

		if (access != EMUL_ACCESS_OK) {
			return emul_access_failed(access);
		}
		whole |= (part & size_mask(n)) << (8 * done);
		done += n;
	}
	*value = whole;
	return EMUL_OK;
}

enum emul_status emul_store_split(struct emul_ctx *c, const struct emul_loc *loc, unsigned offset,
				  unsigned size, uint64_t value)
{
	for (unsigned done = 0; done < size;) {
		unsigned n = piece_size(loc, offset + done, size - done);
		uint64_t part = (value >> (8 * done)) & size_mask(n);
		enum emul_access access = c->ops->write(c, byte_at(loc, offset + done), n, part);

		if (access != EMUL_ACCESS_OK) {
			return emul_access_failed(access);
		}
		done += n;
	}
	return EMUL_OK;
}

enum emul_status emul_rm_update(struct emul_ctx *c, const struct emul_rm *rm, unsigned size,
				uint64_t old, uint64_t value, bool locked)
{
	enum emul_access access;

	if (!rm->mem || !locked || size > rm->loc.first) {
		return emul_rm_store(c, rm, size, value);
	}
	access = c->ops->compare_exchange(c, rm->loc.gpa, size, old, value & size_mask(size));
	return access == EMUL_ACCESS_OK ? EMUL_OK : emul_access_failed(access);
}
