/* SPDX-License-Identifier: Apache-2.0 */
/* The MSR table: its order, what it promises to Windows, MTRRs and the PAT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "hv/msr_policy.h"

/* --- the table --- */

static void rules_ascend_and_do_not_overlap(void **state)
{
	size_t count;
	const struct msr_rule *r = msr_rules(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_true(r[i].first <= r[i].last);
		assert_true(i == 0 || r[i - 1].last < r[i].first);
		assert_true(r[i].action > MSR_ACT_FAULT && r[i].action < MSR_ACT_COUNT);
	}
}

static void the_search_finds_each_rule_at_both_ends(void **state)
{
	size_t count;
	const struct msr_rule *r = msr_rules(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(msr_rule_find(r[i].first), &r[i]);
		assert_ptr_equal(msr_rule_find(r[i].last), &r[i]);
		if (i == 0 || r[i - 1].last + 1 < r[i].first) {
			assert_null(msr_rule_find(r[i].first - 1));
		}
		if (i + 1 == count || r[i].last + 1 < r[i + 1].first) {
			assert_null(msr_rule_find(r[i].last + 1));
		}
	}
	assert_null(msr_rule_find(0));
	assert_null(msr_rule_find(UINT32_MAX));
}

/* Whatever was asked for before: hints are shared and may belong to another MSR. */
static void what_was_found_before_does_not_matter(void **state)
{
	size_t count;
	const struct msr_rule *r = msr_rules(&count);

	(void)state;
	srand(5);
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = (size_t)rand() % count;
		uint32_t index = r[at].first + (uint32_t)rand() % 64;

		while (at < count && r[at].last < index) {
			at++;
		}
		if (at < count && r[at].first <= index) {
			assert_ptr_equal(msr_rule_find(index), &r[at]);
		} else {
			assert_null(msr_rule_find(index));
		}
	}
}

/* A register's rule names the register that holds it. */
static void registers_are_named_right(void **state)
{
	static const struct {
		uint32_t index;
		enum vcpu_reg reg;
	} want[] = {
		{MSR_IA32_SYSENTER_CS, VCPU_REG_SYSENTER_CS},
		{MSR_IA32_SYSENTER_ESP, VCPU_REG_SYSENTER_ESP},
		{MSR_IA32_SYSENTER_EIP, VCPU_REG_SYSENTER_EIP},
		{MSR_IA32_PAT, VCPU_REG_PAT},
		{MSR_EFER, VCPU_REG_EFER},
		{MSR_STAR, VCPU_REG_STAR},
		{MSR_LSTAR, VCPU_REG_LSTAR},
		{MSR_CSTAR, VCPU_REG_CSTAR},
		{MSR_SFMASK, VCPU_REG_SFMASK},
		{MSR_FS_BASE, VCPU_REG_FS_BASE},
		{MSR_GS_BASE, VCPU_REG_GS_BASE},
		{MSR_KERNEL_GS_BASE, VCPU_REG_KERNEL_GS_BASE},
	};
	size_t count;
	const struct msr_rule *r = msr_rules(&count);
	unsigned registers = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(msr_rule_find(want[i].index)->arg, want[i].reg);
	}
	for (size_t i = 0; i < count; i++) {
		registers += r[i].action == MSR_ACT_PASS || r[i].action == MSR_ACT_REGISTER ||
			     r[i].action == MSR_ACT_EFER || r[i].action == MSR_ACT_PAT;
	}
	assert_int_equal(registers, ARRAY_SIZE(want));
}

/* What needs no exit is the guest's own, and what would show the host is not among it. */
static void passed_msrs_are_the_guests_own(void **state)
{
	unsigned passed = 0;

	(void)state;
	for (const struct msr_pass_range *p = msr_pass_ranges(); p->count != 0; p++) {
		for (uint32_t i = 0; i < p->count; i++) {
			const struct msr_rule *r = msr_rule_find(p->first + i);

			assert_non_null(r);
			assert_true(r->action == MSR_ACT_PASS || r->action == MSR_ACT_TSC_AUX);
			passed++;
		}
	}
	assert_int_equal(passed, 11);
}

