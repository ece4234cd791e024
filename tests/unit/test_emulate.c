/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching over page and segment ends, given bytes, completion, and the decode-only helpers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "tests/fakes/emul_guest.h"

#define TABLES 0x10000u

static struct emul_guest g;

static void begin(enum insn_mode mode, const uint8_t *code, size_t n)
{
	emul_guest_init(&g, mode);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RBX] = 0x3000;
}

#define BEGIN(mode, ...) \
	begin(mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void assert_exception(unsigned vector, uint32_t error)
{
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, vector);
	assert_int_equal(g.c.exception.error, error);
}

/* 32-bit paging: pages map to themselves but for page 2, which is `second`. */
static void paging(uint64_t second)
{
	emul_guest_poke(&g, TABLES, 4, (TABLES + 0x1000) | PTE_P | PTE_W | PTE_A);
	for (unsigned i = 0; i < 16; i++) {
		emul_guest_poke(&g, TABLES + 0x1000 + i * 4, 4,
				i * PAGE_SIZE | PTE_P | PTE_W | PTE_A | PTE_D);
	}
	emul_guest_poke(&g, TABLES + 0x1000 + 2 * 4, 4, second);
	g.c.walk.cr0 |= CR0_PG;
	g.c.walk.cr3 = TABLES;
}

static const uint8_t store_imm[] = {0xc7, 0x03, 0x78, 0x56, 0x34, 0x12};

static void test_fetch_over_a_page_end(void **state)
{
	(void)state;
	begin(INSN_PROT32, store_imm, 0);
	memcpy(g.ram + 0x1ffd, store_imm, 3);
	memcpy(g.ram + 0x5000, store_imm + 3, 3);
	g.c.rip = 0x1ffd;
	paging(0x5000 | PTE_P | PTE_A);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x3000, 4), 0x12345678);
	assert_int_equal(g.c.rip, 0x2003);
	g.c.rip = 0x1ffd;
	paging(0);
	assert_exception(EXC_PF, 0);
	assert_int_equal(g.c.exception_payload, 0x2000);
	/* An instruction that ends at the page's end needs nothing from the next one. */
	g.c.rip = 0x1ffe;
	memcpy(g.ram + 0x1ffe, (const uint8_t[]){0x89, 0x03}, 2);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
}

static void test_fetch_over_the_segment_end(void **state)
{
	(void)state;
	begin(INSN_PROT32, store_imm, sizeof(store_imm));
	g.segs[VCPU_SEG_CS].limit = EMUL_GUEST_CODE + 4;
	assert_exception(EXC_GP, 0);
	g.segs[VCPU_SEG_CS].limit = EMUL_GUEST_CODE + 5;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	g.segs[VCPU_SEG_CS].base = 0x800;
	g.c.rip = EMUL_GUEST_CODE - 0x800;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
}

/* Four levels map everything to page 5, so that only the address itself can be at fault. */
static void test_fetch_over_the_canonical_end(void **state)
{
	(void)state;
	begin(INSN_LONG64, store_imm, 0);
	for (unsigned i = 0; i < 512; i++) {
		uint64_t flags = PTE_P | PTE_W | PTE_A | PTE_D;

		emul_guest_poke(&g, TABLES + i * 8, 8, (TABLES + 0x1000) | flags);
		emul_guest_poke(&g, TABLES + 0x1000 + i * 8, 8, (TABLES + 0x2000) | flags);
		emul_guest_poke(&g, TABLES + 0x2000 + i * 8, 8, (TABLES + 0x3000) | flags);
		emul_guest_poke(&g, TABLES + 0x3000 + i * 8, 8, 0x5000 | flags);
	}
	g.c.walk.cr0 |= CR0_PG;
	g.c.walk.cr4 |= CR4_PAE;
	g.c.walk.cr3 = TABLES;
	memcpy(g.ram + 0x5ffd, store_imm, 3);
	memcpy(g.ram + 0x5000, store_imm + 3, 3);
	g.c.rip = 0x7ffffffffffd;
	assert_exception(EXC_GP, 0);
	g.c.rip = 0x6ffffffffffd;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x5000, 4), 0x12345678);
}

