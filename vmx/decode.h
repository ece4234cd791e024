/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the VM-exit information fields to the neutral vm_exit: a pure function, for any input. Raw
 * exit reasons are known here and in dump.c only.
 *
 * Sources: Intel SDM volume 3 "Basic VM-Exit Information", "Information for VM Exits Due to
 * Vectored Events", "Information for VM Exits That Occur During Event Delivery", "VMX Basic Exit
 * Reasons".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/exit.h"

enum vmx_exit_reason {
	VMX_EXIT_EXCEPTION_NMI = 0,
	VMX_EXIT_INTERRUPT,
	VMX_EXIT_TRIPLE_FAULT,
	VMX_EXIT_INIT,
	VMX_EXIT_SIPI,
	VMX_EXIT_IO_SMI,
	VMX_EXIT_SMI,
	VMX_EXIT_INTERRUPT_WINDOW,
	VMX_EXIT_NMI_WINDOW,
	VMX_EXIT_TASK_SWITCH,
	VMX_EXIT_CPUID,
	VMX_EXIT_GETSEC,
	VMX_EXIT_HLT,
	VMX_EXIT_INVD,
	VMX_EXIT_INVLPG,
	VMX_EXIT_RDPMC,
	VMX_EXIT_RDTSC,
	VMX_EXIT_RSM,
	VMX_EXIT_VMCALL,
	VMX_EXIT_VMCLEAR,
	VMX_EXIT_VMLAUNCH,
	VMX_EXIT_VMPTRLD,
	VMX_EXIT_VMPTRST,
	VMX_EXIT_VMREAD,
	VMX_EXIT_VMRESUME,
	VMX_EXIT_VMWRITE,
	VMX_EXIT_VMXOFF,
	VMX_EXIT_VMXON,
	VMX_EXIT_CR_ACCESS,
	VMX_EXIT_DR_ACCESS,
	VMX_EXIT_IO,
	VMX_EXIT_RDMSR,
	VMX_EXIT_WRMSR,
	VMX_EXIT_BAD_GUEST_STATE,
	VMX_EXIT_BAD_MSR_LOAD,
	VMX_EXIT_MWAIT = 36,
	VMX_EXIT_MONITOR_TRAP,
	VMX_EXIT_MONITOR = 39,
	VMX_EXIT_PAUSE,
	VMX_EXIT_ENTRY_MACHINE_CHECK,
	VMX_EXIT_TPR_BELOW = 43,
	VMX_EXIT_APIC_ACCESS,
	VMX_EXIT_VIRTUAL_EOI,
	VMX_EXIT_GDTR_IDTR,
	VMX_EXIT_LDTR_TR,
	VMX_EXIT_EPT_VIOLATION,
	VMX_EXIT_EPT_MISCONFIG,
	VMX_EXIT_INVEPT,
	VMX_EXIT_RDTSCP,
	VMX_EXIT_PREEMPTION_TIMER,
	VMX_EXIT_INVVPID,
	VMX_EXIT_WBINVD,
	VMX_EXIT_XSETBV,
	VMX_EXIT_APIC_WRITE,
	VMX_EXIT_RDRAND,
	VMX_EXIT_INVPCID,
	VMX_EXIT_VMFUNC,
	VMX_EXIT_ENCLS,
	VMX_EXIT_RDSEED,
	VMX_EXIT_PML_FULL,
	VMX_EXIT_XSAVES,
	VMX_EXIT_XRSTORS,
	VMX_EXIT_SEAMCALL = 76,
	VMX_EXIT_TDCALL,
	VMX_EXIT_REASON_COUNT
};

/* EXIT_REASON: the rest of the field. */
#define VMX_REASON_BASIC MASK(15, 0)
#define VMX_REASON_ENTRY_FAILED BIT(31)

/* Exit qualification of an EPT violation. */
#define VMX_EPTQ_READ BIT(0)
#define VMX_EPTQ_WRITE BIT(1)
#define VMX_EPTQ_FETCH BIT(2)
#define VMX_EPTQ_RIGHTS MASK(5, 3) /* what the entries allowed */
#define VMX_EPTQ_GVA_VALID BIT(7)
#define VMX_EPTQ_FINAL BIT(8) /* the access itself, not a page-table walk */
#define VMX_EPTQ_NMI_UNBLOCKED BIT(12)

/* Exit qualification of I/O instructions; the rest is decode.c's. */
#define VMX_IOQ_STRING BIT(4)

/* Of the fields, what the reason gives a meaning; the vectoring error only with a vectoring. */
struct vmx_raw_exit {
	uint32_t reason;
	uint32_t interruption;
	uint32_t error_code;
	uint32_t vectoring;
	uint32_t vectoring_error;
	uint32_t insn_length;
	uint32_t insn_info;
	uint32_t ecx; /* the guest's: an MSR's number */
	uint64_t qualification;
	uint64_t gpa;
	uint64_t gva;
	bool io_info; /* insn_info is valid for string I/O */
};

/*
 * Fills of *out what its kind gives a meaning (hv/api/exit.h); the kind is never VM_EXIT_INVALID,
 * lengths are at most 15.
 */
void vmx_decode(const struct vmx_raw_exit *raw, struct vm_exit *out);

/* The event a vectoring field stands for; type NONE when it is not valid. `length`: of an INT. */
struct vcpu_event vmx_event_decode(uint32_t info, uint32_t error, uint32_t length);
/* The VM-entry interruption information for an event; 0 for VCPU_EVENT_NONE. */
uint32_t vmx_event_encode(const struct vcpu_event *event);

/* Whether exception `vector` pushes an error code in protected mode. */
bool vmx_has_error_code(unsigned vector);
/*
 * Whether an IRET that was about to end NMI blocking ended in this exit instead: it runs again, so
 * NMIs must be blocked again until then (SDM "Resuming Guest Software After Handling an
 * Exception").
 */
bool vmx_iret_faulted(const struct vmx_raw_exit *raw);
