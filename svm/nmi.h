/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NMI blocking without hardware help. From an NMI's injection until its handler's IRET no further
 * one may be delivered. The IRET is intercepted, which happens before it executes:
 *
 *	        inject               IRET exit             RIP moved
 *	OPEN ----------> BLOCKED ----------------> IRET ------------> OPEN
 *	  ^                 |
 *	  +-----------------+ the delivery itself was interrupted
 *
 * Whoever waits for an NMI window needs an exit right behind that IRET, or behind the instruction
 * in an interrupt shadow: one run with RFLAGS.TF set, whose #DB (intercepted anyway) is swallowed.
 * TF is ours for that one run only. A guest that pushes RFLAGS, or faults, in just that instruction
 * sees the flag on its stack.
 *
 * QEMU's VMRUN does not look at the VMCB's interrupt shadow: an interrupt would come between the
 * guest's STI and HLT, which then sleeps for good. There each entry with a shadow is such a step,
 * without the dummy interrupt of a window.
 *
 * Source: AMD APM volume 2 "NMI Support", "IRET Intercept".
 */
#pragma once

#include "svm/decode.h"
#include "svm/internal.h"

void svm_nmi_injected(struct svm_vcpu *v);
/*
 * Before an entry while an NMI window is wanted: true when it is open now, so that there is no need
 * to enter; otherwise arranges for an exit when it opens.
 */
bool svm_nmi_prepare(struct svm_vcpu *v);
/* Before an entry with an interrupt shadow, where the CPU loses it (svm_features.loses_shadow). */
void svm_shadow_prepare(struct svm_vcpu *v);
/* After each exit; sets raw->nmi_window, and corrects raw->dr6, when our own step ended. */
void svm_nmi_observe(struct svm_vcpu *v, struct svm_raw_exit *raw);
