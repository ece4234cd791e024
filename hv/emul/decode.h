/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86 instruction decoder: bytes in, lengths and operands out. It touches no hardware and no
 * guest memory. Lengths are right for every valid instruction of the legacy, VEX, EVEX and XOP
 * encodings; operands are filled in for everything that has a ModRM byte or immediates.
 *
 * Sources: Intel SDM volume 2 "Instruction Format" and "Opcode Map", AMD APM volume 3 "Instruction
 * Encoding" and "Opcode and Operand Encodings".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/regs.h"

/* What decides how bytes are read: the width of the code segment and whether VEX exists. */
enum insn_mode {
	INSN_REAL16, /* real and virtual-8086 mode: no VEX, EVEX or XOP */
	INSN_PROT16,
	INSN_PROT32,
	INSN_LONG64,
};

enum decode_status {
	DECODE_OK,
	DECODE_NEED_MORE, /* the instruction goes on past the bytes given */
	DECODE_INVALID,	  /* #UD */
	DECODE_TOO_LONG,  /* more than 15 bytes: #GP(0) */
};

/* Which opcode table `opcode` indexes. */
enum insn_map {
	INSN_MAP_ONE,  /* one-byte opcodes */
	INSN_MAP_0F,   /* 0F xx */
	INSN_MAP_0F38, /* 0F 38 xx */
	INSN_MAP_0F3A, /* 0F 3A xx */
	INSN_MAP_3DNOW,
	INSN_MAP_VEX, /* VEX, EVEX or XOP: length only, never emulated */
};

/* Values of insn.base and insn.index besides 0..15. */
#define INSN_REG_NONE 0x80u
#define INSN_REG_RIP 0x81u

/* Segment register numbers, as in enum vcpu_seg. */
#define INSN_SEG_DEFAULT 0xffu

struct insn {
	uint8_t length;	   /* 1..15 */
	uint8_t map;	   /* enum insn_map */
	uint8_t opcode;	   /* last opcode byte */
	uint8_t width;	   /* bytes of the operand: 1 in byte forms, else op_size */
	uint8_t op_size;   /* effective operand size: 2, 4 or 8 */
	uint8_t addr_size; /* effective address size: 2, 4 or 8 */
	uint8_t rex;	   /* 0x40..0x4f, 0 without */
	uint8_t rep;	   /* 0xf3, 0xf2 (the last one counts) or 0 */
	bool lock;
	bool opsize_prefix; /* 66 was there, whatever it came to mean */
	bool mem;	    /* there is a memory operand described by the fields below */
	uint8_t modrm;	    /* 0 when the instruction has none */
	uint8_t reg;	    /* ModRM.reg or the register in the opcode, with REX: 0..15 */
	uint8_t rm;	    /* ModRM.rm with REX.B, a register when !mem */
	uint8_t segment;   /* enum vcpu_seg that the memory operand goes through (DS for strings) */
	uint8_t base;	   /* 0..15, INSN_REG_RIP or INSN_REG_NONE */
	uint8_t index;	   /* 0..15 or INSN_REG_NONE */
	uint8_t scale;	   /* shift: 0..3 */
	uint8_t disp_size; /* 0, 1, 2, 4; 8 for a 64-bit moffs */
	uint8_t imm_size;  /* bytes of the first immediate: 0, 1, 2, 4, 8 */
	uint16_t imm2;	   /* second immediate: far selector, ENTER's level */
	uint64_t disp;	   /* sign-extended; moffs zero-extended */
	uint64_t imm;	   /* sign-extended from imm_size */
};

/*
 * Decodes the instruction at `bytes`, of which `n` are readable. Fills *out on DECODE_OK only as
 * a whole. Near branches with prefix 66 in 64-bit mode are measured as Intel does (the prefix is
 * ignored); AMD takes a 16-bit displacement there. No other length depends on the vendor.
 * Undefined encodings inside the x87, SSE, VEX, EVEX and XOP opcode spaces get a length too: they
 * are not emulated, so it does not matter here that the CPU refuses them.
 */
