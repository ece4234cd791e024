/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-CPU timer queue: host deadlines in TSC ticks, fired in order by the CPU that owns the
 * queue. A pairing heap inside the timers themselves, so arming never allocates and never fails.
 *
 * A timer is armed on the queue of the CPU that arms it, so that nobody has to reprogram another
 * CPU's hardware and a vCPU's timers follow it. It may be cancelled from any CPU.
 *
 * Locking: each queue has a lock, held for links only, never while a function runs. Two CPUs must
 * not arm the same timer at the same time: its user's lock sees to that. A function may still run,
 * or be about to, when timer_cancel returns on another CPU: it looks at its user's state, under its
 * lock, for whether there is anything to do.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/base/lock.h"

struct timer {
	uint64_t deadline; /* host TSC ticks; meaningful while armed */
	void (*fn)(struct timer *t);
	struct timer_queue *_Atomic queue;    /* where it is armed, or was last */
	struct timer *child, *sibling, *prev; /* heap links; under the queue's lock */
	_Atomic bool armed;		      /* set under the queue's lock */
};

struct timer_queue {
	struct spinlock lock;
	struct timer *root;
	struct timer *deferred; /* armed by functions of the run in progress */
	bool running;
	_Atomic uint64_t next; /* the earliest deadline, published for the owner */
	/* A function of this queue is running now; see timer_queue_settle. */
	_Atomic bool firing;
};

#define TIMER_NEVER (~0ull)

void timer_queue_init(struct timer_queue *q);
/* Where timers are armed: the queue of the CPU that calls; NULL (at first): where they were
 * initialised. */
void timer_set_local_queue(struct timer_queue *(*local)(void));
void timer_init(struct timer *t, struct timer_queue *q, void (*fn)(struct timer *t));
/* Arms or re-arms, on this CPU; a deadline in the past fires at the next timer_queue_run. */
void timer_arm(struct timer *t, uint64_t deadline);
/* Harmless when not armed. */
void timer_cancel(struct timer *t);

/* The earliest deadline, TIMER_NEVER when the queue is empty. One load. */
static inline uint64_t timer_queue_next(const struct timer_queue *q)
{
	return atomic_load_explicit(&q->next, memory_order_relaxed);
}

/*
 * Fires, in order, each timer with deadline <= now; fn may arm and cancel any timer. What fn arms
 * waits for the next run even if it is due, so that no device can keep a CPU in here. By the owner.
 */
void timer_queue_run(struct timer_queue *q, uint64_t now);
/* Waits until the function that runs now, if one does, has returned. Not from such a function. */
void timer_queue_settle(const struct timer_queue *q);
