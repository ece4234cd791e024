/* SPDX-License-Identifier: Apache-2.0 */
/* The reference counter and its page, read as a guest reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/msr.h"
#include "tests/fakes/hyperv_rig.h"

/* What a guest makes of the page; UINT64_MAX while it is not valid. */
static uint64_t by_page(uint64_t tsc)
{
	struct hv_tsc_page page;

	hyperv_peek(0, &page, sizeof(page));
	if (page.sequence == 0 || page.sequence == UINT32_MAX) {
		return UINT64_MAX;
	}
	return (uint64_t)((unsigned __int128)tsc * page.scale >> 64) + (uint64_t)page.offset;
}

static uint64_t rdtsc(void)
{
	return fake_tsc + cpu->tsc_offset;
}

static uint32_t sequence(void)
{
	struct hv_tsc_page page;

	hyperv_peek(0, &page, sizeof(page));
	return page.sequence;
}

static void page_and_counter_are_one(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, HYPERV_PAGE | 1));
	assert_int_equal(hyperv_get(MSR_HV_REFERENCE_TSC), HYPERV_PAGE | 1);
	for (unsigned i = 0; i < 1000; i++) {
		fake_tsc += 12345 * i + 7;
		assert_int_equal(hyperv_get(MSR_HV_TIME_REF_COUNT), by_page(rdtsc()));
	}
}

static void it_counts_100_ns(void **state)
{
	uint64_t start = hyperv_get(MSR_HV_TIME_REF_COUNT);

	(void)state;
	fake_tsc += 3600 * VM_RIG_HZ;
	assert_in_range(hyperv_get(MSR_HV_TIME_REF_COUNT) - start, 3600 * HV_TIME_HZ - 1,
			3600 * HV_TIME_HZ + 1);
	assert_false(hyperv_put(MSR_HV_TIME_REF_COUNT, 0));
}

static void a_pause_does_not_count(void **state)
{
	uint64_t before;

	(void)state;
	assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, HYPERV_PAGE | 1));
	fake_tsc += VM_RIG_HZ;
	before = hyperv_get(MSR_HV_TIME_REF_COUNT);
	assert_int_equal(guest_pause(g), HV_OK);
	fake_tsc += 1000 * VM_RIG_HZ;
	assert_int_equal(guest_resume(g), HV_OK);
	assert_int_equal(hyperv_get(MSR_HV_TIME_REF_COUNT), before);
	assert_int_equal(by_page(rdtsc()), before);
}

/* Time goes on, whatever the guest does to its TSC; the page is valid while they agree. */
static void a_moved_tsc_moves_the_page(void **state)
{
	static const uint64_t values[] = {1, BIT(40), BIT(62), BIT(63) + 5, ~0ull - VM_RIG_HZ, 0};

	(void)state;
	fake_tsc += 77 * VM_RIG_HZ;
	assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, HYPERV_PAGE | 1));
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		uint64_t before = hyperv_get(MSR_HV_TIME_REF_COUNT);
		uint32_t old = sequence();

		assert_true(msr_write(vcpu, MSR_IA32_TSC_ADJUST, values[i]));
		assert_int_equal(by_page(rdtsc()), UINT64_MAX);
		for (unsigned n = 1; n < HYPERV_CPUS; n++) {
			assert_true(msr_write(g->vm.vcpus[n], MSR_IA32_TSC_ADJUST, values[i]));
		}
		assert_in_range(hyperv_get(MSR_HV_TIME_REF_COUNT), before - 1, before + 1);
		assert_int_equal(hyperv_get(MSR_HV_TIME_REF_COUNT), by_page(rdtsc()));
		assert_true(sequence() != old);
	}
}

static void sequences_that_mean_something_else_are_left_out(void **state)
{
	(void)state;
	g->vm.hyperv->state.sequence = UINT32_MAX - 1;
	assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, HYPERV_PAGE | 1));
	assert_int_equal(sequence(), 1);
}

static void a_page_must_be_ram(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, HYPERV_PAGE | 1));
	for (size_t i = 0; i < ARRAY_SIZE(hyperv_not_ram); i++) {
		assert_false(hyperv_put(MSR_HV_REFERENCE_TSC, hyperv_not_ram[i] | 1));
		assert_true(hyperv_get(MSR_HV_REFERENCE_TSC) == (HYPERV_PAGE | 1));
		assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, hyperv_not_ram[i] & ~1ull));
		assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, HYPERV_PAGE | 1));
	}
}

static void ticks_are_never_early(void **state)
{
	(void)state;
	for (uint64_t time = 1; time < 1ull << 50; time = time * 3 + 1) {
		uint64_t ticks = hyperv_tick_of(time);

		assert_true((unsigned __int128)ticks * HV_TIME_HZ >=
			    (unsigned __int128)time * clock_hz());
		assert_true(ticks - clock_muldiv(time, clock_hz(), HV_TIME_HZ) <= 201);
	}
	assert_int_equal(hyperv_tick_of(UINT64_MAX), TIMER_NEVER);
	assert_int_equal(hyperv_tick_of(UINT64_MAX - 1), TIMER_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(page_and_counter_are_one),
		HYPERV_TEST(it_counts_100_ns),
		HYPERV_TEST(a_pause_does_not_count),
		HYPERV_TEST(a_moved_tsc_moves_the_page),
		HYPERV_TEST(sequences_that_mean_something_else_are_left_out),
		HYPERV_TEST(a_page_must_be_ram),
		HYPERV_TEST(ticks_are_never_early),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
