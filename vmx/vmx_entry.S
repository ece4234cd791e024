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
#include "hv/api/vcpu_gprs.inc"

	.text
	.globl vmx_enter
	.type vmx_enter, @function
vmx_enter:
	SAVE_CALLEE_SAVED
	pushq %rdi

	movl $FIELD_HOST_RSP, %eax
	vmwrite %rsp, %rax
	jc no_vmcs
	jz refused

	/* ZF says whether to launch, until the registers are loaded. */
	testb %sil, %sil
	movq VCPU_RAX(%rdi), %rax
	LOAD_GUEST_GPRS
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
	STORE_GUEST_GPRS %rdi
	popq VCPU_RDI(%rdi)
	movl $RESULT_OK, %eax

restore:
	CLEAR_GUEST_GPRS
	RESTORE_CALLEE_SAVED
	ret
	.size vmx_enter, . - vmx_enter

	.section .note.GNU-stack, "", @progbits
