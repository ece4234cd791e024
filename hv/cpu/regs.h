/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Architectural registers: control-register, EFER, RFLAGS bits, exception vectors and segment
 * attributes. Sources: Intel SDM volume 3 "Control Registers", AMD APM volume 2 "System Resources".
 */
#pragma once

#include "hv/base/bits.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_SMXE BIT(14)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_SVME BIT(12)
#define EFER_LMSLE BIT(13)
#define EFER_FFXSR BIT(14)

#define RFLAGS_CF BIT(0)
#define RFLAGS_FIXED1 BIT(1)
#define RFLAGS_PF BIT(2)
#define RFLAGS_AF BIT(4)
#define RFLAGS_ZF BIT(6)
#define RFLAGS_SF BIT(7)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_DF BIT(10)
#define RFLAGS_OF BIT(11)
#define RFLAGS_RF BIT(16)
#define RFLAGS_VM BIT(17)
#define RFLAGS_AC BIT(18)

#define DR6_RESET 0xffff0ff0ull
#define DR6_TRAPS MASK(3, 0) /* B0 .. B3 */
#define DR6_BS BIT(14)
#define DR7_RESET 0x400ull
#define DR7_GD BIT(13)

#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_AVX512 MASK(7, 5)
#define XCR0_PKRU BIT(9)
#define XCR0_AMX MASK(18, 17)

/* The XSAVE area, standard form (SDM volume 1, "Form of the XSAVE Area"): bytes and offsets. */
#define FXSAVE_BYTES 512u
#define XSAVE_HEADER_OFFSET FXSAVE_BYTES
#define XSAVE_LEGACY_BYTES 576u /* x87, SSE and the header: components 0 and 1 */
#define XSAVE_AVX_BYTES 256u
/* CPUID leaf 0xd, subleaf 1, EAX: forms of XSAVE. */
#define LEAFD1_EAX_XSAVEOPT BIT32(0)
#define LEAFD1_EAX_XSAVEC BIT32(1)
#define LEAFD1_EAX_XGETBV1 BIT32(2)

enum exception_vector {
	EXC_DE = 0,
	EXC_DB = 1,
	EXC_NMI = 2,
	EXC_BP = 3,
	EXC_OF = 4,
	EXC_BR = 5,
	EXC_UD = 6,
	EXC_NM = 7,
	EXC_DF = 8,
	EXC_TS = 10,
	EXC_NP = 11,
	EXC_SS = 12,
	EXC_GP = 13,
	EXC_PF = 14,
	EXC_MF = 16,
	EXC_AC = 17,
	EXC_MC = 18,
	EXC_XM = 19,
};

/* Page-fault error code. */
#define PF_PRESENT BIT32(0)
#define PF_WRITE BIT32(1)
#define PF_USER BIT32(2)
#define PF_RESERVED BIT32(3)
#define PF_FETCH BIT32(4)

/* Segment attributes in VMX access-rights layout (bits of the descriptor's second half >> 8). */
#define SEG_TYPE MASK(3, 0)
#define SEG_S BIT(4)
#define SEG_DPL MASK(6, 5)
#define SEG_P BIT(7)
#define SEG_AVL BIT(12)
#define SEG_L BIT(13)
#define SEG_DB BIT(14)
#define SEG_G BIT(15)
#define SEG_UNUSABLE BIT(16)

/* 4-level page-table entry bits shared by guest walks and the host format. */
#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX BIT(63)
#define PTE_ADDR MASK(51, 12)
