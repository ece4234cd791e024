/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a payload starts, and how its exceptions and interrupts come to C: 256 stubs that make the
 * stack look like struct rt_frame (rt.h), and rt_try, which a fault can return from.
 */
	.section .entry, "ax"
	.org 0x200			/* the 64-bit entry point of the boot protocol */
	.globl payload_entry
payload_entry:
	/* The registers as the loader left them, for the test that looks at them. */
	movq %rax, rt_entry_gpr
	leaq rt_entry_gpr, %rax
	movq %rcx, 8(%rax)
	movq %rdx, 16(%rax)
	movq %rbx, 24(%rax)
	movq %rsp, 32(%rax)
	movq %rbp, 40(%rax)
	movq %rsi, 48(%rax)
	movq %rdi, 56(%rax)
	movq %r8, 64(%rax)
	movq %r9, 72(%rax)
	movq %r10, 80(%rax)
	movq %r11, 88(%rax)
	movq %r12, 96(%rax)
	movq %r13, 104(%rax)
	movq %r14, 112(%rax)
	movq %r15, 120(%rax)
	leaq rt_stack_top, %rsp
	xorl %ebp, %ebp
	cld
	movq %rsi, %rdi
	call rt_main
1:	cli
	hlt
	jmp 1b

	.text
	.set vector, 0
	.globl rt_vectors
	.balign 16
rt_vectors:
	.rept 256
	.balign 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || \
		vector == 29 || vector == 30)
	pushq $0			/* no error code comes with this one */
	.endif
	pushq $vector
	jmp rt_common
	.set vector, vector + 1
	.endr

rt_common:
	pushq %r15
	pushq %r14
	pushq %r13
	pushq %r12
	pushq %r11
	pushq %r10
	pushq %r9
	pushq %r8
	pushq %rdi
	pushq %rsi
	pushq %rbp
	pushq %rbx
	pushq %rdx
	pushq %rcx
	pushq %rax
	movq %rsp, %rdi
	cld
	call rt_trap
	testq %rax, %rax
	jnz rt_recovered
	popq %rax
	popq %rcx
	popq %rdx
	popq %rbx
	popq %rbp
	popq %rsi
	popq %rdi
	popq %r8
	popq %r9
	popq %r10
	popq %r11
	popq %r12
	popq %r13
	popq %r14
	popq %r15
	addq $16, %rsp
	iretq

/* bool rt_try(void (*fn)(void *), void *arg): calls fn; true when an exception ended it. */
	.globl rt_try
rt_try:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushfq
	pushq rt_recovery		/* calls nest */
	subq $8, %rsp
	movq %rsp, rt_recovery
	movq %rdi, %rax
	movq %rsi, %rdi
	call *%rax
	xorl %eax, %eax
	jmp 1f
rt_recovered:				/* RAX: the stack pointer that rt_recovery kept */
	movq %rax, %rsp
	movl $1, %eax
1:	addq $8, %rsp
	popq rt_recovery
	popfq
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	cld
	ret

	.bss
	.globl rt_recovery
	.balign 16
rt_recovery:	.skip 8
	.globl rt_entry_gpr
rt_entry_gpr:	.skip 16 * 8
	.balign 4096
	.skip 32768
rt_stack_top:
	.section .note.GNU-stack, "", @progbits
