/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a start-up IPI in real mode to C in long mode. ap_start.c copies this into the trampoline
 * page and fills in the mailbox; all addresses are relative to that page (ap_mailbox.h draws it).
 *
 * EBX holds the page's physical address from the first lines on.
 */
#include "gen/ap_offsets.h"
#include "hv/cpu/ap_mailbox.h"

#define CR0_PE 0x1
#define CR0_PG 0x80000000
#define CR0_CACHE_OFF 0x60000000	/* CD and NW */
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define DATA_SELECTOR 0x18

	.section .rodata.ap_trampoline, "a", @progbits
	.balign	16
	.globl	ap_trampoline
ap_trampoline:
	.code16
	.skip	8			/* page-table entry 0, written by ap_start.c */
	jmp	start16
	.org	ap_trampoline + AP_CODE_OFFSET
start16:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	movzwl	%ax, %ebx
	shll	$4, %ebx
	lgdtl	AP_GDT_PTR
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	*AP_FAR32

	.code32
	.globl	ap_trampoline_start32
ap_trampoline_start32:
	movw	$DATA_SELECTOR, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	%ebx, %cr3		/* this page is its own page table, at all four levels */
	movl	$MSR_EFER, %ecx
	movl	AP_EFER(%ebx), %eax
	xorl	%edx, %edx
	wrmsr
	/* Caching on: INIT leaves it off. */
	movl	%cr0, %eax
	andl	$~CR0_CACHE_OFF, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	ljmpl	*AP_FAR64(%ebx)

	.code64
	.globl	ap_trampoline_start64
ap_trampoline_start64:
	movl	%ebx, %ebx		/* upper halves are undefined after the mode switch */
	movq	AP_CR3(%rbx), %rax
	movq	%rax, %cr3		/* maps this page 1:1, too */
	/* One CPU per opening of the mailbox, however late it comes. */
	movl	$AP_SLOT_OPEN, %eax
	movl	$AP_SLOT_TAKEN, %ecx
	lock cmpxchgl %ecx, AP_SLOT(%rbx)
	jne	late
	movq	AP_STACK(%rbx), %rsp
	movq	AP_ARGUMENT(%rbx), %rdi
	movq	AP_ENTRY(%rbx), %rax
	xorl	%ebp, %ebp
	call	*%rax			/* does not return */
late:
	jmp	*AP_LOST(%rbx)
	.globl	ap_trampoline_end
ap_trampoline_end:

	.text
/* In the image, not in the page: a lost CPU must not depend on what becomes of the page. */
	.globl	ap_lost
ap_lost:
	cli
	hlt
	jmp	ap_lost

	.section .note.GNU-stack, "", @progbits
