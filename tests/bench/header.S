/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setup page of the benchmark payload: the payloads' header, and beyond it a real-mode
 * entry for loaders of the 16-bit boot protocol, which is how QEMU's -kernel starts a bzImage
 * (Linux, Documentation/arch/x86/boot.rst). It goes to 64-bit mode with the first 4 GiB mapped 1:1,
 * as the 64-bit protocol asks, and then on to the same entry point. The page that the 64-bit entry
 * takes for boot_params is the setup page itself: a 16-bit loader fills in cmd_line_ptr there.
 */
#define PAGE_TABLES 0x70000		/* PML4, PDPT, four page directories */
#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_CODE32 0x20

#include "tests/payloads/setup_header.inc"

	.org 0x268
	.code16
	cli
	cld
	xorl %esi, %esi
	movw %ds, %si
	shll $4, %esi			/* where the setup page lies; stays in ESI */
	movw $0, 0x1e8			/* it holds no E820 map */
	leal (gdt - setup)(%esi), %eax
	movl %eax, gdt_pointer - setup + 2
	lgdtl gdt_pointer - setup
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	leal (protected - setup)(%esi), %eax
	pushl $SELECTOR_CODE32
	pushl %eax
	lretl

	.code32
protected:
	movl $SELECTOR_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $PAGE_TABLES, %edi
	movl $(6 * 4096 / 4), %ecx
	xorl %eax, %eax
	rep stosl
	movl $(PAGE_TABLES + 0x1003), PAGE_TABLES
	movl $(PAGE_TABLES + 0x2003), %eax
	movl $(PAGE_TABLES + 0x1000), %edi
1:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x1000, %eax
	cmpl $(PAGE_TABLES + 0x6003), %eax
	jne 1b
	movl $(PAGE_TABLES + 0x2000), %edi
	movl $0x83, %eax		/* present, writable, 2 MiB */
2:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	jnc 2b
	movl $0x20, %eax		/* CR4.PAE */
	movl %eax, %cr4
	movl $PAGE_TABLES, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	ljmpl $SELECTOR_CODE, $(payload_start + 0x200)

	.balign 8
gdt:	.quad 0, 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
	.quad 0x00cf9b000000ffff	/* 32-bit code */
gdt_pointer:
	.word . - gdt - 1
	.long 0
	.org 0x400
	.section .note.GNU-stack, "", @progbits
