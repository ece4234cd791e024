/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-virtual addresses: a vCPU's paging state bound to the walker of hv/emul/gwalk.h and to its
 * VM's memory. One struct vcpu_walk serves all accesses of one instruction.
 */
#pragma once

#include "hv/api/vm.h"
#include "hv/emul/gwalk.h"

struct vcpu_walk {
	struct gwalk walk;
	struct vm *vm;
	bool long_mode; /* EFER.LMA and CR0.PG */
};

/* The callbacks of a walk, for users that embed struct gwalk elsewhere. */
bool gaddr_read_entry(struct vm *vm, gpa_t addr, unsigned size, uint64_t *entry);
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
