/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths, operands and refusals of the decoder; tests/fuzz/fuzz_decode.c compares with Zydis. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/backend.h"
#include "hv/api/vm.h"
#include "hv/emul/decode.h"

#define R16 INSN_REAL16
#define P16 INSN_PROT16
#define P32 INSN_PROT32
#define L64 INSN_LONG64
#define NONE INSN_REG_NONE

struct length_case {
	const char *name;
	enum insn_mode mode;
	uint8_t bytes[16];
	unsigned length; /* 0: invalid */
};

static const struct length_case lengths[] = {
	{"nop", L64, {0x90}, 1},
	{"mov eax,[rbx]", L64, {0x8b, 0x03}, 2},
	{"mov eax,[rbx+8]", L64, {0x8b, 0x43, 8}, 3},
	{"mov eax,[rip+x]", L64, {0x8b, 0x05, 1, 2, 3, 4}, 6},
	{"mov eax,[x] 32", P32, {0x8b, 0x05, 1, 2, 3, 4}, 6},
	{"mov ax,[x] 16", R16, {0x8b, 0x06, 1, 2}, 4},
	{"mov eax,[esp+d8]", L64, {0x8b, 0x44, 0x24, 4}, 4},
	{"mov eax,[rax*4+d32]", L64, {0x8b, 0x04, 0x85, 1, 2, 3, 4}, 7},
	{"mov rax,imm64", L64, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 10},
	{"mov ax,imm16", L64, {0x66, 0xb8, 1, 2}, 4},
	{"mov eax,moffs64", L64, {0xa1, 1, 2, 3, 4, 5, 6, 7, 8}, 9},
	{"mov eax,moffs32", L64, {0x67, 0xa1, 1, 2, 3, 4}, 6},
	{"mov al,moffs16", R16, {0xa0, 1, 2}, 3},
	{"mov [rbx],imm32", L64, {0xc7, 0x03, 1, 2, 3, 4}, 6},
	{"mov word [rbx],imm16", L64, {0x66, 0xc7, 0x03, 1, 2}, 5},
	{"mov qword [rbx],imm32", L64, {0x48, 0xc7, 0x03, 1, 2, 3, 4}, 7},
	{"test byte [rbx],imm", L64, {0xf6, 0x03, 1}, 3},
	{"not byte [rbx]", L64, {0xf6, 0x13}, 2},
	{"enter", L64, {0xc8, 1, 2, 3}, 4},
	{"call far 32", P32, {0x9a, 1, 2, 3, 4, 5, 6}, 7},
	{"call far 16", R16, {0x9a, 1, 2, 3, 4}, 5},
	{"call far in 64-bit mode", L64, {0x9a, 1, 2, 3, 4, 5, 6}, 0},
	{"call rel32", L64, {0xe8, 1, 2, 3, 4}, 5},
	{"call rel16", R16, {0xe8, 1, 2}, 3},
	{"jcc rel32", P32, {0x0f, 0x84, 1, 2, 3, 4}, 6},
	{"cpuid", L64, {0x0f, 0xa2}, 2},
	{"mov cr0,eax", P32, {0x0f, 0x22, 0x00}, 3},
	{"mov cr3,rax, mod ignored", L64, {0x0f, 0x22, 0x5d}, 3},
	{"mov cr1 does not exist", L64, {0x0f, 0x22, 0xc8}, 0},
	{"mov cr8,rax", L64, {0x44, 0x0f, 0x22, 0xc0}, 4},
	{"vzeroupper", L64, {0xc5, 0xf8, 0x77}, 3},
	{"vmovups ymm0,[rax]", L64, {0xc5, 0xfc, 0x10, 0x00}, 4},
	{"vpshufd with imm", L64, {0xc5, 0xf9, 0x70, 0xc1, 1}, 5},
	{"vex3 map 3", L64, {0xc4, 0xe3, 0x79, 0x0f, 0xc1, 1}, 6},
	{"vex after 66", L64, {0x66, 0xc5, 0xf8, 0x77}, 0},
	{"vex after rex", L64, {0x48, 0xc5, 0xf8, 0x77}, 0},
	{"les in 32-bit code", P32, {0xc4, 0x00}, 2},
	{"les with a register is vex", P32, {0xc5, 0xf8, 0x77}, 3},
	{"no vex in real mode", R16, {0xc5, 0xf8, 0x77}, 0},
	{"evex vmovups zmm", L64, {0x62, 0xf1, 0x7c, 0x48, 0x10, 0x40, 1}, 7},
	{"bound", P32, {0x62, 0x00}, 2},
	{"xop", L64, {0x8f, 0xe8, 0x78, 0xc0, 0xc1, 1}, 6},
	{"pop [rax]", L64, {0x8f, 0x00}, 2},
	{"3dnow", L64, {0x0f, 0x0f, 0xc1, 0xb4}, 4},
	{"extrq", L64, {0x66, 0x0f, 0x78, 0xc1, 1, 2}, 6},
	{"vmread", L64, {0x0f, 0x78, 0xc1}, 3},
	{"x87", L64, {0xdd, 0x45, 8}, 3},
	{"movbe", L64, {0x0f, 0x38, 0xf0, 0x03}, 4},
	{"hreset", L64, {0xf3, 0x0f, 0x3a, 0xf0, 0xc0, 1}, 6},
	{"crc32 of a register", L64, {0xf2, 0x0f, 0x38, 0xf0, 0xc0}, 5},
	{"bswap", L64, {0x49, 0x0f, 0xc9}, 3},
	{"palignr", L64, {0x66, 0x0f, 0x3a, 0x0f, 0xc1, 1}, 6},
	{"inc eax in 32-bit code", P32, {0x40}, 1},
	{"push es in 64-bit mode", L64, {0x06}, 0},
	{"lock add [rbx],eax", L64, {0xf0, 0x01, 0x03}, 3},
	{"lock add ebx,eax", L64, {0xf0, 0x01, 0xc3}, 0},
	{"lock mov", L64, {0xf0, 0x89, 0x03}, 0},
	{"lock cmp", L64, {0xf0, 0x39, 0x03}, 0},
	{"lock cmp imm", L64, {0xf0, 0x83, 0x3b, 1}, 0},
	{"lock bt", L64, {0xf0, 0x0f, 0xba, 0x23, 1}, 0},
	{"lock bts", L64, {0xf0, 0x0f, 0xba, 0x2b, 1}, 5},
	{"lock cmpxchg8b", L64, {0xf0, 0x0f, 0xc7, 0x0b}, 4},
	{"lock test", L64, {0xf0, 0x85, 0x03}, 0},
	{"lea of a register", L64, {0x8d, 0xc0}, 0},
	{"movnti of a register", L64, {0x0f, 0xc3, 0xc0}, 0},
	{"movbe of a register", L64, {0x0f, 0x38, 0xf0, 0xc0}, 0},
	{"mov cs", L64, {0x8e, 0xc8}, 0},
	{"segment 6", L64, {0x8c, 0x30}, 0},
	{"ff /7", L64, {0xff, 0x38}, 0},
	{"fe /2", L64, {0xfe, 0x10}, 0},
	{"arpl in real mode", R16, {0x63, 0x00}, 0},
	{"arpl", P16, {0x63, 0x00}, 2},
	{"14 prefixes",
	 L64,
	 {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90},
	 15},
};

