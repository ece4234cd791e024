/* SPDX-License-Identifier: Apache-2.0 */
/* MOV in all forms, extensions, XCHG, CMOVcc, SETcc, XLAT, cache-line instructions. */
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
#define OLD 0x1122334455667788ull
#define A 0xaaaabbbbccccddddull

static const struct emul_case cases[] = {
	{"mov [rbx],al",
	 L64,
	 {0x88, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = A, .mem = 0x11223344556677dd}},
	{"mov [rbx],ah",
	 L64,
	 {0x88, 0x23},
	 {.rax = A, .mem = OLD},
	 {.rax = A, .mem = 0x11223344556677dd}},
	{"mov [rbx],ax",
	 L64,
	 {0x66, 0x89, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = A, .mem = 0x112233445566dddd}},
	{"mov [rbx],eax",
	 L64,
	 {0x89, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = A, .mem = 0x11223344ccccdddd}},
	{"mov [rbx],rax", L64, {0x48, 0x89, 0x03}, {.rax = A, .mem = OLD}, {.rax = A, .mem = A}},
	{"mov al,[rbx]",
	 L64,
	 {0x8a, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0xaaaabbbbccccdd88, .mem = OLD}},
	{"mov ah,[rbx]",
	 L64,
	 {0x8a, 0x23},
	 {.rax = A, .mem = OLD},
	 {.rax = 0xaaaabbbbcccc88dd, .mem = OLD}},
	{"mov ax,[rbx]",
	 L64,
	 {0x66, 0x8b, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0xaaaabbbbcccc7788, .mem = OLD}},
	{"mov eax,[rbx]",
	 L64,
	 {0x8b, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0x55667788, .mem = OLD}},
	{"mov rax,[rbx]",
	 L64,
	 {0x48, 0x8b, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = OLD, .mem = OLD}},
	{"mov eax,[bx]",
	 R16,
	 {0x66, 0x8b, 0x07},
	 {.rax = A, .mem = OLD},
	 {.rax = 0x55667788, .mem = OLD}},
	{"mov [bx],ax",
	 R16,
	 {0x89, 0x07},
	 {.rax = A, .mem = OLD},
	 {.rax = A, .mem = 0x112233445566dddd}},
	{"mov byte [rbx],imm", L64, {0xc6, 0x03, 0x99}, {.mem = OLD}, {.mem = 0x1122334455667799}},
	{"mov word [rbx],imm",
	 L64,
	 {0x66, 0xc7, 0x03, 0x34, 0x12},
	 {.mem = OLD},
	 {.mem = 0x1122334455661234}},
	{"mov dword [rbx],imm",
	 P32,
	 {0xc7, 0x03, 1, 0, 0, 0x80},
	 {.mem = OLD},
	 {.mem = 0x1122334480000001}},
	{"mov qword [rbx],imm",
	 L64,
	 {0x48, 0xc7, 0x03, 1, 0, 0, 0x80},
	 {.mem = OLD},
	 {.mem = 0xffffffff80000001}},
	{"mov eax,moffs",
	 L64,
	 {0xa1, 0, 0x20, 0, 0, 0, 0, 0, 0},
	 {.mem = OLD},
	 {.rax = 0x55667788, .mem = OLD}},
	{"mov moffs,al",
	 P32,
	 {0xa2, 2, 0x20, 0, 0},
	 {.rax = 0x99, .mem = OLD},
	 {.rax = 0x99, .mem = 0x1122334455997788}},
	{"mov moffs16,eax",
	 R16,
	 {0x66, 0xa3, 0, 0x20},
	 {.rax = A, .mem = OLD},
	 {.rax = A, .mem = 0x11223344ccccdddd}},
	{"mov [rbx],ds", L64, {0x48, 0x8c, 0x1b}, {.mem = OLD}, {.mem = 0x1122334455660020}},
	{"mov eax,fs", L64, {0x8c, 0xe0}, {.rax = A, .mem = OLD}, {.rax = 0x28, .mem = OLD}},
	{"mov ax,fs",
	 L64,
	 {0x66, 0x8c, 0xe0},
	 {.rax = A, .mem = OLD},
	 {.rax = 0xaaaabbbbcccc0028, .mem = OLD}},
	{"movzx eax,byte",
	 L64,
	 {0x0f, 0xb6, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0x88, .mem = OLD}},
	{"movzx ax,byte",
	 L64,
	 {0x66, 0x0f, 0xb6, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0xaaaabbbbcccc0088, .mem = OLD}},
	{"movzx rax,word",
	 L64,
	 {0x48, 0x0f, 0xb7, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0x7788, .mem = OLD}},
	{"movsx eax,byte",
	 L64,
	 {0x0f, 0xbe, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0xffffff88, .mem = OLD}},
	{"movsx rax,word",
	 L64,
	 {0x48, 0x0f, 0xbf, 0x03},
	 {.mem = 0x8000},
	 {.rax = 0xffffffffffff8000, .mem = 0x8000}},
	{"movsxd rax,dword",
	 L64,
	 {0x48, 0x63, 0x03},
	 {.mem = 0x80000000},
	 {.rax = 0xffffffff80000000, .mem = 0x80000000}},
	{"movsxd eax,dword",
	 L64,
	 {0x63, 0x03},
	 {.rax = A, .mem = 0x80000000},
	 {.rax = 0x80000000, .mem = 0x80000000}},
	{"movbe eax,[rbx]",
	 L64,
	 {0x0f, 0x38, 0xf0, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0x88776655, .mem = OLD}},
	{"movbe [rbx],ax",
	 L64,
	 {0x66, 0x0f, 0x38, 0xf1, 0x03},
	 {.rax = 0x1234, .mem = 0},
	 {.rax = 0x1234, .mem = 0x3412}},
	{"movbe rax,[rbx]",
	 L64,
	 {0x48, 0x0f, 0x38, 0xf0, 0x03},
	 {.mem = OLD},
	 {.rax = 0x8877665544332211, .mem = OLD}},
	{"movnti [rbx],rax", L64, {0x48, 0x0f, 0xc3, 0x03}, {.rax = A}, {.rax = A, .mem = A}},
	{"xchg [rbx],eax",
	 L64,
	 {0x87, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0x55667788, .mem = 0x11223344ccccdddd}},
	{"xchg al,cl", L64, {0x86, 0xc8}, {.rax = 0x12, .rcx = 0x34}, {.rax = 0x34, .rcx = 0x12}},
	{"cmovz taken",
	 L64,
	 {0x0f, 0x44, 0x03},
	 {.rax = A, .mem = OLD, .flags = RFLAGS_ZF},
	 {.rax = 0x55667788, .mem = OLD, .flags = RFLAGS_ZF}},
	{"cmovz not taken clears the upper half",
	 L64,
	 {0x0f, 0x44, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = 0xccccdddd, .mem = OLD}},
	{"cmovz ax not taken",
	 L64,
	 {0x66, 0x0f, 0x44, 0x03},
	 {.rax = A, .mem = OLD},
	 {.rax = A, .mem = OLD}},
	{"setc [rbx]",
	 L64,
	 {0x0f, 0x92, 0x03},
	 {.mem = OLD, .flags = RFLAGS_CF},
	 {.mem = 0x1122334455667701, .flags = RFLAGS_CF}},
	{"setnc [rbx]",
	 L64,
	 {0x0f, 0x93, 0x03},
	 {.mem = OLD, .flags = RFLAGS_CF},
	 {.mem = 0x1122334455667700, .flags = RFLAGS_CF}},
	{"xlat", L64, {0xd7}, {.rax = 0xff06, .mem = OLD}, {.rax = 0xff22, .mem = OLD}},
	{"clflush [rbx]", L64, {0x0f, 0xae, 0x3b}, {.mem = OLD}, {.mem = OLD}},
	{"RF is cleared", L64, {0x88, 0x03}, {.flags = RFLAGS_RF}, {.flags = 0}},
};

