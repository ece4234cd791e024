/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state of the wall clock and of a vCPU's paravirtual interfaces: what the guest has set up.
 * What its pages hold is its memory; how long it has waited for a CPU is this machine's to tell,
 * and told anew.
 */
#include "hv/api/saved.h"
#include "hv/guest.h"
#include "hv/pv.h"

#define EOI_RESERVED 2ull
#define STEAL_RESERVED MASK(5, 1)
#define PV_WALL_MAX BIT(48) /* seconds: nine million years */

/* --- the wall clock --- */

static void save_wall(void *dev, void *out)
{
	const struct guest *g = dev;

	*(struct pv_wall_saved *)out = (struct pv_wall_saved){
		.base = g->wall_base,
		.msr = atomic_load(&g->wall_clock_msr),
	};
}

static const char *check_wall(void *dev, const void *in)
{
	const struct guest *g = dev;
	const struct pv_wall_saved *saved = in;

	if (saved->base >= PV_WALL_MAX) {
		return "it begins later than any machine";
	}
	return saved->msr == 0 || g->config->paravirt ? NULL : "the guest has no such MSR";
}

static void load_wall(void *dev, const void *in)
{
	struct guest *g = dev;
	const struct pv_wall_saved *saved = in;

	g->wall_base = saved->base;
	atomic_store(&g->wall_clock_msr, saved->msr);
}

/* The time of day stays, as the RTC's does. */
static void reset_wall(void *dev)
{
	struct guest *g = dev;

	atomic_store(&g->wall_clock_msr, 0);
}

static const struct saved_ops wall_saved_ops = {
	.name = "wall clock",
	.kind = SAVED_KIND('W', 'A', 'L', 'L'),
	.version = PV_WALL_SAVED_VERSION,
	.bytes = sizeof(struct pv_wall_saved),
	.save = save_wall,
	.check = check_wall,
	.load = load_wall,
	.reset = reset_wall,
};

void pv_add_wall_saved(struct guest *g)
{
	saved_device_init(&g->wall_saved, &wall_saved_ops, g);
	saved_add(&g->vm.saved, &g->wall_saved, 0);
}

/* --- a vCPU --- */

static void save(void *dev, void *out)
{
	const struct vcpu *vcpu = dev;
	const struct vcpu_pv *pv = &vcpu->pv;

	*(struct pv_saved *)out = (struct pv_saved){
		.system_time = pv->system_time,
		.steal_time = pv->steal_time,
		.eoi = pv->eoi,
		.poll_control = (uint8_t)pv->poll_control,
		.eoi_offered = pv->eoi_offered,
		.told_preempted = pv->told_preempted,
		.unhalt = pv->unhalt,
		.idle = pv->idle,
		.resting = vcpu->resting,
	};
}

static const char *check(void *dev, const void *in)
{
	const struct vcpu *vcpu = dev;
	const struct pv_saved *saved = in;
	uint8_t flags = saved->poll_control | saved->eoi_offered | saved->told_preempted |
			saved->unhalt | saved->idle | saved->resting;

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

/* A device model's rest ends here, as no timer of the device ends it: the vCPU looks again. */
static void load(void *dev, const void *in)
{
	struct vcpu *vcpu = dev;
	struct vcpu_pv *pv = &vcpu->pv;
	const struct pv_saved *saved = in;

	pv->system_time = saved->system_time;
	pv->steal_time = saved->steal_time;
	pv->eoi = saved->eoi;
	pv->poll_control = saved->poll_control;
	pv->eoi_offered = saved->eoi_offered != 0;
	pv->told_preempted = saved->told_preempted != 0;
	pv->unhalt = saved->unhalt != 0;
	pv->idle = saved->idle != 0;
	vcpu->resting = saved->resting != 0;
	if (vcpu->resting) {
		vcpu_request(vcpu, VCPU_REQ_RESTED);
	}
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
