/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opcode tables, laid out as the manuals print them: sixteen rows of sixteen. Sources: Intel
 * SDM volume 2 "Opcode Map", AMD APM volume 3 "Opcode and Operand Encodings".
 */
#include "hv/emul/decode_tables.h"

#define OK 0u		       /* an opcode and nothing else */
#define MR INSN_ATTR_MODRM     /* has ModRM */
#define BY INSN_ATTR_BYTE      /* byte operand */
#define LK INSN_ATTR_LOCK      /* lockable */
#define NO INSN_ATTR_NOT64     /* not in 64-bit mode */
#define DF INSN_ATTR_DEFAULT64 /* default operand size 8 */
#define FO INSN_ATTR_FORCE64   /* forced operand size 8 */
#define ME (MR | INSN_ATTR_MEM_ONLY)
#define GR (MR | INSN_ATTR_GROUP)
#define OR INSN_ATTR_OPREG
#define PX INSN_ATTR_PREFIX
#define UD INSN_ATTR_INVALID
#define ES INSN_ATTR_ESCAPE
#define IB ((unsigned)INSN_IMM_BYTE << 12)
#define IW ((unsigned)INSN_IMM_WORD << 12)
#define IZ ((unsigned)INSN_IMM_Z << 12)
#define IV ((unsigned)INSN_IMM_V << 12)
#define MO ((unsigned)INSN_IMM_MOFFS << 12)
#define FP ((unsigned)INSN_IMM_FAR << 12)
#define EN ((unsigned)INSN_IMM_ENTER << 12)
#define JZ ((unsigned)INSN_IMM_BRANCH << 12)

/* One arithmetic operation: r/m,r  r,r/m  accumulator,immediate. */
#define ALU MR | BY | LK, MR | LK, MR | BY, MR, BY | IB, IZ
#define ALU_CMP MR | BY, MR, MR | BY, MR, BY | IB, IZ
#define X4(a) a, a, a, a
#define X8(a) X4(a), X4(a)
#define X16(a) X8(a), X8(a)

/* clang-format off */
const uint16_t insn_attr_one[256] = {
	/* 00 */ ALU, NO, NO,
	/* 08 */ ALU, NO, ES,
	/* 10 */ ALU, NO, NO,
	/* 18 */ ALU, NO, NO,
	/* 20 */ ALU, PX, NO,
	/* 28 */ ALU, PX, NO,
	/* 30 */ ALU, PX, NO,
	/* 38 */ ALU_CMP, PX, NO,
	/* 40 */ X16(NO | OR), /* REX in 64-bit mode */
	/* 50 */ X16(DF | OR),
	/* 60 */ NO, NO, ES | NO | ME, MR, PX, PX, PX, PX,
	/* 68 */ DF | IZ, MR | IZ, DF | IB, MR | IB, BY, OK, BY, OK,
	/* 70 */ X16(FO | IB),
	/* 80 */ GR | BY | IB, GR | IZ, GR | BY | IB | NO, GR | IB, MR | BY, MR, MR | BY | LK, MR | LK,
	/* 88 */ MR | BY, MR, MR | BY, MR, GR, ME, GR, ES | GR | DF,
	/* 90 */ X8(OR),
	/* 98 */ OK, OK, FP | NO, OK, DF, DF, OK, OK,
	/* A0 */ BY | MO, MO, BY | MO, MO, BY, OK, BY, OK,
	/* A8 */ BY | IB, IZ, BY, OK, BY, OK, BY, OK,
	/* B0 */ X8(BY | OR | IB),
	/* B8 */ X8(OR | IV),
	/* C0 */ MR | BY | IB, MR | IB, FO | IW, FO, ES | NO | ME, ES | NO | ME, GR | BY | IB, GR | IZ,
	/* C8 */ DF | EN, DF, IW, OK, OK, IB, NO, OK,
	/* D0 */ MR | BY, MR, MR | BY, MR, NO | IB, NO | IB, NO, BY,
	/* D8 */ X8(MR),
	/* E0 */ FO | IB, FO | IB, FO | IB, FO | IB, BY | IB, IB, BY | IB, IB,
	/* E8 */ FO | JZ, FO | JZ, FP | NO, FO | IB, BY, OK, BY, OK,
	/* F0 */ PX, OK, PX, PX, OK, OK, GR | BY, GR,
	/* F8 */ OK, OK, OK, OK, OK, OK, GR | BY, GR,
};

const uint16_t insn_attr_0f[256] = {
	/* 00 */ GR, GR, MR, MR, UD, OK, OK, OK,
	/* 08 */ OK, OK, UD, OK, UD, MR, OK, MR | IB,
	/* 10 */ X8(MR),
	/* 18 */ X8(MR),
	/* 20 */ GR | FO, GR | FO, GR | FO, GR | FO, UD, UD, UD, UD,
	/* 28 */ X8(MR),
	/* 30 */ OK, OK, OK, OK, OK, OK, UD, OK,
	/* 38 */ ES, UD, ES, UD, UD, UD, UD, UD,
	/* 40 */ X16(MR),
	/* 50 */ X16(MR),
	/* 60 */ X16(MR),
	/* 70 */ X4(MR | IB), MR, MR, MR, OK,
	/* 78 */ GR, MR, UD, UD, MR, MR, MR, MR,
	/* 80 */ X16(FO | JZ),
	/* 90 */ X16(MR | BY),
	/* A0 */ DF, DF, OK, MR, MR | IB, MR, UD, UD,
	/* A8 */ DF, DF, OK, MR | LK, MR | IB, MR, MR, MR,
	/* B0 */ MR | BY | LK, MR | LK, ME, MR | LK, ME, ME, MR, MR,
	/* B8 */ GR, MR, GR | IB, MR | LK, MR, MR, MR, MR,
	/* C0 */ MR | BY | LK, MR | LK, MR | IB, GR | INSN_ATTR_MEM_ONLY, MR | IB, MR | IB, MR | IB, GR,
	/* C8 */ X8(OR),
	/* D0 */ X16(MR),
	/* E0 */ X16(MR),
	/* F0 */ X16(MR),
};
/* clang-format on */
