/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of svm/ share: the state per CPU, per VM and per vCPU. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"
#include "hv/base/bits.h"
#include "svm/asid.h"
#include "svm/decode.h"
#include "svm/features.h"
#include "svm/vmcb.h"

/* The page orders of what is allocated. */
#define SVM_VMCB_ORDER 0u
#define SVM_MSRPM_ORDER 1u
#define SVM_IOPM_ORDER 2u

/* The backend as a whole; set by svm_probe, const afterwards. */
struct svm {
	struct svm_features features;
	const struct hv_backend_policy *policy;
};
extern struct svm svm;

/* Of one physical CPU; used by that CPU only. */
struct svm_cpu {
	void *hsave; /* one page in which VMRUN keeps the host; NULL: not enabled */
	/* A VMCB that VMSAVE filled once with what VMRUN does not switch: FS, GS, TR, LDTR and the
	 * system-call MSRs of the host. They never change after cpu_enable. */
	struct vmcb *host;
	hpa_t host_hpa;
	struct asid_pool asids;
};

/* Of one VM: vm->backend_vm. */
struct svm_vm {
	uint8_t *msrpm;
	uint8_t *iopm;
};

/* Where an NMI stands; see svm/nmi.h. */
enum svm_nmi_state {
	SVM_NMI_OPEN,	 /* none is being handled */
	SVM_NMI_BLOCKED, /* the handler runs; IRET is intercepted */
	SVM_NMI_IRET,	 /* the handler's IRET is about to be executed */
};

struct svm_nmi {
	enum svm_nmi_state state;
	uint64_t rip;  /* of the IRET, or of the instruction that is stepped */
	uint64_t dr6;  /* before the step */
	bool stepping; /* RFLAGS.TF is ours for this run */
	bool shadow;   /* what is stepped is in an interrupt shadow */
	bool watched;  /* svm_nmi_observe has to see the next exit */
};

struct svm_vcpu {
	struct vcpu vcpu; /* first: svm_entry.S addresses it */
	struct vmcb *vmcb;
	hpa_t vmcb_hpa;
	struct svm_cpu *cpu;	  /* whose this is now; NULL between put and load */
	struct svm_cpu *last_cpu; /* where the VMCB may be cached */
	struct asid_slot asid;
	struct svm_nmi nmi;
	struct svm_raw_exit raw; /* of the last exit; here, not on the stack of each */
	uint64_t detour;	 /* EVENTINJ that goes as a virtual interrupt; 0: none */
	int window_vector;	 /* -1: none wanted */
	bool window_nmi;
	uint64_t shadow_rip; /* where an interrupt shadow was last; UINT64_MAX: elsewhere since */
	bool flush;	     /* before the next entry */
	bool lme_held;	     /* the guest has EFER.LME set, the VMCB has not */
	/* This implementation opens an interrupt window at TPR == priority; see svm/event.h. */
	bool tpr_inclusive;
};

static inline struct svm_vcpu *svm_vcpu(struct vcpu *vcpu)
{
	return container_of(vcpu, struct svm_vcpu, vcpu);
}

static inline const struct svm_vcpu *svm_vcpu_const(const struct vcpu *vcpu)
{
	return (const struct svm_vcpu *)(const void *)vcpu;
}
_Static_assert(offsetof(struct svm_vcpu, vcpu) == 0, "svm_vcpu_const");

/* svm/cpu.c */
enum hv_status svm_cpu_enable(unsigned cpu) HV_MUST_CHECK;
void svm_cpu_disable(unsigned cpu);
/* The state of CPU `index`, which must be enabled. */
struct svm_cpu *svm_cpu_get(unsigned index);

/* svm/vcpu.c */
enum hv_status svm_vm_init(struct vm *vm) HV_MUST_CHECK;
void svm_vm_fini(struct vm *vm);
struct vcpu *svm_vcpu_create(struct vm *vm);
void svm_vcpu_destroy(struct vcpu *vcpu);
void svm_vcpu_reset(struct vcpu *vcpu);
uint64_t svm_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg);
void svm_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
uint64_t svm_code_root(const struct vcpu *vcpu);
void svm_get_context(const struct vcpu *vcpu, struct vcpu_context *out);
void svm_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out);
void svm_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in);
void svm_set_tsc_offset(struct vcpu *vcpu, uint64_t offset);

/* svm/run.c */
void svm_vcpu_load(struct vcpu *vcpu, unsigned cpu);
void svm_vcpu_put(struct vcpu *vcpu);
void svm_vcpu_run(struct vcpu *vcpu, struct vm_exit *exit);
void svm_tlb_flush(struct vcpu *vcpu);

/* svm/dump.c */
void svm_dump(const struct vcpu *vcpu);
