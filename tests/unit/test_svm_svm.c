/* SPDX-License-Identifier: Apache-2.0 */
/* The probe: what the backend says of a CPU, and why it declines. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "tests/fakes/svm_rig.h"

static const struct hv_backend *probe(uint32_t svm_edx, uint32_t asids, const char **why)
{
	rig_cpu(svm_edx, asids);
	return svm_probe(&rig.policy, why);
}

static void the_table_is_complete(void **state)
{
	const char *why = "";
	const struct hv_backend *b = probe(RIG_TCG, 16, &why);
	const void *const *entry;

	(void)state;
	assert_non_null(b);
	assert_null(why);
	/* Every member behind info is a function, but those for virtualized interrupts. */
	assert_false(b->info.virtual_interrupts);
	entry = (const void *const *)(const void *)&b->cpu_enable;
	for (; (const void *)entry < (const void *)(b + 1); entry++) {
		bool optional = (const void *)entry == (const void *)&b->apic_page ||
				(const void *)entry == (const void *)&b->apic_load ||
				(const void *)entry == (const void *)&b->forgo_virtual_interrupts ||
				(const void *)entry == (const void *)&b->forgo_posted_interrupts;

		assert_true(*entry != NULL || optional);
	}
}

static void info_tells_what_qemu_has(void **state)
{
	const char *why;
	const struct hv_backend_info *info = &probe(RIG_TCG, 16, &why)->info;

	(void)state;
	assert_string_equal(info->vendor, "AMD-V");
	assert_ptr_equal(info->stage2_format, &pt_format_npt);
	assert_int_equal(info->stage2_max_level, 3);
	assert_int_equal(info->tag_count, 15);
	assert_true(info->virtual_gif);
	assert_false(info->next_rip || info->decode_assist || info->flush_by_tag);
	assert_false(info->could_post || info->tsc_scaling || info->pause_filter);
}

static void info_tells_what_bochs_has(void **state)
{
	const char *why;
	const struct hv_backend_info *info = &probe(RIG_BOCHS, 64, &why)->info;

	(void)state;
	assert_true(info->next_rip && info->flush_by_tag && info->pause_filter);
	assert_false(info->decode_assist || info->virtual_gif);
}

static void what_is_there_and_not_used_is_told(void **state)
{
	const char *why;
	const struct hv_backend_info *info;

	(void)state;
	rig_cpu(RIG_TCG, 16);
	fake_cpuid_set(0x8000000au, 0, (struct cpuid_regs){.ebx = 16, .edx = 1u | 1u << 4});
	info = &svm_probe(&rig.policy, &why)->info;
	assert_true(info->tsc_scaling && !info->could_post);
	fake_cpuid_set(0x8000000au, 0, (struct cpuid_regs){.ebx = 16, .edx = 1u | 1u << 13});
	info = &svm_probe(&rig.policy, &why)->info;
	assert_true(info->could_post && !info->posts_interrupts && !info->tsc_scaling);
}

static void large_pages_follow_the_cpu(void **state)
{
	const char *why;

	(void)state;
	rig_cpu(RIG_TCG, 16);
	fake_cpuid_set(0x80000001u, 0, (struct cpuid_regs){.ecx = 1u << 2});
	assert_int_equal(svm_probe(&rig.policy, &why)->info.stage2_max_level, 2);
}

static void it_declines_with_a_sentence(void **state)
{
	const char *why = NULL;

	(void)state;
	rig_cpu(RIG_TCG, 16);
	fake_msr_set(MSR_AMD_VM_CR, 1u << 4);
	assert_null(svm_probe(&rig.policy, &why));
	assert_non_null(strstr(why, "firmware setup"));
	/* No such MSR: nothing that could have disabled it. */
	fake_msr_remove(MSR_AMD_VM_CR);
	assert_non_null(svm_probe(&rig.policy, &why));
	/* A CPU of another vendor. */
	fake_cpu_reset();
	assert_null(svm_probe(&rig.policy, &why));
	assert_non_null(strstr(why, "no AMD-V"));
}

/* Leaves past the last one return rubbish on real CPUs. */
static void missing_leaves_are_not_read(void **state)
{
	const char *why;

	(void)state;
	rig_cpu(RIG_ALL, 16);
	fake_cpuid_set(0x80000000u, 0, (struct cpuid_regs){.eax = 0x80000007u});
	assert_null(svm_probe(&rig.policy, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_complete),
		cmocka_unit_test(info_tells_what_qemu_has),
		cmocka_unit_test(info_tells_what_bochs_has),
		cmocka_unit_test(what_is_there_and_not_used_is_told),
		cmocka_unit_test(large_pages_follow_the_cpu),
		cmocka_unit_test(it_declines_with_a_sentence),
		cmocka_unit_test(missing_leaves_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
