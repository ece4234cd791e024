/* SPDX-License-Identifier: Apache-2.0 */
/* The paravirtual MSRs, and what the run loop and the guest's life need of their state. */
#include "hv/cpu/msr.h"
#include "hv/guest.h"
#include "hv/pv.h"

#define POLL_ON 1ull

bool pv_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	const struct guest *g = guest_of(vcpu->vm);

	if (!g->config->paravirt) {
		return false;
	}
	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		*value = atomic_load_explicit(&g->wall_clock_msr, memory_order_relaxed);
		return true;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		*value = vcpu->pv.system_time;
		return true;
	case MSR_KVM_STEAL_TIME:
		*value = vcpu->pv.steal_time;
		return true;
	case MSR_KVM_EOI_EN:
		*value = vcpu->pv.eoi;
		return true;
	case MSR_KVM_POLL_CONTROL:
		*value = vcpu->pv.poll_control;
		return true;
	default:
		return false;
	}
}

/* Kept only: this hypervisor does not poll for a halted vCPU. */
static bool write_poll_control(struct vcpu *vcpu, uint64_t value)
{
	if ((value & ~POLL_ON) != 0) {
		return false;
	}
	vcpu->pv.poll_control = value;
	return true;
}

bool pv_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct guest *g = guest_of(vcpu->vm);

	if (!g->config->paravirt) {
		return false;
	}
	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		atomic_store_explicit(&g->wall_clock_msr, value, memory_order_relaxed);
		pv_write_wall_clock(vcpu, value);
		return true;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return pv_write_system_time(vcpu, value);
	case MSR_KVM_STEAL_TIME:
		return pv_write_steal_time(vcpu, value);
	case MSR_KVM_EOI_EN:
		return pv_write_eoi(vcpu, value);
	case MSR_KVM_POLL_CONTROL:
		return write_poll_control(vcpu, value);
	default:
		return false;
	}
}

/* Field by field: other vCPUs look at tsc_adjust, and the counters go on. */
void pv_reset(struct vcpu *vcpu)
{
	struct vcpu_pv *pv = &vcpu->pv;

	pv->system_time = 0;
	pv->steal_time = 0;
	pv->eoi = 0;
	pv->poll_control = POLL_ON;
	atomic_store_explicit(&pv->tsc_adjust, vcpu->tsc_adjust, memory_order_relaxed);
	pv->steal_ticks = 0;
	pv->eoi_offered = false;
	pv->told_preempted = false;
	pv->was_paused = false;
	pv->unhalt = false;
	hyperv_reset(vcpu);
}

void pv_resumed(struct vcpu *vcpu)
{
	vcpu->pv.was_paused = true;
	vcpu_request(vcpu, VCPU_REQ_CLOCK);
}

void pv_requests(struct vcpu *vcpu, uint32_t requests)
{
	if ((requests & VCPU_REQ_CLOCK) != 0) {
		pv_update_clock(vcpu);
	}
	if ((requests & VCPU_REQ_UNHALT) != 0) {
		vcpu->pv.unhalt = true;
	}
	if ((requests & VCPU_REQ_HYPERV) != 0) {
		hyperv_requests(vcpu);
	}
}
