/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's clock and timers: guest ticks, and their translation to the host's timer queue. */
#include "hv/api/vtime.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"

void vtime_init(struct vtime *v, struct timer_queue *queue)
{
	*v = (struct vtime){.queue = queue, .offset = clock_now()};
	list_init(&v->armed);
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
	uint64_t deadline = 0;

	/* A guest may ask for a moment beyond the host's clock: that is never. */
	if (__builtin_add_overflow(t->deadline, t->time->offset, &deadline)) {
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
	timer_cancel(&t->host);
	list_remove(&t->node);
	if (deadline != TIMER_NEVER) {
		t->deadline = deadline;
		list_append(&v->armed, &t->node);
		if (!v->paused) {
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
