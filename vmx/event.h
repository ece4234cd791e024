/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events into the guest and windows out of it.
 *
 * An interrupt that waits for the guest's TPR to fall uses the TPR threshold, one that waits for
 * IF or the end of a shadow uses interrupt-window exiting: the TPR is compared before each entry
 * while a window is wanted.
 *
 * Sources: Intel SDM volume 3 "Event Injection", "Interrupt-Window Exiting and Virtual-Interrupt
 * Delivery", "Virtual APIC State".
 */
#pragma once

#include "hv/api/backend.h"
#include "vmx/internal.h"

unsigned vmx_blocked(const struct vcpu *vcpu, enum vcpu_event_type type);
void vmx_inject(struct vcpu *vcpu, const struct vcpu_event *event);
uint64_t vmx_clear_shadow(struct vcpu *vcpu);
void vmx_set_windows(struct vcpu *vcpu, int vector, bool nmi);

#define VMX_PROC_WINDOWS (VMX_PROC_INTERRUPT_WINDOW | VMX_PROC_NMI_WINDOW)

void vmx_windows_write(struct vmx_vcpu *v);
/* Before an entry: brings controls and TPR threshold in line with the windows wanted. */
static inline void vmx_windows_program(struct vmx_vcpu *v)
{
	bool open = (v->proc & VMX_PROC_WINDOWS) != 0 || v->tpr_threshold != 0;

	if (v->window_vector >= 0 || v->window_nmi || open) {
		vmx_windows_write(v);
	}
}
