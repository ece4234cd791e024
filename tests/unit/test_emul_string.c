/* SPDX-License-Identifier: Apache-2.0 */
/* String instructions: repetition, direction, bounds per call, faults in the middle, ports. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "tests/fakes/emul_guest.h"

static struct emul_guest g;

static void begin(enum insn_mode mode, const uint8_t *code, size_t n)
{
	emul_guest_init(&g, mode);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RSI] = 0x2000;
	g.gpr[GPR_RDI] = 0x3000;
}

#define BEGIN(mode, ...) \
	begin(mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_single(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xa4); /* MOVSB, no REP: RCX does not count */
	g.gpr[GPR_RCX] = 0;
	emul_guest_poke(&g, 0x2000, 2, 0x1234);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x3000, 2), 0x34);
	assert_int_equal(g.gpr[GPR_RSI], 0x2001);
	assert_int_equal(g.gpr[GPR_RDI], 0x3001);
	assert_int_equal(g.gpr[GPR_RCX], 0);
	BEGIN(INSN_LONG64, 0x48, 0xad); /* LODSQ, backwards */
	g.c.rflags |= RFLAGS_DF;
	emul_guest_poke(&g, 0x2000, 8, 0x1122334455667788);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RAX], 0x1122334455667788);
	assert_int_equal(g.gpr[GPR_RSI], 0x1ff8);
}

static void test_rep_movs(void **state)
{
	(void)state;
	BEGIN(INSN_PROT32, 0xf3, 0xa5);
	g.gpr[GPR_RCX] = 3;
	memcpy(g.ram + 0x2000, "abcdefghijklmnop", 16);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_memory_equal(g.ram + 0x3000, "abcdefghijkl\0\0", 14);
	assert_int_equal(g.gpr[GPR_RCX], 0);
	assert_int_equal(g.gpr[GPR_RSI], 0x200c);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE + 2);
}

static void test_rep_zero(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xf3, 0xaa);
	g.gpr[GPR_RDI] = ~0ull << 40; /* not even looked at */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE + 2);
	BEGIN(INSN_LONG64, 0x67, 0xf3, 0xaa); /* ECX counts, not RCX */
	g.gpr[GPR_RCX] = 0x100000000;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RDI], 0x3000);
}

/* 16-bit addresses wrap inside the low half of the registers. */
static void test_16_bit_wrap(void **state)
{
	(void)state;
	BEGIN(INSN_REAL16, 0xf3, 0xaa);
	g.gpr[GPR_RAX] = 0x5a;
	g.gpr[GPR_RCX] = 0x770002;
	g.gpr[GPR_RDI] = 0x1234ffff;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RDI], 0x12340001);
	assert_int_equal(g.gpr[GPR_RCX], 0x770000);
	assert_int_equal(emul_guest_peek(&g, 0xffff, 1), 0x5a);
	assert_int_equal(emul_guest_peek(&g, 0, 1), 0x5a);
}

static void test_bounded(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xf3, 0xaa);
	g.gpr[GPR_RCX] = EMUL_REP_MAX + 44;
	g.gpr[GPR_RAX] = 0x5a;
	assert_int_equal(emul_guest_run(&g), EMUL_RESTART);
	assert_int_equal(g.gpr[GPR_RCX], 44);
	assert_int_equal(g.gpr[GPR_RDI], 0x3000 + EMUL_REP_MAX);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
	assert_true((g.c.rflags & RFLAGS_RF) != 0);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RCX], 0);
	assert_true((g.c.rflags & RFLAGS_RF) == 0);
	/* Exactly the bound is finished in one call. */
	BEGIN(INSN_LONG64, 0xf3, 0xaa);
	g.gpr[GPR_RCX] = EMUL_REP_MAX;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
}

static void test_compare(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xf3, 0xa6); /* REPE CMPSB */
	g.gpr[GPR_RCX] = 10;
	memcpy(g.ram + 0x2000, "same, then A", 12);
	memcpy(g.ram + 0x3000, "same, THEN A", 12);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RCX], 3);
	assert_int_equal(g.gpr[GPR_RSI], 0x2007);
	assert_true((g.c.rflags & RFLAGS_ZF) == 0);
	BEGIN(INSN_LONG64, 0xf2, 0xae); /* REPNE SCASB */
	g.gpr[GPR_RCX] = ~0ull;
	memcpy(g.ram + 0x3000, "length", 7);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(~g.gpr[GPR_RCX] - 1, 6);
	assert_true((g.c.rflags & RFLAGS_ZF) != 0);
}

