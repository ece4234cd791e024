/* SPDX-License-Identifier: Apache-2.0 */
/* PUSH and POP with stacks and operands in memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/emul_guest.h"

static struct emul_guest g;

static void begin(enum insn_mode mode, const uint8_t *code, size_t n)
{
	emul_guest_init(&g, mode);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RAX] = 0x1122334455667788;
	g.gpr[GPR_RBX] = 0x2000;
	g.gpr[GPR_RSP] = 0x5000;
}

#define BEGIN(mode, ...) \
	begin(mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_push_register(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x50);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0x4ff8);
	assert_int_equal(emul_guest_peek(&g, 0x4ff8, 8), 0x1122334455667788);
	BEGIN(INSN_LONG64, 0x66, 0x50);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0x4ffe);
	BEGIN(INSN_PROT32, 0x54); /* PUSH ESP pushes the old value */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x4ffc, 4), 0x5000);
}

/* A 16-bit stack pointer wraps and leaves the upper bits of ESP alone. */
static void test_16_bit_stack(void **state)
{
	(void)state;
	BEGIN(INSN_REAL16, 0x50);
	g.gpr[GPR_RSP] = 0xabcd0000;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0xabcdfffe);
	assert_int_equal(emul_guest_peek(&g, 0xfffe, 2), 0x7788);
	BEGIN(INSN_PROT16, 0x58);
	g.gpr[GPR_RSP] = 0xabcdfffe;
	emul_guest_poke(&g, 0xfffe, 2, 0x4321);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0xabcd0000);
	assert_int_equal(g.gpr[GPR_RAX], 0x1122334455664321);
}

static void test_push_immediate(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x6a, 0x80);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x4ff8, 8), (uint64_t)-128);
	BEGIN(INSN_PROT32, 0x68, 1, 2, 3, 4);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x4ffc, 4), 0x04030201);
}

/* From a device onto the stack; the stack is checked before the device is read. */
static void test_push_memory(void **state)
{
	(void)state;
	BEGIN(INSN_PROT32, 0xff, 0x33);
	g.gpr[GPR_RBX] = EMUL_GUEST_DEVICE;
	g.device_value = 0x99;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x4ffc, 4), 0x99);
	assert_int_equal(g.log_count, 1);
	BEGIN(INSN_PROT32, 0xff, 0x33);
	g.gpr[GPR_RBX] = EMUL_GUEST_DEVICE;
	g.segs[VCPU_SEG_SS].limit = 0x4ffb;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_SS);
	assert_int_equal(g.log_count, 0);
	assert_int_equal(g.gpr[GPR_RSP], 0x5000);
}

static void test_pop(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x5c); /* POP RSP */
	emul_guest_poke(&g, 0x5000, 8, 0x1234);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0x1234);
	/* POP [RSP+8]: the address uses RSP after the pop. */
	BEGIN(INSN_LONG64, 0x8f, 0x44, 0x24, 0x08);
	emul_guest_poke(&g, 0x5000, 8, 0x5678);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0x5008);
	assert_int_equal(emul_guest_peek(&g, 0x5010, 8), 0x5678);
}

static void test_pop_fault_restores_rsp(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x8f, 0x04, 0x24);
	g.gpr[GPR_RSP] = 0x7ffffffffff8; /* the next slot is not canonical */
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_SS);
	assert_int_equal(g.gpr[GPR_RSP], 0x7ffffffffff8);
}

static void test_call_and_return(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xe8, 0xfb, 0xff, 0xff, 0x7f);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE + 0x80000000);
	assert_int_equal(g.gpr[GPR_RSP], 0x4ff8);
	assert_int_equal(emul_guest_peek(&g, 0x4ff8, 8), EMUL_GUEST_CODE + 5);
	BEGIN(INSN_REAL16, 0xe8, 0x00, 0xf0); /* wraps in 16 bits */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 3);
	BEGIN(INSN_LONG64, 0xc3);
	emul_guest_poke(&g, 0x5000, 8, 0xffff800000000001);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 0xffff800000000001);
	assert_int_equal(g.gpr[GPR_RSP], 0x5008);
	BEGIN(INSN_PROT32, 0xc2, 0x00, 0x80); /* RET 0x8000: not a signed number */
	emul_guest_poke(&g, 0x5000, 4, 0x1234);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 0x1234);
	assert_int_equal(g.gpr[GPR_RSP], 0xd004);
	BEGIN(INSN_LONG64, 0xc3);
	emul_guest_poke(&g, 0x5000, 8, 0xaaaaaaaaaaaaaaaa);
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_GP);
	assert_int_equal(g.gpr[GPR_RSP], 0x5000);
}

static void test_frames(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xc8, 0x00, 0x80, 0x00); /* ENTER 0x8000, 0 */
	g.gpr[GPR_RSP] = 0x15000;
	g.gpr[GPR_RBP] = 0xaa55aa55bb66bb66;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RBP], 0x14ff8);
	assert_int_equal(g.gpr[GPR_RSP], 0xcff8);
	assert_int_equal(emul_guest_peek(&g, 0x14ff8, 8), 0xaa55aa55bb66bb66);
	BEGIN(INSN_LONG64, 0xc8, 0x10, 0x00, 0x01); /* nested */
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
	BEGIN(INSN_LONG64, 0xc9);
	g.gpr[GPR_RBP] = 0x6000;
	emul_guest_poke(&g, 0x6000, 8, 0x1234567812345678);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0x6008);
	assert_int_equal(g.gpr[GPR_RBP], 0x1234567812345678);
	BEGIN(INSN_REAL16, 0xc9);
	g.gpr[GPR_RSP] = 0xabcd1111;
	g.gpr[GPR_RBP] = 0xdcba6000;
	emul_guest_poke(&g, 0x6000, 2, 0x5678);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RSP], 0xabcd6002);
	assert_int_equal(g.gpr[GPR_RBP], 0xdcba5678);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_register),
		cmocka_unit_test(test_16_bit_stack),
		cmocka_unit_test(test_push_immediate),
		cmocka_unit_test(test_push_memory),
		cmocka_unit_test(test_pop),
		cmocka_unit_test(test_pop_fault_restores_rsp),
		cmocka_unit_test(test_call_and_return),
		cmocka_unit_test(test_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
