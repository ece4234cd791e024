/* SPDX-License-Identifier: Apache-2.0 */
/* Segment registers loaded from memory: descriptors taken apart, checks, marks left in the table.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/cpu/regs.h"
#include "tests/fakes/emul_guest.h"

#define GDT 0x6000u
#define OPERAND 0x2000u

#define CODE64 0x00af9a000000ffffull
#define CODE32 0x00cf9a000000ffffull
#define DATA 0x00cf92000000ffffull
#define TSS_LOW 0x12008934567800ffull /* base 0x12345678 */

static struct emul_guest g;

static void begin(enum insn_mode mode, const uint8_t *code, size_t n)
{
	emul_guest_init(&g, mode);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RBX] = OPERAND;
	g.segs[VCPU_SEG_GDTR] = (struct vcpu_segment){.base = GDT, .limit = 0x7f};
	g.segs[VCPU_SEG_LDTR].attr = SEG_UNUSABLE;
	emul_guest_poke(&g, GDT + 0x08, 8, CODE64);
	emul_guest_poke(&g, GDT + 0x10, 8, DATA);
	emul_guest_poke(&g, GDT + 0x18, 8, CODE32);
	emul_guest_poke(&g, GDT + 0x20, 8, TSS_LOW);
	emul_guest_poke(&g, GDT + 0x28, 8, 0xffff8000);
}

#define BEGIN(mode, ...) \
	begin(mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void raises(enum exception_vector vector, uint32_t error)
{
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, vector);
	assert_int_equal(g.c.exception.error, error);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
}

/* ---------------------------------------------------------------- LTR, LLDT */

static void begin_ltr(uint16_t selector)
{
	BEGIN(INSN_LONG64, 0x0f, 0x00, 0x1b);
	emul_guest_poke(&g, OPERAND, 2, selector);
}

static void ltr_marks_the_task_busy(void **state)
{
	const struct vcpu_segment *tr = &g.segs[VCPU_SEG_TR];

	(void)state;
	begin_ltr(0x20);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(tr->selector, 0x20);
	assert_int_equal(tr->base, 0xffff800012345678);
	assert_int_equal(tr->limit, 0xff);
	assert_int_equal(tr->attr & (SEG_TYPE | SEG_P), 0xb | SEG_P);
	assert_int_equal(emul_guest_peek(&g, GDT + 0x20, 8), TSS_LOW | BIT(41));
}

static void ltr_checks(void **state)
{
	(void)state;
	begin_ltr(0);
	raises(EXC_GP, 0);
	begin_ltr(0x24); /* in the LDT */
	raises(EXC_GP, 0x24);
	begin_ltr(0x10); /* data */
	raises(EXC_GP, 0x10);
	begin_ltr(0x78); /* half of it beyond the limit */
	raises(EXC_GP, 0x78);
	begin_ltr(0x20);
	emul_guest_poke(&g, GDT + 0x20, 8, TSS_LOW | BIT(41)); /* busy */
	raises(EXC_GP, 0x20);
	begin_ltr(0x20);
	emul_guest_poke(&g, GDT + 0x20, 8, TSS_LOW & ~BIT(47));
	raises(EXC_NP, 0x20);
	begin_ltr(0x20);
	g.c.cpl = 3;
	raises(EXC_GP, 0);
	begin_ltr(0x20);
	g.exchange_fails = true;
	assert_int_equal(emul_guest_run(&g), EMUL_RESTART);
	assert_int_equal(g.segs[VCPU_SEG_TR].selector, 0);
	BEGIN(INSN_REAL16, 0x0f, 0x00, 0x1f);
	raises(EXC_UD, 0);
}

static void lldt_may_be_null(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x0f, 0x00, 0x13);
	emul_guest_poke(&g, OPERAND, 2, 0x20);
	emul_guest_poke(&g, GDT + 0x20, 8, (TSS_LOW & ~MASK(43, 40)) | 2ull << 40);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.segs[VCPU_SEG_LDTR].base, 0xffff800012345678);
	BEGIN(INSN_LONG64, 0x0f, 0x00, 0x13);
	g.segs[VCPU_SEG_LDTR].attr = 0;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_true((g.segs[VCPU_SEG_LDTR].attr & SEG_UNUSABLE) != 0);
}

/* ---------------------------------------------------------------- MOV */

static void begin_mov(uint8_t modrm, uint16_t selector)
{
	BEGIN(INSN_LONG64, 0x8e, modrm);
	emul_guest_poke(&g, OPERAND, 2, selector);
}

#define TO_DS 0x1b /* mov ds, [rbx] */
#define TO_SS 0x13

