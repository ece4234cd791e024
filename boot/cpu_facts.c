/* SPDX-License-Identifier: Apache-2.0 */
/* Reads each CPUID leaf only below the highest there is, each MSR only where a feature bit vouches
 * for it. Sources: Intel SDM volume 2 "CPUID", AMD APM volume 3 "Obtaining Processor Information".
 */
#include "boot/cpu_facts.h"

#include <string.h>

#include "boot/boot_insn.h"

#define MSR_IA32_FEATURE_CONTROL 0x3au
#define MSR_IA32_VMX_PROCBASED_CTLS 0x482u
#define MSR_IA32_VMX_PROCBASED_CTLS2 0x48bu
#define MSR_AMD_VM_CR 0xc0010114u

#define LEAF_EXT_MAX 0x80000000u
#define LEAF_EXT_FEATURES 0x80000001u
#define LEAF_SVM 0x8000000au

static void read_extended(struct cpu_facts *facts)
{
	uint32_t max = boot_cpuid(LEAF_EXT_MAX, 0).eax;

	/* A CPU without extended leaves answers with something below them. */
	if (max >= LEAF_EXT_FEATURES) {
		struct boot_cpuid r = boot_cpuid(LEAF_EXT_FEATURES, 0);

		facts->ext_ecx = r.ecx;
		facts->ext_edx = r.edx;
	}
	if (max >= LEAF_SVM && (facts->ext_ecx & CPUID_EXT_ECX_SVM) != 0) {
		facts->svm_edx = boot_cpuid(LEAF_SVM, 0).edx;
		facts->vm_cr = boot_rdmsr(MSR_AMD_VM_CR);
	}
}

static void read_vmx(struct cpu_facts *facts)
{
	facts->feature_control = boot_rdmsr(MSR_IA32_FEATURE_CONTROL);
	facts->vmx_procbased = boot_rdmsr(MSR_IA32_VMX_PROCBASED_CTLS);
	if ((facts->vmx_procbased & VMX_PROCBASED_SECONDARY) != 0) {
		facts->vmx_procbased2 = boot_rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
	}
}

void cpu_facts_read(struct cpu_facts *facts)
{
	struct boot_cpuid leaf0 = boot_cpuid(0, 0);

	*facts = (struct cpu_facts){.cr4 = boot_read_cr4()};
	memcpy(facts->vendor, &leaf0.ebx, 4);
	memcpy(facts->vendor + 4, &leaf0.edx, 4);
	memcpy(facts->vendor + 8, &leaf0.ecx, 4);
	if (leaf0.eax >= 1) {
		facts->basic_ecx = boot_cpuid(1, 0).ecx;
	}
	read_extended(facts);
	if ((facts->basic_ecx & CPUID_1_ECX_VMX) != 0) {
		read_vmx(facts);
	}
}
