/* SPDX-License-Identifier: Apache-2.0 */
/* Permission maps against the policy they come from. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "vmx/permissions.h"

static uint8_t msrpm[VMX_MSRPM_SIZE];
static uint8_t iopm[VMX_IOPM_SIZE];

static unsigned clear_bits(const uint8_t *map, size_t size)
{
	unsigned n = 0;

	for (size_t i = 0; i < size; i++) {
		n += 8 - (unsigned)__builtin_popcount(map[i]);
	}
	return n;
}

static void no_list_means_exit_always(void **state)
{
	(void)state;
	vmx_msrpm_build(msrpm, NULL);
	vmx_iopm_build(iopm, NULL);
	assert_int_equal(clear_bits(msrpm, sizeof(msrpm)), 0);
	assert_int_equal(clear_bits(iopm, sizeof(iopm)), 0);
}

/* SDM "MSR-Bitmap Address": where the four quarters lie. */
static void quarters(void **state)
{
	static const struct msr_pass_range pass[] = {
		{0x174, 1, MSR_PASS_READ},	 {0x1fff, 1, MSR_PASS_WRITE},
		{0xc0000000u, 1, MSR_PASS_READ}, {0xc0001fffu, 1, MSR_PASS_WRITE},
		{0, 0, MSR_PASS_NONE},
	};

	(void)state;
	vmx_msrpm_build(msrpm, pass);
	assert_int_equal(clear_bits(msrpm, sizeof(msrpm)), 4);
	assert_int_equal(msrpm[0x174 / 8], 0xff & ~(1u << 0x174 % 8));
	assert_int_equal(msrpm[0x800 + 0x1fff / 8], 0x7f);
	assert_int_equal(msrpm[0x400], 0xfe);
	assert_int_equal(msrpm[0xc00 + 0x1fff / 8], 0x7f);
	assert_true(vmx_msrpm_passes(msrpm, 0x174, false));
	assert_false(vmx_msrpm_passes(msrpm, 0x174, true));
	assert_true(vmx_msrpm_passes(msrpm, 0xc0001fffu, true));
	assert_false(vmx_msrpm_passes(msrpm, 0xc0001fffu, false));
}

static void what_no_guest_may_reach(void **state)
{
	static const struct msr_pass_range pass[] = {
		{0, 0xffffffffu, MSR_PASS_BOTH},
		{0, 0, MSR_PASS_NONE},
	};

	(void)state;
	vmx_msrpm_build(msrpm, pass);
	assert_int_equal(clear_bits(msrpm, sizeof(msrpm)), 4 * 0x2000 - 2);
	assert_false(vmx_msrpm_passes(msrpm, MSR_EFER, false));
	assert_false(vmx_msrpm_passes(msrpm, MSR_EFER, true));
	assert_true(vmx_msrpm_passes(msrpm, MSR_STAR, true));
	/* Beyond the map. */
	assert_false(vmx_msrpm_passes(msrpm, 0x2000, false));
	assert_false(vmx_msrpm_passes(msrpm, 0xc0002000u, true));
	assert_false(vmx_msrpm_passes(msrpm, 0xbfffffffu, true));
}

static void a_range_may_wrap_nothing(void **state)
{
	static const struct msr_pass_range pass[] = {
		{0xfffffff0u, 0x20, MSR_PASS_BOTH},
		{0x1ff0, 0x20, MSR_PASS_BOTH},
		{0, 0, MSR_PASS_NONE},
	};

	(void)state;
	vmx_msrpm_build(msrpm, pass);
	assert_int_equal(clear_bits(msrpm, sizeof(msrpm)), 2 * 0x10);
	assert_false(vmx_msrpm_passes(msrpm, 0, false));
}

static void ports(void **state)
{
	static const struct port_pass_range pass[] = {{0x80, 1}, {0xfff0, 0x100}, {0, 0}};

	(void)state;
	vmx_iopm_build(iopm, pass);
	assert_int_equal(clear_bits(iopm, sizeof(iopm)), 1 + 16);
	assert_int_equal(iopm[0x10], 0xfe);
	assert_int_equal(iopm[0x1ffe], 0);
	assert_int_equal(iopm[0x1fff], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_list_means_exit_always),
		cmocka_unit_test(quarters),
		cmocka_unit_test(what_no_guest_may_reach),
		cmocka_unit_test(a_range_may_wrap_nothing),
		cmocka_unit_test(ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
