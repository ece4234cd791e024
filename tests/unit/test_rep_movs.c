/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs that keep what ERMS promises, and one that takes a step a byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/cpu/rep_movs.h"
#include "tests/fakes/fake_cpu.h"

#define ERMS BIT32(9)

static void cpu_with(uint32_t leaf7_ebx, uint64_t movsb_ticks, uint64_t movsq_ticks)
{
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 7});
	fake_cpuid_set(7, 0, (struct cpuid_regs){.ebx = leaf7_ebx});
	fake_cpu.tsc_step = 20;
	fake_cpu.movsb_ticks = movsb_ticks;
	fake_cpu.movsq_ticks = movsq_ticks;
}

static void a_step_a_byte_is_not_fast(void **state)
{
	(void)state;
	cpu_with(ERMS, 1, 1);
	rep_movs_try();
	assert_false(rep_movsb_is_fast());
	/* A machine that is tried again is judged anew. */
	cpu_with(ERMS, 1, 8);
	rep_movs_try();
	assert_true(rep_movsb_is_fast());
}

/* Up to four times as long: a real CPU may have a bad moment, and none is that bad by design. */
static void somewhat_slower_is_fast(void **state)
{
	(void)state;
	cpu_with(ERMS, 1, 2);
	rep_movs_try();
	assert_true(rep_movsb_is_fast());
	/* Faster than the clock can tell. */
	cpu_with(ERMS, 0, 0);
	rep_movs_try();
	assert_true(rep_movsb_is_fast());
}

static unsigned readings;

/* Every copy but the fifth is interrupted for long; undisturbed, both kinds take 600. */
static uint64_t with_interruptions(void)
{
	uint64_t round = readings / 2 % 8;

	fake_cpu.tsc += readings++ % 2 == 0 ? 0 : round == 4 ? 600 : 600 + 1000 * round;
	return fake_cpu.tsc;
}

static void interruptions_do_not_count(void **state)
{
	(void)state;
	cpu_with(ERMS, 0, 0);
	readings = 0;
	fake_cpu.on_rdtsc = with_interruptions;
	rep_movs_try();
	assert_true(rep_movsb_is_fast());
	assert_int_equal(readings, 32);
}

static void nothing_is_tried_where_nothing_is_promised(void **state)
{
	(void)state;
	cpu_with(0, 1, 1);
	rep_movs_try();
	assert_true(rep_movsb_is_fast());
	cpu_with(ERMS, 1, 1);
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 6});
	rep_movs_try();
	assert_true(rep_movsb_is_fast());
	assert_int_equal(fake_cpu.tsc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_a_byte_is_not_fast),
		cmocka_unit_test(somewhat_slower_is_fast),
		cmocka_unit_test(interruptions_do_not_count),
		cmocka_unit_test(nothing_is_tried_where_nothing_is_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
