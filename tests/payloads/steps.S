/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions to be single-stepped over, some of which exit to the hypervisor. */
	.text
	.globl steps_run
steps_run:
	pushq %rbx
	movl $0xfee00020, %esi		/* the local APIC's ID register */
	movl $0xd0000000, %edi		/* nothing */
	pushfq
	orl $0x100, (%rsp)		/* TF: traps begin behind the next instruction but one */
	popfq
	nop
.Lend0:	cpuid
.Lend1:	inb $0x61, %al
.Lend2:	outb %al, $0x80
.Lend3:	movl $0x10, %ecx
.Lend4:	rdmsr
.Lend5:	movl (%rsi), %eax
.Lend6:	movl %eax, (%rdi)
.Lend7:	movl $0x1b, %ecx
.Lend8:	rdmsr
.Lend9:	wbinvd
.Lend10: nop
.Lend11: pushfq
.Lend12: andl $~0x100, (%rsp)
.Lend13: popfq
	popq %rbx
	ret

	.section .rodata
	.globl steps_ends
	.balign 8
steps_ends:
	.quad .Lend0, .Lend1, .Lend2, .Lend3, .Lend4, .Lend5, .Lend6, .Lend7, .Lend8, .Lend9
	.quad .Lend10, .Lend11, .Lend12, .Lend13, 0
	.section .note.GNU-stack, "", @progbits
