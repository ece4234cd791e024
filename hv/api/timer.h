/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-CPU timer queue: host deadlines in TSC ticks, fired in order by the CPU that owns the
 * queue. A pairing heap inside the timers themselves, so arming never allocates and never fails.
 *
 * Locking: a queue is touched only by its CPU, with interrupts off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timer {
	uint64_t deadline; /* host TSC ticks; meaningful while armed */
	void (*fn)(struct timer *t);
	struct timer_queue *queue;
	struct timer *child, *sibling, *prev; /* heap links */
	bool armed;
};

struct timer_queue {
	struct timer *root;
	struct timer *deferred; /* armed by functions of the run in progress */
	bool running;
};

#define TIMER_NEVER (~0ull)

void timer_queue_init(struct timer_queue *q);
void timer_init(struct timer *t, struct timer_queue *q, void (*fn)(struct timer *t));
/* Arms or re-arms; a deadline in the past fires at the next timer_queue_run. */
void timer_arm(struct timer *t, uint64_t deadline);
/* Harmless when not armed. */
void timer_cancel(struct timer *t);
/* The earliest deadline, TIMER_NEVER when the queue is empty. */
uint64_t timer_queue_next(const struct timer_queue *q);
/*
 * Fires, in order, each timer with deadline <= now; fn may arm and cancel any timer. What fn arms
 * waits for the next run even if it is due, so that no device can keep a CPU in here.
 */
void timer_queue_run(struct timer_queue *q, uint64_t now);