static void tolerated_msrs_say_why(void **state)
{
	static const uint32_t of_the_machine[] = {MSR_IA32_FEATURE_CONTROL, MSR_IA32_BIOS_SIGN_ID,
						  MSR_IA32_MTRRCAP, MSR_IA32_MCG_CAP,
						  MSR_IA32_MCG_STATUS};
	size_t count;
	const struct msr_rule *r = msr_rules(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		bool fixed = r[i].action == MSR_ACT_CONST || r[i].action == MSR_ACT_CONST_STRICT ||
			     r[i].action == MSR_ACT_WRITE_ONLY;
		bool excused = !fixed;

		for (size_t j = 0; j < ARRAY_SIZE(of_the_machine); j++) {
			excused |= r[i].first == of_the_machine[j];
		}
		assert_true(excused || r[i].why != NULL);
	}
}

/* --- what Windows needs, by range: read value and whether a write is swallowed --- */

enum write { DROPPED, FAULTS, EITHER };

static const struct {
	uint32_t first, last;
	uint64_t value;
	enum write write;
} windows[] = {
	{0x17, 0x17, 0, EITHER},
	{0x2a, 0x2a, 0, DROPPED},
	{0x33, 0x34, 0, EITHER},
	{0x3a, 0x3a, 1, EITHER},
	{0x88, 0x8a, 0, DROPPED},
	{0xc1, 0xc2, 0, DROPPED},
	{0xcd, 0xce, 0, EITHER},
	{0xfe, 0xfe, 0x508, EITHER},
	{0x116, 0x116, 0, DROPPED},
	{0x118, 0x11b, 0, DROPPED},
	{0x11e, 0x11e, 0, DROPPED},
	{0x140, 0x140, 0, EITHER},
	{0x179, 0x179, 0, EITHER},
	{0x17a, 0x17a, 0, DROPPED},
	{0x186, 0x187, 0, DROPPED},
	{0x198, 0x199, 0, DROPPED},
	{0x1a6, 0x1a7, 0, EITHER},
	{0x1c9, 0x1c9, 0, DROPPED},
	{0x1d9, 0x1d9, 0, DROPPED},
	{0x38d, 0x390, 0, DROPPED},
	{0x606, 0x606, 0x000a1003, EITHER},
	{0x610, 0x611, 0, EITHER},
	{0x619, 0x619, 0, EITHER},
	{0x639, 0x639, 0, EITHER},
	{0x641, 0x641, 0, EITHER},
	{0xc24, 0xc24, 0, DROPPED},
	{0xd04, 0xd04, 0, DROPPED},
	{0xc0010000, 0xc0010007, 0, DROPPED},
	{0xc0010010, 0xc0010010, 0, DROPPED},
	{0xc0010015, 0xc0010015, 1 << 24, DROPPED},
	{0xc001001f, 0xc001001f, 0, DROPPED},
	{0xc0010061, 0xc0010064, 0, DROPPED},
	{0xc0010111, 0xc0010113, 0, DROPPED},
	{0xc0010114, 0xc0010114, 0x10, DROPPED},
	{0xc0010115, 0xc0010115, 0, DROPPED},
	{0xc0010140, 0xc0010141, 0, DROPPED},
	{0xc0011020, 0xc0011023, 0, DROPPED},
	{0xc0011029, 0xc0011029, 2, DROPPED},
	{0xc001102a, 0xc001102a, 0, DROPPED},
};

static void windows_finds_its_msrs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		for (uint32_t n = windows[i].first; n <= windows[i].last; n++) {
			const struct msr_rule *r = msr_rule_find(n);

			if (r == NULL) {
				fail_msg("MSR 0x%x raises #GP", n);
			}
			assert_true(
				r->action == MSR_ACT_CONST ||
				(r->action == MSR_ACT_CONST_STRICT && windows[i].write != DROPPED));
			assert_int_equal(r->value, windows[i].value);
		}
	}
	assert_int_equal(msr_rule_find(0x79)->action, MSR_ACT_WRITE_ONLY);
	assert_int_equal(msr_rule_find(0x1a0)->action, MSR_ACT_MISC_ENABLE);
	assert_int_equal(msr_rule_find(0x8b)->action, MSR_ACT_MICROCODE);
	assert_true(msr_rule_find(0x8b)->value != 0);
}

