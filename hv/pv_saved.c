/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state of a vCPU's paravirtual interfaces: what the guest has set up. What its pages hold is
 * its memory; how long it has waited for a CPU is this machine's to tell, and told anew.
 */
#include "hv/api/saved.h"
#include "hv/guest.h"
#include "hv/pv.h"

#define EOI_RESERVED 2ull
#define STEAL_RESERVED MASK(5, 1)

static void save(void *dev, void *out)
{
	const struct vcpu *vcpu = dev;
	const struct vcpu_pv *pv = &vcpu->pv;

	*(struct pv_saved *)out = (struct pv_saved){
		.wall_clock = atomic_load(&guest_of(vcpu->vm)->wall_clock_msr),
		.system_time = pv->system_time,
		.steal_time = pv->steal_time,
		.eoi = pv->eoi,
		.poll_control = (uint8_t)pv->poll_control,
		.eoi_offered = pv->eoi_offered,
		.told_preempted = pv->told_preempted,
		.unhalt = pv->unhalt,
		.idle = pv->idle,
	};
}

static const char *check(void *dev, const void *in)
{
	const struct vcpu *vcpu = dev;
	const struct pv_saved *saved = in;
	uint8_t flags = saved->poll_control | saved->eoi_offered | saved->told_preempted |
			saved->unhalt | saved->idle;

	if ((saved->eoi & EOI_RESERVED) != 0 || (saved->steal_time & STEAL_RESERVED) != 0) {
		return "an address has bits that it cannot have";
	}
	if (!saved_is_bool(flags) || !saved_is_zero(saved->zero, sizeof(saved->zero))) {
		return "a flag is neither 0 nor 1";
	}
	if (saved->idle != 0 && vcpu->vm->hyperv == NULL) {
		return "only Hyper-V's interface knows this idle state";
	}
	return NULL;
}

static void load(void *dev, const void *in)
{
	struct vcpu *vcpu = dev;
	struct vcpu_pv *pv = &vcpu->pv;
	const struct pv_saved *saved = in;

	atomic_store(&guest_of(vcpu->vm)->wall_clock_msr, saved->wall_clock);
	pv->system_time = saved->system_time;
	pv->steal_time = saved->steal_time;
	pv->eoi = saved->eoi;
	pv->poll_control = saved->poll_control;
	pv->eoi_offered = saved->eoi_offered != 0;
	pv->told_preempted = saved->told_preempted != 0;
	pv->unhalt = saved->unhalt != 0;
	pv->idle = saved->idle != 0;
}

/* The LAPIC and Hyper-V's state have records of their own. */
static void reset(void *dev)
{
	pv_reset(dev);
}

static const struct saved_ops pv_saved_ops = {
	.name = "paravirtual vCPU",
	.kind = SAVED_KIND('P', 'V', 'C', 'P'),
	.version = PV_SAVED_VERSION,
	.bytes = sizeof(struct pv_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

void pv_add_saved(struct vcpu *vcpu)
{
	saved_device_init(&vcpu->pv.saved, &pv_saved_ops, vcpu);
	saved_add(&vcpu->vm->saved, &vcpu->pv.saved, vcpu->index);
}
