/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the scheduler share:
 *
 *   sched.c          the entry points: events in, decisions out
 *   sched_queue.c    virtual time, queues, starting and stopping
 *   sched_budget.c   caps
 *   sched_smt.c      whose turn it is on a CPU; one group at a time on a core
 *   sched_balance.c  which CPU: waking, pulling, balance points
 */
#pragma once

#include "hv/base/bits.h"
#include "hv/sched.h"

/* Virtual times wrap; what is compared lies close together. */
static inline bool sched_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static inline uint64_t sched_later(uint64_t a, uint64_t b)
{
	return sched_before(a, b) ? b : a;
}

static inline uint64_t sched_earlier(uint64_t a, uint64_t b)
{
	return sched_before(a, b) ? a : b;
}

/* Times of different CPUs may be a little out of order. */
static inline uint64_t sched_elapsed(uint64_t now, uint64_t since)
{
	return now > since ? now - since : 0;
}

/* What `ticks` of running cost. */
static inline uint64_t sched_virtual(const struct sched_entity *e, uint64_t ticks)
{
	return ticks * SCHED_WEIGHT_DEFAULT / e->group->weight;
}

static inline struct sched_entity *sched_entity_of(struct list_node *n)
{
	return list_entry(n, struct sched_entity, node);
}

static inline struct sched_core *sched_core_of(struct sched *s, unsigned cpu)
{
	return &s->cores[s->cpus[cpu].core];
}

static inline bool sched_allowed(const struct sched_entity *e, unsigned cpu)
{
	return sched_cpumask_has(&e->allowed, cpu);
}

/* The CPUs of a core, from `from` on. */
#define sched_for_each_sibling(cpu, s, from) \
	for (unsigned cpu = (from), cpu##_left = sched_core_of((s), (from))->cpu_count; \
	     cpu##_left > 0; cpu = (s)->cpus[cpu].sibling, cpu##_left--)

static inline void sched_kick(struct sched *s, unsigned cpu)
{
	struct sched_cpu *c = &s->cpus[cpu];

	if (!c->kicked && c->online) {
		c->kicked = true;
		s->config.kick(s->config.ctx, cpu);
	}
}

/* sched_queue.c */

/* Charges all that run on a core and raises its floor. */
void sched_core_update(struct sched *s, struct sched_core *core, uint64_t now);
/* How far behind the most advanced a core, or what comes to one, may be; virtual ticks. */
uint64_t sched_window(const struct sched *s);
/* How far behind the others one that wakes may be: no more than the credit in virtual ticks, so
 * that a light one gains no share by sleeping, nor in ticks, so that a heavy one delays nobody for
 * long. */
uint64_t sched_credit(const struct sched *s, const struct sched_entity *e);
/* The same for one that waited on another core; that was its due, so it is more. */
uint64_t sched_arrears(const struct sched *s, const struct sched_entity *e);
/* Queues an entity that waits already on the core where it ran. */
void sched_insert(struct sched *s, struct sched_core *core, struct sched_entity *e, uint64_t now);
/* As sched_insert for one that did not wait on that core just before; may be at most `behind`
 * virtual ticks behind the others there. */
void sched_arrive(struct sched *s, struct sched_core *core, struct sched_entity *e, uint64_t behind,
		  uint64_t now);
/* `e`, in the queue of the core of `cpu`, gets its next turn; NULL: nobody in particular. */
void sched_favour(struct sched *s, unsigned cpu, struct sched_entity *e);
/* Takes a queued, parked or stranded one out. */
void sched_dequeue(struct sched *s, struct sched_entity *e);
/* Parks what is queued on a core and throttled; queues what is parked and no longer so. */
void sched_sort_parked(struct sched *s, struct sched_core *core, uint64_t now);
/* A queued entity becomes `cpu`'s current one, the current one becomes a queued one in no queue. */
void sched_start(struct sched *s, unsigned cpu, struct sched_entity *e, uint64_t now);
void sched_stop(struct sched *s, unsigned cpu, uint64_t now);

/* sched_budget.c */

/* sched_budget_charge of a group that has a cap. */
void sched_budget_charge_capped(struct sched *s, struct sched_group *g, uint64_t now);
/* Brings a group's budget up to date; throttles or releases it. */
static inline void sched_budget_charge(struct sched *s, struct sched_group *g, uint64_t now)
{
	if (g->cap != 0) {
		sched_budget_charge_capped(s, g, now);
	}
}
/* A group that was not capped, or differently: half a full budget. */
void sched_budget_reset(const struct sched *s, struct sched_group *g, uint64_t now);
/* When a group that runs as it does will have used up its budget; SCHED_NO_END: never. */
uint64_t sched_budget_end(const struct sched_group *g, uint64_t now);
/* When a throttled group may run again; SCHED_NO_END when it is not throttled. */
uint64_t sched_budget_release(const struct sched *s, const struct sched_group *g, uint64_t now);

/* sched_smt.c */

/* The entity of the core's queue that `cpu`, which has stopped, runs next; NULL: none now. */
struct sched_entity *sched_choose(struct sched *s, unsigned cpu, uint64_t now);
/* Whether `g` may start on `cpu` beside what its siblings execute. */
bool sched_compatible(struct sched *s, unsigned cpu, const struct sched_group *g);

/* sched_balance.c */

/* Finds a core for a runnable entity in no queue, queues it there and tells the CPU. */
void sched_place(struct sched *s, struct sched_entity *e, uint64_t behind, uint64_t now);
/* Tells the CPUs of the core that `e` is queued on, as far as that changes anything for them. The
 * core was updated for `now`. */
void sched_announce(struct sched *s, struct sched_entity *e, uint64_t now);
/* Brings a queued entity of another core to `cpu`, which is about to idle; NULL: none can come. */
struct sched_entity *sched_pull(struct sched *s, unsigned cpu, uint64_t now);
/* Moves a queued entity to the core of `cpu`. */
void sched_move(struct sched *s, struct sched_entity *e, unsigned cpu, uint64_t now);
/* Wakes idle CPUs that could run what waits. */
void sched_offer(struct sched *s);
/* A balance point of a core with something waiting. */
void sched_balance(struct sched *s, struct sched_core *core, uint64_t now);
/* Brings the scales of the cores together when waiting begins. */
void sched_sync(struct sched *s, uint64_t now);
