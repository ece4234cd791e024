/* SPDX-License-Identifier: Apache-2.0 */
/* What the probe finds, and the table it returns. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/vmx_rig.h"

static const char *why;

static void a_cpu_without_vtx_is_left_alone(void **state)
{
	(void)state;
	rig_cpu(&vmx_bochs);
	fake_cpuid_set(1, 0, (struct cpuid_regs){.eax = 0x00a20f10});
	for (uint32_t msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_TRUE_ENTRY_CTLS; msr++) {
		fake_msr_remove(msr);
	}
	assert_null(vmx_probe(&rig.policy, &why));
	assert_non_null(strstr(why, "no VT-x"));
}

static void info_of(const struct vmx_machine *m, unsigned level, bool pause, bool invpcid)
{
	const struct hv_backend *b;

	rig_cpu(m);
	b = vmx_probe(&rig.policy, &why);
	assert_non_null(b);
	assert_null(why);
	assert_string_equal(b->info.vendor, "VT-x");
	assert_ptr_equal(b->info.stage2_format, &pt_format_ept);
	assert_int_equal(b->info.stage2_max_level, level);
	assert_int_equal(b->info.tag_count, 0xffff);
	assert_true(b->info.next_rip && b->info.flush_by_tag);
	assert_false(b->info.decode_assist);
	assert_int_equal(b->info.pause_filter, pause);
	assert_int_equal(b->info.no_invpcid, !invpcid);
	assert_false(b->info.no_rdtscp);
	assert_true(b->info.small_code); /* no IA32_ARCH_CAPABILITIES says otherwise */
	assert_int_equal(vmx.caps.phys_bits, 39);
}

static void machines(void **state)
{
	(void)state;
	info_of(&vmx_sandy_bridge, 2, false, false);
	info_of(&vmx_broadwell, 3, true, true);
	info_of(&vmx_bochs, 3, true, true);
}

static void what_is_there_and_not_used_is_told(void **state)
{
	const struct hv_backend_info *info;

	(void)state;
	rig_cpu(&vmx_broadwell);
	info = &vmx_probe(&rig.policy, &why)->info;
	assert_false(info->could_post || info->tsc_scaling);
	rig_cpu(&vmx_bochs);
	info = &vmx_probe(&rig.policy, &why)->info;
	assert_true(!info->could_post && !info->posts_interrupts && info->tsc_scaling);
	fake_msr_set(MSR_IA32_VMX_TRUE_PINBASED_CTLS, vmx_bochs.true_pin | 1ull << 39);
	info = &vmx_probe(&rig.policy, &why)->info;
	assert_true(info->could_post && info->posts_interrupts && info->tsc_scaling);
	assert_true(vmx_caps_has(vmx.caps.pin, VMX_PIN_POSTED_INTERRUPTS));
	/* It stays off. */
	assert_false(vmx_caps_has(vmx.caps.proc2, VMX_PROC2_TSC_SCALING));
}

static void old_machines_are_refused(void **state)
{
	(void)state;
	rig_cpu(&vmx_core2);
	assert_null(vmx_probe(&rig.policy, &why));
	assert_non_null(strstr(why, "EPT"));
	rig_cpu(&vmx_nehalem);
	assert_null(vmx_probe(&rig.policy, &why));
	assert_non_null(strstr(why, "unrestricted guest"));
}

static void firmware_may_have_locked_it_off(void **state)
{
	(void)state;
	rig_cpu(&vmx_bochs);
	fake_msr_set(MSR_IA32_FEATURE_CONTROL, 1);
	assert_null(vmx_probe(&rig.policy, &why));
	assert_non_null(strstr(why, "firmware setup"));
}

static void every_entry_of_the_table_is_there(void **state)
{
	const struct hv_backend *b;
	const void *const *entry;

	(void)state;
	rig_cpu(&vmx_bochs);
	b = vmx_probe(&rig.policy, &why);
	entry = (const void *const *)(const void *)&b->cpu_enable;
	for (; entry < (const void *const *)(const void *)(b + 1); entry++) {
		assert_non_null(*entry);
	}
}

static void without_physical_address_bits_the_least_is_taken(void **state)
{
	(void)state;
	rig_cpu(&vmx_bochs);
	fake_cpuid_set(0x80000000u, 0, (struct cpuid_regs){.eax = 0x80000004u});
	assert_non_null(vmx_probe(&rig.policy, &why));
	assert_int_equal(vmx.caps.phys_bits, 36);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cpu_without_vtx_is_left_alone),
		cmocka_unit_test(machines),
		cmocka_unit_test(what_is_there_and_not_used_is_told),
		cmocka_unit_test(old_machines_are_refused),
		cmocka_unit_test(firmware_may_have_locked_it_off),
		cmocka_unit_test(every_entry_of_the_table_is_there),
		cmocka_unit_test(without_physical_address_bits_the_least_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
