/* SPDX-License-Identifier: Apache-2.0 */
/* Each reason to refuse, on CPUs that lack just one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/preflight.h"

static const struct cpu_facts amd = {
	.vendor = "AuthenticAMD",
	.ext_ecx = CPUID_EXT_ECX_SVM,
	.ext_edx = CPUID_EXT_EDX_NX | CPUID_EXT_EDX_LM,
	.svm_edx = CPUID_SVM_EDX_NP,
};

static const struct cpu_facts intel = {
	.vendor = "GenuineIntel",
	.basic_ecx = CPUID_1_ECX_VMX,
	.ext_edx = CPUID_EXT_EDX_NX | CPUID_EXT_EDX_LM,
	.feature_control = 5,
	.vmx_procbased = VMX_PROCBASED_SECONDARY,
	.vmx_procbased2 = VMX_PROCBASED2_EPT | VMX_PROCBASED2_UNRESTRICTED,
};

/* Refused, with `reason` in the reason and `remedy` in the remedy. */
static void refused(struct cpu_facts f, const char *reason, const char *remedy)
{
	struct preflight_verdict v = preflight_check(&f);

	assert_int_equal(v.result, PREFLIGHT_REFUSED);
	assert_non_null(v.remedy);
	if (strstr(v.reason, reason) == NULL || strstr(v.remedy, remedy) == NULL) {
		fail_msg("%s / %s", v.reason, v.remedy);
	}
	/* A console line is 239 characters and starts with "bulkhead: cannot run here: ". */
	assert_true(strlen(v.reason) < 200 && strlen(v.remedy) < 200);
}

static void good_machines_pass(void **state)
{
	(void)state;
	assert_int_equal(preflight_check(&amd).result, PREFLIGHT_GO_SVM);
	assert_int_equal(preflight_check(&intel).result, PREFLIGHT_GO_VMX);
	assert_null(preflight_check(&amd).remedy);
}

static void common_needs(void **state)
{
	struct cpu_facts f = amd;

	(void)state;
	f.ext_edx = CPUID_EXT_EDX_LM;
	refused(f, "no-execute", "firmware setup");
	f.ext_edx = CPUID_EXT_EDX_NX;
	refused(f, "64-bit", "64-bit");
	f = intel;
	f.cr4 = 1u << 12;
	refused(f, "5-level", "LA57");
}

static void amd_without_svm(void **state)
{
	struct cpu_facts f = amd;

	(void)state;
	f.ext_ecx = 0;
	refused(f, "does not show AMD-V", "SVM Mode");
	memcpy(f.vendor, "HygonGenuine", 13);
	refused(f, "does not show AMD-V", "SVM Mode");
}

static void svm_switched_off(void **state)
{
	struct cpu_facts f = amd;

	(void)state;
	f.vm_cr = 1u << 4;
	refused(f, "switched off by the firmware", "switch the machine off and on");
	f.svm_edx |= CPUID_SVM_EDX_SVML;
	refused(f, "switched off by the firmware", "key");
	f.vm_cr = 1u << 3; /* locked, but on */
	assert_int_equal(preflight_check(&f).result, PREFLIGHT_GO_SVM);
}

static void svm_without_nested_paging(void **state)
{
	struct cpu_facts f = amd;

	(void)state;
	f.svm_edx = ~CPUID_SVM_EDX_NP;
	refused(f, "nested paging", "NPT");
}

static void intel_without_vmx(void **state)
{
	struct cpu_facts f = intel;

	(void)state;
	f.basic_ecx = 0;
	refused(f, "does not show VT-x", "Intel Virtualization Technology");
	memcpy(f.vendor, "  Shanghai  ", 13);
	refused(f, "does not show VT-x", "Intel Virtualization Technology");
	memcpy(f.vendor, "GenuineIntelX", 13);
	refused(f, "does not show AMD-V", "SVM");
}

static void vmx_switched_off(void **state)
{
	struct cpu_facts f = intel;

	(void)state;
	f.feature_control = 1;
	refused(f, "VT-x is switched off", "firmware setup");
	/* Allowed only inside SMX, which is not how we start. */
	f.feature_control = 3;
	refused(f, "VT-x is switched off", "firmware setup");
	/* Not locked: whoever starts VMX may set it. */
	f.feature_control = 0;
	assert_int_equal(preflight_check(&f).result, PREFLIGHT_GO_VMX);
}

static void vmx_without_ept(void **state)
{
	struct cpu_facts f = intel;

	(void)state;
	f.vmx_procbased2 = ~VMX_PROCBASED2_EPT;
	refused(f, "extended page tables", "EPT");
}

static void vmx_without_unrestricted_guests(void **state)
{
	struct cpu_facts f = intel;

	(void)state;
	f.vmx_procbased2 = ~VMX_PROCBASED2_UNRESTRICTED;
	refused(f, "unrestricted guests", "Westmere");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_machines_pass),
		cmocka_unit_test(common_needs),
		cmocka_unit_test(amd_without_svm),
		cmocka_unit_test(svm_switched_off),
		cmocka_unit_test(svm_without_nested_paging),
		cmocka_unit_test(intel_without_vmx),
		cmocka_unit_test(vmx_switched_off),
		cmocka_unit_test(vmx_without_ept),
		cmocka_unit_test(vmx_without_unrestricted_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
