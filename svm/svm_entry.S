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
#include "hv/api/vcpu_gprs.inc"

	.text
	.globl svm_enter
	.type svm_enter, @function
svm_enter:
	SAVE_CALLEE_SAVED
	pushq %rdx
	pushq %rdi

	clgi
	sti
	movq %rsi, %rax
	vmload %rax
	LOAD_GUEST_GPRS

	vmrun %rax

	vmsave %rax
	popq %rax
	STORE_GUEST_GPRS %rax
	movq %rdi, VCPU_RDI(%rax)

	popq %rax
	vmload %rax

	CLEAR_GUEST_GPRS
	RESTORE_CALLEE_SAVED
	stgi
	cli
	ret
	.size svm_enter, . - svm_enter

	.section .note.GNU-stack, "", @progbits