enum decode_status insn_decode(const uint8_t *bytes, size_t n, enum insn_mode mode,
			       struct insn *out);

/*
 * insn_decode without its copy of the bytes: `buf` holds `n` of them, at most 15, and zeros behind
 * them up to INSN_PADDED.
 */
#define INSN_PADDED 48u
enum decode_status insn_decode_padded(const uint8_t buf[INSN_PADDED], size_t n, enum insn_mode mode,
				      struct insn *out);

/* The decoding mode of a vCPU; `cs_attr` in the layout of SEG_*. */
static inline enum insn_mode insn_mode_of(uint64_t cr0, uint64_t efer, uint64_t rflags,
					  uint32_t cs_attr)
{
	if ((efer & EFER_LMA) != 0 && (cs_attr & SEG_L) != 0) {
		return INSN_LONG64;
	}
	if ((cr0 & CR0_PE) == 0 || (rflags & RFLAGS_VM) != 0) {
		return INSN_REAL16;
	}
	return (cs_attr & SEG_DB) != 0 ? INSN_PROT32 : INSN_PROT16;
}

/* A fixed opcode of 1 to 3 bytes for insn_length_fixed: the bytes in order, their count on top. */
#define INSN_FIXED1(a) (0x01000000u | (a))
#define INSN_FIXED2(a, b) (0x02000000u | (a) | (b) << 8)
#define INSN_FIXED3(a, b, c) (0x03000000u | (a) | (b) << 8 | (c) << 16)

#define INSN_HLT INSN_FIXED1(0xf4u)
#define INSN_PAUSE INSN_FIXED1(0x90u) /* F3 is a prefix */
#define INSN_CLTS INSN_FIXED2(0x0fu, 0x06u)
#define INSN_INVD INSN_FIXED2(0x0fu, 0x08u)
#define INSN_WBINVD INSN_FIXED2(0x0fu, 0x09u)
#define INSN_WRMSR INSN_FIXED2(0x0fu, 0x30u)
#define INSN_RDTSC INSN_FIXED2(0x0fu, 0x31u)
#define INSN_RDMSR INSN_FIXED2(0x0fu, 0x32u)
#define INSN_RDPMC INSN_FIXED2(0x0fu, 0x33u)
#define INSN_CPUID INSN_FIXED2(0x0fu, 0xa2u)
#define INSN_VMCALL INSN_FIXED3(0x0fu, 0x01u, 0xc1u)
#define INSN_MONITOR INSN_FIXED3(0x0fu, 0x01u, 0xc8u)
#define INSN_MWAIT INSN_FIXED3(0x0fu, 0x01u, 0xc9u)
#define INSN_XSETBV INSN_FIXED3(0x0fu, 0x01u, 0xd1u)
#define INSN_VMMCALL INSN_FIXED3(0x0fu, 0x01u, 0xd9u)
#define INSN_RDTSCP INSN_FIXED3(0x0fu, 0x01u, 0xf9u)

/* The rest of insn_length_fixed: prefixes before the opcode, or fewer bytes than it has. */
unsigned insn_length_prefixed(const uint8_t *bytes, size_t n, enum insn_mode mode, uint32_t fixed);

/*
 * The length of the instruction at `bytes` when it is prefixes and then exactly the opcode `fixed`
 * (INSN_CPUID and so on); 0 when it is anything else or `n` bytes do not hold it. Meant for exits
 * that already tell which instruction it was.
 */
static inline unsigned insn_length_fixed(const uint8_t *bytes, size_t n, enum insn_mode mode,
					 uint32_t fixed)
{
	unsigned count = fixed >> 24;

	if (n >= 3 && bytes[0] == (uint8_t)fixed &&
	    (count < 2 || bytes[1] == (uint8_t)(fixed >> 8)) &&
	    (count < 3 || bytes[2] == (uint8_t)(fixed >> 16))) {
		return count;
	}
	return insn_length_prefixed(bytes, n, mode, fixed);
}
