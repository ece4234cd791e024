/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCB: offsets against the manual's numbers, clean bits, segment attributes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/regs.h"
#include "svm/vmcb.h"

static struct vmcb vmcb;

static int fresh(void **state)
{
	(void)state;
	memset(&vmcb, 0, sizeof(vmcb));
	vmcb.clean = SVM_CLEAN_ALL;
	return 0;
}

static uint64_t raw64(size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)&vmcb + offset, sizeof(value));
	return value;
}

/* Offsets from the manual's table, save area at 0x400, and the clean bit that covers each. */
static const struct {
	enum vcpu_reg reg;
	size_t offset;
	uint32_t clean;
} reg_table[] = {
	{VCPU_REG_RFLAGS, 0x400 + 0x170, 0},	   {VCPU_REG_CR0, 0x400 + 0x158, 1u << 5},
	{VCPU_REG_CR2, 0x400 + 0x240, 1u << 9},	   {VCPU_REG_CR3, 0x400 + 0x150, 1u << 5},
	{VCPU_REG_CR4, 0x400 + 0x148, 1u << 5},	   {VCPU_REG_DR6, 0x400 + 0x168, 1u << 6},
	{VCPU_REG_DR7, 0x400 + 0x160, 1u << 6},	   {VCPU_REG_EFER, 0x400 + 0x0d0, 1u << 5},
	{VCPU_REG_PAT, 0x400 + 0x268, 1u << 4},	   {VCPU_REG_STAR, 0x400 + 0x200, 0},
	{VCPU_REG_LSTAR, 0x400 + 0x208, 0},	   {VCPU_REG_CSTAR, 0x400 + 0x210, 0},
	{VCPU_REG_SFMASK, 0x400 + 0x218, 0},	   {VCPU_REG_FS_BASE, 0x400 + 0x048, 0},
	{VCPU_REG_GS_BASE, 0x400 + 0x058, 0},	   {VCPU_REG_KERNEL_GS_BASE, 0x400 + 0x220, 0},
	{VCPU_REG_SYSENTER_CS, 0x400 + 0x228, 0},  {VCPU_REG_SYSENTER_ESP, 0x400 + 0x230, 0},
	{VCPU_REG_SYSENTER_EIP, 0x400 + 0x238, 0}, {VCPU_REG_DEBUGCTL, 0x400 + 0x270, 1u << 10},
};

static void registers_stand_where_the_manual_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reg_table); i++) {
		uint64_t value = 0x1122334455667788ull + i;

		fresh(NULL);
		vmcb_set_reg(&vmcb, reg_table[i].reg, value);
		assert_int_equal(raw64(reg_table[i].offset), value);
		assert_int_equal(vmcb_get_reg(&vmcb, reg_table[i].reg), value);
		assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~reg_table[i].clean);
		/* The same value again changes nothing, so nothing is forgotten. */
		vmcb.clean = SVM_CLEAN_ALL;
		vmcb_set_reg(&vmcb, reg_table[i].reg, value);
		assert_int_equal(vmcb.clean, SVM_CLEAN_ALL);
	}
	/* Every register but CR8, which shares a field. */
	assert_int_equal(ARRAY_SIZE(reg_table), VCPU_REG_COUNT - 1);
}

static void cr8_is_the_low_nibble_of_the_interrupt_control(void **state)
{
	(void)state;
	vmcb_set_int_ctl(&vmcb, SVM_INT_V_MASKING | SVM_INT_V_IRQ);
	vmcb_set_reg(&vmcb, VCPU_REG_CR8, 0xd);
	assert_int_equal(raw64(0x60), 1u << 24 | 1u << 8 | 0xd);
	assert_int_equal(vmcb_get_reg(&vmcb, VCPU_REG_CR8), 0xd);
	assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~(1u << 3));
	vmcb_set_reg(&vmcb, VCPU_REG_CR8, 0x12);
	assert_int_equal(raw64(0x60), 1u << 24 | 1u << 8 | 0x2);
}

