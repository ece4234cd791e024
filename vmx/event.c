/* SPDX-License-Identifier: Apache-2.0 */
/* Event injection and interrupt windows. */
#include "vmx/event.h"

#include "hv/base/check.h"
#include "hv/cpu/regs.h"
#include "vmx/decode.h"

/* Vectors below this never come from a LAPIC, only from an 8259, which knows no TPR. */
#define VECTOR_FIRST_APIC 16

unsigned vmx_blocked(const struct vcpu *vcpu, enum vcpu_event_type type)
{
	const struct vmx_vcpu *v = vmx_vcpu_const(vcpu);
	unsigned blocked = v->event_info != 0 ? VCPU_BLOCKED_PENDING : 0;
	struct vmx_loan loan;
	uint64_t state;

	if (type != VCPU_EVENT_INTERRUPT && type != VCPU_EVENT_NMI) {
		return blocked;
	}
	loan = vmx_borrow(v);
	state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	/* STI's shadow need not hold back an NMI, and the NMI window may be open in it. */
	if ((state & (type == VCPU_EVENT_NMI ? VMX_BLOCKED_MOV_SS : VMX_SHADOW)) != 0) {
		blocked |= VCPU_BLOCKED_SHADOW;
	}
	if (type == VCPU_EVENT_INTERRUPT && (v->rflags & RFLAGS_IF) == 0) {
		blocked |= VCPU_BLOCKED_IF;
	}
	if (type == VCPU_EVENT_NMI && (state & VMX_BLOCKED_NMI) != 0) {
		blocked |= VCPU_BLOCKED_NMI;
	}
	vmx_give_back(v, loan);
	return blocked;
}

/*
 * A pending single step belongs to the instruction in whose shadow it waited; whoever ends the
 * shadow raises it by RFLAGS.TF.
 */
static __attribute__((noinline)) void leave_shadow(uint64_t state)
{
	uint64_t pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG);

	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~VMX_SHADOW);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, pending & ~VMX_PENDING_DEBUG_BS);
}

static void end_shadow(void)
{
	uint64_t state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	if ((state & VMX_SHADOW) != 0) {
		leave_shadow(state);
	}
}

void vmx_inject(struct vcpu *vcpu, const struct vcpu_event *event)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	bool soft = event->type == VCPU_EVENT_SOFT_INT || event->type == VCPU_EVENT_SOFT_EXC;
	struct vcpu_event e = *event;
	struct vmx_loan loan;

	CHECK(v->event_info == 0);
	if (soft && event->insn_len == 0) {
		return; /* RIP is still at the instruction: it runs again */
	}
	loan = vmx_borrow(v);
	/* The CPU wants an error code exactly where the exception pushes one. */
	e.has_error = e.type == VCPU_EVENT_EXCEPTION && vmx_has_error_code(e.vector) &&
		      (vmcs_read(VMCS_GUEST_CR0) & CR0_PE) != 0;
	v->event_info = vmx_event_encode(&e);
	v->event_error = e.has_error && event->has_error ? event->error : 0;
	v->event_length = e.insn_len;
	end_shadow();
	vmx_give_back(v, loan);
}

static __attribute__((noinline)) void end_shadow_in_memory(const struct vmx_vcpu *v)
{
	struct vmx_loan loan = vmx_borrow(v);

	end_shadow();
	vmx_give_back(v, loan);
}

/* Every completed instruction comes here, with its VMCS current: 20 instructions less than a loan.
 */
uint64_t vmx_clear_shadow(struct vcpu *vcpu)
{
	const struct vmx_vcpu *v = vmx_vcpu(vcpu);

	if (v->cpu != NULL) {
		end_shadow();
	} else {
		end_shadow_in_memory(v);
	}
	return v->rflags;
}

void vmx_set_windows(struct vcpu *vcpu, int vector, bool nmi)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);

	CHECK(vector >= -1 && vector <= 255);
	v->window_vector = vector;
	v->window_nmi = nmi;
}

void vmx_windows_write(struct vmx_vcpu *v)
{
	uint32_t proc = v->proc & ~VMX_PROC_WINDOWS;
	uint32_t threshold = 0;

	if (v->window_vector >= 0) {
		uint32_t wanted = (uint32_t)v->window_vector >> 4;
		uint32_t tpr = v->apic[VMX_APIC_TPR] >> 4;

		/* The threshold is never above the TPR: that would be refused, or exit at once.
		 * With virtual interrupts no TPR holds back what waits for a window. */
		if (!vmx.caps.virtual_interrupts && v->window_vector >= VECTOR_FIRST_APIC &&
		    tpr >= wanted) {
			threshold = wanted;
		} else {
			proc |= VMX_PROC_INTERRUPT_WINDOW;
		}
	}
	if (v->window_nmi) {
		proc |= VMX_PROC_NMI_WINDOW;
	}
	if (proc != v->proc) {
		vmcs_write(VMCS_PROC_CONTROLS, proc);
		v->proc = proc;
	}
	if (threshold != v->tpr_threshold) {
		vmcs_write(VMCS_TPR_THRESHOLD, threshold);
		v->tpr_threshold = threshold;
	}
}
