/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paravirtual interfaces that stock Linux kernels speak, as KVM defines them: a clock and
 * stolen time in pages of the guest, an EOI without an exit, TLB flushes that need no preempted
 * vCPU, and hypercalls that wake, interrupt and yield to other vCPUs. `paravirt = off` in
 * guest.conf takes it all away: no leaf, no MSR, no hypercall.
 *
 *	pv_msr.c        the MSRs, and what the run loop and the guest's life call
 *	pv_time.c       MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, MSR_KVM_STEAL_TIME
 *	pv_eoi.c        MSR_KVM_EOI_EN
 *	pv_hypercall.c  VMCALL and VMMCALL
 *
 * `hyperv = on` takes it away, too, and puts hv/hyperv.h in its place: what the run loop and the
 * guest's life call here does that one's part as well.
 *
 * A vCPU's struct vcpu_pv is touched by the CPU that runs the vCPU, or while it runs nowhere. What
 * others want of it is a request: VCPU_REQ_CLOCK, VCPU_REQ_UNHALT.
 *
 * Sources: Linux Documentation/virt/kvm/x86/cpuid.rst, msr.rst and hypercalls.rst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"
#include "hv/hyperv.h"

struct guest;

/* Bit 0 of the MSRs that hold an address. */
#define PV_ENABLED 1ull

/* --- the clock and stolen time: hv/pv_time.c --- */

/* What a guest page of MSR_KVM_STEAL_TIME holds; 64 bytes, aligned to them. */
struct pv_steal_time {
	uint64_t steal;	  /* ns that the vCPU was ready to run and did not */
	uint32_t version; /* odd while being written */
	uint32_t flags;
	uint8_t preempted; /* PV_PREEMPTED and, set by the guest, PV_FLUSH_TLB */
	uint8_t pad0[3];
	uint32_t pad1[11];
};
static_assert(sizeof(struct pv_steal_time) == 64, "ABI");
static_assert(offsetof(struct pv_steal_time, preempted) == 16, "ABI");

#define PV_PREEMPTED 1u
#define PV_FLUSH_TLB 2u

void pv_write_wall_clock(struct vcpu *vcpu, uint64_t address);
/* False: #GP. */
bool pv_write_system_time(struct vcpu *vcpu, uint64_t value) HV_MUST_CHECK;
bool pv_write_steal_time(struct vcpu *vcpu, uint64_t value) HV_MUST_CHECK;
/* The vCPU's own TSC has been moved against the VM's time. */
void pv_tsc_changed(struct vcpu *vcpu);
/* Whether one vCPU's page of time serves all: the vDSO reads the first one's, wherever it runs. */
bool pv_tscs_agree(const struct vm *vm);
/* VCPU_REQ_CLOCK: writes the clock's page anew. */
void pv_update_clock(struct vcpu *vcpu);
void pv_steal_load(struct vcpu *vcpu);
void pv_steal_put(struct vcpu *vcpu);

/* --- the EOI: hv/pv_eoi.c --- */

bool pv_write_eoi(struct vcpu *vcpu, uint64_t value) HV_MUST_CHECK;
void pv_eoi_make_offer(struct vcpu *vcpu);
void pv_eoi_end_offer(struct vcpu *vcpu);

/* --- for exit handlers --- */

/* False: no such MSR for this guest, or a value that it does not take; #GP. */
bool pv_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value) HV_MUST_CHECK;
bool pv_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value) HV_MUST_CHECK;
/* VMCALL or VMMCALL, whichever this CPU has. */
void pv_hypercall(struct vcpu *vcpu, struct vm_exit *exit);
/*
 * A #UD: if it is the other vendor's hypercall instruction, does what that would have done. KVM
 * promises both (it rewrites the guest's code instead), and kernels before 3.17 know VMCALL only.
 */
bool pv_hypercall_undefined(struct vcpu *vcpu, struct vm_exit *exit);

/* --- for the run loop and the guest's life --- */

#define VCPU_REQ_PV (VCPU_REQ_CLOCK | VCPU_REQ_UNHALT | VCPU_REQ_HYPERV)

/* RESET and INIT. */
void pv_reset(struct vcpu *vcpu);
/* The guest goes on after a pause; before the vCPU is woken. */
void pv_resumed(struct vcpu *vcpu);
/* Carries out those of VCPU_REQ_PV that are in `requests`; the vCPU's space is current. */
void pv_requests(struct vcpu *vcpu, uint32_t requests);

/* Whether KVM_HC_KICK_CPU ends this HLT; it ends the next one when it came before. */
static inline bool pv_take_unhalt(struct vcpu *vcpu)
{
	bool unhalt = vcpu->pv.unhalt;

	vcpu->pv.unhalt = false;
	return unhalt;
}

/* Whether an interrupt ends the idle state of Hyper-V's interface, which IF does not matter to. */
static inline bool pv_idle_over(struct vcpu *vcpu)
{
	return vcpu->pv.idle && hyperv_idle_over(vcpu);
}

static inline void pv_end_idle(struct vcpu *vcpu)
{
	if (vcpu->pv.idle) {
		hyperv_end_idle(vcpu);
	}
}

/* The vCPU comes onto a CPU, and leaves it, `preempted` while it could have run on. Space current.
 */
static inline void pv_vcpu_load(struct vcpu *vcpu)
{
	if ((vcpu->pv.steal_time & PV_ENABLED) != 0) {
		pv_steal_load(vcpu);
	}
}

static inline void pv_vcpu_put(struct vcpu *vcpu, bool preempted)
{
	if (preempted && (vcpu->pv.steal_time & PV_ENABLED) != 0) {
		pv_steal_put(vcpu);
	}
}

/* Behind event_deliver: if the guest may end the interrupt in service without an exit, says so. */
static inline void pv_eoi_offer(struct vcpu *vcpu)
{
	if ((vcpu->pv.eoi & PV_ENABLED) != 0) {
		pv_eoi_make_offer(vcpu);
	}
}

/* Behind each exit, before anything looks at the LAPIC: learns whether the guest has done so. */
static inline void pv_eoi_settle(struct vcpu *vcpu)
{
	if (vcpu->pv.eoi_offered) {
		pv_eoi_end_offer(vcpu);
	}
}

/* --- saved state: hv/pv_saved.c --- */

#define PV_SAVED_VERSION 2u
struct pv_saved {
	uint64_t system_time;
	uint64_t steal_time;
	uint64_t eoi;
	uint8_t poll_control;
	uint8_t eoi_offered;
	uint8_t told_preempted;
	uint8_t unhalt;
	uint8_t idle;
	uint8_t resting;
	uint8_t zero[2];
};
_Static_assert(sizeof(struct pv_saved) == 32, "no padding");

/* The VM's wall clock: its RTC has its own time, in its own record. */
#define PV_WALL_SAVED_VERSION 1u
struct pv_wall_saved {
	uint64_t base; /* seconds since 1970 when guest time was 0 */
	uint64_t msr;
};
_Static_assert(sizeof(struct pv_wall_saved) == 16, "no padding");

/* At the vCPU's creation. */
void pv_add_saved(struct vcpu *vcpu);
/* At the VM's creation. */
void pv_add_wall_saved(struct guest *g);
