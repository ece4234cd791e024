/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against Zydis. The first byte picks the mode, the rest is the instruction. Whatever
 * Zydis accepts must have the same length here; what the emulator handles must be accepted by both
 * and have the same operands. Where the two may differ, is_foreign and
 * is_other_operand say why.
 */
#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "hv/api/backend.h"
#include "hv/base/bits.h"
#include "hv/emul/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	ZydisMachineMode machine;
	ZydisStackWidth stack;
} zydis_modes[] = {
	[INSN_REAL16] = {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
	[INSN_PROT16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
	[INSN_PROT32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
	[INSN_LONG64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
};

struct zydis {
	ZyanStatus status;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
};

static void fail(const char *what, const uint8_t *bytes, size_t n, const struct insn *insn,
		 const struct zydis *z)
{
	fprintf(stderr, "%s:", what);
	for (size_t i = 0; i < n && i < 16; i++) {
		fprintf(stderr, " %02x", bytes[i]);
	}
	fprintf(stderr, "\nhere: length %u map %u opcode %02x\nZydis: status %08x", insn->length,
		insn->map, insn->opcode, (unsigned)z->status);
	if (ZYAN_SUCCESS(z->status)) {
		fprintf(stderr, " length %u %s", z->insn.length,
			ZydisMnemonicGetString(z->insn.mnemonic));
	}
	fprintf(stderr, "\n");
	abort();
}

/*
 * Instructions that Zydis knows and that no CPU this hypervisor runs on has: VIA's PadLock
 * (0F A6, 0F A7), and what only the first Xeon Phi coprocessor had: MVEX (62 with bit 2 of the
 * third byte clear), jkzd and jknzd (VEX.0F 84 and 85).
 */
static bool is_foreign(const struct zydis *z)
{
	return z->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
	       (z->insn.opcode_map == ZYDIS_OPCODE_MAP_0F &&
		(z->insn.opcode == 0xa6 || z->insn.opcode == 0xa7)) ||
	       z->insn.mnemonic == ZYDIS_MNEMONIC_JKZD || z->insn.mnemonic == ZYDIS_MNEMONIC_JKNZD;
}

/*
 * Operands where Zydis is not followed. SIB.base 101 with mod 00 has no base and a 32-bit
 * displacement whatever REX.B says (SDM volume 2 "Special Cases of REX Encodings"); Zydis 4.0
 * names R13D there when prefix 67 is present. Near CALL and JMP (FF /2 and /4): Zydis takes 3E for
 * NOTRACK, so that an earlier override of another segment stays in force.
 */
static bool is_other_operand(const struct insn *insn)
{
	bool no_base = insn->mem && insn->addr_size == 4 && insn->modrm < 0x40 &&
		       (insn->modrm & 7) == 4 && insn->base == INSN_REG_NONE;
	bool near_branch = insn->map == INSN_MAP_ONE && insn->opcode == 0xff &&
			   ((insn->modrm & 0x38) == 0x10 || (insn->modrm & 0x38) == 0x20);

	return (no_base && (insn->rex & 1) != 0) || near_branch;
}

static bool is_emulated_one(uint8_t op)
{
	return (op < 0x40 && (op & 7) < 6) || (op >= 0x80 && op <= 0x8b) ||
	       (op >= 0xa0 && op <= 0xaf) || (op >= 0xc0 && op <= 0xc1) || op == 0xc6 ||
	       op == 0xc7 || (op >= 0xd0 && op <= 0xd3) || (op >= 0x6c && op <= 0x6f) ||
	       op == 0xf6 || op == 0xf7 || op == 0xfe || op == 0xff || op == 0x8f || op == 0x63;
}

static bool is_emulated_0f(uint8_t op)
{
	return op == 0x06 || op == 0x20 || op == 0x22 || (op & 0xf0) == 0x40 ||
	       (op & 0xf0) == 0x90 || op == 0xa3 || op == 0xab || (op & 0xfe) == 0xb0 ||
	       op == 0xb3 || op == 0xba || op == 0xbb || (op & 0xf6) == 0xb6 ||
	       (op & 0xfe) == 0xc0 || op == 0xc3;
}

/* The instructions for which both must agree that they exist. */
static bool is_emulated(const struct insn *insn)
{
	if (insn->map == INSN_MAP_ONE) {
		return is_emulated_one(insn->opcode);
	}
	if (insn->map == INSN_MAP_0F && insn->opcode == 0xc7) {
		return insn->mem && (insn->modrm & 0x38) == 8; /* CMPXCHG8B and CMPXCHG16B */
	}
	return insn->map == INSN_MAP_0F && is_emulated_0f(insn->opcode);
}

static unsigned reg_number(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE) {
		return INSN_REG_NONE;
	}
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP) {
		return INSN_REG_RIP;
	}
	return (unsigned)ZydisRegisterGetId(reg);
}

static bool same_memory(const struct insn *insn, const ZydisDecodedOperand *op)
{
	static const ZydisRegister segments[] = {
		[VCPU_SEG_ES] = ZYDIS_REGISTER_ES, [VCPU_SEG_CS] = ZYDIS_REGISTER_CS,
		[VCPU_SEG_SS] = ZYDIS_REGISTER_SS, [VCPU_SEG_DS] = ZYDIS_REGISTER_DS,
		[VCPU_SEG_FS] = ZYDIS_REGISTER_FS, [VCPU_SEG_GS] = ZYDIS_REGISTER_GS,
	};
	unsigned scale = op->mem.index == ZYDIS_REGISTER_NONE ? 0 : op->mem.scale;

	return insn->mem && insn->base == reg_number(op->mem.base) &&
	       insn->index == reg_number(op->mem.index) &&
	       (insn->index == INSN_REG_NONE || 1u << insn->scale == (scale == 0 ? 1 : scale)) &&
	       ((insn->disp ^ (uint64_t)op->mem.disp.value) & size_mask(insn->addr_size)) == 0 &&
	       op->mem.segment == segments[insn->segment];
}

static bool same_register(const struct insn *insn, const ZydisDecodedOperand *op)
{
	unsigned number = (unsigned)ZydisRegisterGetId(op->reg.value);

	if (ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_GPR8 && insn->rex == 0) {
		/* AL CL DL BL AH CH DH BH, then SPL and so on, which only REX can name. */
		number &= 7;
	} else if (ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_GPR8 && number >= 8) {
		number -= 4; /* after AH..BH */
	}
	if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ||
	    op->encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
		return number == insn->reg;
	}
	return op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
	       (!insn->mem && number == insn->rm);
}

static bool same_operand(const struct insn *insn, const ZydisDecodedOperand *op)
{
	if (op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) {
		return true;
	}
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		return op->encoding == ZYDIS_OPERAND_ENCODING_NONE || same_memory(insn, op);
	}
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		return same_register(insn, op);
	}
	return op->type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
	       op->encoding == ZYDIS_OPERAND_ENCODING_NONE ||
	       ((insn->imm ^ op->imm.value.u) & (~0ull >> (64 - op->size))) == 0;
}

