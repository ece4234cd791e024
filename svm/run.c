/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one exit on the AMD-V side: VMCB from struct vcpu, svm_enter, raw exit, decoder. Kept
 * straight: this is what every exit pays for.
 */
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "svm/check.h"
#include "svm/decode.h"
#include "svm/event.h"
#include "svm/internal.h"
#include "svm/nmi.h"
#include "svm/permissions.h"
#include "svm/svm_insn.h"

void svm_vcpu_load(struct vcpu *vcpu, unsigned cpu)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);

	v->cpu = svm_cpu_get(cpu);
	if (v->cpu != v->last_cpu) {
		/* This CPU may hold an older copy from the last time. */
		v->vmcb->clean = 0;
		v->last_cpu = v->cpu;
	}
	/* VMRUN loads CR2 from the VMCB; Bochs' does not and runs on with what the CPU holds. */
	cpu_write_cr2(v->vmcb->_cr2);
	if (svm.features.rdtscp) {
		cpu_wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
	}
}

void svm_vcpu_put(struct vcpu *vcpu)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);
	const struct svm_vm *svm_vm = vcpu->vm->backend_vm;

	/* Where the guest's writes exit, vcpu->tsc_aux is up to date already. */
	if (svm.features.rdtscp && svm_msrpm_passes(svm_vm->msrpm, MSR_TSC_AUX, true)) {
		vcpu->tsc_aux = cpu_rdmsr(MSR_TSC_AUX);
	}
	v->cpu = NULL;
}

void svm_tlb_flush(struct vcpu *vcpu)
{
	svm_vcpu(vcpu)->flush = true;
}

/* Out of line: most entries keep the ASID they have. */
static __attribute__((noinline)) void renew_asid(struct svm_vcpu *v)
{
	v->vmcb->tlb_control = asid_assign(&v->cpu->asids, &v->asid, v->flush);
	vmcb_set_asid(v->vmcb, v->asid.asid);
	v->flush = false;
}

static void fill_vmcb(struct svm_vcpu *v)
{
	struct vmcb *vmcb = v->vmcb;

	vmcb->rax = v->vcpu.gpr[GPR_RAX];
	vmcb->rsp = v->vcpu.gpr[GPR_RSP];
	vmcb->rip = v->vcpu.rip;
	if (v->flush || asid_is_stale(&v->cpu->asids, &v->asid)) {
		renew_asid(v);
	} else {
		vmcb->tlb_control = 0;
	}
}

static void drain_vmcb(struct svm_vcpu *v)
{
	struct vmcb *vmcb = v->vmcb;

	v->vcpu.gpr[GPR_RAX] = vmcb->rax;
	v->vcpu.gpr[GPR_RSP] = vmcb->rsp;
	v->vcpu.rip = vmcb->rip;
	vmcb->event_inj = 0; /* delivered, or in EXITINTINFO */
	vmcb->clean = SVM_CLEAN_ALL;
}

/* Inline, at 12 instructions a call; what is the same at each exit is filled in at reset. */
static inline __attribute__((always_inline)) void read_raw(struct svm_vcpu *v)
{
	const struct vmcb *vmcb = v->vmcb;
	struct svm_raw_exit *raw = &v->raw;

	raw->code = vmcb->exit_code;
	raw->info1 = vmcb->exit_info1;
	raw->info2 = vmcb->exit_info2;
	raw->int_info = vmcb->exit_int_info;
	raw->rip = vmcb->rip;
	raw->nrip = vmcb->nrip;
	raw->dr6 = vmcb->_dr6;
	raw->ecx = (uint32_t)v->vcpu.gpr[GPR_RCX];
	raw->nmi_window = false;
	if (raw->decode_assist) {
		raw->insn_count = vmcb->insn_count;
		if (raw->insn_count != 0) {
			memcpy(raw->insn, vmcb->insn, sizeof(raw->insn));
		}
	}
}

/*
 * VMRUN refused to enter. struct vcpu stays as it was: nothing was executed, and some
 * implementations (QEMU's TCG) leave the host's registers in the VMCB.
 */
static __attribute__((noinline)) void refused(struct svm_vcpu *v, uint64_t injected,
					      struct vm_exit *exit)
{
	const char *why;

	read_raw(v);
	if (v->detour != 0) {
		svm_detour_end(v, &v->raw);
		v->raw.int_info = 0;
	}
	svm_decode(&v->raw, exit);
	v->vmcb->event_inj = injected;
	why = svm_check(v->vmcb, svm.features.phys_bits);
	v->vmcb->event_inj = 0;
	log_error("%s: vCPU %u: VMRUN refused the state: %s", v->vcpu.vm->name, v->vcpu.index,
		  why != NULL ? why : "what it left of the VMCB breaks no rule of the manual");
}

void svm_vcpu_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);
	struct svm_raw_exit *raw = &v->raw;
	uint64_t injected = v->vmcb->event_inj;

	/* Before the NMI's preparations, which count on an entry. */
	if (v->window_vector >= 0 && svm_window_is_open(v)) {
		memset(exit, 0, sizeof(*exit));
		exit->kind = VM_EXIT_INTERRUPT_WINDOW;
		return;
	}
	if (v->window_nmi && svm_nmi_prepare(v)) {
		memset(exit, 0, sizeof(*exit));
		exit->kind = VM_EXIT_NMI_WINDOW;
		return;
	}
	if ((v->vmcb->int_state & SVM_INT_SHADOW) != 0 && svm.features.loses_shadow) {
		svm_shadow_prepare(v);
	}
	if (injected != 0 && svm.features.injects_twice) {
		svm_detour_begin(v);
	}
	fill_vmcb(v);
	svm_enter(vcpu, v->vmcb_hpa, v->cpu->host_hpa);
	if ((int32_t)v->vmcb->exit_code < 0) {
		refused(v, injected, exit);
		return;
	}
	drain_vmcb(v);
	read_raw(v);
	if (v->detour != 0) {
		svm_detour_end(v, raw);
	}
	if (v->nmi.state != SVM_NMI_OPEN || v->nmi.stepping) {
		svm_nmi_observe(v, raw);
	}
	if (raw->code == SVM_EXIT_VINTR) {
		raw->window_early = svm_window_was_early(v);
	}
	svm_decode(raw, exit);
}
