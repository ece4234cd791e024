/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions of VT-x as functions: vmx_insn.c and vmx_entry.S in the hypervisor,
 * tests/fakes/vmx_insn.c in host programs.
 *
 * Source: Intel SDM volume 3 "VMX Instruction Reference", "Conventions".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"
#include "hv/base/addr.h"
#include "hv/cpu/insn.h"
#include "vmx/vmcs.h"

enum vmx_result {
	VMX_OK = 0,
	VMX_FAIL_VALID,	  /* INSN_ERROR of the current VMCS says why */
	VMX_FAIL_INVALID, /* there is no current VMCS */
};

/* `region` is one page that starts with the revision identifier; CR4.VMXE is set. */
enum vmx_result vmx_vmxon(hpa_t region);
/* Only in VMX operation. */
void vmx_vmxoff(void);
/* Writes the VMCS back to memory; it is neither active nor current nor launched afterwards. */
enum vmx_result vmx_vmclear(hpa_t vmcs);
/* Makes the VMCS current. */
enum vmx_result vmx_vmptrld(hpa_t vmcs);
/* The current VMCS; VMX_NO_VMCS when there is none. */
#define VMX_NO_VMCS (~0ull)
hpa_t vmx_vmptrst(void);
/* A VMREAD whose failure is an answer. */
enum vmx_result vmx_vmread(uint32_t field, uint64_t *value);
/* Fields of the current VMCS on every exit's way, where failure is our own broken invariant:
 * there is no current VMCS, or this CPU lacks the field. */
uint64_t vmcs_read(enum vmcs_field field);
void vmcs_write(enum vmcs_field field, uint64_t value);

#define VMX_INVEPT_SINGLE 1u
#define VMX_INVEPT_ALL 2u
enum vmx_result vmx_invept(uint64_t type, uint64_t eptp);

/*
 * Enters the guest of the current VMCS until its next VM exit, with the general registers of
 * `vcpu` but RSP, which the VMCS holds; stores them afterwards. `launched`: it was entered before
 * since the last VMCLEAR. Not VMX_OK: nothing was executed, `vcpu` is as before.
 */
enum vmx_result vmx_enter(struct vcpu *vcpu, bool launched);
/* Where the CPU goes on after a VM exit: the value for HOST_RIP. */
uint64_t vmx_exit_address(void);

/* Hands an NMI that ended a guest's run to the host's handler; NMIs are open again afterwards. */
void vmx_host_nmi(void);
void vmx_sidt(struct desc_ptr *desc);
uint64_t vmx_read_dr6(void);
void vmx_write_dr6(uint64_t value);
/* Overwrites the CPU's fill and store buffers where CPUID says MD_CLEAR. */
void vmx_verw(void);
