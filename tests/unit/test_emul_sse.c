/* SPDX-License-Identifier: Apache-2.0 */
/* SSE moves between memory and registers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/emul_guest.h"

#define LOW 0x1122334455667788ull
#define HIGH 0x99aabbccddeeff00ull

static struct emul_guest g;

static void begin(const uint8_t *code, size_t n)
{
	emul_guest_init(&g, INSN_LONG64);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RBX] = 0x2000;
	g.xmm[1][0] = LOW;
	g.xmm[1][1] = HIGH;
	emul_guest_poke(&g, 0x2000, 8, HIGH);
	emul_guest_poke(&g, 0x2008, 8, LOW);
}

#define BEGIN(...) begin((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void assert_loads(uint64_t low, uint64_t high)
{
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.xmm[1][0], low);
	assert_int_equal(g.xmm[1][1], high);
}

static void assert_stores(uint64_t low, uint64_t high)
{
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x2000, 8), low);
	assert_int_equal(emul_guest_peek(&g, 0x2008, 8), high);
}

static void test_loads(void **state)
{
	(void)state;
	BEGIN(0x0f, 0x10, 0x0b); /* MOVUPS */
	assert_loads(HIGH, LOW);
	BEGIN(0x66, 0x0f, 0x6f, 0x0b); /* MOVDQA */
	assert_loads(HIGH, LOW);
	BEGIN(0xf3, 0x0f, 0x10, 0x0b); /* MOVSS clears the rest */
	assert_loads(HIGH & 0xffffffff, 0);
	BEGIN(0xf2, 0x0f, 0x10, 0x0b); /* MOVSD */
	assert_loads(HIGH, 0);
	BEGIN(0xf3, 0x0f, 0x7e, 0x0b); /* MOVQ */
	assert_loads(HIGH, 0);
	BEGIN(0x66, 0x0f, 0x6e, 0x0b); /* MOVD */
	assert_loads(HIGH & 0xffffffff, 0);
	BEGIN(0x66, 0x48, 0x0f, 0x6e, 0x0b);
	assert_loads(HIGH, 0);
}

static void test_stores(void **state)
{
	(void)state;
	BEGIN(0x0f, 0x29, 0x0b); /* MOVAPS */
	assert_stores(LOW, HIGH);
	BEGIN(0x66, 0x0f, 0xe7, 0x0b); /* MOVNTDQ */
	assert_stores(LOW, HIGH);
	BEGIN(0x66, 0x0f, 0xd6, 0x0b); /* MOVQ */
	assert_stores(LOW, LOW);
	BEGIN(0x66, 0x0f, 0x7e, 0x0b); /* MOVD */
	assert_stores((HIGH & ~0xffffffffull) | (LOW & 0xffffffff), LOW);
}

/* 16 bytes that cross into the second page, in pieces that a device can take. */
static void test_unaligned(void **state)
{
	(void)state;
	BEGIN(0xf3, 0x0f, 0x7f, 0x0b); /* MOVDQU */
	g.gpr[GPR_RBX] = 0x2ffd;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x2ffd, 8), LOW);
	assert_int_equal(emul_guest_peek(&g, 0x3005, 8), HIGH);
	BEGIN(0x66, 0x0f, 0x7f, 0x0b); /* MOVDQA */
	g.gpr[GPR_RBX] = 0x2ff8;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_GP);
}

/* REX.R does not reach them, and CR4.OSFXSR is not asked. */
static void test_mmx(void **state)
{
	(void)state;
	BEGIN(0x44, 0x0f, 0x6f, 0x0b);
	g.c.walk.cr4 = 0;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.xmm[EMUL_MMX_FIRST + 1][0], HIGH);
	assert_int_equal(g.xmm[1][0], LOW);
	BEGIN(0x0f, 0x7f, 0x0b);
	g.xmm[EMUL_MMX_FIRST + 1][0] = 0x0102030405060708;
	assert_stores(0x0102030405060708, LOW);
	BEGIN(0x0f, 0x7f, 0x0b);
	g.c.walk.cr0 |= CR0_EM;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_UD);
}

static void test_not_available(void **state)
{
	struct emul_ops ops;

	(void)state;
	BEGIN(0x0f, 0x10, 0x0b);
	g.c.walk.cr0 |= CR0_TS;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_NM);
	assert_false(g.c.exception.has_error);
	BEGIN(0x0f, 0x10, 0x0b);
	g.c.walk.cr4 = 0;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_UD);
	BEGIN(0x0f, 0x10, 0x0b);
	ops = *g.c.ops;
	ops.get_xmm = NULL;
	ops.set_xmm = NULL;
	g.c.ops = &ops;
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
	BEGIN(0x0f, 0x10, 0xc8); /* no memory */
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),	      cmocka_unit_test(test_stores),
		cmocka_unit_test(test_unaligned),     cmocka_unit_test(test_mmx),
		cmocka_unit_test(test_not_available),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