static void mov_loads_and_marks_accessed(void **state)
{
	(void)state;
	begin_mov(TO_DS, 0x13);
	g.c.cpl = 0;
	emul_guest_poke(&g, GDT + 0x10, 8, DATA | 3ull << 45); /* DPL 3 */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.segs[VCPU_SEG_DS].selector, 0x13);
	assert_int_equal(g.segs[VCPU_SEG_DS].limit, 0xffffffff);
	assert_int_equal(g.segs[VCPU_SEG_DS].attr, SEG_G | SEG_DB | SEG_P | SEG_DPL | SEG_S | 3);
	assert_int_equal(emul_guest_peek(&g, GDT + 0x10, 8), DATA | 3ull << 45 | BIT(40));
	/* Again: nothing to mark. */
	g.c.rip = EMUL_GUEST_CODE;
	g.exchanges = 0;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.exchanges, 0);
}

static void mov_checks_privilege(void **state)
{
	(void)state;
	begin_mov(TO_DS, 0x13); /* RPL 3, DPL 0 */
	raises(EXC_GP, 0x10);
	begin_mov(TO_DS, 0x18);
	assert_int_equal(emul_guest_run(&g), EMUL_OK); /* code that may be read */
	begin_mov(TO_DS, 0x18);
	emul_guest_poke(&g, GDT + 0x18, 8, CODE32 & ~BIT(41));
	raises(EXC_GP, 0x18);
	begin_mov(TO_DS, 0x10);
	emul_guest_poke(&g, GDT + 0x10, 8, DATA & ~BIT(47));
	raises(EXC_NP, 0x10);
}

static void a_stack_is_special(void **state)
{
	(void)state;
	begin_mov(TO_SS, 0x10);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	begin_mov(TO_SS, 0x13);
	raises(EXC_GP, 0x10);
	begin_mov(TO_SS, 0x18);
	raises(EXC_GP, 0x18);
	begin_mov(TO_SS, 0x10);
	emul_guest_poke(&g, GDT + 0x10, 8, DATA & ~BIT(47));
	raises(EXC_SS, 0x10);
	begin_mov(TO_SS, 0); /* null: in 64-bit mode, of the own privilege */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.segs[VCPU_SEG_SS].selector, 0);
	begin_mov(TO_SS, 3);
	raises(EXC_GP, 0);
	BEGIN(INSN_PROT32, 0x8e, TO_SS);
	raises(EXC_GP, 0);
}

static void real_mode_has_no_table(void **state)
{
	(void)state;
	BEGIN(INSN_REAL16, 0x8e, 0x1f); /* mov ds, [bx] */
	emul_guest_poke(&g, OPERAND, 2, 0x1234);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.segs[VCPU_SEG_DS].base, 0x12340);
	assert_int_equal(g.segs[VCPU_SEG_DS].limit, 0xffff);
}

/* ---------------------------------------------------------------- far JMP */

static void begin_jump(uint16_t selector, uint64_t target)
{
	BEGIN(INSN_LONG64, 0x48, 0xff, 0x2b);
	emul_guest_poke(&g, OPERAND, 8, target);
	emul_guest_poke(&g, OPERAND + 8, 2, selector);
}

static void far_jumps_change_cs(void **state)
{
	(void)state;
	begin_jump(0x08, 0xffff800000001000);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 0xffff800000001000);
	assert_int_equal(g.segs[VCPU_SEG_CS].selector, 0x08);
	assert_true((g.segs[VCPU_SEG_CS].attr & SEG_L) != 0);
	begin_jump(0x18, 0x4000); /* into compatibility mode */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.segs[VCPU_SEG_CS].attr & (SEG_L | SEG_DB), SEG_DB);
	BEGIN(INSN_REAL16, 0xff, 0x2f); /* jmp far [bx] */
	emul_guest_poke(&g, OPERAND, 4, 0xf0000123);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 0x123);
	assert_int_equal(g.segs[VCPU_SEG_CS].base, 0xf0000);
}

static void far_jumps_are_checked(void **state)
{
	(void)state;
	begin_jump(0, 0x1000);
	raises(EXC_GP, 0);
	begin_jump(0x10, 0x1000); /* data */
	raises(EXC_GP, 0x10);
	begin_jump(0x0b, 0x1000); /* RPL 3 */
	raises(EXC_GP, 0x08);
	begin_jump(0x08, 0xaaaaaaaaaaaaaaaa);
	raises(EXC_GP, 0);
	begin_jump(0x18, 0x100000000);
	raises(EXC_GP, 0);
	begin_jump(0x08, 0x1000);
	emul_guest_poke(&g, GDT + 0x08, 8, CODE64 | BIT(54)); /* L and D */
	raises(EXC_GP, 0x08);
	begin_jump(0x08, 0x1000);
	emul_guest_poke(&g, GDT + 0x08, 8, CODE64 & ~BIT(47));
	raises(EXC_NP, 0x08);
	begin_jump(0x20, 0x1000); /* a task */
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ltr_marks_the_task_busy),
		cmocka_unit_test(ltr_checks),
		cmocka_unit_test(lldt_may_be_null),
		cmocka_unit_test(mov_loads_and_marks_accessed),
		cmocka_unit_test(mov_checks_privilege),
		cmocka_unit_test(a_stack_is_special),
		cmocka_unit_test(real_mode_has_no_table),
		cmocka_unit_test(far_jumps_change_cs),
		cmocka_unit_test(far_jumps_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
