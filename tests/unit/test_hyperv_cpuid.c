/* SPDX-License-Identifier: Apache-2.0 */
/* Microsoft's leaves: what kernels look for, and that what is said is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/hyperv_rig.h"

static struct cpuid_regs leaf(uint32_t index)
{
	vcpu->gpr[GPR_RAX] = index;
	vcpu->gpr[GPR_RCX] = 0;
	vm_rig_exit(g, (struct vm_exit){.kind = VM_EXIT_CPUID, .insn_len = 2});
	return (struct cpuid_regs){(uint32_t)vcpu->gpr[GPR_RAX], (uint32_t)vcpu->gpr[GPR_RBX],
				   (uint32_t)vcpu->gpr[GPR_RCX], (uint32_t)vcpu->gpr[GPR_RDX]};
}

static void names(void **state)
{
	struct cpuid_regs r = leaf(0x40000000);
	char name[12];

	(void)state;
	memcpy(name, &r.ebx, 4);
	memcpy(name + 4, &r.ecx, 4);
	memcpy(name + 8, &r.edx, 4);
	assert_memory_equal(name, "Microsoft Hv", 12);
	assert_int_equal(r.eax, 0x40000006);
	r = leaf(0x40000001);
	assert_memory_equal(&r.eax, "Hv#1", 4);
	assert_true((leaf(1).ecx & BIT32(31)) != 0);
	/* Nothing of KVM's. */
	assert_int_equal(leaf(0x40000010).eax, 0);
	assert_int_equal(leaf(0x40000007).eax, 0);
}

/* Each privilege of leaf 3 has MSRs that answer. */
static void what_is_said_is_there(void **state)
{
	static const struct {
		uint32_t bit;
		uint32_t msr;
	} privileges[] = {
		{0, MSR_HV_VP_RUNTIME},
		{1, MSR_HV_TIME_REF_COUNT},
		{2, MSR_HV_SCONTROL},
		{3, MSR_HV_STIMER0_CONFIG},
		{4, MSR_HV_TPR},
		{5, MSR_HV_HYPERCALL},
		{6, MSR_HV_VP_INDEX},
		{7, MSR_HV_RESET},
		{9, MSR_HV_REFERENCE_TSC},
		{10, MSR_HV_GUEST_IDLE},
		{11, MSR_HV_TSC_FREQUENCY},
	};
	uint32_t left = leaf(0x40000003).eax;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(privileges); i++) {
		assert_true((left >> privileges[i].bit & 1) != 0);
		left &= ~BIT32(privileges[i].bit);
		(void)hyperv_get(privileges[i].msr);
	}
	assert_int_equal(left, 0);
	hyperv_end_idle(vcpu);
}

/* REQ: without bits 5 and 6 Windows gives up on the rest. */
static void what_windows_needs(void **state)
{
	(void)state;
	assert_int_equal(leaf(0x40000003).eax & 0x60, 0x60);
	assert_true((leaf(0x40000004).eax & BIT32(5)) != 0); /* relaxed timing */
	assert_int_equal(leaf(0x40000005).eax, 64);
	/* No partitions to manage, no debugger, no nested hypervisor. */
	assert_int_equal(leaf(0x40000003).ebx, 0x30);
	assert_int_equal(leaf(0x40000003).ecx, 0);
}

/* The LAPIC's MSRs are worth it only where they replace an exit that costs more. */
static void recommendations_follow_the_cpu(void **state)
{
	struct cpuid_regs h[CPUID_HYPERVISOR_MAX + 1] = {0};
	struct cpuid_config config = {.hyperv = true};

	(void)state;
	hyperv_cpuid(h, &config);
	assert_true((h[4].eax & BIT32(3)) != 0);
	assert_true((h[4].eax & BIT32(9)) == 0);
	config.virtual_interrupts = true;
	hyperv_cpuid(h, &config);
	assert_true((h[4].eax & BIT32(3)) == 0);
	assert_true((h[4].eax & BIT32(9)) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(names),
		HYPERV_TEST(what_is_said_is_there),
		HYPERV_TEST(what_windows_needs),
		HYPERV_TEST(recommendations_follow_the_cpu),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
