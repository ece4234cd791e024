/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic timers, four of each virtual processor, in reference time (100 ns). A timer's function
 * runs on any CPU and in any space: it leaves a bit and a request, and the vCPU itself does the
 * rest before its next entry.
 *
 *	vtimer --fired bit, VCPU_REQ_HYPERV--> stimer_run --> a vector (direct mode), or a message
 *	                                                      to a SINT, which may have to wait
 *
 * Source: TLFS, "Timers", "Synthetic Timers".
 */
#include "hv/api/clock.h"
#include "hv/base/str.h"
#include "hv/hyperv_internal.h"

/*
 * Periods below this are merged, as those of the LAPIC's timer: a guest that asks for an interrupt
 * every 100 ns costs the host no more than this many.
 */
#define MERGE 2000u /* 200 us */

static void fired(struct vtimer *vtimer)
{
	const struct stimer *t = container_of(vtimer, struct stimer, vtimer);
	struct hyperv_vp *vp = t->vp;

	atomic_fetch_or(&vp->fired, BIT32(t->index));
	guest_request(guest_of(vp->vm), vp->index, VCPU_REQ_HYPERV);
}

void stimer_init(struct hyperv_vp *vp)
{
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		vp->timers[i].vp = vp;
		vp->timers[i].index = i;
		vtimer_init(&vp->timers[i].vtimer, &vp->vm->time, fired);
	}
}

static struct stimer_state *state_of(const struct stimer *t)
{
	return &t->vp->state.timers[t->index];
}

static void stop(struct stimer *t)
{
	struct stimer_state *s = state_of(t);

	vtimer_cancel(&t->vtimer);
	s->due = 0;
	s->message_waits = false;
}

void stimer_reset(struct hyperv_vp *vp)
{
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		stop(&vp->timers[i]);
		vp->state.timers[i] = (struct stimer_state){0};
	}
	atomic_store(&vp->fired, 0);
}

/* --- expiry --- */

static bool post_expiry(struct vcpu *vcpu, const struct stimer *t)
{
	const struct stimer_state *s = state_of(t);
	struct hv_timer_message body = {.index = t->index,
					.expiration = s->expired,
					.delivery = hyperv_reference_time(vcpu)};
	struct hv_message message = {.type = HV_MESSAGE_TIMER_EXPIRED,
				     .payload_size = sizeof(body)};

	memcpy(message.payload, &body, sizeof(body));
	return synic_post(t->vp, (unsigned)bits_get(s->config, HV_STIMER_SINT), &message);
}

/* The first multiple of the period behind `now`; a tick that nobody waits for costs nothing. */
static void next_period(struct stimer_state *s, uint64_t now)
{
	if (s->count < MERGE) {
		s->due = now + MERGE;
	} else if (s->count <= UINT64_MAX - now) {
		s->due += ((now - s->due) / s->count + 1) * s->count;
	} else {
		s->due = UINT64_MAX;
	}
}

static void arm(struct stimer *t)
{
	vtimer_arm(&t->vtimer, hyperv_tick_of(state_of(t)->due));
}

/*
 * A lazy timer's tick may be lost. Else no other one follows while the message of one waits, and
 * stimer_retry goes on.
 */
static void tell(struct vcpu *vcpu, struct stimer *t)
{
	struct stimer_state *s = state_of(t);

	if ((s->config & HV_STIMER_DIRECT) != 0) {
		lapic_interrupt(hyperv_lapic(t->vp),
				(uint8_t)bits_get(s->config, HV_STIMER_VECTOR));
	} else if (!post_expiry(vcpu, t)) {
		s->message_waits =
			(s->config & HV_STIMER_PERIODIC) == 0 || (s->config & HV_STIMER_LAZY) == 0;
	}
}

static void expire(struct vcpu *vcpu, struct stimer *t, uint64_t now)
{
	struct stimer_state *s = state_of(t);

	s->expired = s->due;
	tell(vcpu, t);
	if ((s->config & HV_STIMER_PERIODIC) == 0) {
		s->config &= ~HV_STIMER_ENABLE;
		s->due = 0;
		return;
	}
	next_period(s, now);
	if (!s->message_waits) {
		arm(t);
	}
}

/* Takes what is due of one that runs, or waits for it. */
static void advance(struct vcpu *vcpu, struct stimer *t)
{
	const struct stimer_state *s = state_of(t);
	uint64_t now = hyperv_reference_time(vcpu);

	if (s->due == 0 || s->message_waits) {
		return;
	}
	if (now >= s->due) {
		expire(vcpu, t, now);
	} else {
		arm(t);
	}
}

void stimer_run(struct vcpu *vcpu, uint32_t fired)
{
	struct hyperv_vp *vp = hyperv_vp(vcpu);
	uint32_t left = fired & (BIT32(HV_STIMER_COUNT) - 1);

	for (; left != 0; left &= left - 1) {
		advance(vcpu, &vp->timers[__builtin_ctz(left)]);
	}
}

void stimer_retry(struct vcpu *vcpu)
{
	struct hyperv_vp *vp = hyperv_vp(vcpu);

	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		struct stimer *t = &vp->timers[i];
		struct stimer_state *s = state_of(t);

		if (s->message_waits && post_expiry(vcpu, t)) {
			s->message_waits = false;
			advance(vcpu, t);
		}
	}
}

/* --- registers --- */

static void start(struct vcpu *vcpu, struct stimer *t)
{
	struct stimer_state *s = state_of(t);
	uint64_t now = hyperv_reference_time(vcpu);

	stop(t);
	if ((s->config & HV_STIMER_ENABLE) == 0 || s->count == 0) {
		return;
	}
	if ((s->config & HV_STIMER_PERIODIC) != 0) {
		s->due = s->count < UINT64_MAX - now ? now + s->count : UINT64_MAX;
	} else {
		s->due = s->count;
	}
	advance(vcpu, t);
}

/* One with SINT 0, which is the hypervisor's own, cannot be enabled. */
static void write_config(struct vcpu *vcpu, struct stimer *t, uint64_t value)
{
	value &= HV_STIMER_DEFINED;
	if ((value & HV_STIMER_DIRECT) == 0 && (value & HV_STIMER_SINT) == 0) {
		value &= ~HV_STIMER_ENABLE;
	}
	state_of(t)->config = value;
	start(vcpu, t);
}

static void write_count(struct vcpu *vcpu, struct stimer *t, uint64_t value)
{
	struct stimer_state *s = state_of(t);

	s->count = value;
	if (value == 0) {
		s->config &= ~HV_STIMER_ENABLE;
	} else if ((s->config & HV_STIMER_AUTO_ENABLE) != 0) {
		s->config |= HV_STIMER_ENABLE;
	}
	start(vcpu, t);
}

static struct stimer *timer_at(struct vcpu *vcpu, uint32_t index)
{
	return &hyperv_vp(vcpu)->timers[(index - MSR_HV_STIMER0_CONFIG) / 2];
}

static bool is_count(uint32_t index)
{
	return ((index - MSR_HV_STIMER0_CONFIG) & 1) != 0;
}

bool stimer_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	const struct stimer_state *s = state_of(timer_at(vcpu, index));

	*value = is_count(index) ? s->count : s->config;
	return true;
}

bool stimer_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct stimer *t = timer_at(vcpu, index);

	if (is_count(index)) {
		write_count(vcpu, t, value);
	} else {
		write_config(vcpu, t, value);
	}
	return true;
}
