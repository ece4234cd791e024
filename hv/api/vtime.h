/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's time: host TSC ticks minus an offset, standing still while the VM is paused. Device
 * models know no other clock. Guest ticks run at clock_hz(); 0 is the VM's reset at start.
 *
 * Locking: the VM's lock covers the list of what is armed. `offset` and `paused_at` change only
 * while no vCPU of the VM runs and the VM is paused, and are read without the lock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/api/saved.h"
#include "hv/api/timer.h"
#include "hv/base/list.h"
#include "hv/base/lock.h"

struct vtime {
	struct timer_queue *queue;
	uint64_t offset;    /* guest ticks = host ticks - offset, while running; modulo 2^64 */
	uint64_t paused_at; /* guest ticks, meaningful while paused */
	_Atomic bool paused;
	uint64_t loaded_hz; /* of the ticks in the state that was loaded last, else clock_hz() */
	struct spinlock lock;
	struct list_node armed; /* of struct vtimer.node */
	struct saved_device saved;
};

/* Guest time that can be loaded is below this: forty years at 3.6 GHz. */
#define VTIME_MAX (1ull << 62)

#define VTIME_SAVED_VERSION 1u
struct vtime_saved {
	uint64_t now;
	uint64_t hz; /* of guest ticks, in this record and all others */
};
_Static_assert(sizeof(struct vtime_saved) == 16, "no padding");

/* A one-shot timer in guest time. */
struct vtimer {
	struct timer host;
	struct vtime *time;
	struct list_node node;
	uint64_t deadline; /* guest ticks */
	void (*fn)(struct vtimer *t);
};

/* Guest time starts at 0 now. */
void vtime_init(struct vtime *v, struct timer_queue *queue);
uint64_t vtime_now(const struct vtime *v);
/*
 * A moment in the ticks of the state that is being loaded, in those of this machine: each start
 * measures their rate anew. Guest time is loaded before all that asks. Moments before guest time 0
 * (modulo 2^64) stay before it, TIMER_NEVER is never.
 */
uint64_t vtime_of_loaded(const struct vtime *v, uint64_t moment);
/* Whether the two rates differ: what the guest's memory tells of its clocks is out of date. */
bool vtime_is_converted(const struct vtime *v);
/* Nanoseconds since the VM's start. */
uint64_t vtime_now_ns(const struct vtime *v);
void vtime_pause(struct vtime *v);
void vtime_resume(struct vtime *v);

void vtimer_init(struct vtimer *t, struct vtime *v, void (*fn)(struct vtimer *t));
/* Arms or re-arms for a moment in guest ticks; TIMER_NEVER cancels. */
void vtimer_arm(struct vtimer *t, uint64_t deadline);
void vtimer_cancel(struct vtimer *t);
bool vtimer_armed(const struct vtimer *t);
/* When it goes off, in guest ticks; TIMER_NEVER: it is not armed. */
uint64_t vtimer_deadline(const struct vtimer *t);
