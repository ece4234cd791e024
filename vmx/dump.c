/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCS for people: names instead of numbers, and which entry check its state fails, if any. */
#include "hv/base/log.h"
#include "vmx/check.h"
#include "vmx/decode.h"
#include "vmx/internal.h"

static const char *const reason_names[] = {
	[VMX_EXIT_EXCEPTION_NMI] = "EXCEPTION_NMI",
	[VMX_EXIT_INTERRUPT] = "INTERRUPT",
	[VMX_EXIT_TRIPLE_FAULT] = "TRIPLE_FAULT",
	[VMX_EXIT_INIT] = "INIT",
	[VMX_EXIT_INTERRUPT_WINDOW] = "INTERRUPT_WINDOW",
	[VMX_EXIT_NMI_WINDOW] = "NMI_WINDOW",
	[VMX_EXIT_TASK_SWITCH] = "TASK_SWITCH",
	[VMX_EXIT_CPUID] = "CPUID",
	[VMX_EXIT_HLT] = "HLT",
	[VMX_EXIT_RDPMC] = "RDPMC",
	[VMX_EXIT_VMCALL] = "VMCALL",
	[VMX_EXIT_CR_ACCESS] = "CR_ACCESS",
	[VMX_EXIT_DR_ACCESS] = "DR_ACCESS",
	[VMX_EXIT_IO] = "IO",
	[VMX_EXIT_RDMSR] = "RDMSR",
	[VMX_EXIT_WRMSR] = "WRMSR",
	[VMX_EXIT_BAD_GUEST_STATE] = "BAD_GUEST_STATE",
	[VMX_EXIT_BAD_MSR_LOAD] = "BAD_MSR_LOAD",
	[VMX_EXIT_PAUSE] = "PAUSE",
	[VMX_EXIT_ENTRY_MACHINE_CHECK] = "ENTRY_MACHINE_CHECK",
	[VMX_EXIT_TPR_BELOW] = "TPR_BELOW",
	[VMX_EXIT_EPT_VIOLATION] = "EPT_VIOLATION",
	[VMX_EXIT_EPT_MISCONFIG] = "EPT_MISCONFIG",
	[VMX_EXIT_WBINVD] = "WBINVD",
	[VMX_EXIT_XSETBV] = "XSETBV",
};

static const char *reason_name(uint64_t reason)
{
	uint64_t basic = bits_get(reason, VMX_REASON_BASIC);

	return basic < ARRAY_SIZE(reason_names) && reason_names[basic] != NULL ? reason_names[basic]
									       : "?";
}

void vmx_dump(const struct vcpu *vcpu)
{
	const struct vmx_vcpu *v = vmx_vcpu_const(vcpu);
	struct vmx_loan loan = vmx_borrow(v);
	struct vmcs_image image;
	uint64_t reason;
	const char *broken;

	vmcs_snapshot(&image);
	vmx_give_back(v, loan);
	reason = image.value[VMCS_AT_EXIT_REASON];
	broken = vmx_check(&image, &vmx.caps);
	log_info("%s: vCPU %u: VMCS at 0x%llx, last exit %s%s, instruction error %s",
		 vcpu->vm->name, vcpu->index, (unsigned long long)v->vmcs_hpa.v,
		 reason_name(reason),
		 (reason & VMX_REASON_ENTRY_FAILED) != 0 ? " (entry failed)" : "",
		 image.value[VMCS_AT_INSN_ERROR] == 0
			 ? "none"
			 : vmx_insn_error_name(image.value[VMCS_AT_INSN_ERROR]));
	if (broken != NULL) {
		log_info("  the next entry would fail: %s", broken);
	}
	vmcs_dump(&image, VMCS_CLASS_READ_ONLY);
	vmcs_dump(&image, VMCS_CLASS_CONTROL);
	vmcs_dump(&image, VMCS_CLASS_GUEST);
	vmcs_dump(&image, VMCS_CLASS_HOST);
	log_info("  RAX 0x%llx CR2 0x%llx TPR 0x%x, windows: vector %d, NMI %u",
		 (unsigned long long)vcpu->gpr[GPR_RAX], (unsigned long long)v->cr2,
		 v->apic[VMX_APIC_TPR], v->window_vector, v->window_nmi);
}