static void test_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct length_case *t = &lengths[i];
		struct insn insn;
		enum decode_status status = insn_decode(t->bytes, 15, t->mode, &insn);

		if (status != (t->length != 0 ? DECODE_OK : DECODE_INVALID) ||
		    (t->length != 0 && insn.length != t->length)) {
			fail_msg("%s: status %d length %d", t->name, (int)status, insn.length);
		}
		for (size_t n = 0; n < t->length; n++) {
			if (insn_decode(t->bytes, n, t->mode, &insn) != DECODE_NEED_MORE) {
				fail_msg("%s cut to %zu bytes", t->name, n);
			}
		}
	}
}

static void test_too_long(void **state)
{
	uint8_t bytes[20];
	struct insn insn;

	(void)state;
	memset(bytes, 0x66, sizeof(bytes));
	assert_int_equal(insn_decode(bytes, 14, L64, &insn), DECODE_NEED_MORE);
	assert_int_equal(insn_decode(bytes, 15, L64, &insn), DECODE_TOO_LONG);
	assert_int_equal(insn_decode(bytes, 20, L64, &insn), DECODE_TOO_LONG);
	/* 14 prefixes and a two-byte instruction: one byte too many. */
	bytes[14] = 0x89;
	bytes[15] = 0x03;
	assert_int_equal(insn_decode(bytes, 16, L64, &insn), DECODE_TOO_LONG);
}

