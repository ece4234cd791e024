/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs and vCPUs of the AMD-V backend: their memory, their state after reset, their registers.
 *
 * What the guest owns. With nested paging CR0, CR2, CR3 and CR8 are the guest's, without an exit,
 * and so are reads of CR4. Writes to CR4 exit: the CPU would let a guest turn on what its CPUID
 * does not offer, with state that nobody switches. That CR0 is the guest's includes CR0.CD: it
 * makes this guest's own accesses uncached while it runs, stays coherent, and ends with the guest's
 * slice, so whoever sets it pays for it. EFER is not: SVME must stay set in the VMCB, is hidden
 * from the guest, and EFER's MSR is always intercepted.
 */
#include "hv/api/reset.h"
#include "hv/api/vm.h"
#include "hv/base/check.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/regs.h"
#include "mm/pool.h"
#include "svm/event.h"
#include "svm/internal.h"
#include "svm/permissions.h"

/* PAUSE exits after this many in a row, each at most this many cycles after the one before. */
#define PAUSE_FILTER_COUNT 3000u
#define PAUSE_FILTER_THRESHOLD 128u

/* DEBUGCTL.LBR and .BTF. */
#define DEBUGCTL_BRANCHES MASK(1, 0)

enum hv_status svm_vm_init(struct vm *vm)
{
	struct svm_vm *svm_vm = pool_alloc(sizeof(*svm_vm));

	if (svm_vm == NULL) {
		return HV_E_NO_MEMORY;
	}
	vm->backend_vm = svm_vm;
	svm_vm->msrpm = pool_pages(SVM_MSRPM_ORDER);
	svm_vm->iopm = pool_pages(SVM_IOPM_ORDER);
	if (svm_vm->msrpm == NULL || svm_vm->iopm == NULL) {
		svm_vm_fini(vm);
		return HV_E_NO_MEMORY;
	}
	svm_msrpm_build(svm_vm->msrpm, svm.policy->msrs);
	svm_iopm_build(svm_vm->iopm, svm.policy->ports);
	return HV_OK;
}

void svm_vm_fini(struct vm *vm)
{
	struct svm_vm *svm_vm = vm->backend_vm;

	if (svm_vm == NULL) {
		return;
	}
	if (svm_vm->msrpm != NULL) {
		pool_pages_free(svm_vm->msrpm, SVM_MSRPM_ORDER);
	}
	if (svm_vm->iopm != NULL) {
		pool_pages_free(svm_vm->iopm, SVM_IOPM_ORDER);
	}
	pool_free(svm_vm, sizeof(*svm_vm));
	vm->backend_vm = NULL;
}

struct vcpu *svm_vcpu_create(struct vm *vm)
{
	struct svm_vcpu *v = pool_alloc(sizeof(*v));

	if (v == NULL) {
		return NULL;
	}
	v->vmcb = pool_pages(SVM_VMCB_ORDER);
	if (v->vmcb == NULL) {
		pool_free(v, sizeof(*v));
		return NULL;
	}
	v->vmcb_hpa = pool_hpa(v->vmcb);
	v->vcpu.vm = vm;
	v->window_vector = -1;
	return &v->vcpu;
}

void svm_vcpu_destroy(struct vcpu *vcpu)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);

	pool_pages_free(v->vmcb, SVM_VMCB_ORDER);
	pool_free(v, sizeof(*v));
}

/*
 * Not intercepted on purpose: WBINVD (no device reaches guest memory behind the caches' back),
 * RDTSC and RDTSCP (offset and TSC_AUX are virtual), INVLPG and most CR accesses (nested paging),
 * debug registers (switched with the vCPU), task switches (the CPU does them), FERR_FREEZE (the
 * freeze ends with the next physical interrupt).
 */
static const uint8_t intercepts[] = {
	SVM_INTERCEPT_INTR, SVM_INTERCEPT_NMI, SVM_INTERCEPT_SMI, SVM_INTERCEPT_INIT,
	SVM_INTERCEPT_RDPMC, SVM_INTERCEPT_CPUID, SVM_INTERCEPT_RSM, SVM_INTERCEPT_INVD,
	SVM_INTERCEPT_HLT, SVM_INTERCEPT_INVLPGA, SVM_INTERCEPT_IOIO, SVM_INTERCEPT_MSR,
	SVM_INTERCEPT_SHUTDOWN, SVM_INTERCEPT_VMRUN, SVM_INTERCEPT_VMMCALL, SVM_INTERCEPT_VMLOAD,
	SVM_INTERCEPT_VMSAVE, SVM_INTERCEPT_STGI, SVM_INTERCEPT_CLGI, SVM_INTERCEPT_SKINIT,
	SVM_INTERCEPT_CR4_WRITE, SVM_INTERCEPT_MONITOR, SVM_INTERCEPT_MWAIT,
	SVM_INTERCEPT_MWAIT_ARMED, SVM_INTERCEPT_XSETBV,
	/* A guest whose #AC or #DB handler raises the same again keeps the CPU in microcode, deaf
	 * to interrupts, for ever (CVE-2015-5307, CVE-2015-8104): each round must exit. */
	SVM_INTERCEPT_EXCEPTION + EXC_DB, SVM_INTERCEPT_EXCEPTION + EXC_AC,
	SVM_INTERCEPT_EXCEPTION + EXC_MC,
	/* VMCALL may be a hypercall here, too. */
	SVM_INTERCEPT_EXCEPTION + EXC_UD};

