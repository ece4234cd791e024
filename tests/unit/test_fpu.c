/* SPDX-License-Identifier: Apache-2.0 */
/* Extended state: sizes, masks, what is written back to XCR0 and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/api/vm.h"
#include "hv/cpu/regs.h"
#include "hv/fpu.h"
#include "tests/fakes/fake_cpu.h"

#define X87_SSE_AVX 7ull
#define WITH_AVX512 0xe7ull
#define WITH_PKRU (WITH_AVX512 | BIT(9))
#define AREA 2696u

static struct vcpu vcpu;

static void cpu_with(bool xsave, uint64_t mask)
{
	fake_cpu_reset();
	fake_cpu.cr0 = CR0_PE | CR0_TS | CR0_EM;
	if (xsave) {
		fake_cpuid_set(1, 0, (struct cpuid_regs){.ecx = 1u << 26});
		fake_cpuid_set(
			0xd, 0,
			(struct cpuid_regs){(uint32_t)mask, AREA, AREA, (uint32_t)(mask >> 32)});
	}
	fpu_cpu_init();
	free(vcpu.fpu);
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.fpu = aligned_alloc(64, align_up(fpu_area_size(), 64));
	assert_non_null(vcpu.fpu);
	memset(vcpu.fpu, 0x77, fpu_area_size());
}

static int teardown(void **state)
{
	(void)state;
	free(vcpu.fpu);
	vcpu.fpu = NULL;
	return 0;
}

static void the_host_turns_everything_on(void **state)
{
	(void)state;
	cpu_with(true, WITH_PKRU);
	assert_true((fake_cpu.cr0 & (CR0_TS | CR0_EM)) == 0);
	assert_true((fake_cpu.cr0 & (CR0_MP | CR0_NE)) == (CR0_MP | CR0_NE));
	assert_true((fake_cpu.cr4 & (CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE)) ==
		    (CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE));
	assert_int_equal(fake_cpu.xcr0, WITH_PKRU);
	assert_int_equal(fpu_supported(), WITH_PKRU);
	assert_int_equal(fpu_area_size(), AREA);
}

/* SDM volume 1 "Managing State Using the XSAVE Feature Set": XTILEDATA is 8 KiB, and XFD's. */
static void tiles_are_nobodys(void **state)
{
	(void)state;
	cpu_with(true, WITH_PKRU | BIT(17) | BIT(18));
	assert_int_equal(fake_cpu.xcr0, WITH_PKRU);
	assert_int_equal(fpu_supported(), WITH_PKRU);
	assert_false(fpu_write_xcr0(&vcpu, X87_SSE_AVX | BIT(17) | BIT(18), fpu_supported()));
	assert_false(fpu_write_xcr0(&vcpu, X87_SSE_AVX | BIT(17), fpu_supported()));
}

static void old_cpus_have_fxsave(void **state)
{
	(void)state;
	cpu_with(false, 0);
	assert_int_equal(fpu_supported(), 3);
	assert_int_equal(fpu_area_size(), 512);
	assert_true((fake_cpu.cr4 & CR4_OSXSAVE) == 0);
	fpu_reset(&vcpu);
	fpu_load(&vcpu);
	fpu_save(&vcpu);
	assert_int_equal(fake_cpu.fxrstor_count, 1);
	assert_int_equal(fake_cpu.fxsave_count, 1);
	assert_int_equal(fake_cpu.xsave_count + fake_cpu.xrstor_count, 0);
	assert_int_equal(fpu_xcr0(&vcpu), XCR0_X87);
}

/* SDM volume 3, "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". */
static void reset_state_is_the_manuals(void **state)
{
	const uint8_t *area;
	uint16_t fcw;
	uint32_t mxcsr;
	unsigned others = 0;

	(void)state;
	cpu_with(true, X87_SSE_AVX);
	fpu_reset(&vcpu);
	area = vcpu.fpu;
	memcpy(&fcw, area, 2);
	memcpy(&mxcsr, area + 24, 4);
	assert_int_equal(fcw, 0x037f);
	assert_int_equal(mxcsr, 0x1f80);
	for (size_t i = 0; i < AREA; i++) {
		others += area[i] != 0 && i >= 2 && (i < 24 || i >= 28);
	}
	assert_int_equal(others, 0);
	assert_int_equal(vcpu.xcr0, XCR0_X87);
	assert_int_equal(vcpu.xss, 0);
}

