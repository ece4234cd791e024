/* SPDX-License-Identifier: Apache-2.0 */
/* Event injection and interrupt windows. */
#include "svm/event.h"

#include "hv/base/check.h"
#include "hv/cpu/regs.h"
#include "svm/decode.h"
#include "svm/nmi.h"

#define PRIO_HIGHEST 15u
/* Vectors below this never come from a LAPIC, only from an 8259, which knows no TPR. */
#define VECTOR_FIRST_APIC 16

unsigned svm_blocked(const struct vcpu *vcpu, enum vcpu_event_type type)
{
	const struct svm_vcpu *v = svm_vcpu_const(vcpu);
	const struct vmcb *vmcb = v->vmcb;
	unsigned blocked = 0;

	if ((vmcb->event_inj & SVM_EVENT_VALID) != 0) {
		blocked |= VCPU_BLOCKED_PENDING;
	}
	if (type != VCPU_EVENT_INTERRUPT && type != VCPU_EVENT_NMI) {
		return blocked;
	}
	if ((vmcb->int_state & SVM_INT_SHADOW) != 0) {
		blocked |= VCPU_BLOCKED_SHADOW;
	}
	if (type == VCPU_EVENT_INTERRUPT && (vmcb->rflags & RFLAGS_IF) == 0) {
		blocked |= VCPU_BLOCKED_IF;
	}
	if (type == VCPU_EVENT_NMI && v->nmi.state != SVM_NMI_OPEN) {
		blocked |= VCPU_BLOCKED_NMI;
	}
	return blocked;
}

/* Tells the CPU where a software event returns to; false when it will not listen. */
static bool set_return_address(struct svm_vcpu *v, uint8_t insn_len)
{
	uint64_t next = v->vcpu.rip + insn_len;

	if (!svm.features.nrips || insn_len == 0) {
		return false;
	}
	if ((v->vmcb->_efer & EFER_LMA) == 0 || (v->vmcb->_cs.attr & SVM_SEG_L) == 0) {
		next &= UINT32_MAX;
	}
	v->vmcb->nrip = next;
	return true;
}

void svm_inject(struct vcpu *vcpu, const struct vcpu_event *event)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);
	bool soft = event->type == VCPU_EVENT_SOFT_INT || event->type == VCPU_EVENT_SOFT_EXC;

	CHECK((v->vmcb->event_inj & SVM_EVENT_VALID) == 0);
	if (soft && !set_return_address(v, event->insn_len)) {
		return;
	}
	v->vmcb->event_inj = svm_event_encode(event);
	v->vmcb->int_state &= ~SVM_INT_SHADOW;
	if (event->type == VCPU_EVENT_NMI) {
		svm_nmi_injected(v);
	}
}

uint64_t svm_clear_shadow(struct vcpu *vcpu)
{
	struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;

	vmcb->int_state &= ~SVM_INT_SHADOW;
	return vmcb->rflags;
}

void svm_window_program(struct svm_vcpu *v, bool any)
{
	const uint64_t all = SVM_INT_V_IRQ | SVM_INT_V_PRIO | SVM_INT_V_IGN_TPR | SVM_INT_V_VECTOR;
	bool wanted = any || v->window_vector >= 0;
	uint64_t ctl = v->vmcb->_int_ctl & ~all;

	if (any || (wanted && v->window_vector < VECTOR_FIRST_APIC)) {
		ctl |= SVM_INT_V_IRQ | SVM_INT_V_IGN_TPR;
		ctl = bits_set(ctl, SVM_INT_V_PRIO, PRIO_HIGHEST);
	} else if (wanted) {
		uint64_t prio = (uint64_t)v->window_vector >> 4;

		ctl |= SVM_INT_V_IRQ;
		ctl = bits_set(ctl, SVM_INT_V_PRIO, v->tpr_inclusive ? prio - 1 : prio);
		ctl = bits_set(ctl, SVM_INT_V_VECTOR, (uint64_t)v->window_vector);
	}
	vmcb_set_int_ctl(v->vmcb, ctl);
	vmcb_set_intercept(v->vmcb, SVM_INTERCEPT_VINTR, wanted);
	vmcb_set_intercept(v->vmcb, SVM_INTERCEPT_CR8_WRITE, wanted);
}

void svm_set_windows(struct vcpu *vcpu, int vector, bool nmi)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);

	CHECK(vector >= -1 && vector <= 255);
	v->window_vector = vector;
	v->window_nmi = nmi;
	svm_window_program(v, false);
}

void svm_detour_begin(struct svm_vcpu *v)
{
	const uint64_t all = SVM_INT_V_IRQ | SVM_INT_V_PRIO | SVM_INT_V_IGN_TPR | SVM_INT_V_VECTOR;
	struct vmcb *vmcb = v->vmcb;
	uint64_t ctl = (vmcb->_int_ctl & ~all) | SVM_INT_V_IRQ | SVM_INT_V_IGN_TPR;

	if (svm_event_decode(vmcb->event_inj).type != VCPU_EVENT_INTERRUPT ||
	    (vmcb->rflags & RFLAGS_IF) == 0) {
		return;
	}
	v->detour = vmcb->event_inj;
	vmcb->event_inj = 0;
	ctl = bits_set(ctl, SVM_INT_V_PRIO, PRIO_HIGHEST);
	ctl = bits_set(ctl, SVM_INT_V_VECTOR, bits_get(v->detour, SVM_EVENT_VECTOR));
	vmcb_set_int_ctl(vmcb, ctl);
	vmcb_set_intercept(vmcb, SVM_INTERCEPT_VINTR, false);
}

void svm_detour_end(struct svm_vcpu *v, struct svm_raw_exit *raw)
{
	if ((v->vmcb->_int_ctl & SVM_INT_V_IRQ) != 0) {
		raw->int_info = v->detour;
	}
	v->detour = 0;
	svm_window_program(v, false);
}

bool svm_window_is_open(const struct svm_vcpu *v)
{
	uint64_t tpr = bits_get(v->vmcb->_int_ctl, SVM_INT_V_TPR);

	if (v->window_vector < 0 || svm_blocked(&v->vcpu, VCPU_EVENT_INTERRUPT) != 0) {
		return false;
	}
	return v->window_vector < VECTOR_FIRST_APIC || (uint64_t)v->window_vector >> 4 > tpr;
}

bool svm_window_prepare(struct svm_vcpu *v)
{
	if (svm_window_is_open(v)) {
		return true;
	}
	if (svm_blocked(&v->vcpu, VCPU_EVENT_INTERRUPT) == VCPU_BLOCKED_SHADOW) {
		svm_shadow_step(v);
	}
	return false;
}

bool svm_window_was_early(struct svm_vcpu *v)
{
	uint64_t ctl = v->vmcb->_int_ctl;

	if (v->tpr_inclusive || (ctl & SVM_INT_V_IGN_TPR) != 0 ||
	    bits_get(ctl, SVM_INT_V_PRIO) > bits_get(ctl, SVM_INT_V_TPR)) {
		return false;
	}
	v->tpr_inclusive = true;
	svm_window_program(v, false);
	return true;
}