static void reset_controls(struct svm_vcpu *v)
{
	const struct svm_vm *svm_vm = v->vcpu.vm->backend_vm;
	struct vmcb *vmcb = v->vmcb;

	for (unsigned i = 0; i < ARRAY_SIZE(intercepts); i++) {
		vmcb_set_intercept(vmcb, intercepts[i], true);
	}
	if (svm.features.rdpru) {
		vmcb_set_intercept(vmcb, SVM_INTERCEPT_RDPRU, true);
	}
	if (svm.features.pause_filter) {
		vmcb_set_intercept(vmcb, SVM_INTERCEPT_PAUSE, true);
		vmcb_set_pause_filter(vmcb, PAUSE_FILTER_COUNT,
				      svm.features.pause_threshold ? PAUSE_FILTER_THRESHOLD : 0);
	}
	vmcb_set_maps(vmcb, pool_hpa(svm_vm->iopm), pool_hpa(svm_vm->msrpm));
	vmcb_set_int_ctl(vmcb, SVM_INT_V_MASKING);
	vmcb_set_nested_paging(vmcb, pool_hpa(v->vcpu.vm->gspace.stage2.root));
}

void svm_vcpu_reset(struct vcpu *vcpu)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);
	struct vmcb *vmcb = v->vmcb;
	uint64_t tsc_offset = vmcb->_tsc_offset;

	memset(vmcb, 0, sizeof(*vmcb));
	v->lme_held = false;
	reset_controls(v);
	vmcb_set_tsc_offset(vmcb, tsc_offset); /* set_tsc_offset alone decides it */
	vcpu_reset_registers(vcpu, svm.features.signature, svm_set_reg, svm_set_seg);
	v->nmi = (struct svm_nmi){.state = SVM_NMI_OPEN};
	v->raw = (struct svm_raw_exit){.has_nrip = svm.features.nrips,
				       .decode_assist = svm.features.decode_assist};
	v->detour = 0;
	v->window_vector = -1;
	v->window_nmi = false;
	v->shadow_rip = UINT64_MAX;
	v->flush = true;
	vmcb->clean = 0;
}

/* EFER as the guest has it. */
static uint64_t guest_efer(const struct svm_vcpu *v)
{
	return (v->vmcb->_efer & ~EFER_SVME) | (v->lme_held ? EFER_LME : 0);
}

/*
 * QEMU's TCG leaves the host without paging after an exit of a guest that has EFER.LME set, CR4.PAE
 * clear and CR0.PG clear: its cpu_x86_update_cr0 gives up when the EFER and the CR4 that it sees,
 * the guest's still, forbid paging. LME has no effect without paging, so it stays out of the VMCB
 * as long as PAE is clear. Meanwhile CR0 writes exit, because turning paging on is to raise #GP.
 */
static void hold_lme(struct svm_vcpu *v)
{
	uint64_t efer = guest_efer(v);
	bool hold = (efer & EFER_LME) != 0 && (v->vmcb->_cr4 & CR4_PAE) == 0;

	v->lme_held = hold;
	vmcb_set_reg(v->vmcb, VCPU_REG_EFER, (hold ? efer & ~EFER_LME : efer) | EFER_SVME);
	vmcb_set_intercept(v->vmcb, SVM_INTERCEPT_CR0_WRITE, hold);
}

uint64_t svm_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg)
{
	const struct svm_vcpu *v = svm_vcpu_const(vcpu);

	return reg == VCPU_REG_EFER ? guest_efer(v) : vmcb_get_reg(v->vmcb, reg);
}

void svm_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
	struct svm_vcpu *v = svm_vcpu(vcpu);
	struct vmcb *vmcb = v->vmcb;

	if (reg == VCPU_REG_EFER) {
		value |= EFER_SVME;
		v->lme_held = false;
	} else if (reg == VCPU_REG_RFLAGS) {
		value |= RFLAGS_FIXED1;
	} else if (reg == VCPU_REG_DR6 || reg == VCPU_REG_DR7) {
		value &= UINT32_MAX; /* VMRUN refuses the rest */
	} else if (reg == VCPU_REG_DEBUGCTL && svm.features.lbr) {
		/* The virtual copy takes effect only while LBR virtualization is on. */
		vmcb_write(vmcb, &vmcb->lbr_ctl,
			   (value & DEBUGCTL_BRANCHES) != 0 ? SVM_LBR_ENABLE : 0, SVM_CLEAN_LBR);
	} else if (reg == VCPU_REG_CR2 && v->cpu != NULL) {
		cpu_write_cr2(value); /* see svm_vcpu_load */
	}
	vmcb_set_reg(vmcb, reg, value);
	if (svm.features.loses_paging && (reg == VCPU_REG_EFER || reg == VCPU_REG_CR4)) {
		hold_lme(v);
	}
}

uint64_t svm_code_root(const struct vcpu *vcpu)
{
	const struct vmcb *vmcb = svm_vcpu_const(vcpu)->vmcb;
	bool plain = (vmcb->_efer & EFER_LMA) != 0 && (vmcb->_cs.attr & SVM_SEG_L) != 0 &&
		     (vmcb->_cr4 & CR4_LA57) == 0;

	return plain ? vmcb->_cr3 : CODE_ROOT_NONE;
}

void svm_get_context(const struct vcpu *vcpu, struct vcpu_context *out)
{
	vmcb_get_context(svm_vcpu_const(vcpu)->vmcb, out);
	out->efer = guest_efer(svm_vcpu_const(vcpu));
}

void svm_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out)
{
	vmcb_get_seg(svm_vcpu_const(vcpu)->vmcb, seg, out);
}

void svm_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in)
{
	vmcb_set_seg(svm_vcpu(vcpu)->vmcb, seg, in);
}

void svm_set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	vmcb_set_tsc_offset(svm_vcpu(vcpu)->vmcb, offset);
}
