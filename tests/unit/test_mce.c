/* SPDX-License-Identifier: Apache-2.0 */
/* Judging machine checks, and reading the banks of a CPU made of MSRs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/cpu/features.h"
#include "hv/cpu/mce.h"
#include "hv/cpu/msr.h"
#include "tests/fakes/fake_cpu.h"

#define SER_P BIT(24)
#define RIPV 1ull
#define MCIP 4ull
#define VAL BIT(63)
#define OVER BIT(62)
#define UC BIT(61)
#define EN BIT(60)
#define MISCV BIT(59)
#define ADDRV BIT(58)
#define PCC BIT(57)
#define S BIT(56)
#define AR BIT(55)
#define BANKS 12u

#define CTL(i) (0x400u + 4 * (i))
#define STATUS(i) (0x401u + 4 * (i))

static uint64_t log_mark;

static const char *logged(void)
{
	static char text[8192];
	uint64_t pos = log_mark;

	text[ring_read(log_ring(), &pos, text, sizeof(text) - 1)] = '\0';
	return text;
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 1});
	fake_cpuid_set(1, 0, (struct cpuid_regs){.edx = BIT32(7) | BIT32(14)});
	cpu_features_init();
	fake_msr_set(MSR_IA32_MCG_CAP, BANKS | SER_P);
	fake_msr_set(MSR_IA32_MCG_STATUS, RIPV | MCIP);
	for (uint32_t i = 0; i < BANKS; i++) {
		fake_msr_set(CTL(i), 0);
		fake_msr_set(STATUS(i), 0);
	}
	log_set_sink(NULL);
	log_mark = log_ring()->end;
	return 0;
}

static void banks_are_judged(void **state)
{
	static const struct {
		uint64_t cap, status;
		enum mce_verdict verdict;
	} cases[] = {
		{0, 0, MCE_HARMLESS},
		{0, UC | EN | PCC, MCE_HARMLESS}, /* not valid */
		{0, VAL | EN, MCE_HARMLESS},
		{0, VAL | EN | OVER | ADDRV, MCE_HARMLESS},
		{0, VAL | UC | PCC, MCE_HARMLESS}, /* not enabled: another bank's affair */
		{0, VAL | UC | EN | PCC, MCE_FATAL},
		{0, VAL | UC | EN, MCE_FATAL}, /* nothing tells what is lost */
		{0, VAL | UC | EN | S, MCE_FATAL},
		{SER_P, VAL | UC | EN | PCC | S | AR, MCE_FATAL},
		{SER_P, VAL | UC | EN, MCE_HARMLESS},
		{SER_P, VAL | UC | EN | S, MCE_HARMLESS},
		{SER_P, VAL | UC | EN | S | OVER, MCE_HARMLESS},
		{SER_P, VAL | UC | EN | S | AR, MCE_CODE_LOST},
		{SER_P, VAL | UC | EN | S | AR | OVER, MCE_FATAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (mce_judge_bank(cases[i].cap, cases[i].status) != cases[i].verdict) {
			fail_msg("case %zu", i);
		}
	}
	assert_int_equal(mce_judge(RIPV | MCIP, MCE_HARMLESS), MCE_HARMLESS);
	assert_int_equal(mce_judge(MCIP, MCE_HARMLESS), MCE_CODE_LOST);
	assert_int_equal(mce_judge(MCIP, MCE_FATAL), MCE_FATAL);
	assert_int_equal(mce_judge(RIPV, MCE_CODE_LOST), MCE_CODE_LOST);
}

static void all_banks_count_and_the_first_are_kept(void **state)
{
	struct mce_record r;

	(void)state;
	for (uint32_t i = 1; i < BANKS; i++) {
		fake_msr_set(STATUS(i), VAL | i);
	}
	fake_msr_set(STATUS(11), VAL | UC | EN | PCC);
	mce_collect(0x1234, &r);
	assert_int_equal(r.verdict, MCE_FATAL);
	assert_int_equal(r.rip, 0x1234);
	assert_int_equal(r.count, 11);
	assert_int_equal(r.bank[0].index, 1);
	assert_int_equal(r.bank[MCE_BANKS_KEPT - 1].index, MCE_BANKS_KEPT);
	/* Collecting leaves all as it is, for the firmware. */
	assert_int_equal(fake_msr_get(STATUS(11)), VAL | UC | EN | PCC);
	assert_int_equal(fake_msr_get(MSR_IA32_MCG_STATUS), RIPV | MCIP);
	mce_clear(&r);
	for (uint32_t i = 0; i < BANKS; i++) {
		assert_int_equal(fake_msr_get(STATUS(i)), 0);
	}
	assert_int_equal(fake_msr_get(MSR_IA32_MCG_STATUS), 0);
}

