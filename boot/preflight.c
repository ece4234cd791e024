/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict over the CPU's facts. Sources: AMD APM volume 2, "Enabling SVM"; Intel SDM volume 3,
 * "Enabling and Entering VMX Operation" and "Discovering Support for VMX".
 */
#include "boot/preflight.h"

#include <stdbool.h>
#include <stddef.h>

#define CR4_LA57 (1ull << 12)
#define VM_CR_SVMDIS (1ull << 4)
#define FEATURE_CONTROL_LOCK (1ull << 0)
#define FEATURE_CONTROL_VMX (1ull << 2)

#define VM_HINT "or, inside a virtual machine, let its CPU show it (QEMU: -cpu host)"

static struct preflight_verdict refuse(const char *reason, const char *remedy)
{
	return (struct preflight_verdict){PREFLIGHT_REFUSED, reason, remedy};
}

static struct preflight_verdict check_svm(const struct cpu_facts *f)
{
	if ((f->vm_cr & VM_CR_SVMDIS) != 0) {
		return refuse(
			"AMD-V is switched off by the firmware",
			(f->svm_edx & CPUID_SVM_EDX_SVML) != 0
				? "enable \"SVM Mode\" (AMD-V) in the firmware setup; if it is "
				  "on, its lock needs the vendor's key"
				: "enable \"SVM Mode\" (AMD-V) in the firmware setup, then "
				  "switch the machine off and on");
	}
	if ((f->svm_edx & CPUID_SVM_EDX_NP) == 0) {
		return refuse("this CPU has AMD-V without nested paging (NPT)",
			      "use a CPU with NPT (AMD family 10h or later), " VM_HINT);
	}
	return (struct preflight_verdict){PREFLIGHT_GO_SVM, "AMD-V with nested paging", NULL};
}

static struct preflight_verdict check_vmx(const struct cpu_facts *f)
{
	bool locked = (f->feature_control & FEATURE_CONTROL_LOCK) != 0;
	bool enabled = (f->feature_control & FEATURE_CONTROL_VMX) != 0;

	if (locked && !enabled) {
		return refuse("VT-x is switched off by the firmware",
			      "enable \"Intel Virtualization Technology\" (VT-x, VMX) in the "
			      "firmware setup, then switch the machine off and on");
	}
	if ((f->vmx_procbased2 & VMX_PROCBASED2_EPT) == 0) {
		return refuse("this CPU has VT-x without extended page tables (EPT)",
			      "use a CPU with EPT (Intel Nehalem or later), " VM_HINT);
	}
	if ((f->vmx_procbased2 & VMX_PROCBASED2_UNRESTRICTED) == 0) {
		return refuse("this CPU has VT-x without unrestricted guests: it cannot run a "
			      "guest in real mode",
			      "use a CPU with them (Intel Westmere, 2010, or later), " VM_HINT);
	}
	return (struct preflight_verdict){PREFLIGHT_GO_VMX, "VT-x with extended page tables", NULL};
}

static bool is_vendor(const struct cpu_facts *f, const char *name)
{
	size_t i = 0;

	while (name[i] != '\0' && f->vendor[i] == name[i]) {
		i++;
	}
	return f->vendor[i] == name[i];
}

static bool is_intel_like(const struct cpu_facts *f)
{
	return is_vendor(f, "GenuineIntel") || is_vendor(f, "CentaurHauls") ||
	       is_vendor(f, "  Shanghai  ");
}

/* Neither extension shows in CPUID. */
static struct preflight_verdict refuse_none(const struct cpu_facts *f)
{
	if (is_intel_like(f)) {
		return refuse("this CPU does not show VT-x (VMX)",
			      "enable \"Intel Virtualization Technology\" in the firmware "
			      "setup, use a CPU with VT-x, " VM_HINT);
	}
	return refuse("this CPU does not show AMD-V (SVM)",
		      "enable \"SVM Mode\" in the firmware setup, use a CPU with AMD-V, " VM_HINT);
}

struct preflight_verdict preflight_check(const struct cpu_facts *f)
{
	if ((f->ext_edx & CPUID_EXT_EDX_LM) == 0) {
		return refuse("this CPU has no 64-bit mode", "use a 64-bit x86 CPU");
	}
	if ((f->ext_edx & CPUID_EXT_EDX_NX) == 0) {
		return refuse(
			"no-execute pages (NX) are missing",
			"enable \"No-Execute Memory Protection\" (NX, XD) in the firmware setup, " VM_HINT);
	}
	if ((f->cr4 & CR4_LA57) != 0) {
		return refuse("the firmware runs with 5-level paging, which is not supported",
			      "disable 5-level paging (LA57) in the firmware setup");
	}
	if ((f->ext_ecx & CPUID_EXT_ECX_SVM) != 0) {
		return check_svm(f);
	}
	if ((f->basic_ecx & CPUID_1_ECX_VMX) != 0) {
		return check_vmx(f);
	}
	return refuse_none(f);
}