/* CPUID hides their features, so the MSRs are not there either. */
/* memtest86+ 5.01 reads and writes it on AMD's family 0Fh, and has no handler for a fault. */
static void a_memory_test_finds_its_msr(void **state)
{
	const struct msr_rule *r = msr_rule_find(MSR_IA32_MCG_CTL);

	(void)state;
	assert_non_null(r);
	assert_int_equal(r->action, MSR_ACT_CONST);
	assert_int_equal(r->value, 0);
}

static void what_cpuid_hides_raises_a_fault(void **state)
{
	static const uint32_t absent[] = {MSR_IA32_SPEC_CTRL,
					  MSR_IA32_PRED_CMD,
					  MSR_IA32_ARCH_CAPABILITIES,
					  MSR_IA32_THERM_STATUS,
					  0x480,
					  0x48b,
					  MSR_IA32_XSS,
					  MSR_TSC_RATIO,
					  MSR_AMD_VM_HSAVE_PA,
					  0x9ff,
					  0xc0000104,
					  0xc001011e};
	/* First and last: USER_MSR_CTL, UMWAIT, XFD, FRED, CET, PKRS, UINTR, PASID, HRESET. */
	static const uint32_t newer[][2] = {{0x1c, 0x1c},   {0xe1, 0xe1},   {0x1c4, 0x1c5},
					    {0x1cc, 0x1d4}, {0x6a0, 0x6a8}, {0x6e1, 0x6e1},
					    {0x985, 0x98a}, {0xd93, 0xd93}, {0x17da, 0x17da}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		assert_null(msr_rule_find(absent[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(newer); i++) {
		for (uint32_t index = newer[i][0]; index <= newer[i][1]; index++) {
			assert_null(msr_rule_find(index));
		}
	}
	/* These are for guests that may be Windows. */
	assert_int_equal(msr_rule_find(MSR_IA32_MPERF)->action, MSR_ACT_WINDOWS);
	assert_int_equal(msr_rule_find(0x40000000)->action, MSR_ACT_HYPERV);
}

/* --- MTRRs --- */

static struct mtrr_store m;

static int setup(void **state)
{
	(void)state;
	mtrr_reset(&m);
	return 0;
}

static bool put(uint32_t index, uint64_t value)
{
	return mtrr_write(&m, index, value, 48);
}

static uint64_t get(uint32_t index)
{
	uint64_t value = 0xdead;

	assert_true(mtrr_read(&m, index, &value));
	return value;
}

static void after_reset_all_memory_is_write_back(void **state)
{
	(void)state;
	assert_int_equal(get(MSR_IA32_MTRR_DEF_TYPE), 0xc06);
	assert_int_equal(get(MSR_IA32_MTRR_FIX64K_00000), 0x0606060606060606);
	assert_int_equal(get(MSR_IA32_MTRR_FIX4K_F8000), 0x0606060606060606);
	for (uint32_t i = 0; i < 2 * MTRR_VARIABLE_COUNT; i++) {
		assert_int_equal(get(MSR_IA32_MTRR_PHYSBASE0 + i), 0);
	}
}

/* Each MSR the policy calls an MTRR has its own place; no other has one. */
static void each_register_is_one_of_its_own(void **state)
{
	uint64_t value;
	unsigned found = 0;

	(void)state;
	for (uint32_t i = 0x200; i < 0x300; i++) {
		const struct msr_rule *r = msr_rule_find(i);
		bool is_mtrr = r != NULL && r->action == MSR_ACT_MTRR;

		assert_int_equal(mtrr_read(&m, i, &value), is_mtrr);
		if (is_mtrr && i != MSR_IA32_MTRR_DEF_TYPE) {
			/* A valid value for each kind, different from all others. */
			assert_true(put(i, i < 0x250 ? (uint64_t)i << 12 : found % 2));
			found++;
		} else if (!is_mtrr) {
			assert_false(put(i, 0));
		}
	}
	assert_int_equal(found, 16 + 11);
	for (uint32_t i = 0x200; i < 0x210; i++) {
		assert_int_equal(get(i), (uint64_t)i << 12);
	}
}

static void variable_ranges_have_types_and_addresses(void **state)
{
	const uint32_t base = MSR_IA32_MTRR_PHYSBASE0 + 2;
	const uint32_t mask = base + 1;

	(void)state;
	for (uint64_t type = 0; type < 256; type++) {
		bool ok = type == 0 || type == 1 || (type >= 4 && type <= 6);

		assert_int_equal(put(base, 0xc0000000 | type), ok);
	}
	assert_int_equal(get(base), 0xc0000006);
	assert_false(put(base, 0x100));
	assert_false(put(base, BIT(48)));
	assert_true(put(base, BIT(47)));
	assert_true(put(mask, 0xffffc0000800));
	assert_false(put(mask, 0xffffc0000001));
	assert_false(put(mask, BIT(48)));
	assert_int_equal(get(mask), 0xffffc0000800);
	assert_true(mtrr_write(&m, mask, BIT(51), 52));
	assert_false(mtrr_write(&m, mask, BIT(36), 36));
}

static void fixed_ranges_need_eight_valid_types(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		assert_false(put(MSR_IA32_MTRR_FIX16K_A0000, 2ull << (8 * i)));
		assert_false(put(MSR_IA32_MTRR_FIX16K_A0000, 7ull << (8 * i)));
		assert_true(put(MSR_IA32_MTRR_FIX16K_A0000, 5ull << (8 * i)));
	}
	assert_int_equal(get(MSR_IA32_MTRR_FIX16K_A0000), 5ull << 56);
	assert_int_equal(get(MSR_IA32_MTRR_FIX16K_80000), 0x0606060606060606);
	assert_int_equal(get(MSR_IA32_MTRR_FIX4K_C0000), 0x0606060606060606);
}

static void the_default_type_has_two_switches(void **state)
{
	(void)state;
	assert_true(put(MSR_IA32_MTRR_DEF_TYPE, 0xc00));
	assert_true(put(MSR_IA32_MTRR_DEF_TYPE, 6));
	assert_int_equal(get(MSR_IA32_MTRR_DEF_TYPE), 6);
	assert_false(put(MSR_IA32_MTRR_DEF_TYPE, 0xc02));
	assert_false(put(MSR_IA32_MTRR_DEF_TYPE, 0xd06));
	assert_false(put(MSR_IA32_MTRR_DEF_TYPE, 0x1006));
	assert_int_equal(get(MSR_IA32_MTRR_DEF_TYPE), 6);
}

static void pat_entries_are_memory_types(void **state)
{
	(void)state;
	assert_true(pat_valid(0x0007040600070406));
	assert_true(pat_valid(0x0407050600070106)); /* Linux */
	for (unsigned i = 0; i < 8; i++) {
		for (uint64_t type = 0; type < 256; type++) {
			bool ok = type == 0 || type == 1 || (type >= 4 && type <= 7);

			assert_int_equal(pat_valid(type << (8 * i)), ok);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_ascend_and_do_not_overlap),
		cmocka_unit_test(the_search_finds_each_rule_at_both_ends),
		cmocka_unit_test(what_was_found_before_does_not_matter),
		cmocka_unit_test(registers_are_named_right),
		cmocka_unit_test(passed_msrs_are_the_guests_own),
		cmocka_unit_test(tolerated_msrs_say_why),
		cmocka_unit_test(windows_finds_its_msrs),
		cmocka_unit_test(a_memory_test_finds_its_msr),
		cmocka_unit_test(what_cpuid_hides_raises_a_fault),
		cmocka_unit_test_setup(after_reset_all_memory_is_write_back, setup),
		cmocka_unit_test_setup(each_register_is_one_of_its_own, setup),
		cmocka_unit_test_setup(variable_ranges_have_types_and_addresses, setup),
		cmocka_unit_test_setup(fixed_ranges_need_eight_valid_types, setup),
		cmocka_unit_test_setup(the_default_type_has_two_switches, setup),
		cmocka_unit_test(pat_entries_are_memory_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
