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
 * The shadow behind STI and MOV SS is lost at QEMU's entries: its VMRUN does not read it from the
 * VMCB. An event that waits for the end of a shadow would come at once, before the instruction; a
 * HLT behind STI would then sleep on what was to keep it awake. There, interrupts too wait for a
 * step to end, and a second exit at the same instruction finds the shadow again.
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
/* Before an entry in a shadow, when an interrupt waits for its end: has an exit come behind it. */
void svm_shadow_step(struct svm_vcpu *v);
/* After an exit by a physical interrupt: keeps or restores the shadow. */
void svm_shadow_observe(struct svm_vcpu *v);
/* After an exit with nmi.watched; sets raw->nmi_window, and corrects raw->dr6, when our own step
 * ended. */
void svm_nmi_observe(struct svm_vcpu *v, struct svm_raw_exit *raw);
