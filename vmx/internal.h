/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of vmx/ share: the state per CPU, per VM and per vCPU. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"
#include "hv/base/bits.h"
#include "vmx/caps.h"
#include "vmx/decode.h"
#include "vmx/mitigate.h"
#include "vmx/vmcs.h"
#include "vmx/vmx_insn.h"

/* The page orders of what is allocated. */
#define VMX_REGION_ORDER 0u
#define VMX_MSRPM_ORDER 0u
#define VMX_IOPM_ORDER 1u

/* The backend as a whole; set by vmx_probe, const afterwards. */
struct vmx {
	struct vmx_caps caps;
	const struct hv_backend_policy *policy;
	struct vmx_mitigations mitigations;
	uint64_t bound_ticks; /* host TSC ticks, see vmx/run.c */
};
extern struct vmx vmx;

/* Of one physical CPU; used by that CPU only. */
struct vmx_cpu {
	void *vmxon;	  /* the region in use; NULL: not enabled */
	uint16_t last_vm; /* whose vCPU ran here last; 0: nobody's */
};

/* Of one VM: vm->backend_vm. */
struct vmx_vm {
	uint8_t *msrpm;
	uint8_t *msrpm_x2apic; /* of vCPUs in x2APIC mode; NULL without APIC virtualization */
	uint8_t *iopm;
	uint64_t eptp;
	hpa_t apic_access; /* what the xAPIC page's address leads to */
};

/* MSRs that a VM entry does not switch: the guest's are in the CPU from vcpu_load to vcpu_put. */
enum vmx_msr {
	VMX_MSR_STAR,
	VMX_MSR_LSTAR,
	VMX_MSR_CSTAR,
	VMX_MSR_SFMASK,
	VMX_MSR_KERNEL_GS_BASE,
	VMX_MSR_COUNT
};

struct vmx_vcpu {
	struct vcpu vcpu; /* first: vmx_entry.S addresses it */
	void *vmcs;
	hpa_t vmcs_hpa;
	uint32_t *apic; /* the virtual-APIC page; without vmx/apicv.h only its TPR is used */
	uint16_t vpid;	/* 0: none, the CPU flushes at each entry */
	/* Whose this is now: its VMCS is current there. NULL between put and load, with the VMCS
	 * written back to memory. */
	struct vmx_cpu *cpu;
	struct vmx_cpu *last_cpu; /* whose host state the VMCS holds */
	bool launched;
	/* What the VMCS holds, so that only changes are written. */
	uint32_t proc, proc2;
	uint64_t eoi_exits[4];
	enum apic_mode apic_mode;
	uint32_t tpr_threshold;
	bool bounded;	    /* the preemption timer is on */
	uint64_t bound_end; /* host TSC ticks; 0: not set */
	uint64_t rip, rsp, rflags;
	uint64_t host_cr3;
	struct vmx_raw_exit raw; /* of the last exit; on the stack it would be cleared each time */
	/* The event of the next entry, as entry fields; info 0: none. */
	uint32_t event_info;
	uint32_t event_error;
	uint32_t event_length;
	int window_vector; /* -1: none wanted */
	bool window_nmi;
	bool flush; /* INVEPT before the next entry */
	uint64_t tsc_offset;
	uint64_t cr2;
	uint64_t dr6;		      /* while not loaded */
	uint64_t msrs[VMX_MSR_COUNT]; /* while not loaded */
};

/* The TPR's word in the virtual-APIC page. */
#define VMX_APIC_TPR (0x80u / 4)

static inline struct vmx_vcpu *vmx_vcpu(struct vcpu *vcpu)
{
	return container_of(vcpu, struct vmx_vcpu, vcpu);
}

static inline const struct vmx_vcpu *vmx_vcpu_const(const struct vcpu *vcpu)
{
	return (const struct vmx_vcpu *)(const void *)vcpu;
}
_Static_assert(offsetof(struct vmx_vcpu, vcpu) == 0, "vmx_vcpu_const");

/* vmx/cpu.c */
enum hv_status vmx_cpu_enable(unsigned cpu) HV_MUST_CHECK;
void vmx_cpu_disable(unsigned cpu);
/* The state of CPU `index`, which must be enabled. */
struct vmx_cpu *vmx_cpu_get(unsigned index);

/* vmx/vcpu.c */
enum hv_status vmx_vm_init(struct vm *vm) HV_MUST_CHECK;
void vmx_vm_fini(struct vm *vm);
struct vcpu *vmx_vcpu_create(struct vm *vm);
void vmx_vcpu_destroy(struct vcpu *vcpu);
void vmx_vcpu_reset(struct vcpu *vcpu);
void vmx_set_tsc_offset(struct vcpu *vcpu, uint64_t offset);

/* vmx/state.c */
uint64_t vmx_code_root(const struct vcpu *vcpu);
void vmx_get_context(const struct vcpu *vcpu, struct vcpu_context *out);
uint64_t vmx_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg);
void vmx_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
void vmx_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out);
void vmx_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in);
/* Makes v's VMCS current for a moment, unless it is already. What this returns goes to
 * vmx_give_back; loans nest. */
struct vmx_loan {
	hpa_t before;
	bool taken;
};
struct vmx_loan vmx_borrow_vmcs(const struct vmx_vcpu *v);
void vmx_give_back_vmcs(const struct vmx_vcpu *v, struct vmx_loan loan);

static inline struct vmx_loan vmx_borrow(const struct vmx_vcpu *v)
{
	return v->cpu != NULL ? (struct vmx_loan){.taken = false} : vmx_borrow_vmcs(v);
}

static inline void vmx_give_back(const struct vmx_vcpu *v, struct vmx_loan loan)
{
	if (loan.taken) {
		vmx_give_back_vmcs(v, loan);
	}
}
/* Moves what entries do not switch into the CPU, and back. */
void vmx_load_msrs(struct vmx_vcpu *v);
void vmx_save_msrs(struct vmx_vcpu *v);

/* vmx/run.c */
void vmx_vcpu_load(struct vcpu *vcpu, unsigned cpu);
void vmx_vcpu_put(struct vcpu *vcpu);
void vmx_vcpu_run(struct vcpu *vcpu, struct vm_exit *exit);
void vmx_tlb_flush(struct vcpu *vcpu);

/* vmx/dump.c */
void vmx_dump(const struct vcpu *vcpu);
