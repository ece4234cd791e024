/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder knows about each opcode of the one-byte and the 0F map: one word per opcode. */
#pragma once

#include <stdint.h>

#define INSN_ATTR_MODRM 0x0001u
#define INSN_ATTR_BYTE 0x0002u	    /* operates on bytes whatever the operand size */
#define INSN_ATTR_LOCK 0x0004u	    /* LOCK is allowed with a memory operand */
#define INSN_ATTR_NOT64 0x0008u	    /* #UD in 64-bit mode */
#define INSN_ATTR_DEFAULT64 0x0010u /* operand size 8 in 64-bit mode, 2 with 66 */
#define INSN_ATTR_FORCE64 0x0020u   /* operand size 8 in 64-bit mode, always */
#define INSN_ATTR_MEM_ONLY 0x0040u  /* #UD with a register operand */
#define INSN_ATTR_GROUP 0x0080u	    /* ModRM.reg decides more: decode.c looks again */
#define INSN_ATTR_OPREG 0x0100u	    /* the low three bits of the opcode name a register */
#define INSN_ATTR_PREFIX 0x0200u    /* legacy prefix */
#define INSN_ATTR_INVALID 0x0400u
#define INSN_ATTR_ESCAPE 0x0800u /* 0F, and what may start VEX, EVEX or XOP */
#define INSN_ATTR_IMM 0xf000u	 /* enum insn_imm << 12 */

/* Shapes of what follows ModRM, SIB and displacement. */
enum insn_imm {
	INSN_IMM_NONE,
	INSN_IMM_BYTE,
	INSN_IMM_WORD,
	INSN_IMM_Z,	 /* 2 or 4 bytes by operand size */
	INSN_IMM_V,	 /* 2, 4 or 8 bytes by operand size */
	INSN_IMM_MOFFS,	 /* an address: 2, 4 or 8 bytes by address size */
	INSN_IMM_FAR,	 /* offset by operand size, then a selector */
	INSN_IMM_ENTER,	 /* 2 bytes and 1 byte */
	INSN_IMM_BRANCH, /* as Z, but 4 bytes in 64-bit mode */
};

extern const uint16_t insn_attr_one[256];
extern const uint16_t insn_attr_0f[256];