/* All components move whatever the guest's XCR0: AVX state must not leak through it. */
static void saving_and_loading_move_everything(void **state)
{
	(void)state;
	cpu_with(true, WITH_AVX512);
	fpu_reset(&vcpu);
	fpu_load(&vcpu);
	assert_int_equal(fake_cpu.xrstor_mask, WITH_AVX512);
	assert_int_equal(fake_cpu.xcr0, XCR0_X87);
	/* The guest's own XSETBV, not intercepted. */
	fake_cpu.xcr0 = X87_SSE_AVX;
	assert_int_equal(fpu_xcr0(&vcpu), X87_SSE_AVX);
	fpu_save(&vcpu);
	assert_int_equal(fake_cpu.xsave_mask, WITH_AVX512);
	assert_int_equal(fake_cpu.xcr0, WITH_AVX512);
	assert_int_equal(vcpu.xcr0, X87_SSE_AVX);
	fpu_load(&vcpu);
	assert_int_equal(fake_cpu.xcr0, X87_SSE_AVX);
}

/* As XRSTOR finds it, or 160 bytes lower as Bochs has it. */
static void xsavec_is_tried_out(void **state)
{
	(void)state;
	cpu_with(true, X87_SSE_AVX);
	fpu_try_xsavec();
	assert_int_equal(fake_cpu.xrstor_count, 0);
	assert_true(fpu_xsavec_works());
	fake_cpuid_set(0xd, 1, (struct cpuid_regs){.eax = 2});
	fpu_try_xsavec();
	assert_true(fpu_xsavec_works());
	fake_cpu.xsavec_error = 160;
	fpu_try_xsavec();
	assert_false(fpu_xsavec_works());
	/* Nothing of it stays in the registers. */
	for (unsigned i = 0; i < sizeof(fake_cpu.ymm_high); i++) {
		assert_int_equal(fake_cpu.ymm_high[i], 0);
	}
	cpu_with(true, XCR0_X87 | XCR0_SSE);
	fpu_try_xsavec();
	assert_true(fpu_xsavec_works());
}

static void xcr0_follows_the_manuals_rules(void **state)
{
	static const struct {
		uint64_t value;
		bool ok;
	} cases[] = {
		{0, false}, /* x87 cannot go */
		{XCR0_X87, true},
		{XCR0_SSE, false},
		{3, true},
		{XCR0_X87 | XCR0_AVX, false}, /* AVX needs SSE */
		{X87_SSE_AVX, true},
		{3 | XCR0_AVX512, false}, /* AVX-512 needs AVX */
		{7 | BIT(5), false},
		{7 | BIT(6), false}, /* and comes whole */
		{7 | BIT(6) | BIT(7), false},
		{WITH_AVX512, true},
		{WITH_AVX512 | BIT(3), false}, /* MPX was not allowed */
		{WITH_PKRU, true},
		{1 | BIT(9), true},
		{7 | BIT(63), false},
	};

	(void)state;
	cpu_with(true, WITH_PKRU);
	fpu_reset(&vcpu);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t before = fake_cpu.xcr0;

		assert_int_equal(fpu_write_xcr0(&vcpu, cases[i].value, WITH_PKRU), cases[i].ok);
		assert_int_equal(fake_cpu.xcr0, cases[i].ok ? cases[i].value : before);
	}
	assert_false(fpu_write_xcr0(&vcpu, X87_SSE_AVX, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_host_turns_everything_on, teardown),
		cmocka_unit_test_teardown(tiles_are_nobodys, teardown),
		cmocka_unit_test_teardown(old_cpus_have_fxsave, teardown),
		cmocka_unit_test_teardown(reset_state_is_the_manuals, teardown),
		cmocka_unit_test_teardown(saving_and_loading_move_everything, teardown),
		cmocka_unit_test_teardown(xsavec_is_tried_out, teardown),
		cmocka_unit_test_teardown(xcr0_follows_the_manuals_rules, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