static void test_refused(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x06);
	assert_exception(EXC_UD, 0);
	assert_false(g.c.exception.has_error);
	begin(INSN_LONG64, store_imm, 0);
	memset(g.ram + EMUL_GUEST_CODE, 0x66, 20);
	assert_exception(EXC_GP, 0);
	g.c.rip = 0x70000000; /* no memory */
	assert_int_equal(emul_guest_run(&g), EMUL_STOP);
	BEGIN(INSN_LONG64, 0x0f, 0xa2);
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
}

/* Bytes from the CPU are used as far as they go. */
static void test_given_bytes(void **state)
{
	static const uint8_t nops[] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90};

	(void)state;
	begin(INSN_LONG64, nops, sizeof(nops));
	emul_begin(&g.c);
	g.c.bytes = store_imm;
	g.c.bytes_count = sizeof(store_imm);
	assert_int_equal(emulate(&g.c), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x3000, 4), 0x12345678);
	begin(INSN_LONG64, store_imm, sizeof(store_imm));
	emul_begin(&g.c);
	g.c.bytes = store_imm;
	g.c.bytes_count = 3;
	assert_int_equal(emulate(&g.c), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x3000, 4), 0x12345678);
}

static void test_advance(void **state)
{
	(void)state;
	emul_guest_init(&g, INSN_PROT32);
	g.c.rip = 0xfffffffe;
	g.c.rflags |= RFLAGS_RF | RFLAGS_TF;
	emul_advance(&g.c, 3);
	assert_int_equal(g.c.rip, 1);
	assert_true(g.c.single_step);
	assert_true((g.c.rflags & RFLAGS_RF) == 0);
	emul_guest_init(&g, INSN_LONG64);
	g.c.rip = 0xfffffffe;
	emul_advance(&g.c, 3);
	assert_int_equal(g.c.rip, 0x100000001);
	assert_false(g.c.single_step);
}

static void test_control_registers(void **state)
{
	struct vm_exit_cr cr;

	(void)state;
	BEGIN(INSN_LONG64, 0x41, 0x0f, 0x22, 0xd9); /* mov cr3,r9 */
	assert_int_equal(emul_cr_access(&g.c, &cr), EMUL_OK);
	assert_true(cr.decoded && cr.write && !cr.clts && !cr.lmsw);
	assert_int_equal(cr.cr, 3);
	assert_int_equal(cr.gpr, GPR_R9);
	BEGIN(INSN_LONG64, 0x44, 0x0f, 0x20, 0xc0); /* mov rax,cr8 */
	assert_int_equal(emul_cr_access(&g.c, &cr), EMUL_OK);
	assert_false(cr.write);
	assert_int_equal(cr.cr, 8);
	BEGIN(INSN_REAL16, 0x0f, 0x06);
	assert_int_equal(emul_cr_access(&g.c, &cr), EMUL_OK);
	assert_true(cr.clts);
	BEGIN(INSN_REAL16, 0x0f, 0x01, 0x37); /* lmsw [bx] */
	emul_guest_poke(&g, 0x3000, 4, 0xabcd0011);
	assert_int_equal(emul_cr_access(&g.c, &cr), EMUL_OK);
	assert_true(cr.lmsw && cr.write);
	assert_int_equal(cr.lmsw_value, 0x11);
	BEGIN(INSN_REAL16, 0x0f, 0x01, 0xf3); /* lmsw bx */
	assert_int_equal(emul_cr_access(&g.c, &cr), EMUL_OK);
	assert_int_equal(cr.lmsw_value, 0x3000);
	BEGIN(INSN_LONG64, 0x0f, 0x23, 0xfb); /* mov dr7,rbx */
	assert_int_equal(emul_cr_access(&g.c, &cr), EMUL_UNHANDLED);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetch_over_a_page_end),
		cmocka_unit_test(test_fetch_over_the_segment_end),
		cmocka_unit_test(test_fetch_over_the_canonical_end),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_given_bytes),
		cmocka_unit_test(test_advance),
		cmocka_unit_test(test_control_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
