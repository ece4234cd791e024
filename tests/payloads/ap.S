/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a further processor of a payload comes from real mode to rt_ap_main. What lies between
 * rt_ap_begin and rt_ap_end is copied to RT_AP_PAGE; rt_ap_cr0 and its neighbours there are filled
 * in from the first processor's registers.
 */
#include "tests/payloads/ap.h"

#define THERE(label) (RT_AP_PAGE + (label) - rt_ap_begin)
#define MSR_EFER 0xc0000080

	.text
	.code16
	.globl rt_ap_begin
rt_ap_begin:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl gdt_pointer - rt_ap_begin
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $8, $THERE(protected)
	.code32
protected:
	movw $0x18, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl THERE(rt_ap_cr4), %eax
	movl %eax, %cr4
	movl THERE(rt_ap_cr3), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	xorl %edx, %edx
	movl THERE(rt_ap_efer), %eax
	wrmsr
	movl THERE(rt_ap_cr0), %eax
	movl %eax, %cr0
	ljmpl $0x10, $long_mode
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* as the runtime's own: 32-bit code, 64-bit code, data */
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long THERE(gdt)
	.balign 4
	.globl rt_ap_cr0
rt_ap_cr0:	.long 0
	.globl rt_ap_cr3
rt_ap_cr3:	.long 0
	.globl rt_ap_cr4
rt_ap_cr4:	.long 0
	.globl rt_ap_efer
rt_ap_efer:	.long 0
	.globl rt_ap_end
rt_ap_end:

	.code64
/* In the image again. The APIC ID chooses the stack, so any number may come at once. */
long_mode:
	movl $1, %eax
	cpuid
	shrl $24, %ebx
	movl %ebx, %edi
	imulq $RT_AP_STACK, %rdi, %rax
	leaq rt_ap_stacks(%rax), %rsp
	xorl %ebp, %ebp
	call rt_ap_main
1:	cli
	hlt
	jmp 1b

	.bss
	.balign 4096
	/* The first processor has its own: the one with ID 1 begins at the end of the first of these. */
	.globl rt_ap_stacks
rt_ap_stacks:	.skip RT_AP_STACK * RT_CPUS_MAX
	.section .note.GNU-stack, "", @progbits