static void test_cases(void **state)
{
	(void)state;
	emul_cases_run(cases, ARRAY_SIZE(cases));
}

static struct emul_guest g;

/* A device is accessed once, with the size of the operand, and XCHG is an exchange. */
static void test_device(void **state)
{
	(void)state;
	emul_guest_init(&g, L64);
	emul_guest_code(&g, (const uint8_t[]){0x87, 0x03}, 2);
	g.gpr[GPR_RBX] = EMUL_GUEST_DEVICE + 0x20;
	g.gpr[GPR_RAX] = 0x12345678;
	g.device_value = 0xfee1dead;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RAX], 0xfee1dead);
	assert_int_equal(g.log_count, 2);
	assert_int_equal(g.log[0].kind, EMUL_GUEST_READ);
	assert_int_equal(g.log[1].kind, EMUL_GUEST_WRITE);
	assert_int_equal(g.log[1].addr, EMUL_GUEST_DEVICE + 0x20);
	assert_int_equal(g.log[1].size, 4);
	assert_int_equal(g.log[1].value, 0x12345678);
	assert_int_equal(g.exchanges, 1);
}

static void assert_unhandled(const uint8_t *code, size_t n)
{
	emul_guest_init(&g, L64);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RBX] = EMUL_GUEST_DEVICE;
	assert_int_equal(emul_guest_run(&g), EMUL_UNHANDLED);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
	assert_int_equal(g.log_count, 0);
}

static void test_unhandled(void **state)
{
	(void)state;
	assert_unhandled((const uint8_t[]){0xc6, 0xf8, 1}, 3);		      /* XABORT */
	assert_unhandled((const uint8_t[]){0x0f, 0xae, 0x03}, 3);	      /* FXSAVE */
	assert_unhandled((const uint8_t[]){0xf2, 0x0f, 0x38, 0xf0, 0x03}, 5); /* CRC32 */
	assert_unhandled((const uint8_t[]){0xd9, 0x03}, 2);		      /* FLD */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_unhandled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