struct mem_case {
	const char *name;
	enum insn_mode mode;
	uint8_t bytes[15];
	uint8_t addr_size, segment, base, index, scale;
	uint64_t disp;
};

#define DS VCPU_SEG_DS
#define SS VCPU_SEG_SS

static const struct mem_case mems[] = {
	{"bx+si", R16, {0x8b, 0x00}, 2, DS, GPR_RBX, GPR_RSI, 0, 0},
	{"bp+di+d8", R16, {0x8b, 0x43, 0xff}, 2, SS, GPR_RBP, GPR_RDI, 0, ~0ull},
	{"disp16", R16, {0x8b, 0x06, 0x34, 0x12}, 2, DS, NONE, NONE, 0, 0x1234},
	{"bp+0", R16, {0x8b, 0x46, 0}, 2, SS, GPR_RBP, NONE, 0, 0},
	{"es:bx", R16, {0x26, 0x8b, 0x07}, 2, VCPU_SEG_ES, GPR_RBX, NONE, 0, 0},
	{"16-bit code, 32-bit address", R16, {0x67, 0x8b, 0x03}, 4, DS, GPR_RBX, NONE, 0, 0},
	{"32-bit code, 16-bit address", P32, {0x67, 0x8b, 0x07}, 2, DS, GPR_RBX, NONE, 0, 0},
	{"last segment wins", P32, {0x2e, 0x64, 0x8b, 0x03}, 4, VCPU_SEG_FS, GPR_RBX, NONE, 0, 0},
	{"ebp", P32, {0x8b, 0x45, 0x10}, 4, SS, GPR_RBP, NONE, 0, 0x10},
	{"esp+eax*2", P32, {0x8b, 0x04, 0x44}, 4, SS, GPR_RSP, GPR_RAX, 1, 0},
	{"no index", L64, {0x8b, 0x04, 0x24}, 8, SS, GPR_RSP, NONE, 0, 0},
	{"r12 index", L64, {0x42, 0x8b, 0x04, 0x23}, 8, DS, GPR_RBX, GPR_R12, 0, 0},
	{"r13 needs disp", L64, {0x41, 0x8b, 0x45, 0x7f}, 8, DS, GPR_R13, NONE, 0, 0x7f},
	{"sib without base, REX.B ignored",
	 L64,
	 {0x41, 0x8b, 0x04, 0x25, 0, 0, 0, 0x80},
	 8,
	 DS,
	 NONE,
	 NONE,
	 0,
	 0xffffffff80000000},
	{"rip", L64, {0x8b, 0x05, 0xff, 0xff, 0xff, 0xff}, 8, DS, INSN_REG_RIP, NONE, 0, ~0ull},
	{"eip", L64, {0x67, 0x8b, 0x05, 1, 0, 0, 0}, 4, DS, INSN_REG_RIP, NONE, 0, 1},
	{"gs", L64, {0x65, 0x8b, 0x03}, 8, VCPU_SEG_GS, GPR_RBX, NONE, 0, 0},
	{"ds prefix ignored after fs",
	 L64,
	 {0x64, 0x3e, 0x8b, 0x03},
	 8,
	 VCPU_SEG_FS,
	 GPR_RBX,
	 NONE,
	 0,
	 0},
	{"cs prefix ignored", L64, {0x2e, 0x8b, 0x45, 0}, 8, SS, GPR_RBP, NONE, 0, 0},
	{"moffs",
	 L64,
	 {0xa3, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x91},
	 8,
	 DS,
	 NONE,
	 NONE,
	 0,
	 0x9122334455667788},
};

static void test_memory_operands(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mems) / sizeof(mems[0]); i++) {
		const struct mem_case *t = &mems[i];
		struct insn insn;

		if (insn_decode(t->bytes, 15, t->mode, &insn) != DECODE_OK || !insn.mem ||
		    insn.addr_size != t->addr_size || insn.segment != t->segment ||
		    insn.base != t->base || insn.index != t->index || insn.disp != t->disp ||
		    (insn.index != NONE && insn.scale != t->scale)) {
			fail_msg("%s", t->name);
		}
	}
}

static struct insn decode64(const uint8_t *bytes)
{
	struct insn insn;

	assert_int_equal(insn_decode(bytes, 15, L64, &insn), DECODE_OK);
	return insn;
}

