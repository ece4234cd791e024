/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state of Hyper-V's interface, of the partition and of each virtual processor. Pages that
 * the guest has given it are the guest's memory: loading writes nothing there.
 */
#include "hv/api/saved.h"
#include "hv/base/str.h"
#include "hv/hyperv_internal.h"

#define FIRED_TIMERS (BIT32(HV_STIMER_COUNT) - 1)
#define FIRST_VECTOR 16u

/* --- a virtual processor --- */

static void save_timer(const struct stimer_state *s, const struct vtimer *t,
		       struct stimer_saved *out)
{
	*out = (struct stimer_saved){
		.config = s->config,
		.count = s->count,
		.due = s->due,
		.expired = s->expired,
		.deadline = vtimer_deadline(t),
		.message_waits = s->message_waits,
	};
}

static void save_vp(void *dev, void *out)
{
	struct hyperv_vp *vp = dev;
	struct hyperv_vp_saved *saved = out;

	lock_acquire(&vp->lock);
	saved->assist = vp->state.assist;
	saved->scontrol = vp->state.scontrol;
	saved->siefp = vp->state.siefp;
	saved->simp = vp->state.simp;
	memcpy(saved->sint, vp->state.sint, sizeof(saved->sint));
	saved->sweep = vtimer_deadline(&vp->sweep);
	saved->fired = atomic_load(&vp->fired);
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		save_timer(&vp->state.timers[i], &vp->timers[i].vtimer, &saved->timers[i]);
	}
	lock_release(&vp->lock);
}

static const char *check_timer(const struct stimer_saved *in)
{
	if ((in->config & ~HV_STIMER_DEFINED) != 0 || !saved_is_bool(in->message_waits) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a timer has bits that it cannot have";
	}
	return in->due != 0 && in->count == 0 ? "a timer runs without a count" : NULL;
}

static const char *check_vp(void *dev, const void *in)
{
	const struct hyperv_vp_saved *saved = in;
	const char *wrong = NULL;

	(void)dev;
	for (unsigned i = 0; i < HV_SINT_COUNT; i++) {
		if ((saved->sint[i] & HV_SINT_MASKED) == 0 &&
		    (saved->sint[i] & HV_SINT_VECTOR) < FIRST_VECTOR) {
			return "a SINT has no vector";
		}
	}
	if ((saved->fired & ~(FIRED_TIMERS | HYPERV_FIRED_SWEEP)) != 0 || saved->zero != 0) {
		return "it has 4 timers";
	}
	for (unsigned i = 0; i < HV_STIMER_COUNT && wrong == NULL; i++) {
		wrong = check_timer(&saved->timers[i]);
	}
	return wrong;
}

static void load_timer(struct stimer *t, struct stimer_state *s, const struct stimer_saved *in)
{
	*s = (struct stimer_state){
		.config = in->config,
		.count = in->count,
		.due = in->due,
		.expired = in->expired,
		.message_waits = in->message_waits != 0,
	};
	vtimer_arm(&t->vtimer, vtime_of_loaded(t->vtimer.time, in->deadline));
}

/* Which vectors need no EOI the LAPIC knows from its own record. */
static void load_vp(void *dev, const void *in)
{
	struct hyperv_vp *vp = dev;
	const struct hyperv_vp_saved *saved = in;

	lock_acquire(&vp->lock);
	vp->state.assist = saved->assist;
	vp->state.scontrol = saved->scontrol;
	vp->state.siefp = saved->siefp;
	vp->state.simp = saved->simp;
	memcpy(vp->state.sint, saved->sint, sizeof(vp->state.sint));
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		load_timer(&vp->timers[i], &vp->state.timers[i], &saved->timers[i]);
	}
	vtimer_arm(&vp->sweep, vtime_of_loaded(vp->sweep.time, saved->sweep));
	atomic_store(&vp->fired, saved->fired);
	lock_release(&vp->lock);
	guest_request(guest_of(vp->vm), vp->index, VCPU_REQ_HYPERV);
}

static void reset_vp(void *dev)
{
	struct hyperv_vp *vp = dev;

	vp->state.assist = 0;
	stimer_reset(vp);
	synic_reset(vp);
}

static const struct saved_ops vp_ops = {
	.name = "Hyper-V VP",
	.kind = SAVED_KIND('H', 'V', 'V', 'P'),
	.version = HYPERV_SAVED_VERSION,
	.bytes = sizeof(struct hyperv_vp_saved),
	.save = save_vp,
	.check = check_vp,
	.load = load_vp,
	.reset = reset_vp,
};

/* --- the partition --- */

