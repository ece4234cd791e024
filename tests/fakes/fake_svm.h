/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake behind svm/svm_insn.h: a VMRUN whose guest is a C function. It takes the VMCB through
 * pool_ptr, keeps a copy of what the run started from, and does what VMRUN does to the fields
 * around it.
 */
#pragma once

#include "svm/svm_insn.h"
#include "svm/vmcb.h"

struct fake_svm {
	/* The guest: sets exit code, info and state. NULL: exits with INTR. */
	void (*guest)(struct vcpu *vcpu, struct vmcb *vmcb);
	struct vmcb entered; /* as it was when the last run began */
	unsigned enter_count;
	hpa_t vmcb; /* arguments of the last run */
	hpa_t host;
	unsigned vmsave_count;
	hpa_t vmsave_last;
};

extern struct fake_svm fake_svm;

void fake_svm_reset(void);
