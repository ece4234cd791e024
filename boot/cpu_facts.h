/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot CPU says about itself, as far as preflight (boot/preflight.h) wants to know. */
#pragma once

#include <stdint.h>

struct cpu_facts {
	char vendor[13];	  /* "AuthenticAMD", terminated */
	uint32_t basic_ecx;	  /* CPUID 1 */
	uint32_t ext_ecx;	  /* CPUID 0x80000001 */
	uint32_t ext_edx;	  /* the same */
	uint32_t svm_edx;	  /* CPUID 0x8000000A; 0 without SVM */
	uint64_t cr4;		  /* as the firmware left it */
	uint64_t vm_cr;		  /* AMD's VM_CR; 0 without SVM */
	uint64_t feature_control; /* IA32_FEATURE_CONTROL; 0 without VMX */
	uint64_t vmx_procbased;	  /* IA32_VMX_PROCBASED_CTLS; 0 without VMX */
	uint64_t vmx_procbased2;  /* IA32_VMX_PROCBASED_CTLS2; 0 without secondary controls */
};

#define CPUID_1_ECX_VMX (1u << 5)
#define CPUID_EXT_ECX_SVM (1u << 2)
#define CPUID_EXT_EDX_NX (1u << 20)
#define CPUID_EXT_EDX_GIB_PAGES (1u << 26)
#define CPUID_EXT_EDX_LM (1u << 29)
#define CPUID_SVM_EDX_NP (1u << 0)
#define CPUID_SVM_EDX_SVML (1u << 2)
/* In the upper half of the VMX control MSRs: what may be set. */
#define VMX_PROCBASED_SECONDARY (1ull << 63)
#define VMX_PROCBASED2_EPT (1ull << 33)
#define VMX_PROCBASED2_UNRESTRICTED (1ull << 39)

/* Reads CPUID and, where CPUID says they exist, the MSRs. */
void cpu_facts_read(struct cpu_facts *facts);