static void test_sizes_and_registers(void **state)
{
	struct insn i;

	(void)state;
	i = decode64((const uint8_t[15]){0x4d, 0x89, 0xc1}); /* mov r9,r8 */
	assert_int_equal(i.reg, 8);
	assert_int_equal(i.rm, 9);
	assert_int_equal(i.width, 8);
	i = decode64((const uint8_t[15]){0x66, 0x48, 0x89, 0x03}); /* REX.W wins over 66 */
	assert_int_equal(i.op_size, 8);
	i = decode64((const uint8_t[15]){0x48, 0x66, 0x89, 0x03}); /* REX not last: ignored */
	assert_int_equal(i.op_size, 2);
	assert_int_equal(i.rex, 0);
	i = decode64((const uint8_t[15]){0x88, 0x23}); /* mov [rbx],ah */
	assert_int_equal(i.width, 1);
	assert_int_equal(i.reg, 4);
	i = decode64((const uint8_t[15]){0x49, 0x0f, 0xcb}); /* bswap r11 */
	assert_int_equal(i.reg, 11);
	i = decode64((const uint8_t[15]){0x50}); /* push rax */
	assert_int_equal(i.op_size, 8);
	i = decode64((const uint8_t[15]){0xf2, 0xf3, 0xa4}); /* the last one counts */
	assert_int_equal(i.rep, 0xf3);
	i = decode64((const uint8_t[15]){0x83, 0xc0, 0xfe});
	assert_int_equal(i.imm, ~1ull);
	i = decode64((const uint8_t[15]){0x41, 0xb8, 0, 0, 0, 0x80}); /* mov r8d,imm */
	assert_int_equal(i.reg, 8);
	assert_int_equal(i.imm, 0xffffffff80000000);
}

static void test_fixed(void **state)
{
	static const uint8_t cpuid[] = {0x0f, 0xa2};
	static const uint8_t prefixed[] = {0x66, 0x2e, 0x48, 0x0f, 0xa2};
	static const uint8_t vmmcall[] = {0x0f, 0x01, 0xd9};
	static const uint8_t pause[] = {0xf3, 0x90, 0, 0};
	uint8_t many[20];

	(void)state;
	assert_int_equal(insn_length_fixed(cpuid, 2, L64, INSN_CPUID), 2);
	assert_int_equal(insn_length_fixed(cpuid, 1, L64, INSN_CPUID), 0);
	assert_int_equal(insn_length_fixed(cpuid, 0, L64, INSN_CPUID), 0);
	assert_int_equal(insn_length_fixed(cpuid, 2, L64, INSN_RDMSR), 0);
	assert_int_equal(insn_length_fixed(prefixed, 5, L64, INSN_CPUID), 5);
	/* 48 is DEC EAX outside 64-bit mode. */
	assert_int_equal(insn_length_fixed(prefixed, 5, P32, INSN_CPUID), 0);
	assert_int_equal(insn_length_fixed(vmmcall, 3, P16, INSN_VMMCALL), 3);
	assert_int_equal(insn_length_fixed(vmmcall, 3, P16, INSN_VMCALL), 0);
	assert_int_equal(insn_length_fixed(pause, 4, L64, INSN_PAUSE), 2);
	memset(many, 0x66, sizeof(many));
	many[14] = 0xf4;
	assert_int_equal(insn_length_fixed(many, 20, L64, INSN_HLT), 15);
	many[14] = 0x66;
	many[15] = 0xf4;
	assert_int_equal(insn_length_fixed(many, 20, L64, INSN_HLT), 0);
}

static void test_modes(void **state)
{
	(void)state;
	assert_int_equal(insn_mode_of(0, 0, 0, 0), R16);
	assert_int_equal(insn_mode_of(CR0_PE, 0, 0, SEG_DB), P32);
	assert_int_equal(insn_mode_of(CR0_PE, 0, 0, 0), P16);
	assert_int_equal(insn_mode_of(CR0_PE, 0, RFLAGS_VM, SEG_DB), R16);
	assert_int_equal(insn_mode_of(CR0_PE | CR0_PG, EFER_LMA, 0, SEG_L), L64);
	assert_int_equal(insn_mode_of(CR0_PE | CR0_PG, EFER_LMA, 0, SEG_DB), P32);
	/* L means nothing outside long mode. */
	assert_int_equal(insn_mode_of(CR0_PE, 0, 0, SEG_L), P16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_memory_operands), cmocka_unit_test(test_sizes_and_registers),
		cmocka_unit_test(test_fixed),		cmocka_unit_test(test_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
