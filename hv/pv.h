/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paravirtual interfaces that stock Linux kernels speak, as KVM defines them: a clock and
 * stolen time in pages of the guest, an EOI without an exit, TLB flushes that need no preempted
 * vCPU, and hypercalls that wake, interrupt and yield to other vCPUs. `paravirt = off` in
 * guest.conf takes it all away: no leaf, no MSR, no hypercall.
 *
 *	pv_msr.c        the MSRs, and what the run loop and the guest's life call
 *	pv_time.c       MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME
 *
 * A vCPU's struct vcpu_pv is touched by the CPU that runs the vCPU, or while it runs nowhere. What
 * others want of it is a request: VCPU_REQ_CLOCK.
 *
 * Sources: Linux Documentation/virt/kvm/x86/cpuid.rst, msr.rst and hypercalls.rst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"

/* Bit 0 of the MSRs that hold an address. */
#define PV_ENABLED 1ull

/* --- the clock: hv/pv_time.c --- */

void pv_write_wall_clock(struct vcpu *vcpu, uint64_t address);
/* False: #GP. */
bool pv_write_system_time(struct vcpu *vcpu, uint64_t value) HV_MUST_CHECK;
/* The vCPU's own TSC has been moved against the VM's time. */
void pv_tsc_changed(struct vcpu *vcpu);
/* VCPU_REQ_CLOCK: writes the clock's page anew. */
void pv_update_clock(struct vcpu *vcpu);

/* --- for exit handlers --- */

/* False: no such MSR for this guest, or a value that it does not take; #GP. */
bool pv_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value) HV_MUST_CHECK;
bool pv_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value) HV_MUST_CHECK;

/* --- for the run loop and the guest's life --- */

#define VCPU_REQ_PV VCPU_REQ_CLOCK

/* RESET and INIT. */
void pv_reset(struct vcpu *vcpu);
/* The guest goes on after a pause; before the vCPU is woken. */
void pv_resumed(struct vcpu *vcpu);
/* Carries out those of VCPU_REQ_PV that are in `requests`; the vCPU's space is current. */
void pv_requests(struct vcpu *vcpu, uint32_t requests);
