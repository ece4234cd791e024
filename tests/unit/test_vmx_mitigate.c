/* SPDX-License-Identifier: Apache-2.0 */
/* What is done against L1TF and MDS, on which CPU, and when. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/vmx_rig.h"

#define MSR_FLUSH_CMD 0x10bu
#define MD_CLEAR (1u << 10)
#define L1D_FLUSH (1u << 28)
#define ARCH_CAPS (1u << 29)

static void judged(void **state)
{
	static const struct {
		uint32_t edx;
		uint64_t arch;
		bool flush, clear, lacking;
	} table[] = {
		{0, 0, false, false, true},		       /* old microcode */
		{MD_CLEAR | L1D_FLUSH, 0, true, false, false}, /* Skylake, patched */
		{L1D_FLUSH, 0, true, false, true},
		{MD_CLEAR, 1, false, true, false},		  /* RDCL_NO: MDS alone */
		{MD_CLEAR | L1D_FLUSH, 8, false, true, false},	  /* nested: done below */
		{MD_CLEAR | L1D_FLUSH, 0x21, false, true, false}, /* TAA and its kin */
		{0, 0x21, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct vmx_mitigations m = vmx_mitigations_judge(table[i].edx, table[i].arch);

		assert_int_equal(m.flush_l1d, table[i].flush);
		assert_int_equal(m.clear_buffers, table[i].clear);
		assert_int_equal(vmx_mitigations_lacking(table[i].edx, table[i].arch),
				 table[i].lacking);
	}
}

static void large_pages_of_code(void **state)
{
	(void)state;
	assert_true(vmx_small_code_needed(0));
	assert_true(vmx_small_code_needed(0x2b)); /* all but PSCHANGE_MC_NO */
	assert_false(vmx_small_code_needed(BIT(6)));
}

static unsigned flushes;

static bool count_flush(uint32_t index, uint64_t value, bool *handled)
{
	*handled = index == MSR_FLUSH_CMD;
	flushes += *handled && value == 1;
	return true;
}

static void only_between_vms(void **state)
{
	struct vm second = {.id = 2};
	struct vcpu *sibling, *stranger;

	(void)state;
	(void)rig_start(&vmx_bochs);
	rig.vm.id = 1;
	rig.backend->vcpu_put(rig.vcpu);
	fake_msr_set(MSR_FLUSH_CMD, 0);
	fake_cpu.on_wrmsr = count_flush;
	vmx.mitigations = (struct vmx_mitigations){.flush_l1d = true, .clear_buffers = true};
	second.gspace.stage2.root = rig.vm.gspace.stage2.root;
	assert_int_equal(rig.backend->vm_init(&second), HV_OK);
	sibling = rig.backend->vcpu_create(&rig.vm);
	stranger = rig.backend->vcpu_create(&second);
	rig.backend->vcpu_load(rig.vcpu, 0);
	flushes = 0;
	fake_vmx.verw_count = 0;
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(sibling, 0);
	rig.backend->vcpu_put(sibling);
	assert_int_equal(flushes, 0);
	rig.backend->vcpu_load(stranger, 0);
	rig.backend->vcpu_put(stranger);
	assert_int_equal(flushes, 1);
	assert_int_equal(fake_vmx.verw_count, 1);
	rig.backend->vcpu_load(rig.vcpu, 0);
	assert_int_equal(flushes, 2);
	rig.backend->vcpu_destroy(sibling);
	rig.backend->vcpu_destroy(stranger);
	rig.backend->vm_fini(&second);
	assert_int_equal(rig_stop(), 0);
}

static void the_probe_asks_the_cpu(void **state)
{
	const char *why;

	(void)state;
	rig_cpu(&vmx_bochs);
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 7});
	fake_cpuid_set(7, 0, (struct cpuid_regs){.edx = MD_CLEAR | L1D_FLUSH | ARCH_CAPS});
	fake_msr_set(MSR_IA32_ARCH_CAPABILITIES, 1);
	assert_non_null(vmx_probe(&rig.policy, &why));
	assert_false(vmx.mitigations.flush_l1d);
	assert_true(vmx.mitigations.clear_buffers);
	/* Leaf 7 of a CPU that has none is not looked at. */
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 6});
	assert_non_null(vmx_probe(&rig.policy, &why));
	assert_false(vmx.mitigations.clear_buffers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judged),
		cmocka_unit_test(large_pages_of_code),
		cmocka_unit_test(only_between_vms),
		cmocka_unit_test(the_probe_asks_the_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