/* Address and misc registers that the status does not announce may not exist. */
static void only_what_is_valid_is_read(void **state)
{
	struct mce_record r;

	(void)state;
	fake_msr_set(STATUS(2), VAL | ADDRV);
	fake_msr_set(STATUS(2) + 1, 0xabc000);
	fake_msr_set(STATUS(3), VAL | MISCV);
	fake_msr_set(STATUS(3) + 2, 0x86);
	mce_collect(0, &r);
	assert_int_equal(r.verdict, MCE_HARMLESS);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.bank[0].address, 0xabc000);
	assert_int_equal(r.bank[0].misc, 0);
	assert_int_equal(r.bank[1].address, 0);
	assert_int_equal(r.bank[1].misc, 0x86);
}

static void without_banks_the_code_is_lost(void **state)
{
	struct mce_record r;

	(void)state;
	fake_cpuid_set(1, 0, (struct cpuid_regs){.edx = BIT32(7)});
	cpu_features_init();
	fake_msr_remove(MSR_IA32_MCG_CAP);
	mce_cpu_init();
	mce_collect(0, &r);
	assert_int_equal(r.verdict, MCE_CODE_LOST);
	assert_int_equal(r.count, 0);
	mce_clear(&r);
	assert_int_equal(fake_msr_get(MSR_IA32_MCG_STATUS), RIPV | MCIP);
}

static void all_banks_report(void **state)
{
	(void)state;
	fake_msr_set(STATUS(5), VAL | 0x99);
	fake_msr_remove(CTL(7)); /* one that refuses */
	mce_cpu_init();
	assert_int_equal(fake_msr_get(CTL(0)), UINT64_MAX);
	assert_int_equal(fake_msr_get(CTL(11)), UINT64_MAX);
	assert_int_equal(fake_msr_get(STATUS(5)), 0);
	assert_false(fake_msr_exists(MSR_IA32_MCG_CTL));
	fake_msr_set(MSR_IA32_MCG_CAP, BANKS | BIT(8));
	fake_msr_set(MSR_IA32_MCG_CTL, 0);
	mce_cpu_init();
	assert_int_equal(fake_msr_get(MSR_IA32_MCG_CTL), UINT64_MAX);
}

static void text_fits(void **state)
{
	char text[MCE_TEXT_MAX];
	struct mce_bank b = {4, VAL | UC | PCC | OVER, UINT64_MAX, UINT64_MAX};

	(void)state;
	mce_bank_text(&b, text, sizeof(text));
	assert_string_equal(text,
			    "bank 4: status 0xe200000000000000 (uncorrected, context corrupt, and "
			    "more) address 0xffffffffffffffff misc 0xffffffffffffffff");
	b = (struct mce_bank){0, VAL, 0x1000, 0};
	mce_bank_text(&b, text, sizeof(text));
	assert_string_equal(
		text, "bank 0: status 0x8000000000000000 (corrected) address 0x1000 misc 0x0");
}

static void records_are_logged_later(void **state)
{
	static struct mce_slot slot;
	struct mce_record r = {.count = 1, .bank = {{3, VAL, 0x1000, 0}}};

	(void)state;
	mce_report(&slot, 2);
	assert_string_equal(logged(), "");
	mce_post(&slot, &r);
	r.bank[0].index = 9;
	mce_post(&slot, &r);
	mce_post(&slot, &r);
	mce_report(&slot, 2);
	assert_string_equal(logged(),
			    "bulkhead: CPU 2: machine check: bank 3: status 0x8000000000000000 "
			    "(corrected) address 0x1000 misc 0x0\n"
			    "bulkhead: CPU 2: 2 more machine checks at the same time\n");
	log_mark = log_ring()->end;
	mce_report(&slot, 2);
	assert_string_equal(logged(), "");
	r = (struct mce_record){.status = 4};
	mce_post(&slot, &r);
	mce_report(&slot, 1);
	assert_string_equal(logged(), "bulkhead: CPU 1: machine check, and no bank says why "
				      "(MCG_STATUS 0x4)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(banks_are_judged, setup),
		cmocka_unit_test_setup(all_banks_count_and_the_first_are_kept, setup),
		cmocka_unit_test_setup(only_what_is_valid_is_read, setup),
		cmocka_unit_test_setup(without_banks_the_code_is_lost, setup),
		cmocka_unit_test_setup(all_banks_report, setup),
		cmocka_unit_test_setup(text_fits, setup),
		cmocka_unit_test_setup(records_are_logged_later, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
