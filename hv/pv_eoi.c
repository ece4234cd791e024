/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of an interrupt without an exit. While a bit in the guest's memory is set, the guest
 * clears it instead of writing the LAPIC's EOI register:
 *
 *	offer   before entry: an edge-triggered vector is in service and no other waits
 *	settle  after the next exit: is the bit still set, it is taken back; else the EOI has been
 *
 * In between the LAPIC may believe in a service that is over. It therefore kicks the vCPU for any
 * new request, even one that would have to wait (lapic_offer_eoi), and the exit settles it.
 */
#include "hv/guest.h"
#include "hv/pv.h"

#define EOI_PENDING 1u
#define EOI_RESERVED 2ull

static uint32_t *flag_of(struct vcpu *vcpu)
{
	return gspace_ptr(&vcpu->vm->gspace, gpa(vcpu->pv.eoi & ~PV_ENABLED), sizeof(uint32_t),
			  true);
}

static struct lapic *lapic_of(struct vcpu *vcpu)
{
	return board_lapic(guest_of(vcpu->vm)->board, vcpu->index);
}

/* An interrupt that was accepted and is not in the guest's hands yet must not be ended. */
static bool all_delivered(const struct vcpu_events *ev)
{
	return ev->late_vector < 0 && ev->reinject.type == VCPU_EVENT_NONE;
}

void pv_eoi_make_offer(struct vcpu *vcpu)
{
	struct lapic *l = lapic_of(vcpu);
	uint32_t *flag;

	if (!all_delivered(&vcpu->events) || !lapic_offer_eoi(l)) {
		return;
	}
	flag = flag_of(vcpu);
	if (flag == NULL) {
		lapic_settle_eoi(l, false);
		return;
	}
	/* The guest changes it in one instruction, and only on this CPU. */
	__atomic_store_n(flag, __atomic_load_n(flag, __ATOMIC_RELAXED) | EOI_PENDING,
			 __ATOMIC_RELAXED);
	vcpu->pv.eoi_offered = true;
}

void pv_eoi_end_offer(struct vcpu *vcpu)
{
	uint32_t *flag = flag_of(vcpu);
	uint32_t value = flag != NULL ? __atomic_load_n(flag, __ATOMIC_RELAXED) : EOI_PENDING;
	bool ended = (value & EOI_PENDING) == 0;

	if (flag != NULL && !ended) {
		__atomic_store_n(flag, value & ~EOI_PENDING, __ATOMIC_RELAXED);
	}
	vcpu->pv.eoi_offered = false;
	vcpu->pv.eoi_saved += ended ? 1 : 0;
	lapic_settle_eoi(lapic_of(vcpu), ended);
}

bool pv_write_eoi(struct vcpu *vcpu, uint64_t value)
{
	uint64_t old = vcpu->pv.eoi;

	pv_eoi_settle(vcpu);
	if ((value & EOI_RESERVED) != 0) {
		return false;
	}
	vcpu->pv.eoi = value;
	if ((value & PV_ENABLED) != 0 && flag_of(vcpu) == NULL) {
		vcpu->pv.eoi = old;
		return false;
	}
	return true;
}
