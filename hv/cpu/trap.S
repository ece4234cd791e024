/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 256 entry points of equal size, so that the IDT is an array of one address plus a multiple. Each
 * makes the stack look the same (error code, vector) and joins the common path, which saves the
 * general registers as struct trap_frame and calls trap_handle.
 *
 * GS always points at this CPU's cpu_local and there is no user mode: nothing to swap. The CPU
 * aligns RSP to 16 before it pushes its five words; with two words and 15 registers that makes
 * 22, so the call below meets the ABI's alignment.
 *
 * The way back is IRET, but not from a machine check. IRET ends the blocking of NMIs; a machine
 * check may have come while an NMI was handled, and the next NMI would then begin at the top of the
 * stack which that handler still stands on. So a machine check goes back by RET on the stack of what
 * it interrupted (there is no red zone). That also leaves the machine-check stack early.
 */

#define STUB_SIZE 16
#define VECTOR_MC 18

/* Offsets of what the CPU pushed, from RIP's place on. */
#define FRAME_RIP 0
#define FRAME_RFLAGS 16
#define FRAME_RSP 24

	.text
	.globl	trap_stubs
	.balign	STUB_SIZE
trap_stubs:
	.set	vector, 0
	.rept	256
	.balign	STUB_SIZE
	/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, #VC and #SX come with an error code. */
	.if	vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr

	.balign	16
trap_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	trap_handle
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	cmpl	$VECTOR_MC, (%rsp)
	leaq	16(%rsp), %rsp
	je	leave_machine_check
	iretq

	/* The flags are the frame's to restore, so they may be used. */
leave_machine_check:
	pushq	%rax
	pushq	%rbx
	movq	16 + FRAME_RSP(%rsp), %rbx
	movq	16 + FRAME_RIP(%rsp), %rax
	movq	%rax, -8(%rbx)
	movq	16 + FRAME_RFLAGS(%rsp), %rax
	movq	%rax, -16(%rbx)
	movq	8(%rsp), %rax
	movq	%rax, -24(%rbx)
	movq	(%rsp), %rax
	leaq	-24(%rbx), %rsp
	movq	%rax, %rbx
	popq	%rax
	popfq
	ret
