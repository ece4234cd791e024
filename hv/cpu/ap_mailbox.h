/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page an application processor starts in, shared between ap_start.c (which fills it in),
 * ap_trampoline.S (which runs in it) and nobody else. SIPI can only name a page below 1 MiB, and
 * that one page has to be everything until the real CR3 is loaded:
 *
 *	0x000	entry code of 8 bytes that is also the page-table entry 0 (see ap_start.c)
 *	0x008	jump to 0x900
 *	0x00b	page-table entries 2..255; the one of this very page is filled in
 *	0x800	struct ap_mailbox
 *	0x900	the rest of the code, 16, 32 and 64 bit
 */
#pragma once

#define AP_MAILBOX_OFFSET 0x800
#define AP_CODE_OFFSET 0x900

/* Who owns the mailbox. */
#define AP_SLOT_CLOSED 0 /* a CPU that arrives now comes too late: it halts for ever */
#define AP_SLOT_OPEN 1	 /* the first CPU to arrive may take it */
#define AP_SLOT_TAKEN 2	 /* that has happened */

#ifndef __ASSEMBLER__

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/insn.h"

/* Operand of an indirect far jump with a 32-bit offset. */
struct __attribute__((packed)) far_pointer32 {
	uint32_t offset;
	uint16_t selector;
};

struct ap_mailbox {
	_Atomic uint32_t slot; /* AP_SLOT_* */
	uint32_t efer;	       /* LME, and NXE where the real tables need it */
	uint64_t cr3;	       /* the real one, anywhere in memory */
	uint64_t stack;
	uint64_t entry;		 /* void (*)(struct cpu_local *) */
	uint64_t argument;	 /* its struct cpu_local */
	uint64_t lost;		 /* where a CPU goes that found the mailbox not open */
	uint64_t gdt[4];	 /* null, 64-bit code, 32-bit code, data */
	struct desc_ptr gdt_ptr; /* only its low six bytes are read in 16-bit mode */
	struct far_pointer32 far32;
	struct far_pointer32 far64;
};
static_assert(sizeof(struct ap_mailbox) <= AP_CODE_OFFSET - AP_MAILBOX_OFFSET, "as drawn");

#endif
