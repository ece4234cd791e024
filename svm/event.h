/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events into the guest and windows out of it.
 *
 * Injection is EVENTINJ. Software interrupts and exceptions (INT n, INT3, INTO) are special: the
 * return address that the CPU pushes for them is VMCB.nRIP, where nRIP exists. Where it does not,
 * or the instruction's length is not known, nothing is injected: an exit during the delivery of
 * such an event leaves RIP at the instruction, and running on executes it again.
 *
 * The interrupt window is a dummy virtual interrupt of the vector's priority whose delivery is
 * intercepted (V_IRQ + VINTR): the CPU compares it with the virtual TPR, the interrupt flag and the
 * shadow. The manual says a priority above the TPR is needed; QEMU's TCG takes an equal one, which
 * would open the window at once, for ever. An exit that comes too early by the manual's rule tells
 * this vCPU to ask for one priority less from then on. While a window is wanted, writes to CR8
 * exit, too: QEMU 7.2's TCG aborts (an assertion in its interrupt code) when a guest changes the
 * virtual TPR with V_IRQ pending, so a guest could end the whole emulated machine. A window that is
 * open before the entry is reported without one: the CPU would exit at once, and Bochs' would not,
 * which lets a virtual interrupt through only after the guest has changed its IF.
 *
 * The detour: after an injection of an interrupt, QEMU's TCG still has its vector as an exception
 * to come, and delivers it again, interrupts off or not, when another of its threads stops the CPU
 * before the next exit (`exception_index` after helper_vmrun). Its virtual interrupts do not have
 * that; so there, an interrupt is handed in as one that is not intercepted. What is still pending
 * at the exit was not delivered, which is told as if EXITINTINFO had said so.
 *
 * Sources: AMD APM volume 2 "Event Injection", "Interrupt and Local APIC Support".
 */
#pragma once

#include "hv/api/backend.h"
#include "svm/internal.h"

unsigned svm_blocked(const struct vcpu *vcpu, enum vcpu_event_type type);
void svm_inject(struct vcpu *vcpu, const struct vcpu_event *event);
uint64_t svm_clear_shadow(struct vcpu *vcpu);
void svm_set_windows(struct vcpu *vcpu, int vector, bool nmi);

/* Puts the window for v->window_vector into the VMCB; `any` opens one whatever the TPR says. */
void svm_window_program(struct svm_vcpu *v, bool any);
/* Around an entry where interrupts that are injected come twice. */
void svm_detour_begin(struct svm_vcpu *v);
void svm_detour_end(struct svm_vcpu *v, struct svm_raw_exit *raw);
/* Before an entry: true when the window that is wanted would open at once. */
bool svm_window_is_open(const struct svm_vcpu *v);
/* Before an entry with a window wanted: the same; else sees to it that a shadow holds. */
bool svm_window_prepare(struct svm_vcpu *v);
/* After a VINTR exit: true when it came although the TPR masks; corrects the next one. */
bool svm_window_was_early(struct svm_vcpu *v);