/* The destination goes through ES whatever the prefix says; the source through the prefix. */
static void test_segments(void **state)
{
	(void)state;
	BEGIN(INSN_PROT32, 0x64, 0xa4);
	g.segs[VCPU_SEG_FS].base = 0x100;
	g.segs[VCPU_SEG_ES].base = 0x200;
	emul_guest_poke(&g, 0x2100, 1, 0x42);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x3200, 1), 0x42);
}

/* A limit in the middle: what was done shows, the flags do not. */
static void test_fault_in_the_middle(void **state)
{
	(void)state;
	BEGIN(INSN_PROT32, 0xf3, 0xa6);
	g.gpr[GPR_RCX] = 10;
	g.segs[VCPU_SEG_DS].limit = 0x2003;
	g.c.rflags |= RFLAGS_CF;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_GP);
	assert_true(g.c.exception.has_error);
	assert_int_equal(g.gpr[GPR_RCX], 6);
	assert_int_equal(g.gpr[GPR_RSI], 0x2004);
	assert_int_equal(g.c.rflags, RFLAGS_FIXED1 | RFLAGS_CF);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
}

static void test_device_not_read_when_destination_faults(void **state)
{
	(void)state;
	BEGIN(INSN_PROT32, 0xa5);
	g.gpr[GPR_RSI] = EMUL_GUEST_DEVICE;
	g.segs[VCPU_SEG_ES].limit = 0x2fff;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.log_count, 0);
	assert_int_equal(g.gpr[GPR_RSI], EMUL_GUEST_DEVICE);
}

static void test_single_step(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xf3, 0xaa);
	g.c.rflags |= RFLAGS_TF;
	g.gpr[GPR_RCX] = 2;
	assert_int_equal(emul_guest_run(&g), EMUL_RESTART);
	assert_true(g.c.single_step);
	assert_int_equal(g.gpr[GPR_RCX], 1);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_true(g.c.single_step);
}

static enum emul_status run_port(uint16_t port, uint8_t size)
{
	emul_begin(&g.c);
	g.c.io_port = port;
	g.c.io_size = size;
	return emulate(&g.c);
}

static void test_ports(void **state)
{
	(void)state;
	BEGIN(INSN_PROT32, 0xf3, 0x66, 0x6d); /* REP INSW */
	g.gpr[GPR_RCX] = 256;
	g.gpr[GPR_RDX] = 0xabcd01f0;
	g.device_value = 0x100;
	assert_int_equal(run_port(0x1f0, 2), EMUL_OK);
	assert_int_equal(g.log_count, 256);
	assert_int_equal(g.log[0].addr, 0x1f0);
	assert_int_equal(emul_guest_peek(&g, 0x3000, 4), 0x01010100);
	assert_int_equal(g.gpr[GPR_RDI], 0x3200);
	BEGIN(INSN_REAL16, 0x6e); /* OUTSB */
	g.gpr[GPR_RDX] = 0xe9;
	emul_guest_poke(&g, 0x2000, 1, 'x');
	assert_int_equal(run_port(0xe9, 1), EMUL_OK);
	assert_int_equal(g.log[0].kind, EMUL_GUEST_OUT);
	assert_int_equal(g.log[0].value, 'x');
	BEGIN(INSN_LONG64, 0x48, 0x6f); /* OUTSD: REX.W changes nothing */
	g.gpr[GPR_RDX] = 0xe9;
	assert_int_equal(run_port(0xe9, 4), EMUL_OK);
	assert_int_equal(g.log[0].size, 4);
}

/* REP INSW to `to`; whether all of it came, and in how many goes. */
static void insw(uint64_t to, uint64_t count, unsigned blocks)
{
	g.gpr[GPR_RCX] = count;
	g.gpr[GPR_RDX] = 0x1f0;
	g.gpr[GPR_RDI] = to;
	g.device_value = 0x100;
	assert_int_equal(run_port(0x1f0, 2), EMUL_OK);
	assert_int_equal(g.log_count, count);
	assert_int_equal(g.blocks, blocks);
	assert_int_equal(g.gpr[GPR_RCX], 0);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(emul_guest_peek(&g, to + i * 2, 2), 0x100 + i);
	}
}

