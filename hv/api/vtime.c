/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's clock and timers: guest ticks, and their translation to the host's timer queue. */
#include "hv/api/vtime.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"

/* --- saved state --- */

static void save(void *dev, void *out)
{
	*(struct vtime_saved *)out = (struct vtime_saved){vtime_now(dev), clock_hz()};
}

static uint64_t convert(uint64_t ticks, uint64_t hz)
{
	return hz == clock_hz() ? ticks : clock_muldiv(ticks, clock_hz(), hz);
}

uint64_t vtime_of_loaded(const struct vtime *v, uint64_t moment)
{
	bool before = moment >> 63 != 0;
	uint64_t distance = before ? -moment : moment;

	if (moment == TIMER_NEVER) {
		return TIMER_NEVER;
	}
	distance = min_u64(convert(distance, v->loaded_hz), INT64_MAX);
	return before ? -distance : distance;
}

bool vtime_is_converted(const struct vtime *v)
{
	return v->loaded_hz != clock_hz();
}

static const char *check(void *dev, const void *in)
{
	const struct vtime_saved *saved = in;

	(void)dev;
	if (saved->hz < CLOCK_HZ_MIN || saved->hz > CLOCK_HZ_MAX) {
		return "its TSC runs at a rate that none has";
	}
	/* In both rates: what is beyond the half of all ticks would load as before guest time 0. */
	return saved->now < VTIME_MAX && convert(saved->now, saved->hz) < VTIME_MAX
		       ? NULL
		       : "it has run for longer than any machine";
}

/* What is armed meanwhile is another state's: its device is yet to be loaded. */
static void load(void *dev, const void *in)
{
	const struct vtime_saved *saved = in;
	struct vtime *v = dev;

	lock_acquire(&v->lock);
	v->loaded_hz = saved->hz;
	v->paused_at = vtime_of_loaded(v, saved->now);
	v->offset = clock_now() - v->paused_at;
	lock_release(&v->lock);
}

/* Time goes on. */
static void reset(void *dev)
{
	(void)dev;
}

static const struct saved_ops saved_ops = {
	.name = "guest time",
	.kind = SAVED_KIND('T', 'I', 'M', 'E'),
	.version = VTIME_SAVED_VERSION,
	.bytes = sizeof(struct vtime_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

void vtime_init(struct vtime *v, struct timer_queue *queue)
{
	*v = (struct vtime){.queue = queue, .offset = clock_now(), .loaded_hz = clock_hz()};
	list_init(&v->armed);
	saved_device_init(&v->saved, &saved_ops, v);
}

uint64_t vtime_now(const struct vtime *v)
{
	return atomic_load_explicit(&v->paused, memory_order_acquire) ? v->paused_at
								      : clock_now() - v->offset;
}

uint64_t vtime_now_ns(const struct vtime *v)
{
	return clock_ticks_to_ns(vtime_now(v));
}

static void arm_host(struct vtimer *t)
{
	uint64_t offset = t->time->offset;
	uint64_t deadline = t->deadline + offset;
	/* Of a VM that is older than the host's clock, which it was loaded on. */
	bool older = (int64_t)offset < 0;

	if (older && deadline > t->deadline) {
		deadline = 0; /* before that clock began */
	} else if (!older && deadline < t->deadline) {
		/* A guest may ask for a moment beyond the host's clock: that is never. */
		deadline = TIMER_NEVER;
	}
	timer_arm(&t->host, deadline);
}

void vtime_pause(struct vtime *v)
{
	lock_acquire(&v->lock);
	if (!v->paused) {
		v->paused_at = vtime_now(v);
		atomic_store_explicit(&v->paused, true, memory_order_release);
		list_for_each (it, &v->armed) {
			timer_cancel(&list_entry(it, struct vtimer, node)->host);
		}
	}
	lock_release(&v->lock);
}

void vtime_resume(struct vtime *v)
{
	lock_acquire(&v->lock);
	if (v->paused) {
		v->offset = clock_now() - v->paused_at;
		atomic_store_explicit(&v->paused, false, memory_order_release);
		list_for_each (it, &v->armed) {
			arm_host(list_entry(it, struct vtimer, node));
		}
	}
	lock_release(&v->lock);
}

/* Nothing to do when somebody cancelled it, or armed it for later, since it left the queue. */
static void fire(struct timer *host)
{
	struct vtimer *t = container_of(host, struct vtimer, host);
	struct vtime *v = t->time;
	bool due;

	lock_acquire(&v->lock);
	due = vtimer_armed(t) && t->deadline <= vtime_now(v);
	if (due) {
		list_remove(&t->node);
	}
	lock_release(&v->lock);
	if (due) {
		t->fn(t);
	}
}

void vtimer_init(struct vtimer *t, struct vtime *v, void (*fn)(struct vtimer *t))
{
	*t = (struct vtimer){.time = v, .fn = fn};
	timer_init(&t->host, v->queue, fire);
	list_init(&t->node);
}

void vtimer_arm(struct vtimer *t, uint64_t deadline)
{
	struct vtime *v = t->time;

	lock_acquire(&v->lock);
	if (deadline == TIMER_NEVER) {
		timer_cancel(&t->host);
		list_remove(&t->node);
	} else {
		t->deadline = deadline;
		if (list_empty(&t->node)) {
			list_append(&v->armed, &t->node);
		}
		if (v->paused) {
			timer_cancel(&t->host);
		} else {
			arm_host(t);
		}
	}
	lock_release(&v->lock);
}

void vtimer_cancel(struct vtimer *t)
{
	vtimer_arm(t, TIMER_NEVER);
}

bool vtimer_armed(const struct vtimer *t)
{
	return !list_empty(&t->node);
}

uint64_t vtimer_deadline(const struct vtimer *t)
{
	return vtimer_armed(t) ? t->deadline : TIMER_NEVER;
}
