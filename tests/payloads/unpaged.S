/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uint64_t unpaged_run(void): out of paging and back, with EFER.LME set all the while. CR4.PAE is
 * clear in between, so that CPUID exits in a state that no boot loader passes through. Returns the
 * EFER that was read there.
 *
 * Nothing is pushed outside 64-bit code: the stack segment may be null. The image lies where it is
 * mapped. The runtime's table of descriptors has 64-bit code as this one does, and no 32-bit code.
 */
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080

	.text
	.globl unpaged_run
unpaged_run:
	pushq %rbx
	pushq %rbp
	pushfq
	cli
	subq $16, %rsp
	sgdt (%rsp)
	lgdt gdt_pointer
	pushq $8
	pushq $compatible
	lretq

	.code32
compatible:
	movl %cr0, %eax
	andl $~CR0_PG, %eax
	movl %eax, %cr0
	movl %cr4, %ebp
	movl %ebp, %eax
	andl $~CR4_PAE, %eax
	movl %eax, %cr4
	xorl %eax, %eax
	cpuid
	movl $MSR_EFER, %ecx
	rdmsr
	movl %eax, %esi
	movl %ebp, %cr4
	movl %cr0, %eax
	orl $CR0_PG, %eax
	movl %eax, %cr0
	ljmpl $0x10, $long_mode

	.code64
long_mode:
	lgdt (%rsp)
	addq $16, %rsp
	movl %esi, %eax
	popfq
	popq %rbp
	popq %rbx
	ret

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00af9b000000ffff
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.quad gdt

	.section .note.GNU-stack, "", @progbits
