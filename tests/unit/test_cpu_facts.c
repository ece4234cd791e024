/* SPDX-License-Identifier: Apache-2.0 */
/* The facts are read where a feature bit vouches for them: the fake CPU aborts on other MSRs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/cpu_facts.h"
#include "tests/fakes/fake_cpu.h"

static int fresh_cpu(void **state)
{
	(void)state;
	fake_cpu_reset();
	/* "AuthenticAMD" in EBX, EDX, ECX. */
	fake_cpuid_set(0, 0, (struct cpuid_regs){0xd, 0x68747541, 0x444d4163, 0x69746e65});
	return 0;
}

static void old_cpu_without_anything(void **state)
{
	struct cpu_facts f;

	(void)state;
	fake_cpuid_set(0, 0, (struct cpuid_regs){0, 0x756e6547, 0x6c65746e, 0x49656e69});
	fake_cpuid_set(1, 0, (struct cpuid_regs){.ecx = ~0u});
	fake_cpuid_set(0x80000000, 0, (struct cpuid_regs){.eax = 3});
	fake_cpuid_set(0x80000001, 0, (struct cpuid_regs){.ecx = ~0u, .edx = ~0u});
	cpu_facts_read(&f);
	assert_string_equal(f.vendor, "GenuineIntel");
	assert_int_equal(f.basic_ecx | f.ext_ecx | f.ext_edx, 0);
}

static void amd_with_svm(void **state)
{
	struct cpu_facts f;

	(void)state;
	fake_cpu.cr4 = 0x668;
	fake_cpuid_set(0x80000000, 0, (struct cpuid_regs){.eax = 0x8000000a});
	fake_cpuid_set(0x80000001, 0,
		       (struct cpuid_regs){.ecx = CPUID_EXT_ECX_SVM, .edx = CPUID_EXT_EDX_NX});
	fake_cpuid_set(0x8000000a, 0, (struct cpuid_regs){.edx = 0x44f});
	fake_msr_set(0xc0010114, 0x18);
	cpu_facts_read(&f);
	assert_string_equal(f.vendor, "AuthenticAMD");
	assert_int_equal(f.ext_ecx, CPUID_EXT_ECX_SVM);
	assert_int_equal(f.ext_edx, CPUID_EXT_EDX_NX);
	assert_int_equal(f.svm_edx, 0x44f);
	assert_int_equal(f.vm_cr, 0x18);
	assert_int_equal(f.cr4, 0x668);
}

static void leaf_of_svm_may_be_missing(void **state)
{
	struct cpu_facts f;

	(void)state;
	fake_cpuid_set(0x80000000, 0, (struct cpuid_regs){.eax = 0x80000008});
	fake_cpuid_set(0x80000001, 0, (struct cpuid_regs){.ecx = CPUID_EXT_ECX_SVM});
	fake_cpuid_set(0x8000000a, 0, (struct cpuid_regs){.edx = ~0u});
	cpu_facts_read(&f);
	assert_int_equal(f.svm_edx, 0);
}

static void vmx_without_secondary_controls(void **state)
{
	struct cpu_facts f;

	(void)state;
	fake_cpuid_set(1, 0, (struct cpuid_regs){.ecx = CPUID_1_ECX_VMX});
	fake_msr_set(0x3a, 5);
	fake_msr_set(0x482, 0x7ff9fffe0401e172);
	cpu_facts_read(&f);
	assert_int_equal(f.feature_control, 5);
	assert_int_equal(f.vmx_procbased2, 0);
}

static void vmx_with_secondary_controls(void **state)
{
	struct cpu_facts f;

	(void)state;
	fake_cpuid_set(1, 0, (struct cpuid_regs){.ecx = CPUID_1_ECX_VMX});
	fake_msr_set(0x3a, 0);
	fake_msr_set(0x482, 0xfff9fffe0401e172);
	fake_msr_set(0x48b, 0x02177fff00000000);
	cpu_facts_read(&f);
	assert_int_equal(f.vmx_procbased2, 0x02177fff00000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(old_cpu_without_anything, fresh_cpu),
		cmocka_unit_test_setup(amd_with_svm, fresh_cpu),
		cmocka_unit_test_setup(leaf_of_svm_may_be_missing, fresh_cpu),
		cmocka_unit_test_setup(vmx_without_secondary_controls, fresh_cpu),
		cmocka_unit_test_setup(vmx_with_secondary_controls, fresh_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
