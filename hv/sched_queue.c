/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time, the cores' queues, and starting and stopping in them. */
#include "hv/sched_internal.h"

#include "hv/base/check.h"

/* What one that comes from another core may catch up on, in windows of ticks. */
#define ARREARS_WINDOWS 4u

static void charge(struct sched_cpu *c, uint64_t now)
{
	struct sched_entity *e = c->current;
	uint64_t ticks = sched_elapsed(now, c->charged_at);

	c->charged_at += ticks;
	if (e != NULL) {
		e->run_ticks += ticks;
		e->vruntime += sched_virtual(e, ticks);
		c->busy_ticks += ticks;
	}
}

void sched_core_update(struct sched *s, struct sched_core *core, uint64_t now)
{
	uint64_t least = core->least;
	bool any = false;

	if (!list_empty(&core->queue)) {
		least = sched_entity_of(core->queue.next)->vruntime;
		any = true;
	}
	sched_for_each_sibling(cpu, s, core->first)
	{
		struct sched_cpu *c = &s->cpus[cpu];

		charge(c, now);
		if (c->current != NULL) {
			uint64_t v = c->current->vruntime;

			least = any ? sched_earlier(least, v) : v;
			any = true;
		}
	}
	core->least = sched_later(core->least, least);
}

uint64_t sched_window(const struct sched *s)
{
	return 4 * (s->config.balance_period + s->config.slice);
}

uint64_t sched_credit(const struct sched *s, const struct sched_entity *e)
{
	return min_u64(s->config.wake_credit, sched_virtual(e, s->config.wake_credit));
}

uint64_t sched_arrears(const struct sched *s, const struct sched_entity *e)
{
	return min_u64(sched_window(s), sched_virtual(e, ARREARS_WINDOWS * sched_window(s)));
}

/* Whoever is further ahead than its turns can have brought it ran where nobody else could: that
 * is forgiven. */
static uint64_t ahead_max(const struct sched *s, const struct sched_entity *e)
{
	return sched_window(s) + sched_virtual(e, 2 * s->config.slice);
}

static void insert_queue(struct sched *s, struct sched_core *core, struct sched_entity *e)
{
	struct list_node *at = core->queue.prev;

	/* Mostly at the end: the one that just ran has run furthest. */
	while (at != &core->queue && sched_before(e->vruntime, sched_entity_of(at)->vruntime)) {
		at = at->prev;
	}
	list_insert_before(at->next, &e->node);
	core->queued_count++;
	s->queued_count++;
}

void sched_insert(struct sched *s, struct sched_core *core, struct sched_entity *e, uint64_t now)
{
	uint64_t most = core->least + ahead_max(s, e);

	e->vruntime = sched_earlier(e->vruntime, most);
	e->core = (uint16_t)(core - s->cores);
	sched_budget_charge(s, e->group, now);
	e->parked = e->group->throttled;
	if (e->parked) {
		list_append(&core->parked, &e->node);
	} else {
		insert_queue(s, core, e);
	}
}

static bool deserted(struct sched *s, const struct sched_core *core)
{
	if (core->queued_count != 0) {
		return false;
	}
	sched_for_each_sibling(cpu, s, core->first)
	{
		if (s->cpus[cpu].current != NULL) {
			return false;
		}
	}
	return true;
}

/* From the time of the core where `e` was to that of `core`. */
static void translate(struct sched *s, struct sched_core *core, struct sched_entity *e,
		      uint64_t now)
{
	struct sched_core *old = &s->cores[e->core];
	uint64_t time = e->vruntime + old->offset;

	if (e->waking) {
		/* It waited on neither: how the cores stand to each other is not its affair. */
		sched_core_update(s, old, now);
		e->vruntime += core->least - old->least;
		return;
	}
	if (deserted(s, core) && sched_before(core->least + core->offset, time)) {
		core->offset = time - core->least;
	}
	e->vruntime = time - core->offset;
}

