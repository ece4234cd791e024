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

/* Notes the entries of a walk that has just succeeded; false when one is not in RAM. */
static bool note_path(struct fetch_cache *c, struct vm *vm, uint64_t cr3, uint64_t linear)
{
	uint64_t table = cr3 & PTE_ADDR;
	unsigned shift = PAGE_SHIFT + 27;
	const uint64_t *p = NULL;
	uint64_t entry = 0;

	for (unsigned level = 0; level < FETCH_LEVELS; level++) {
		if ((entry & PTE_PS) == 0) {
			p = gspace_ptr(&vm->gspace, gpa(table + (linear >> shift & INDEX_MASK) * 8),
				       8, false);
			if (p == NULL) {
				return false;
			}
			entry = __atomic_load_n(p, __ATOMIC_RELAXED);
			table = entry & PTE_ADDR;
			shift -= 9;
		}
		c->where[level] = p;
		c->entry[level] = entry;
	}
	return true;
}

void fetch_clear(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < FETCH_PAGES; i++) {
		vcpu->fetch[i].page = FETCH_NO_PAGE;
	}
}

bool fetch_fill(struct vcpu *vcpu, uint64_t root)
{
	uint64_t linear = vcpu->rip;
	struct fetch_cache *c = &vcpu->fetch[(linear >> PAGE_SHIFT) % FETCH_PAGES];
	struct vcpu_context context;
	struct vcpu_walk walk;
	struct gwalk_result at;

	c->page = FETCH_NO_PAGE;
	if (root == CODE_ROOT_NONE) {
		return false;
	}
	the_backend->get_context(vcpu, &context);
	vcpu_walk_begin(&walk, vcpu, &context);
	if (vcpu_translate(&walk, gva(linear), fetch_access(&context), &at) != GWALK_OK ||
	    !note_path(c, vcpu->vm, root, linear)) {
		return false;
	}
	c->code = gspace_ptr(&vcpu->vm->gspace, gpa(align_down(at.gpa.v, PAGE_SIZE)), PAGE_SIZE,
			     false);
	if (c->code == NULL) {
		return false;
	}
	c->root = root;
	c->page = linear >> PAGE_SHIFT;
	return true;
}
