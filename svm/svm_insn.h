/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions of AMD-V as functions: svm_insn.c and svm_entry.S in the hypervisor,
 * tests/fakes/svm_insn.c in host programs.
 */
#pragma once

#include "hv/api/vm.h"
#include "hv/base/addr.h"

/*
 * Runs the guest until its next #VMEXIT: loads the general registers of `vcpu` but RAX and RSP,
 * which the VMCB at `vmcb` holds, and stores them afterwards; switches what VMLOAD and VMSAVE
 * cover, to the VMCB at `host` on return. Interrupts are off before and after; while the guest
 * runs a physical interrupt makes it exit and stays pending. An NMI or SMI that made it exit is
 * taken before this returns.
 */
void svm_enter(struct vcpu *vcpu, hpa_t vmcb, hpa_t host);

/* Writes the current FS, GS, TR, LDTR and system-call MSRs into the VMCB at `vmcb`. */
void svm_vmsave(hpa_t vmcb);