void sched_arrive(struct sched *s, struct sched_core *core, struct sched_entity *e, uint64_t behind,
		  uint64_t now)
{
	sched_core_update(s, core, now);
	if (e->core == SCHED_NO_CPU) {
		e->vruntime = core->least - behind;
	} else if (&s->cores[e->core] != core) {
		translate(s, core, e, now);
	}
	e->vruntime = sched_later(e->vruntime, core->least - behind);
	sched_insert(s, core, e, now);
}

void sched_favour(struct sched *s, unsigned cpu, struct sched_entity *e)
{
	struct sched_cpu *c = &s->cpus[cpu];

	if (c->favourite != NULL) {
		c->favourite->favoured_on = SCHED_NO_CPU;
	}
	c->favourite = e;
	if (e != NULL) {
		if (e->favoured_on != SCHED_NO_CPU) {
			s->cpus[e->favoured_on].favourite = NULL;
		}
		e->favoured_on = (uint16_t)cpu;
		c->favourite = e;
	}
}

void sched_dequeue(struct sched *s, struct sched_entity *e)
{
	list_remove(&e->node);
	if (e->favoured_on != SCHED_NO_CPU) {
		s->cpus[e->favoured_on].favourite = NULL;
		e->favoured_on = SCHED_NO_CPU;
	}
	if (!e->parked && !e->stranded) {
		s->cores[e->core].queued_count--;
		s->queued_count--;
	}
	e->parked = false;
	e->stranded = false;
}

void sched_sort_parked(struct sched *s, struct sched_core *core, uint64_t now)
{
	list_for_each_safe (n, &core->parked) {
		struct sched_entity *e = sched_entity_of(n);

		sched_budget_charge(s, e->group, now);
		if (!e->group->throttled) {
			sched_dequeue(s, e);
			sched_arrive(s, core, e, sched_credit(s, e), now);
		}
	}
	list_for_each_safe (n, &core->queue) {
		struct sched_entity *e = sched_entity_of(n);

		sched_budget_charge(s, e->group, now);
		if (e->group->throttled) {
			sched_dequeue(s, e);
			sched_insert(s, core, e, now);
		}
	}
}

static void note_wait(struct sched_entity *e, uint64_t now)
{
	uint64_t latency = sched_elapsed(now, e->woken_at);

	e->wait_ticks += sched_elapsed(now, e->since);
	if (e->waking) {
		e->waking = false;
		e->wake_ticks_total += latency;
		e->wake_ticks_max = max_u64(e->wake_ticks_max, latency);
	}
}

void sched_start(struct sched *s, unsigned cpu, struct sched_entity *e, uint64_t now)
{
	struct sched_cpu *c = &s->cpus[cpu];

	CHECK(c->current == NULL && c->on == NULL && e->on == SCHED_NO_CPU);
	sched_dequeue(s, e);
	note_wait(e, now);
	if (e->cpu != SCHED_NO_CPU && e->cpu != cpu) {
		e->migration_count++;
	}
	e->state = SCHED_RUNNING;
	e->since = now;
	e->cpu = (uint16_t)cpu;
	e->on = (uint16_t)cpu;
	c->current = e;
	c->on = e;
	if (s->cores[c->core].next == e->group) {
		s->cores[c->core].next = NULL; /* It has taken over. */
	}
	sched_budget_charge(s, e->group, now);
	list_append(&e->group->running, &e->peer);
	e->group->running_count++;
}

void sched_stop(struct sched *s, unsigned cpu, uint64_t now)
{
	struct sched_cpu *c = &s->cpus[cpu];
	struct sched_entity *e = c->current;

	sched_core_update(s, &s->cores[c->core], now);
	sched_budget_charge(s, e->group, now);
	list_remove(&e->peer);
	e->group->running_count--;
	e->state = SCHED_QUEUED;
	e->since = now;
	c->current = NULL;
}
