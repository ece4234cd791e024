/* SPDX-License-Identifier: Apache-2.0 */
/* ALU, shift, bit and exchange instructions on memory and registers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "tests/fakes/emul_case.h"

#define L64 INSN_LONG64
#define P32 INSN_PROT32
#define R16 INSN_REAL16
#define CF RFLAGS_CF
#define PF RFLAGS_PF
#define AF RFLAGS_AF
#define ZF RFLAGS_ZF
#define SF RFLAGS_SF
#define OF RFLAGS_OF

static const struct emul_case cases[] = {
	{"add [rbx],eax",
	 L64,
	 {0x01, 0x03},
	 {.rax = 1, .mem = 0xffffffff},
	 {.rax = 1, .mem = 0, .flags = CF | PF | AF | ZF}},
	{"adc [rbx],al",
	 L64,
	 {0x10, 0x03},
	 {.rax = 0x7f, .mem = 0, .flags = CF},
	 {.rax = 0x7f, .mem = 0x80, .flags = AF | SF | OF}},
	{"sub rax,[rbx]",
	 L64,
	 {0x48, 0x2b, 0x03},
	 {.rax = 5, .mem = 7},
	 {.rax = ~1ull, .mem = 7, .flags = CF | AF | SF}},
	{"sbb eax,imm",
	 L64,
	 {0x1d, 0, 0, 0, 0},
	 {.rax = 0xffffffff00000000, .flags = CF},
	 {.rax = 0xffffffff, .flags = CF | AF | SF | PF}},
	{"or dword [rbx],imm8",
	 L64,
	 {0x83, 0x0b, 0x80},
	 {.mem = 0x1f},
	 {.mem = 0xffffff9f, .flags = SF | PF}},
	{"and word [bx],imm16",
	 R16,
	 {0x81, 0x27, 0xf0, 0x0f},
	 {.mem = 0x12345678},
	 {.mem = 0x12340670, .flags = 0}},
	{"xor byte [rbx],imm",
	 L64,
	 {0x80, 0x33, 0xff},
	 {.mem = 0x1234},
	 {.mem = 0x12cb, .flags = SF}},
	{"82 in 32-bit code", P32, {0x82, 0x03, 1}, {.mem = 0x0f}, {.mem = 0x10, .flags = AF}},
	{"cmp [rbx],imm8",
	 L64,
	 {0x80, 0x3b, 0x34},
	 {.mem = 0x1234},
	 {.mem = 0x1234, .flags = ZF | PF}},
	{"cmp eax,[rbx]",
	 L64,
	 {0x3b, 0x03},
	 {.rax = 1, .mem = 2},
	 {.rax = 1, .mem = 2, .flags = CF | AF | SF | PF}},
	{"test [rbx],eax",
	 L64,
	 {0x85, 0x03},
	 {.rax = 0x80000000, .mem = 0xc0000000},
	 {.rax = 0x80000000, .mem = 0xc0000000, .flags = SF | PF}},
	{"test byte [rbx],imm",
	 L64,
	 {0xf6, 0x03, 0x10},
	 {.mem = 0xef},
	 {.mem = 0xef, .flags = ZF | PF}},
	{"test dword [rbx],imm",
	 L64,
	 {0xf7, 0x03, 0, 0, 0, 1},
	 {.mem = 0x1000000},
	 {.mem = 0x1000000, .flags = PF}},
	{"test al,imm", L64, {0xa8, 1}, {.rax = 3}, {.rax = 3, .flags = 0}},
	{"not qword [rbx]",
	 L64,
	 {0x48, 0xf7, 0x13},
	 {.mem = 1, .flags = CF | ZF},
	 {.mem = ~1ull, .flags = CF | ZF}},
	{"neg byte [rbx]",
	 L64,
	 {0xf6, 0x1b},
	 {.mem = 0x101},
	 {.mem = 0x1ff, .flags = CF | AF | SF | PF}},
	{"inc word [rbx]",
	 L64,
	 {0x66, 0xff, 0x03},
	 {.mem = 0x1ffff, .flags = CF},
	 {.mem = 0x10000, .flags = CF | ZF | PF | AF}},
	{"dec byte [rbx]",
	 L64,
	 {0xfe, 0x0b},
	 {.mem = 0x100},
	 {.mem = 0x1ff, .flags = SF | PF | AF}},
	{"mul dword [rbx]",
	 L64,
	 {0xf7, 0x23},
	 {.rax = 0xffffffff80000000, .rdx = ~0ull, .mem = 4},
	 {.rax = 0, .rdx = 2, .mem = 4, .flags = CF | OF}},
	{"mul byte [rbx]",
	 L64,
	 {0xf6, 0x23},
	 {.rax = 0x1110, .mem = 0x10},
	 {.rax = 0x100, .mem = 0x10, .flags = CF | OF}},
	{"imul qword [rbx]",
	 L64,
	 {0x48, 0xf7, 0x2b},
	 {.rax = 2, .rdx = 9, .mem = BIT(63)},
	 {.rax = 0, .rdx = ~0ull, .mem = BIT(63), .flags = CF | OF | PF}},
	{"bsf ax,[rbx]",
	 L64,
	 {0x66, 0x0f, 0xbc, 0x03},
	 {.rax = 0x1122334455667788, .mem = 0xc0000000c000, .flags = ZF | CF},
	 {.rax = 0x112233445566000e, .mem = 0xc0000000c000, .flags = CF}},
	{"bsr rax,[rbx]",
	 L64,
	 {0x48, 0x0f, 0xbd, 0x03},
	 {.rax = 1, .mem = 0xc00000000000},
	 {.rax = 47, .mem = 0xc00000000000}},
	{"bsr eax,[rbx] of zero",
	 L64,
	 {0x0f, 0xbd, 0x03},
	 {.rax = 0x1122334455667788, .mem = 0xff00000000},
	 {.rax = 0x1122334455667788, .mem = 0xff00000000, .flags = ZF}},
	{"div byte [rbx]",
	 L64,
	 {0xf6, 0x33},
	 {.rax = 0x12345678ffff01ff, .mem = 0x10},
	 {.rax = 0x12345678ffff0f1f, .mem = 0x10}},
	{"div qword [rbx]",
	 L64,
	 {0x48, 0xf7, 0x33},
	 {.rax = 1, .rdx = 0x8000000000000000, .mem = 0xffffffffffffffff},
	 {.rax = 0x8000000000000000, .rdx = 0x8000000000000001, .mem = 0xffffffffffffffff}},
	{"idiv dword [rbx]",
	 L64,
	 {0xf7, 0x3b},
	 {.rax = 0xfffffff9, .rdx = 0xffffffff, .mem = 2},
	 {.rax = 0xfffffffd, .rdx = 0xffffffff, .mem = 2}},
	{"imul eax,[rbx],imm8",
	 L64,
	 {0x6b, 0x03, 0xff},
	 {.mem = 5},
	 {.rax = 0xfffffffb, .mem = 5, .flags = SF}},
	{"shl dword [rbx],4",
	 L64,
	 {0xc1, 0x23, 4},
	 {.mem = 0x18000001},
	 {.mem = 0x80000010, .flags = SF | CF}},
	{"shr byte [rbx],1", L64, {0xd0, 0x2b}, {.mem = 0x81}, {.mem = 0x40, .flags = CF | OF}},
	{"sar word [rbx],cl",
	 L64,
	 {0x66, 0xd3, 0x3b},
	 {.rcx = 0x123, .mem = 0x8000},
	 {.rcx = 0x123, .mem = 0xf000, .flags = SF | PF}},
	{"ror dword [rbx],1",
	 L64,
	 {0xd1, 0x0b},
	 {.mem = 1, .flags = ZF},
	 {.mem = 0x80000000, .flags = CF | OF | ZF}},
	{"shl by 32 is nothing",
	 L64,
	 {0xc1, 0x23, 32},
	 {.mem = 7, .flags = OF | CF},
	 {.mem = 7, .flags = OF | CF}},
	{"shld [rbx],eax,8",
	 L64,
	 {0x0f, 0xa4, 0x03, 8},
	 {.rax = 0xab000000, .mem = 0x12},
	 {.rax = 0xab000000, .mem = 0x12ab, .flags = 0}},
	{"bt [rbx],eax",
	 L64,
	 {0x0f, 0xa3, 0x03},
	 {.rax = 37, .mem = BIT(37)},
	 {.rax = 37, .mem = BIT(37), .flags = CF}},
	{"bts qword [rbx],imm",
	 L64,
	 {0x48, 0x0f, 0xba, 0x2b, 63},
	 {.mem = 1},
	 {.mem = BIT(63) | 1, .flags = 0}},
	{"btr dword [rbx],imm masked",
	 L64,
	 {0x0f, 0xba, 0x33, 32},
	 {.mem = 3},
	 {.mem = 2, .flags = CF}},
	{"btc [rbx+16],eax backwards",
	 L64,
	 {0x0f, 0xbb, 0x43, 16},
	 {.rax = (uint32_t)-100},
	 {.rax = (uint32_t)-100, .mem = BIT(28)}},
	{"bts [rbx+8],ax backwards",
	 L64,
	 {0x66, 0x0f, 0xab, 0x43, 8},
	 {.rax = 0xffff},
	 {.rax = 0xffff, .mem = BIT(63)}},
	{"bts ecx,eax",
	 L64,
	 {0x0f, 0xab, 0xc1},
	 {.rax = 35, .rcx = 0x100000000},
	 {.rax = 35, .rcx = 8, .flags = 0}},
	{"cmpxchg equal",
	 L64,
	 {0xf0, 0x0f, 0xb1, 0x0b},
	 {.rax = 5, .rcx = 9, .mem = 5},
	 {.rax = 5, .rcx = 9, .mem = 9, .flags = ZF | PF}},
	{"cmpxchg different",
	 L64,
	 {0x0f, 0xb1, 0x0b},
	 {.rax = ~4ull, .rcx = 9, .mem = 6},
	 {.rax = 6, .rcx = 9, .mem = 6, .flags = SF | PF}},
	{"cmpxchg of a register, different",
	 L64,
	 {0x0f, 0xb1, 0xca},
	 {.rax = 1, .rcx = 2, .rdx = 0xff00000003},
	 {.rax = 3, .rcx = 2, .rdx = 0xff00000003, .flags = CF | SF | AF}},
	{"cmpxchg8b different",
	 L64,
	 {0x0f, 0xc7, 0x0b},
	 {.rax = 1, .rdx = 2, .mem = 0x400000003},
	 {.rax = 3, .rdx = 4, .mem = 0x400000003, .flags = 0}},
	{"cmpxchg8b equal",
	 L64,
	 {0x0f, 0xc7, 0x0b},
	 {.rax = 3, .rcx = 7, .rdx = 4, .mem = 0x400000003},
	 {.rax = 3, .rcx = 7, .rdx = 4, .mem = 0x700002000, .flags = ZF}},
	{"xadd [rbx],cl",
	 L64,
	 {0x0f, 0xc0, 0x0b},
	 {.rcx = 0x102, .mem = 0xff},
	 {.rcx = 0x1ff, .mem = 0x01, .flags = CF | AF}},
	{"xadd eax,eax", L64, {0x0f, 0xc1, 0xc0}, {.rax = 4}, {.rax = 8, .flags = 0}},
};

static void test_cases(void **state)
{
	(void)state;
	emul_cases_run(cases, ARRAY_SIZE(cases));
}

static struct emul_guest g;

static void begin(const uint8_t *code, size_t n)
{
	emul_guest_init(&g, L64);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RBX] = EMUL_CASE_MEM;
	g.gpr[GPR_RAX] = 1;
}

/* LOCK goes through compare_exchange; when another CPU was faster nothing has happened. */
static void test_lock(void **state)
{
	static const uint8_t add[] = {0xf0, 0x01, 0x03};

	(void)state;
	begin(add, sizeof(add));
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.exchanges, 1);
	assert_int_equal(emul_guest_peek(&g, EMUL_CASE_MEM, 4), 1);
	begin(add + 1, sizeof(add) - 1);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.exchanges, 0);
	begin(add, sizeof(add));
	g.exchange_fails = true;
	assert_int_equal(emul_guest_run(&g), EMUL_RESTART);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
	assert_int_equal(g.c.rflags, RFLAGS_FIXED1);
	assert_int_equal(emul_guest_peek(&g, EMUL_CASE_MEM, 4), 0);
}

static void test_cmpxchg16b(void **state)
{
	static const uint8_t code[] = {0x48, 0x0f, 0xc7, 0x0b};

	(void)state;
	begin(code, sizeof(code));
	emul_guest_poke(&g, EMUL_CASE_MEM, 8, 1);
	emul_guest_poke(&g, EMUL_CASE_MEM + 8, 8, 2);
	g.gpr[GPR_RDX] = 2;
	g.gpr[GPR_RCX] = 0x77;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.c.rflags & ZF, ZF);
	assert_int_equal(emul_guest_peek(&g, EMUL_CASE_MEM, 8), EMUL_CASE_MEM);
	assert_int_equal(emul_guest_peek(&g, EMUL_CASE_MEM + 8, 8), 0x77);
	begin(code, sizeof(code));
	g.gpr[GPR_RBX] += 8;
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.vector, EXC_GP);
}

static void test_unhandled(void **state)
{
	static const uint8_t far_call[] = {0xff, 0x1b};
	static const uint8_t rdrand[] = {0x0f, 0xc7, 0xf0};

	(void)state;
	begin(far_call, sizeof(far_call));
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
	begin(rdrand, sizeof(rdrand));
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_cmpxchg16b),
		cmocka_unit_test(test_unhandled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