static void intercepts_are_numbered_through_the_words(void **state)
{
	/* The manual's offset and bit. */
	static const struct {
		unsigned intercept;
		size_t offset;
		unsigned bit;
	} table[] = {
		{SVM_INTERCEPT_CR0_READ, 0x00, 0},
		{SVM_INTERCEPT_CR0_WRITE + 8, 0x00, 24},
		{SVM_INTERCEPT_EXCEPTION + EXC_AC, 0x08, 17},
		{SVM_INTERCEPT_INTR, 0x0c, 0},
		{SVM_INTERCEPT_VINTR, 0x0c, 4},
		{SVM_INTERCEPT_RDPMC, 0x0c, 15},
		{SVM_INTERCEPT_CPUID, 0x0c, 18},
		{SVM_INTERCEPT_IRET, 0x0c, 20},
		{SVM_INTERCEPT_INVD, 0x0c, 22},
		{SVM_INTERCEPT_HLT, 0x0c, 24},
		{SVM_INTERCEPT_IOIO, 0x0c, 27},
		{SVM_INTERCEPT_MSR, 0x0c, 28},
		{SVM_INTERCEPT_SHUTDOWN, 0x0c, 31},
		{SVM_INTERCEPT_VMRUN, 0x10, 0},
		{SVM_INTERCEPT_SKINIT, 0x10, 6},
		{SVM_INTERCEPT_WBINVD, 0x10, 9},
		{SVM_INTERCEPT_MWAIT_ARMED, 0x10, 12},
		{SVM_INTERCEPT_XSETBV, 0x10, 13},
		{SVM_INTERCEPT_RDPRU, 0x10, 14},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		fresh(NULL);
		vmcb_set_intercept(&vmcb, table[i].intercept, true);
		assert_int_equal((uint32_t)raw64(table[i].offset), 1u << table[i].bit);
		assert_true(vmcb_intercepts(&vmcb, table[i].intercept));
		assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~1u);
		vmcb.clean = SVM_CLEAN_ALL;
		vmcb_set_intercept(&vmcb, table[i].intercept, true);
		assert_int_equal(vmcb.clean, SVM_CLEAN_ALL);
		vmcb_set_intercept(&vmcb, table[i].intercept, false);
		assert_int_equal((uint32_t)raw64(table[i].offset), 0);
		assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~1u);
	}
}

static void each_setter_forgets_its_own_group(void **state)
{
	(void)state;
	vmcb_set_tsc_offset(&vmcb, 5);
	assert_int_equal(raw64(0x50), 5);
	assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~1u);

	fresh(NULL);
	vmcb_set_pause_filter(&vmcb, 3000, 128);
	assert_int_equal((uint32_t)raw64(0x3c), 3000u << 16 | 128);
	assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~1u);

	fresh(NULL);
	vmcb_set_maps(&vmcb, hpa(0x3000), hpa(0x8000));
	assert_int_equal(raw64(0x40), 0x3000);
	assert_int_equal(raw64(0x48), 0x8000);
	assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~2u);

	fresh(NULL);
	vmcb_set_asid(&vmcb, 7);
	assert_int_equal((uint32_t)raw64(0x58), 7);
	assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~4u);

	fresh(NULL);
	vmcb_set_nested_paging(&vmcb, hpa(0x5000));
	assert_int_equal(raw64(0x90), 1);
	assert_int_equal(raw64(0xb0), 0x5000);
	assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~0x10u);

	fresh(NULL);
	vmcb_set_cpl(&vmcb, 3);
	assert_int_equal(((const uint8_t *)&vmcb)[0x4cb], 3);
	assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~0x100u);
}

