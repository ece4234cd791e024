/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPUs AMD-V can be used on, and what they are said to have. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "svm/features.h"

static struct svm_facts good(void)
{
	return (struct svm_facts){
		.max_extended_leaf = 0x8000000au,
		.extended_ecx = 1u << 2,
		.sizes_eax = 0x3030,
		.svm_ebx = 16,
		.svm_edx = 1,
		.signature = 0xa20f10,
	};
}

static void the_bare_minimum_is_enough(void **state)
{
	struct svm_facts facts = good();
	struct svm_features f;

	(void)state;
	assert_null(svm_features_judge(&facts, &f));
	assert_int_equal(f.asid_count, 15);
	assert_int_equal(f.phys_bits, 48);
	assert_int_equal(f.signature, 0xa20f10);
	assert_false(f.lbr || f.nrips || f.tsc_ratio || f.flush_by_asid || f.decode_assist);
	assert_false(f.pause_filter || f.pause_threshold || f.vgif || f.rdtscp || f.rdpru);
	assert_false(f.pages_1g);
	assert_false(f.injects_twice || f.loses_paging || f.loses_shadow);
	facts.below = 0x54474354; /* TCGT */
	assert_null(svm_features_judge(&facts, &f));
	assert_true(f.injects_twice && f.loses_paging && f.loses_shadow);
}

/* One bit of EDX at a time gives one feature and no other. */
static void each_bit_is_one_feature(void **state)
{
	static const struct {
		unsigned bit;
		size_t offset;
	} table[] = {
		{1, offsetof(struct svm_features, lbr)},
		{3, offsetof(struct svm_features, nrips)},
		{4, offsetof(struct svm_features, tsc_ratio)},
		{6, offsetof(struct svm_features, flush_by_asid)},
		{7, offsetof(struct svm_features, decode_assist)},
		{10, offsetof(struct svm_features, pause_filter)},
		{12, offsetof(struct svm_features, pause_threshold)},
		{16, offsetof(struct svm_features, vgif)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct svm_facts facts = good();
		struct svm_features f, expected;

		assert_null(svm_features_judge(&facts, &expected));
		*((bool *)&expected + table[i].offset) = true;
		facts.svm_edx |= 1u << table[i].bit;
		assert_null(svm_features_judge(&facts, &f));
		assert_memory_equal(&f, &expected,
				    offsetof(struct svm_features, loses_paging) + sizeof(bool));
	}
}

static void other_leaves_give_the_rest(void **state)
{
	struct svm_facts facts = good();
	struct svm_features f;

	(void)state;
	facts.extended_edx = 1u << 26;
	assert_null(svm_features_judge(&facts, &f));
	assert_true(f.pages_1g && !f.rdtscp);
	facts.extended_edx = 1u << 27;
	facts.sizes_ebx = 1u << 4;
	assert_null(svm_features_judge(&facts, &f));
	assert_true(!f.pages_1g && f.rdtscp && f.rdpru);
}

static void strange_address_widths_are_tamed(void **state)
{
	struct svm_facts facts = good();
	struct svm_features f;

	(void)state;
	facts.sizes_eax = 0;
	assert_null(svm_features_judge(&facts, &f));
	assert_int_equal(f.phys_bits, 40);
	facts.sizes_eax = 0xff;
	assert_null(svm_features_judge(&facts, &f));
	assert_int_equal(f.phys_bits, 52);
}

static void refused(struct svm_facts facts, const char *word)
{
	struct svm_features f;
	const char *why = svm_features_judge(&facts, &f);

	assert_non_null(why);
	assert_non_null(strstr(why, word));
}

static void refusals_say_why(void **state)
{
	struct svm_facts facts = good();

	(void)state;
	facts.extended_ecx = 0;
	refused(facts, "no AMD-V");
	facts = good();
	facts.max_extended_leaf = 0x80000008u;
	refused(facts, "no AMD-V");
	facts = good();
	facts.vm_cr = 1u << 4;
	refused(facts, "enable \"SVM Mode\" in firmware setup");
	facts.svm_edx |= 1u << 2;
	refused(facts, "locked");
	facts = good();
	facts.svm_edx = 0;
	refused(facts, "nested paging");
	facts = good();
	facts.svm_ebx = 1;
	refused(facts, "ASID");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bare_minimum_is_enough),
		cmocka_unit_test(each_bit_is_one_feature),
		cmocka_unit_test(other_leaves_give_the_rest),
		cmocka_unit_test(strange_address_widths_are_tamed),
		cmocka_unit_test(refusals_say_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
