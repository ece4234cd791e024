/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer of a LAPIC: one-shot, periodic and TSC-deadline, on one vtimer in guest time.
 *
 * One-shot and periodic expiries are moments of a cadence, so periods do not drift. Every access
 * first takes the expiries that are due, so that software never sees a reloaded count before the
 * interrupt it stands for. Expiries that pass while the vCPU does not run leave one IRR bit, as in
 * hardware: nothing is caught up.
 *
 * Source: SDM "APIC Timer".
 */
#include "guests/devices/lapic.h"
#include "guests/devices/lapic_internal.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"

#define TIMER_MODE MASK(18, 17)

enum timer_mode {
	TIMER_ONE_SHOT,
	TIMER_PERIODIC,
	TIMER_TSC_DEADLINE,
	TIMER_RESERVED,
};

/*
 * Periods below this are kept, but their expiries are merged: a guest that asks for one interrupt
 * per nanosecond costs the host no more than this many, and still gets on where the host is slow.
 */
#define TIMER_MERGE_NS 200000u

/* A TSC is measured: one that counts at the timer's rate may seem to be a little slower. */
#define TSC_ERROR 64u

uint64_t lapic_timer_hz(void)
{
	uint64_t hz = LAPIC_TIMER_HZ;

	while (hz > clock_hz() + clock_hz() / TSC_ERROR) {
		hz /= 2;
	}
	return hz;
}

static enum timer_mode mode_of(uint32_t lvt)
{
	return (enum timer_mode)bits_get(lvt, TIMER_MODE);
}

static enum timer_mode timer_mode(const struct lapic *l)
{
	return mode_of(l->lvt[LVT_TIMER]);
}

/* Bits 3, 1, 0 of the register: 000 is 2, 110 is 128, 111 is 1. */
static uint64_t divisor(uint32_t divide)
{
	uint32_t code = (divide & 3) | (divide & 8) >> 1;

	return 1ull << ((code + 1) & 7);
}

/* The guest tick at which the guest's TSC reaches the deadline; now when it has. */
static uint64_t deadline_tick(const struct lapic_timer *t, uint64_t now)
{
	uint64_t tsc = now + t->tsc_offset;
	uint64_t left = t->tsc_deadline > tsc ? t->tsc_deadline - tsc : 0;

	return left < TIMER_NEVER - now ? now + left : TIMER_NEVER;
}

static void arm(struct lapic *l, uint64_t now)
{
	struct lapic_timer *t = &l->timer;

	if (t->tsc_deadline != 0) {
		vtimer_arm(&t->vtimer, deadline_tick(t, now));
	} else if (t->counting) {
		vtimer_arm(&t->vtimer, t->cadence.next);
	} else {
		vtimer_cancel(&t->vtimer);
	}
}

/* Takes what is due at `now`; whether anything was. */
static bool expire(struct lapic *l, uint64_t now)
{
	struct lapic_timer *t = &l->timer;

	if (t->tsc_deadline != 0 && t->tsc_deadline <= now + t->tsc_offset) {
		t->tsc_deadline = 0;
	} else if (t->counting && t->cadence.next <= now) {
		uint64_t merge = clock_ns_to_ticks(TIMER_MERGE_NS);

		t->counting = timer_mode(l) == TIMER_PERIODIC;
		if (t->counting) {
			(void)cadence_skip(&t->cadence,
					   t->cadence.whole < merge ? now + merge : now);
		}
	} else {
		return false;
	}
	lapic_fire_locked(l, LVT_TIMER);
	return true;
}

/* Brings the timer up to date before software looks at it or changes it; returns the time. */
static uint64_t sync(struct lapic *l)
{
	uint64_t now = vtime_now(l->timer.vtimer.time);

	if (expire(l, now)) {
		arm(l, now);
	}
	return now;
}

/* Takes what is due and arms for what is next. */
static void restart(struct lapic *l, uint64_t now)
{
	(void)expire(l, now);
	arm(l, now);
}

static void timer_fired(struct vtimer *vtimer)
{
	struct lapic *l = container_of(vtimer, struct lapic, timer.vtimer);

	lock_acquire(&l->lock);
	restart(l, vtime_now(vtimer->time));
	lock_release(&l->lock);
}

void lapic_timer_init(struct lapic *l, struct vtime *time)
{
	vtimer_init(&l->timer.vtimer, time, timer_fired);
}

void lapic_timer_stop_locked(struct lapic *l)
{
	l->timer.counting = false;
	l->timer.initial = 0;
	l->timer.tsc_deadline = 0;
	vtimer_cancel(&l->timer.vtimer);
}

void lapic_timer_mode_locked(struct lapic *l, uint32_t old)
{
	enum timer_mode mode = timer_mode(l);

	/* One-shot and periodic share a running count; any other change disarms. */
	if (mode_of(old) != mode && (mode_of(old) > TIMER_PERIODIC || mode > TIMER_PERIODIC)) {
		lapic_timer_stop_locked(l);
	}
}

