/* SPDX-License-Identifier: Apache-2.0 */
/* The state after RESET, as the manuals' tables have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/reset.h"
#include "hv/base/bits.h"

static uint64_t regs[VCPU_REG_COUNT];
static struct vcpu_segment segs[VCPU_SEG_COUNT];
static unsigned reg_calls, seg_calls;

static void set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
	(void)vcpu;
	regs[reg] = value;
	reg_calls++;
}

static void set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in)
{
	(void)vcpu;
	segs[seg] = *in;
	seg_calls++;
}

static void every_register_has_its_reset_value(void **state)
{
	static struct vcpu vcpu;

	(void)state;
	memset(&vcpu, 0xee, sizeof(vcpu));
	memset(regs, 0xee, sizeof(regs));
	memset(segs, 0xee, sizeof(segs));
	vcpu_reset_registers(&vcpu, 0x00a20f10, set_reg, set_seg);
	assert_int_equal(reg_calls, VCPU_REG_COUNT);
	assert_int_equal(seg_calls, VCPU_SEG_COUNT);
	for (unsigned i = 0; i < VCPU_REG_COUNT; i++) {
		uint64_t want = 0;

		want = i == VCPU_REG_CR0 ? 0x60000010 : want;
		want = i == VCPU_REG_DR6 ? 0xffff0ff0 : want;
		want = i == VCPU_REG_DR7 ? 0x400 : want;
		want = i == VCPU_REG_PAT ? 0x0007040600070406ull : want;
		assert_int_equal(regs[i], want);
	}
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		assert_int_equal(vcpu.gpr[i], i == GPR_RDX ? 0x00a20f10 : 0);
	}
	/* The first instruction is fetched from 0xfffffff0. */
	assert_int_equal(segs[VCPU_SEG_CS].base + vcpu.rip, 0xfffffff0);
	assert_int_equal(segs[VCPU_SEG_CS].selector, 0xf000);
	for (unsigned i = 0; i < VCPU_SEG_COUNT; i++) {
		assert_int_equal(segs[i].limit, 0xffff);
		assert_true(i == VCPU_SEG_CS || (segs[i].base == 0 && segs[i].selector == 0));
	}
	assert_int_equal(segs[VCPU_SEG_CS].attr, 0x9b);
	assert_int_equal(segs[VCPU_SEG_SS].attr, 0x93);
	assert_int_equal(segs[VCPU_SEG_TR].attr, 0x8b);
	assert_int_equal(segs[VCPU_SEG_LDTR].attr, 0x82);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_register_has_its_reset_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
