/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microsoft's hypervisor interface, which Windows expects and Linux knows, for guests with
 * `hyperv = on`. It takes the place of KVM's interfaces (hv/pv.h); what both have in common, the
 * EOI without an exit, is KVM's with another address.
 *
 *	hyperv_cpuid.c      leaves 0x40000000 to 0x40000006
 *	hyperv.c            the MSRs: identity, hypercall page, crash, reset, idle; life of it all
 *	hyperv_apic.c       the LAPIC's registers as MSRs, the VP assist page
 *	hyperv_time.c       the reference counter and its page
 *	synic.c, stimer.c   messages, events and timers of a virtual processor
 *	hyperv_ports.c      who receives what guests post and signal
 *	hyperv_saved.c      all of its state as bytes
 *	hyperv_hypercall.c  decoding of hypercalls; hyperv_calls.c what they do
 *
 * Source: "Hypervisor Top Level Functional Specification" (TLFS), "Requirements for Implementing
 * the Microsoft Hypervisor Interface". What is offered and what is not: docs/hyperv.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"
#include "hv/cpuid_policy.h"

/* --- the guest's life --- */

/* Before the first vCPU exists, behind vtime_init. HV_E_NO_MEMORY. */
enum hv_status hyperv_create(struct vm *vm, unsigned vcpu_count) HV_MUST_CHECK;
/* Its timers arm no more; when those that were on their way are over, hyperv_destroy. */
void hyperv_stop(struct vm *vm);
void hyperv_destroy(struct vm *vm);

/* Leaves 0x40000000 and up, as `h[0]` and so on. */
void hyperv_cpuid(struct cpuid_regs *h, const struct cpuid_config *config);

/* --- for exit handlers --- */

/* False: no such MSR, or a value that it does not take; #GP. */
bool hyperv_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value) HV_MUST_CHECK;
bool hyperv_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value) HV_MUST_CHECK;
/* VMCALL or VMMCALL, whichever this CPU has. */
void hyperv_hypercall(struct vcpu *vcpu, struct vm_exit *exit);

/* --- for hv/pv.h, where there is no interface these do nothing --- */

/* RESET and INIT. */
void hyperv_reset(struct vcpu *vcpu);
/* The vCPU's own TSC has been moved against the VM's time. */
void hyperv_tsc_changed(struct vcpu *vcpu);
/* VCPU_REQ_HYPERV: timers went off. The vCPU's space is current. */
void hyperv_requests(struct vcpu *vcpu);
/* Whether an interrupt ends the idle state that MSR_HV_GUEST_IDLE began. */
bool hyperv_idle_over(struct vcpu *vcpu);
void hyperv_end_idle(struct vcpu *vcpu);

/* --- the test device --- */

/*
 * A command of QEMU's hyperv-testdev, which kvm-unit-tests drive: bits 7:0 SINT, 15:8 vCPU, 23:16
 * what to do, 31:24 connection. Nothing happens where there is no interface, or no such vCPU.
 */
void hyperv_test_command(struct vm *vm, uint32_t command);
