/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-virtual addresses: a vCPU's paging state bound to the walker of hv/emul/gwalk.h and to its
 * VM's memory. One struct vcpu_walk serves all accesses of one instruction.
 */
#pragma once

#include "hv/api/vm.h"
#include "hv/emul/gwalk.h"
#include "mm/access.h"

struct vcpu_walk {
	struct gwalk walk;
	struct vm *vm;
	bool long_mode; /* EFER.LMA and CR0.PG */
};

/* The callbacks of a walk, for users that embed struct gwalk elsewhere. */
bool gaddr_read_entry_slow(struct vm *vm, gpa_t addr, unsigned size, uint64_t *entry);

/* Entries are naturally aligned; nearly all lie in the region that was hit last. */
static inline bool gaddr_read_entry(struct vm *vm, gpa_t addr, unsigned size, uint64_t *entry)
{
	if (size == 8 && gspace_hit(&vm->gspace, addr, 8, false)) {
		*entry = __atomic_load_n(
			(const uint64_t *)access_ptr(hva(VM_WINDOW_BASE + addr.v), false),
			__ATOMIC_RELAXED);
		return true;
	}
	return gaddr_read_entry_slow(vm, addr, size, entry);
}

bool gaddr_update_entry(struct vm *vm, gpa_t addr, unsigned size, uint64_t expected,
			uint64_t entry);
/* Sets everything in `w` but its callbacks. */
void gaddr_fill_walk(struct gwalk *w, const struct vcpu *vcpu, const struct vcpu_context *context);

/* `context` is the vCPU's. */
void vcpu_walk_begin(struct vcpu_walk *w, const struct vcpu *vcpu,
		     const struct vcpu_context *context);
/* Translates `va` for `access` (GWALK_*); the VM's space is current. */
enum gwalk_status vcpu_translate(const struct vcpu_walk *w, gva_t va, unsigned access,
				 struct gwalk_result *out);