static void save_port(const struct hyperv_port *p, struct hyperv_port_saved *out)
{
	if (p->kind == PORT_FREE) {
		return;
	}
	*out = (struct hyperv_port_saved){
		.connection = p->connection,
		.flag = p->flag,
		.kind = (uint8_t)p->kind,
		.vp = p->vp,
		.sint = p->sint,
		.waits = p->waits,
	};
	if (p->waits) {
		out->message = p->message;
	}
}

static void save(void *dev, void *out)
{
	struct hyperv *h = dev;
	struct hyperv_saved *saved = out;

	lock_acquire(&h->lock);
	saved->os_id = h->state.os_id;
	saved->hypercall = hyperv_hypercall_msr(h);
	memcpy(saved->crash, h->state.crash, sizeof(saved->crash));
	memcpy(saved->code_before, h->state.code_before, sizeof(saved->code_before));
	lock_release(&h->lock);
	lock_acquire(&h->time_lock);
	saved->reference_tsc = h->state.reference_tsc;
	saved->sequence = h->state.sequence;
	lock_release(&h->time_lock);
	lock_acquire(&h->ports_lock);
	for (unsigned i = 0; i < HYPERV_PORTS; i++) {
		save_port(&h->ports[i], &saved->ports[i]);
	}
	lock_release(&h->ports_lock);
}

static bool port_is_sound(const struct hyperv *h, const struct hyperv_port_saved *in)
{
	bool empty = in->kind != PORT_MESSAGE || in->waits == 0;

	if (in->kind > PORT_EVENT || in->vp >= h->vp_count || in->sint >= HV_SINT_COUNT ||
	    in->flag >= HV_EVENT_FLAGS || !saved_is_bool(in->waits) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return false;
	}
	return empty ? in->waits == 0 && saved_is_zero(&in->message, sizeof(in->message))
		     : in->message.payload_size <= HV_MESSAGE_PAYLOAD_MAX;
}

static const char *check(void *dev, const void *in)
{
	const struct hyperv *h = dev;
	const struct hyperv_saved *saved = in;

	for (unsigned i = 0; i < HYPERV_PORTS; i++) {
		if (!port_is_sound(h, &saved->ports[i])) {
			return "a connection leads nowhere";
		}
	}
	return NULL;
}

static void load_port(struct hyperv_port *p, const struct hyperv_port_saved *in)
{
	*p = (struct hyperv_port){
		.kind = (enum port_kind)in->kind,
		.connection = in->connection,
		.vp = in->vp,
		.sint = in->sint,
		.flag = in->flag,
		.waits = in->waits != 0,
		.message = in->message,
	};
}

static void load(void *dev, const void *in)
{
	struct hyperv *h = dev;
	const struct hyperv_saved *saved = in;

	lock_acquire(&h->lock);
	h->state.os_id = saved->os_id;
	__atomic_store_n(&h->state.hypercall, saved->hypercall, __ATOMIC_RELAXED);
	memcpy(h->state.crash, saved->crash, sizeof(h->state.crash));
	memcpy(h->state.code_before, saved->code_before, sizeof(h->state.code_before));
	lock_release(&h->lock);
	lock_acquire(&h->time_lock);
	h->state.reference_tsc = saved->reference_tsc;
	h->state.sequence = saved->sequence;
	lock_release(&h->time_lock);
	atomic_store(&h->page_is_old, vtime_is_converted(&h->vm->time));
	lock_acquire(&h->ports_lock);
	for (unsigned i = 0; i < HYPERV_PORTS; i++) {
		load_port(&h->ports[i], &saved->ports[i]);
	}
	lock_release(&h->ports_lock);
}

/* The code in the guest's hypercall page stays: memory is not a part of this. */
static void reset(void *dev)
{
	struct hyperv *h = dev;

	lock_acquire(&h->lock);
	h->state = (struct hyperv_state){0};
	lock_release(&h->lock);
	lock_acquire(&h->ports_lock);
	memset(h->ports, 0, sizeof(h->ports));
	lock_release(&h->ports_lock);
}

static const struct saved_ops partition_ops = {
	.name = "Hyper-V partition",
	.kind = SAVED_KIND('H', 'V', 'P', 'T'),
	.version = HYPERV_SAVED_VERSION,
	.bytes = sizeof(struct hyperv_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

void hyperv_add_saved(struct hyperv *h)
{
	saved_device_init(&h->saved, &partition_ops, h);
	saved_add(&h->vm->saved, &h->saved, 0);
	for (unsigned i = 0; i < h->vp_count; i++) {
		saved_device_init(&h->vps[i].saved, &vp_ops, &h->vps[i]);
		saved_add(&h->vm->saved, &h->vps[i].saved, i);
	}
}