static const struct {
	enum vcpu_seg seg;
	size_t offset;
	uint32_t clean;
} seg_table[] = {
	{VCPU_SEG_ES, 0x400, 1u << 8},	 {VCPU_SEG_CS, 0x410, 1u << 8},
	{VCPU_SEG_SS, 0x420, 1u << 8},	 {VCPU_SEG_DS, 0x430, 1u << 8},
	{VCPU_SEG_FS, 0x440, 0},	 {VCPU_SEG_GS, 0x450, 0},
	{VCPU_SEG_GDTR, 0x460, 1u << 7}, {VCPU_SEG_LDTR, 0x470, 0},
	{VCPU_SEG_IDTR, 0x480, 1u << 7}, {VCPU_SEG_TR, 0x490, 0},
};

static void segments_stand_where_the_manual_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(seg_table); i++) {
		/* 64-bit code, DPL 0, limit 4 GiB; as in a descriptor: 0xa09b. */
		struct vcpu_segment in = {
			.base = 0xabcdef, .limit = 0xffffffff, .selector = 0x10, .attr = 0xa09b};
		bool table = seg_table[i].seg == VCPU_SEG_GDTR || seg_table[i].seg == VCPU_SEG_IDTR;
		struct vcpu_segment out;

		fresh(NULL);
		vmcb_set_seg(&vmcb, seg_table[i].seg, &in);
		assert_int_equal(raw64(seg_table[i].offset),
				 table ? 0xffffffff00000000ull : 0xffffffff0a9b0010ull);
		assert_int_equal(raw64(seg_table[i].offset + 8), 0xabcdef);
		assert_int_equal(vmcb.clean, SVM_CLEAN_ALL & ~seg_table[i].clean);
		vmcb_get_seg(&vmcb, seg_table[i].seg, &out);
		assert_int_equal(out.base, in.base);
		assert_int_equal(out.limit, in.limit);
		assert_int_equal(out.selector, table ? 0 : in.selector);
		assert_int_equal(out.attr, table ? 0 : in.attr);
	}
	assert_int_equal(ARRAY_SIZE(seg_table), VCPU_SEG_COUNT);
}

static void unusable_is_not_present(void **state)
{
	struct vcpu_segment s = {.attr = SEG_UNUSABLE | 0x93};
	struct vcpu_segment out;

	(void)state;
	vmcb_set_seg(&vmcb, VCPU_SEG_DS, &s);
	assert_int_equal(vmcb._ds.attr, 0x13);
	vmcb_get_seg(&vmcb, VCPU_SEG_DS, &out);
	assert_int_equal(out.attr, SEG_UNUSABLE | 0x13);
}

static void cpl_follows_ss(void **state)
{
	struct vcpu_segment s = {.selector = 0x2b, .attr = 0xc0f3};

	(void)state;
	vmcb_set_seg(&vmcb, VCPU_SEG_SS, &s);
	assert_int_equal(vmcb._cpl, 3);
	/* A null SS at CPL 3, as after SYSRET: the DPL that is read is the CPL. */
	vmcb._ss.attr = 0;
	vmcb_get_seg(&vmcb, VCPU_SEG_SS, &s);
	assert_int_equal(s.attr, SEG_UNUSABLE | 3u << 5);
	s.attr = 0xc093;
	vmcb_set_seg(&vmcb, VCPU_SEG_SS, &s);
	assert_int_equal(vmcb._cpl, 0);
	/* CS leaves it alone. */
	s.attr = 0xa0fb;
	vmcb_set_seg(&vmcb, VCPU_SEG_CS, &s);
	assert_int_equal(vmcb._cpl, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_stand_where_the_manual_says, fresh),
		cmocka_unit_test_setup(cr8_is_the_low_nibble_of_the_interrupt_control, fresh),
		cmocka_unit_test_setup(intercepts_are_numbered_through_the_words, fresh),
		cmocka_unit_test_setup(each_setter_forgets_its_own_group, fresh),
		cmocka_unit_test_setup(segments_stand_where_the_manual_says, fresh),
		cmocka_unit_test_setup(unusable_is_not_present, fresh),
		cmocka_unit_test_setup(cpl_follows_ss, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
