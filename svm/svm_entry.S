/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void svm_enter(struct vcpu *vcpu, hpa_t vmcb, hpa_t host): one VMRUN. See svm/svm_insn.h.
 *
 *	RDI vcpu    RSI guest VMCB    RDX host VMCB
 *
 * GIF is clear from before the first guest value is loaded until the last host value is back: no
 * interrupt, NMI or SMI sees a mixture (GS would lead it astray, TR would give it the guest's
 * stacks). IF is set meanwhile, because with V_INTR_MASKING it is the host's IF that lets physical
 * interrupts end the guest's run; it is cleared behind STGI, so that what interrupted is served here
 * at every exit. (Bochs' masks them while a guest runs that was entered with its own IF clear: this
 * is where its host timer gets through.)
 *
 * VMRUN itself keeps RAX, RSP, RIP, RFLAGS, CS DS ES SS, GDTR, IDTR, CR0 CR3 CR4 and EFER of the
 * host. On #VMEXIT the GPRs other than RAX and RSP still hold the guest's values; those that the
 * caller does not get back from the stack are cleared so that none can be used speculatively.
 */
#include "gen/svm_offsets.h"

	.text
	.globl svm_enter
	.type svm_enter, @function
svm_enter:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdx
	pushq %rdi

	clgi
	sti
	movq %rsi, %rax
	vmload %rax
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

	vmrun %rax

	vmsave %rax
	popq %rax
	movq %rcx, VCPU_RCX(%rax)
	movq %rdx, VCPU_RDX(%rax)
	movq %rbx, VCPU_RBX(%rax)
	movq %rbp, VCPU_RBP(%rax)
	movq %rsi, VCPU_RSI(%rax)
	movq %rdi, VCPU_RDI(%rax)
	movq %r8, VCPU_R8(%rax)
	movq %r9, VCPU_R9(%rax)
	movq %r10, VCPU_R10(%rax)
	movq %r11, VCPU_R11(%rax)
	movq %r12, VCPU_R12(%rax)
	movq %r13, VCPU_R13(%rax)
	movq %r14, VCPU_R14(%rax)
	movq %r15, VCPU_R15(%rax)

	popq %rax
	vmload %rax

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
	stgi
	cli
	ret
	.size svm_enter, . - svm_enter

	.section .note.GNU-stack, "", @progbits
