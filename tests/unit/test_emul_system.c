/* SPDX-License-Identifier: Apache-2.0 */
/* SMSW, and JMP and CALL through memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/cpu/regs.h"
#include "tests/fakes/emul_guest.h"

static struct emul_guest g;

static void begin(enum insn_mode mode, const uint8_t *code, size_t n)
{
	emul_guest_init(&g, mode);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RBX] = 0x2000;
	g.gpr[GPR_RSP] = 0x5000;
	emul_guest_poke(&g, 0x2000, 8, ~0ull);
}

#define BEGIN(mode, ...) \
	begin(mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void raises(enum exception_vector vector)
{
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, vector);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
	assert_int_equal(g.gpr[GPR_RSP], 0x5000);
}

static void smsw_stores_16_bits(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x48, 0x0f, 0x01, 0x23); /* REX.W changes nothing */
	g.c.walk.cr0 = 0x60010033;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x2000, 8), 0xffffffffffff0033);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE + 4);
}

static void umip_hides_it_from_programs(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x0f, 0x01, 0x23);
	g.c.walk.cr4 |= CR4_UMIP;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	BEGIN(INSN_LONG64, 0x0f, 0x01, 0x23);
	g.c.walk.cr4 |= CR4_UMIP;
	g.c.cpl = 3;
	raises(EXC_GP);
}

static void others_of_the_group_are_unknown(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x0f, 0x01, 0x13); /* LGDT */
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
	BEGIN(INSN_LONG64, 0xff, 0x1b); /* far CALL */
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
}

static void jmp_goes_where_memory_says(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xff, 0x23);
	emul_guest_poke(&g, 0x2000, 8, 0xffff800000001234);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 0xffff800000001234);
	BEGIN(INSN_PROT32, 0xff, 0x23);
	emul_guest_poke(&g, 0x2000, 4, 0x3); /* below the instruction's own length */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 3);
	BEGIN(INSN_REAL16, 0xff, 0x27); /* JMP [BX] */
	emul_guest_poke(&g, 0x2000, 4, 0x12345678);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 0x5678);
}

static void jmp_refuses_what_is_no_address(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xff, 0x23);
	emul_guest_poke(&g, 0x2000, 8, 0xaaaaaaaaaaaaaaaa);
	raises(EXC_GP);
	BEGIN(INSN_PROT32, 0xff, 0x23);
	g.segs[VCPU_SEG_CS].limit = 0xffff;
	emul_guest_poke(&g, 0x2000, 4, 0x10000);
	raises(EXC_GP);
}

static void call_leaves_the_way_back(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xff, 0x13);
	emul_guest_poke(&g, 0x2000, 8, 0x4000);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, 0x4000);
	assert_int_equal(g.gpr[GPR_RSP], 0x4ff8);
	assert_int_equal(emul_guest_peek(&g, 0x4ff8, 8), EMUL_GUEST_CODE + 2);
	/* Nothing is pushed for a target that is none. */
	BEGIN(INSN_LONG64, 0xff, 0x13);
	emul_guest_poke(&g, 0x2000, 8, 0xaaaaaaaaaaaaaaaa);
	raises(EXC_GP);
	assert_int_equal(emul_guest_peek(&g, 0x4ff8, 8), 0);
}

/* A stack that faults must not cost the device a read. */
static void call_reads_a_device_last(void **state)
{
	(void)state;
	BEGIN(INSN_PROT32, 0xff, 0x13);
	g.gpr[GPR_RBX] = EMUL_GUEST_DEVICE;
	g.segs[VCPU_SEG_SS].limit = 0x1000;
	raises(EXC_SS);
	assert_int_equal(g.log_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smsw_stores_16_bits),
		cmocka_unit_test(umip_hides_it_from_programs),
		cmocka_unit_test(others_of_the_group_are_unknown),
		cmocka_unit_test(jmp_goes_where_memory_says),
		cmocka_unit_test(jmp_refuses_what_is_no_address),
		cmocka_unit_test(call_leaves_the_way_back),
		cmocka_unit_test(call_reads_a_device_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
