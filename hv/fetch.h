/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instruction bytes at a vCPU's RIP, for hardware that gives neither length nor bytes. The last
 * translations are kept with the page-table entries they came from: as long as they all still hold
 * the same values, a walk would end at the same page, so it is as exact as a walk and costs four
 * loads. A few pages: a kernel's exits come from handlers and from what they interrupt.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/vm.h"

/* Reads up to `want` bytes (at most INSN_BYTES_MAX); returns how many translate. */
size_t fetch_code(struct vcpu *vcpu, const struct vcpu_context *context, uint8_t *bytes,
		  size_t want);
/* Walks to RIP and notes that; false when it cannot be. `root`: the backend's code_root. */
bool fetch_fill(struct vcpu *vcpu, uint64_t root);
/* Forgets them all. */
void fetch_clear(struct vcpu *vcpu);

#define FETCH_HELD_BYTES 4u

/*
 * The place in guest memory of the first FETCH_HELD_BYTES bytes, to be read once; NULL when
 * no page of vcpu->fetch tells, or they are not all in one page. Only for an instruction that the
 * CPU has just executed: whether it may be fetched is no question any more, only where it lies, so
 * rights are not looked at again while the page tables stay as they are. Inline and without a loop:
 * where hardware tells no lengths, every exit of an instruction comes here (30 instructions).
 */
static inline const uint8_t *fetch_held(const struct vcpu *vcpu, uint64_t root)
{
	uint64_t page = vcpu->rip >> PAGE_SHIFT;
	uint64_t offset = vcpu->rip & (PAGE_SIZE - 1);
	const struct fetch_cache *c = &vcpu->fetch[page % FETCH_PAGES];

	static_assert(FETCH_LEVELS == 4, "all of them are compared");
	if (c->page == page && c->root == root && offset <= PAGE_SIZE - FETCH_HELD_BYTES &&
	    __atomic_load_n(c->where[0], __ATOMIC_RELAXED) == c->entry[0] &&
	    __atomic_load_n(c->where[1], __ATOMIC_RELAXED) == c->entry[1] &&
	    __atomic_load_n(c->where[2], __ATOMIC_RELAXED) == c->entry[2] &&
	    __atomic_load_n(c->where[3], __ATOMIC_RELAXED) == c->entry[3]) {
		return c->code + offset;
	}
	return NULL;
}
