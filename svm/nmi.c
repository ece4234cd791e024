/* SPDX-License-Identifier: Apache-2.0 */
/* NMI blocking and NMI windows. */
#include "svm/nmi.h"

#include "hv/cpu/regs.h"
#include "svm/event.h"

/* DR6 bits that say why a #DB came: breakpoints 0-3, debug-register access, single step, task. */
#define DR6_CAUSES (MASK(3, 0) | MASK(15, 13))

static void set_state(struct svm_nmi *nmi, struct vmcb *vmcb, enum svm_nmi_state state)
{
	nmi->state = state;
	vmcb_set_intercept(vmcb, SVM_INTERCEPT_IRET, state == SVM_NMI_BLOCKED);
}

void svm_nmi_injected(struct svm_vcpu *v)
{
	set_state(&v->nmi, v->vmcb, SVM_NMI_BLOCKED);
}

/* Not for a guest that traces itself: its own #DB exits. */
static void begin_step(struct svm_vcpu *v)
{
	if ((v->vmcb->rflags & RFLAGS_TF) == 0) {
		v->vmcb->rflags |= RFLAGS_TF;
		v->nmi.stepping = true;
		v->nmi.rip = v->vcpu.rip;
		v->nmi.dr6 = v->vmcb->_dr6;
	}
}

bool svm_nmi_prepare(struct svm_vcpu *v)
{
	struct vmcb *vmcb = v->vmcb;
	bool shadow = (vmcb->int_state & SVM_INT_SHADOW) != 0;

	if (v->nmi.state == SVM_NMI_BLOCKED) {
		return false; /* the IRET will exit */
	}
	if ((vmcb->event_inj & SVM_EVENT_VALID) != 0) {
		/* Its delivery comes first. No exit can be had right behind it, so take the next
		 * moment at which the guest could take any interrupt. */
		svm_window_program(v, true);
		return false;
	}
	if (v->nmi.state == SVM_NMI_OPEN && !shadow) {
		return true;
	}
	begin_step(v);
	return false;
}

void svm_shadow_prepare(struct svm_vcpu *v)
{
	struct vmcb *vmcb = v->vmcb;

	if (v->nmi.state == SVM_NMI_IRET || (vmcb->event_inj & SVM_EVENT_VALID) != 0) {
		return;
	}
	if (!v->nmi.stepping) { /* else it is what an NMI waits for, too */
		begin_step(v);
	}
	if (v->nmi.stepping) {
		vmcb_set_int_ctl(vmcb, vmcb->_int_ctl & ~SVM_INT_V_IRQ);
	}
}

/* The run with our TF ended; `iret_done`: RFLAGS is what the IRET loaded. */
static void end_step(struct svm_vcpu *v, struct svm_raw_exit *raw, bool iret_done)
{
	v->nmi.stepping = false;
	if (!iret_done) {
		v->vmcb->rflags &= ~RFLAGS_TF;
	}
	svm_window_program(v, false);
	if (raw->code != SVM_EXIT_EXCEPTION + EXC_DB) {
		/* QEMU's VMRUN does not take the shadow over: at its second exit it would be gone.
		 */
		if (v->nmi.state != SVM_NMI_IRET && raw->rip == v->nmi.rip) {
			v->vmcb->int_state |= SVM_INT_SHADOW;
		}
		return;
	}
	/* Ours unless DR6 names another cause. Bochs intercepts before it sets even BS. */
	raw->nmi_window = (raw->dr6 & ~v->nmi.dr6 & DR6_CAUSES & ~DR6_BS) == 0;
	raw->dr6 = (raw->dr6 & ~DR6_BS) | (v->nmi.dr6 & DR6_BS);
	vmcb_set_dr6(v->vmcb, raw->dr6);
}

void svm_nmi_observe(struct svm_vcpu *v, struct svm_raw_exit *raw)
{
	bool moved = raw->rip != v->nmi.rip;
	bool iret_done = v->nmi.state == SVM_NMI_IRET && moved;

	if (v->nmi.stepping) {
		end_step(v, raw, iret_done);
		iret_done = iret_done || (v->nmi.state == SVM_NMI_IRET && raw->nmi_window);
	}
	if (iret_done) {
		set_state(&v->nmi, v->vmcb, SVM_NMI_OPEN);
	} else if (v->nmi.state == SVM_NMI_BLOCKED && raw->code == SVM_EXIT_IRET) {
		set_state(&v->nmi, v->vmcb, SVM_NMI_IRET);
		v->nmi.rip = raw->rip;
	} else if (v->nmi.state == SVM_NMI_BLOCKED &&
		   svm_event_decode(raw->int_info).type == VCPU_EVENT_NMI) {
		set_state(&v->nmi, v->vmcb, SVM_NMI_OPEN);
	}
}