void lapic_timer_set_initial_locked(struct lapic *l, uint32_t count)
{
	struct lapic_timer *t = &l->timer;
	uint64_t now;

	if (timer_mode(l) > TIMER_PERIODIC) {
		return;
	}
	now = sync(l);
	t->initial = count;
	t->counting = count != 0;
	if (t->counting) {
		cadence_start(&t->cadence, now, count * divisor(t->divide), lapic_timer_hz());
	}
	arm(l, now);
}

/* What the counter shows at `now`, before which nothing is due. 0: it does not count. */
static uint32_t current(const struct lapic_timer *t, uint64_t now)
{
	uint64_t div = divisor(t->divide);
	uint64_t left;

	if (!t->counting) {
		return 0;
	}
	left = (clock_muldiv(t->cadence.next - now, lapic_timer_hz(), clock_hz()) + div - 1) / div;
	/* 0 is shown at the expiry, not before; a merged expiry may lie further away. */
	return (uint32_t)max_u64(1, min_u64(left, t->initial));
}

uint32_t lapic_timer_current_locked(struct lapic *l)
{
	uint64_t now = sync(l);

	return current(&l->timer, now);
}

void lapic_timer_set_divide_locked(struct lapic *l, uint32_t divide)
{
	struct lapic_timer *t = &l->timer;
	uint64_t now = sync(l);
	uint64_t count = current(t, now);

	if (divide == t->divide) {
		return;
	}
	t->divide = divide;
	if (t->counting) {
		/* The count goes on from where it is, at the new speed. */
		cadence_start(&t->cadence, now, t->initial * divisor(divide), lapic_timer_hz());
		t->cadence.next =
			now + clock_muldiv(count * divisor(divide), clock_hz(), lapic_timer_hz());
		t->cadence.carry = 0;
		arm(l, now);
	}
}

void lapic_timer_set_deadline_locked(struct lapic *l, uint64_t deadline)
{
	uint64_t now;

	if (timer_mode(l) != TIMER_TSC_DEADLINE) {
		return;
	}
	now = vtime_now(l->timer.vtimer.time);
	/* The old deadline may have passed unnoticed; the new one may lie in the past. */
	(void)expire(l, now);
	l->timer.tsc_deadline = deadline;
	restart(l, now);
}

uint64_t lapic_timer_deadline_locked(struct lapic *l)
{
	(void)sync(l);
	return l->timer.tsc_deadline;
}

void lapic_set_tsc_offset(struct lapic *l, uint64_t offset)
{
	lock_acquire(&l->lock);
	if (l->timer.tsc_offset != offset) {
		l->timer.tsc_offset = offset;
		restart(l, vtime_now(l->timer.vtimer.time));
	}
	lock_release(&l->lock);
}

/* --- saved state --- */

void lapic_timer_save_locked(const struct lapic *l, struct lapic_timer_saved *out)
{
	const struct lapic_timer *t = &l->timer;

	*out = (struct lapic_timer_saved){
		.next = t->counting ? t->cadence.next : 0,
		.carry = t->counting ? t->cadence.carry : 0,
		.tsc_deadline = t->tsc_deadline,
		.tsc_offset = t->tsc_offset,
		.initial = t->initial,
		.divide = t->divide,
		.counting = t->counting,
	};
}

const char *lapic_timer_check(uint32_t lvt, const struct lapic_timer_saved *in)
{
	bool counts = in->counting != 0;

	if ((in->divide & ~lapic_writable(REG_DIVIDE)) != 0 || !saved_is_bool(in->counting) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "the timer's registers have bits that they cannot have";
	}
	if (counts ? in->initial == 0 || mode_of(lvt) > TIMER_PERIODIC : in->next != 0) {
		return "the timer counts from nothing";
	}
	if (in->carry >= (counts ? lapic_timer_hz() : 1)) {
		return "the timer's remainder is more than a tick";
	}
	if (in->tsc_deadline != 0 && mode_of(lvt) != TIMER_TSC_DEADLINE) {
		return "the timer has a deadline in another mode";
	}
	return NULL;
}

void lapic_timer_load_locked(struct lapic *l, const struct lapic_timer_saved *in)
{
	struct lapic_timer *t = &l->timer;
	const struct vtime *time = t->vtimer.time;
	uint64_t now = vtime_now(time);

	t->initial = in->initial;
	t->divide = in->divide;
	t->counting = in->counting != 0;
	t->tsc_offset = in->tsc_offset;
	/* The guest's TSC is guest time and the offset. */
	t->tsc_deadline = in->tsc_deadline;
	if (t->tsc_deadline != 0) {
		t->tsc_deadline =
			vtime_of_loaded(time, in->tsc_deadline - in->tsc_offset) + in->tsc_offset;
	}
	if (t->counting) {
		cadence_start(&t->cadence, now, t->initial * divisor(t->divide), lapic_timer_hz());
		cadence_load(&t->cadence, vtime_of_loaded(time, in->next), in->carry, now);
	}
	arm(l, now);
}
