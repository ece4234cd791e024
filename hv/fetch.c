/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction bytes at RIP. */
#include "hv/fetch.h"

#include "hv/api/gmem.h"
#include "hv/base/str.h"
#include "hv/gaddr.h"
#include "hv/vcpu.h"

#define INDEX_MASK 511u

static uint64_t linear_rip(const struct vcpu *vcpu, const struct vcpu_context *context)
{
	if (vcpu_insn_mode(context) == INSN_LONG64) {
		return vcpu->rip;
	}
	return (uint32_t)(context->cs_base + vcpu->rip);
}

static unsigned fetch_access(const struct vcpu_context *context)
{
	return GWALK_FETCH | (context->cpl == 3 ? GWALK_USER : 0);
}

size_t fetch_code(struct vcpu *vcpu, const struct vcpu_context *context, uint8_t *bytes,
		  size_t want)
{
	uint64_t linear = linear_rip(vcpu, context);
	struct vcpu_walk walk;
	size_t got = 0;

	vcpu_walk_begin(&walk, vcpu, context);
	while (got < want) {
		size_t in_page = (size_t)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
		size_t n = (size_t)min_u64(want - got, in_page);
		struct gwalk_result at;

		if (vcpu_translate(&walk, gva(linear), fetch_access(context), &at) != GWALK_OK ||
		    guest_mem_read(vcpu->vm, at.gpa, bytes + got, n) != HV_OK) {
			break;
		}
		got += n;
		linear += n;
	}
	return got;
}

/* What else than CR3 and the address a translation depends on. */
static uint64_t paging_key(const struct vcpu_context *context)
{
	return context->cr0 << 32 | (uint32_t)context->cr4;
}

static uint64_t mode_key(const struct vcpu_context *context)
{
	return context->efer << 8 | context->cpl;
}

static bool still_valid(const struct fetch_cache *c, const struct vcpu_context *context,
			uint64_t linear)
{
	if (c->code == NULL || c->cr3 != context->cr3 || c->page != linear >> PAGE_SHIFT ||
	    c->paging != paging_key(context) || c->mode != mode_key(context)) {
		return false;
	}
	for (unsigned i = 0; i < c->levels; i++) {
		if (__atomic_load_n(c->where[i], __ATOMIC_RELAXED) != c->entry[i]) {
			return false;
		}
	}
	return true;
}

/* Notes the entries of a walk that has just succeeded; false when one is not in RAM. */
static bool note_path(struct fetch_cache *c, struct vm *vm, uint64_t cr3, uint64_t linear)
{
	uint64_t table = cr3 & PTE_ADDR;
	unsigned shift = PAGE_SHIFT + 27;

	for (c->levels = 0; c->levels < FETCH_LEVELS; shift -= 9) {
		uint64_t at = table + (linear >> shift & INDEX_MASK) * 8;
		const uint64_t *p = gspace_ptr(&vm->gspace, gpa(at), 8, false);

		if (p == NULL) {
			return false;
		}
		c->where[c->levels] = p;
		c->entry[c->levels] = __atomic_load_n(p, __ATOMIC_RELAXED);
		table = c->entry[c->levels] & PTE_ADDR;
		if ((c->entry[c->levels++] & PTE_PS) != 0 && shift != PAGE_SHIFT) {
			break;
		}
	}
	return true;
}

/*
 * Walks and fills the cache; only for 64-bit code below four-level tables. Out of line, so that the
 * usual case needs no stack frame of its size.
 */
static __attribute__((noinline)) bool fill(struct vcpu *vcpu, const struct vcpu_context *context,
					   uint64_t linear)
{
	struct fetch_cache *c = &vcpu->fetch;
	struct vcpu_walk walk;
	struct gwalk_result at;

	c->code = NULL;
	if (vcpu_insn_mode(context) != INSN_LONG64 || (context->cr4 & CR4_LA57) != 0) {
		return false;
	}
	vcpu_walk_begin(&walk, vcpu, context);
	if (vcpu_translate(&walk, gva(linear), fetch_access(context), &at) != GWALK_OK ||
	    !note_path(c, vcpu->vm, context->cr3, linear)) {
		return false;
	}
	c->cr3 = context->cr3;
	c->page = linear >> PAGE_SHIFT;
	c->paging = paging_key(context);
	c->mode = mode_key(context);
	c->code = gspace_ptr(&vcpu->vm->gspace, gpa(align_down(at.gpa.v, PAGE_SIZE)), PAGE_SIZE,
			     false);
	return c->code != NULL;
}

bool fetch_quick(struct vcpu *vcpu, const struct vcpu_context *context, uint32_t *bytes)
{
	uint64_t offset = vcpu->rip & (PAGE_SIZE - 1);

	if (offset > PAGE_SIZE - sizeof(*bytes) ||
	    (!still_valid(&vcpu->fetch, context, vcpu->rip) && !fill(vcpu, context, vcpu->rip))) {
		return false;
	}
	/* At any offset; the built-in is one load. */
	__builtin_memcpy(bytes, vcpu->fetch.code + offset, sizeof(*bytes));
	return true;
}