static void compare_operands(const uint8_t *bytes, size_t n, const struct insn *insn,
			     const struct zydis *z)
{
	if (insn->addr_size * 8 != z->insn.address_width) {
		fail("address size", bytes, n, insn, z);
	}
	/* CMPXCHG8B is 8 bytes wide whatever 66 says; Zydis and this decoder report other sizes. */
	if (insn->width != 1 && insn->opcode != 0xc7 &&
	    insn->op_size * 8 != z->insn.operand_width) {
		fail("operand size", bytes, n, insn, z);
	}
	for (unsigned i = 0; i < z->insn.operand_count; i++) {
		if (!same_operand(insn, &z->ops[i])) {
			fail("operand", bytes, n, insn, z);
		}
	}
}

/* Every proper beginning of a valid instruction must ask for more. */
static void check_prefixes(const uint8_t *bytes, enum insn_mode mode, const struct insn *insn,
			   const struct zydis *z)
{
	struct insn part;

	for (size_t n = 0; n < insn->length; n++) {
		if (insn_decode(bytes, n, mode, &part) != DECODE_NEED_MORE) {
			fail("part of an instruction", bytes, n, insn, z);
		}
	}
}

static void compare(const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	struct insn insn = {0};
	struct zydis z;
	ZydisDecoder decoder;
	enum decode_status status = insn_decode(bytes, n, mode, &insn);

	ZydisDecoderInit(&decoder, zydis_modes[mode].machine, zydis_modes[mode].stack);
	z.status = ZydisDecoderDecodeFull(&decoder, bytes, n, &z.insn, z.ops);
	if (ZYAN_SUCCESS(z.status)) {
		if (is_foreign(&z)) {
			return;
		}
		if (status != DECODE_OK) {
			fail("not accepted here", bytes, n, &insn, &z);
		}
		if (status == DECODE_OK && insn.length != z.insn.length) {
			fail("length", bytes, n, &insn, &z);
		}
		if (status == DECODE_OK && is_emulated(&insn) && !is_other_operand(&insn)) {
			compare_operands(bytes, n, &insn, &z);
		}
	} else if (status == DECODE_OK && is_emulated(&insn)) {
		fail("accepted here only", bytes, n, &insn, &z);
	}
	if (status == DECODE_OK && (insn.length == 0 || insn.length > 15 || insn.length > n)) {
		fail("impossible length", bytes, n, &insn, &z);
	}
	if (status == DECODE_OK) {
		check_prefixes(bytes, mode, &insn, &z);
	}
	if (status == DECODE_NEED_MORE && n >= 15) {
		fail("wants more than 15 bytes", bytes, n, &insn, &z);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 2) {
		compare(data + 1, size - 1, (enum insn_mode)(data[0] & 3));
	}
	return 0;
}
