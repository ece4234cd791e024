/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an exit: one const table from kind to handler, a row for every kind. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"

/* Handles one exit; the vCPU's space is current. Counts it. */
void exit_handle(struct vcpu *vcpu, struct vm_exit *exit);

/* --- shared by the handler files --- */

/* RDMSR and WRMSR (hv/exit_msr.c). */
void exit_msr_read(struct vcpu *vcpu, struct vm_exit *exit);
void exit_msr_write(struct vcpu *vcpu, struct vm_exit *exit);
/* The same without an exit around them: false means #GP. For the emulator and tests. */
bool msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value);
bool msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* Second-stage faults, accesses to the xAPIC page, and string I/O (hv/exit_emul.c). */
void exit_nested_fault(struct vcpu *vcpu, struct vm_exit *exit);
void exit_apic_access(struct vcpu *vcpu, struct vm_exit *exit);
void exit_string_io(struct vcpu *vcpu, struct vm_exit *exit);

/*
 * Decodes the control-register access at RIP into exit->cr and insn_len, for hardware that does not
 * tell. False: not such an instruction any more, or the fetch faulted; the exit is then over.
 */
bool exit_decode_cr(struct vcpu *vcpu, struct vm_exit *exit);

/* MOV to and from control registers (hv/exit_cr.c). */
void exit_cr(struct vcpu *vcpu, struct vm_exit *exit);

/* Only another vCPU gets this one going again: it says so, and if that is true of all of them the
 * VM ends. */
void exit_strand(struct vcpu *vcpu);

/* Stops the vCPU's VM because it cannot go on; `reason` is for the event line. */
void exit_stop(struct vcpu *vcpu, const char *reason);

/*
 * Copies the TPR between the hardware's shadow and the LAPIC around an access to either. Nothing to
 * do where the two are one (info.virtual_interrupts).
 */
void exit_sync_tpr_from_hw(struct vcpu *vcpu);
void exit_sync_tpr_to_hw(struct vcpu *vcpu);
