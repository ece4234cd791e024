/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enum vmx_result vmx_enter(struct vcpu *vcpu, bool launched): one VM entry of the current VMCS.
 * See vmx/vmx_insn.h.
 *
 *	RDI vcpu    SIL launched
 *
 * The CPU itself switches RSP, RIP, RFLAGS, control and segment registers, EFER and PAT, and comes
 * back at vmx_exited with RSP as it was written here, so the stack looks the same on both ways out:
 *
 *	RSP ->	vcpu, callee-saved registers, return address
 *
 * After an exit all general registers hold the guest's values; those that the caller does not get
 * back from the stack are cleared so that none can be used speculatively.
 */
#include "gen/vmx_offsets.h"

	.text
	.globl vmx_enter
	.type vmx_enter, @function
vmx_enter:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi

	movl $FIELD_HOST_RSP, %eax
	vmwrite %rsp, %rax
	jc no_vmcs
	jz refused

	/* MOV leaves ZF alone: it says whether to launch. */
	testb %sil, %sil
	movq VCPU_RAX(%rdi), %rax
	movq VCPU_RCX(%rdi), %rcx
	movq VCPU_RDX(%rdi), %rdx
	movq VCPU_RBX(%rdi), %rbx
	movq VCPU_RBP(%rdi), %rbp
	movq VCPU_RSI(%rdi), %rsi
	movq VCPU_R8(%rdi), %r8
	movq VCPU_R9(%rdi), %r9
	movq VCPU_R10(%rdi), %r10
	movq VCPU_R11(%rdi), %r11
	movq VCPU_R12(%rdi), %r12
	movq VCPU_R13(%rdi), %r13
	movq VCPU_R14(%rdi), %r14
	movq VCPU_R15(%rdi), %r15
	movq VCPU_RDI(%rdi), %rdi
	jz 1f
	vmresume
	jmp 2f
1:	vmlaunch
2:	/* Still here: the CPU did not enter. Only an error sets CF or ZF. */
	jc no_vmcs
refused:
	movl $RESULT_FAIL_VALID, %eax
	jmp 3f
no_vmcs:
	movl $RESULT_FAIL_INVALID, %eax
3:	popq %rdi
	jmp restore

	.globl vmx_exited
vmx_exited:
	/* IF is clear already; Bochs 2.7 takes interrupts all the same until it is cleared again. */
	cli
	xchgq %rdi, (%rsp)
	movq %rax, VCPU_RAX(%rdi)
	movq %rcx, VCPU_RCX(%rdi)
	movq %rdx, VCPU_RDX(%rdi)
	movq %rbx, VCPU_RBX(%rdi)
	movq %rbp, VCPU_RBP(%rdi)
	movq %rsi, VCPU_RSI(%rdi)
	popq VCPU_RDI(%rdi)
	movq %r8, VCPU_R8(%rdi)
	movq %r9, VCPU_R9(%rdi)
	movq %r10, VCPU_R10(%rdi)
	movq %r11, VCPU_R11(%rdi)
	movq %r12, VCPU_R12(%rdi)
	movq %r13, VCPU_R13(%rdi)
	movq %r14, VCPU_R14(%rdi)
	movq %r15, VCPU_R15(%rdi)
	movl $RESULT_OK, %eax

restore:
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %esi, %esi
	xorl %edi, %edi
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	xorl %r10d, %r10d
	xorl %r11d, %r11d
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size vmx_enter, . - vmx_enter

	.section .note.GNU-stack, "", @progbits