/* What lies in one page goes at once; the word that lies in two goes by itself. */
static void test_ports_in_blocks(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xf3, 0x66, 0x6d);
	insw(0x3000, 256, 1);
	BEGIN(INSN_LONG64, 0xf3, 0x66, 0x6d);
	insw(0x3f00, 256, 2);
	BEGIN(INSN_LONG64, 0xf3, 0x66, 0x6d);
	insw(0x3ffb, 100, 2);
	BEGIN(INSN_LONG64, 0xf3, 0x66, 0x6d);
	insw(0x3000, 1, 0);
	BEGIN(INSN_LONG64, 0xf3, 0x6f); /* REP OUTSD */
	g.gpr[GPR_RCX] = 8;
	g.gpr[GPR_RDX] = 0x1f0;
	emul_guest_poke(&g, 0x2004, 4, 0x12345678);
	assert_int_equal(run_port(0x1f0, 4), EMUL_OK);
	assert_int_equal(g.blocks, 1);
	assert_int_equal(g.log[1].value, 0x12345678);
	assert_int_equal(g.gpr[GPR_RSI], 0x2020);
}

static void test_ports_one_by_one(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0xf3, 0x66, 0x6d); /* downwards */
	g.gpr[GPR_RCX] = 4;
	g.gpr[GPR_RDX] = 0x1f0;
	g.c.rflags |= RFLAGS_DF;
	assert_int_equal(run_port(0x1f0, 2), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RDI], 0x2ff8);
	assert_int_equal(g.blocks, 0);
	BEGIN(INSN_LONG64, 0xf3, 0x66, 0x6d); /* to a device */
	g.gpr[GPR_RCX] = 4;
	g.gpr[GPR_RDX] = 0x1f0;
	g.gpr[GPR_RDI] = EMUL_GUEST_DEVICE;
	assert_int_equal(run_port(0x1f0, 2), EMUL_OK);
	assert_int_equal(g.blocks, 0);
	assert_int_equal(g.log_count, 8);
	BEGIN(INSN_REAL16, 0xf3, 0x6c); /* the index wraps: all but the last byte before that */
	g.gpr[GPR_RCX] = 8;
	g.gpr[GPR_RDX] = 0x1f0;
	g.gpr[GPR_RDI] = 0xfffc;
	g.device_value = 1;
	assert_int_equal(run_port(0x1f0, 1), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0xfffc, 4), 0x04030201);
	assert_int_equal(emul_guest_peek(&g, 0, 4), 0x08070605);
	BEGIN(INSN_PROT32, 0xf3, 0x66, 0x6d); /* a limit: what lies before it is done */
	g.gpr[GPR_RCX] = 8;
	g.gpr[GPR_RDX] = 0x1f0;
	g.segs[VCPU_SEG_ES].limit = 0x3005;
	assert_int_equal(run_port(0x1f0, 2), EMUL_EXCEPTION);
	assert_int_equal(g.log_count, 3);
	assert_int_equal(g.gpr[GPR_RCX], 5);
}

/* Without the CPU's check of exactly this port and size nothing happens. */
static void test_port_not_checked(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x6c);
	g.gpr[GPR_RDX] = 0x64;
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
	assert_int_equal(run_port(0x60, 1), EMUL_UNHANDLED);
	assert_int_equal(run_port(0x64, 2), EMUL_UNHANDLED);
	assert_int_equal(g.log_count, 0);
	assert_int_equal(run_port(0x64, 1), EMUL_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_rep_movs),
		cmocka_unit_test(test_rep_zero),
		cmocka_unit_test(test_16_bit_wrap),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_fault_in_the_middle),
		cmocka_unit_test(test_device_not_read_when_destination_faults),
		cmocka_unit_test(test_single_step),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_ports_in_blocks),
		cmocka_unit_test(test_ports_one_by_one),
		cmocka_unit_test(test_port_not_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
