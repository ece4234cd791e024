/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's entry points: events in, decisions out. sched_internal.h lists its parts. */
#include "hv/sched.h"

#include "hv/base/check.h"
#include "hv/base/str.h"
#include "hv/sched_internal.h"

/* A light entity's turns are shorter, so that it need not wait as long for the next; no shorter
 * than this part of a slice. */
#define SLICE_PARTS 8u

static void join_ring(struct sched *s, unsigned cpu, unsigned other)
{
	s->cpus[cpu].thread = s->cpus[other].thread;
	s->cpus[other].thread = (uint16_t)cpu;
}

static void add_core(struct sched *s, unsigned cpu)
{
	struct sched_core *core = &s->cores[s->core_count];

	list_init(&core->queue);
	list_init(&core->parked);
	core->first = (uint16_t)cpu;
	core->cpu_count = 1;
	s->cpus[cpu].core = (uint16_t)s->core_count++;
	s->cpus[cpu].sibling = (uint16_t)cpu;
}

static void join_core(struct sched *s, unsigned cpu, unsigned other)
{
	struct sched_core *core = sched_core_of(s, other);

	core->cpu_count++;
	s->cpus[cpu].core = s->cpus[other].core;
	s->cpus[cpu].sibling = s->cpus[other].sibling;
	s->cpus[other].sibling = (uint16_t)cpu;
}

/* An earlier CPU of the same core, or `cpu` itself. */
static unsigned find_thread(const uint16_t *core_of, unsigned cpu)
{
	unsigned other = 0;

	if (core_of == NULL) {
		return cpu;
	}
	while (core_of[other] != core_of[cpu]) {
		other++;
	}
	return other;
}

void sched_init(struct sched *s, const struct sched_config *config)
{
	CHECK(config->cpu_count >= 1 && config->cpu_count <= SCHED_CPUS_MAX);
	memset(s, 0, sizeof(*s));
	s->config = *config;
	s->config.core_of = NULL;
	list_init(&s->stranded);
	for (unsigned cpu = 0; cpu < config->cpu_count; cpu++) {
		unsigned other = find_thread(config->core_of, cpu);

		s->cpus[cpu].until = SCHED_NO_END;
		s->cpus[cpu].thread = (uint16_t)cpu;
		if (other != cpu) {
			join_ring(s, cpu, other);
		}
		if (other != cpu && !config->share_cores) {
			join_core(s, cpu, other);
		} else {
			add_core(s, cpu);
		}
	}
}

void sched_cpu_online(struct sched *s, unsigned cpu, uint64_t now)
{
	CHECK(cpu < s->config.cpu_count);
	s->cpus[cpu].online = true;
	s->cpus[cpu].charged_at = now;
	sched_cpumask_set(&s->online, cpu);
	sched_cpumask_set(&s->idle, cpu);
	list_for_each_safe (n, &s->stranded) {
		struct sched_entity *e = sched_entity_of(n);

		if (sched_allowed(e, cpu)) {
			sched_dequeue(s, e);
			sched_place(s, e, sched_credit(s, e), now);
		}
	}
	sched_offer(s);
}

void sched_group_init(struct sched_group *g, uint32_t weight, uint32_t cap)
{
	CHECK(weight >= SCHED_WEIGHT_MIN && weight <= SCHED_WEIGHT_MAX && cap <= SCHED_CAP_MAX);
	*g = (struct sched_group){.weight = weight, .cap = cap};
	list_init(&g->running);
}

/* Kicks every CPU that has something to do with `g`, so that it looks again. */
static void kick_for(struct sched *s, const struct sched_group *g)
{
	sched_cpumask_for_each(cpu, &s->online)
	{
		const struct sched_entity *current = s->cpus[cpu].current;

		if ((current != NULL && current->group == g) ||
		    !list_empty(&sched_core_of(s, cpu)->parked)) {
			sched_kick(s, cpu);
		}
	}
}

void sched_group_set(struct sched *s, struct sched_group *g, uint32_t weight, uint32_t cap,
		     uint64_t now)
{
	CHECK(weight >= SCHED_WEIGHT_MIN && weight <= SCHED_WEIGHT_MAX && cap <= SCHED_CAP_MAX);
	list_for_each (n, &g->running) {
		unsigned cpu = list_entry(n, struct sched_entity, peer)->cpu;

		sched_core_update(s, sched_core_of(s, cpu), now);
	}
	g->weight = weight;
	if (cap != g->cap) {
		g->cap = cap;
		sched_budget_reset(s, g, now);
		kick_for(s, g);
	}
}

void sched_entity_init(struct sched_entity *e, struct sched_group *g,
		       const struct sched_cpumask *allowed)
{
	CHECK(!sched_cpumask_empty(allowed));
	*e = (struct sched_entity){
		.group = g,
		.allowed = *allowed,
		.cpu = SCHED_NO_CPU,
		.on = SCHED_NO_CPU,
		.core = SCHED_NO_CPU,
		.favoured_on = SCHED_NO_CPU,
	};
	list_init(&e->node);
	list_init(&e->peer);
}

void sched_entity_pin(struct sched *s, struct sched_entity *e, const struct sched_cpumask *allowed,
		      uint64_t now)
{
	CHECK(!sched_cpumask_empty(allowed));
	e->allowed = *allowed;
	if (e->state == SCHED_RUNNING && !sched_allowed(e, e->cpu)) {
		sched_kick(s, e->cpu);
	} else if (e->state == SCHED_QUEUED) {
		sched_dequeue(s, e);
		sched_place(s, e, sched_arrears(s, e), now);
	}
}

void sched_wake(struct sched *s, struct sched_entity *e, uint64_t now)
{
	if (e->state != SCHED_BLOCKED) {
		return;
	}
	e->state = SCHED_QUEUED;
	e->since = now;
	e->woken_at = now;
	e->waking = true;
	e->wake_count++;
	sched_place(s, e, sched_credit(s, e), now);
}

void sched_block(struct sched *s, struct sched_entity *e, uint64_t now)
{
	if (e->state == SCHED_RUNNING) {
		sched_stop(s, e->cpu, now);
		sched_kick(s, e->cpu);
	} else if (e->state == SCHED_QUEUED) {
		e->wait_ticks += sched_elapsed(now, e->since);
		e->waking = false;
		sched_dequeue(s, e);
	} else {
		return;
	}
	e->state = SCHED_BLOCKED;
	e->since = now;
}

/* `cpu` executes nothing any more: what it executed may start elsewhere, or goes back in line. */
static void leave(struct sched *s, unsigned cpu, uint64_t now)
{
	struct sched_cpu *c = &s->cpus[cpu];
	struct sched_entity *e = c->on;
	bool ran_on = c->current != NULL;

	if (e == NULL) {
		return;
	}
	if (ran_on) {
		sched_stop(s, cpu, now);
	}
	c->on = NULL;
	e->on = SCHED_NO_CPU;
	if (ran_on && sched_allowed(e, cpu)) {
		sched_insert(s, &s->cores[c->core], e, now);
	} else if (ran_on) {
		sched_place(s, e, sched_arrears(s, e), now);
	} else if (e->state == SCHED_QUEUED && !e->stranded && e->core != c->core) {
		sched_core_update(s, &s->cores[e->core], now);
		sched_announce(s, e, now);
	}
}

void sched_leave(struct sched *s, unsigned cpu, uint64_t now)
{
	sched_core_update(s, sched_core_of(s, cpu), now);
	leave(s, cpu, now);
}

static uint64_t slice_of(const struct sched *s, const struct sched_core *core,
			 const struct sched_entity *e)
{
	uint32_t heaviest = e->group->weight;

	list_for_each (n, &core->queue) {
		uint32_t weight = sched_entity_of(n)->group->weight;

		heaviest = weight > heaviest ? weight : heaviest;
	}
	return max_u64(s->config.slice * e->group->weight / heaviest,
		       s->config.slice / SLICE_PARTS);
}

static uint64_t deadline(const struct sched *s, unsigned cpu, uint64_t now)
{
	const struct sched_cpu *c = &s->cpus[cpu];
	const struct sched_core *core = &s->cores[c->core];
	uint64_t until = SCHED_NO_END;

	if (c->current != NULL) {
		until = sched_budget_end(c->current->group, now);
		if (core->queued_count != 0) {
			until = min_u64(until, now + slice_of(s, core, c->current));
		}
	}
	list_for_each (n, &core->parked) {
		const struct sched_group *g = sched_entity_of(n)->group;

		until = min_u64(until, sched_budget_release(s, g, now));
	}
	return until;
}

/* The cores' times mean something to each other while anybody waits anywhere. */
static void balance(struct sched *s, struct sched_core *core, uint64_t now)
{
	if (s->queued_count == 0) {
		s->contended = false;
		return;
	}
	if (!s->contended) {
		s->contended = true;
		sched_sync(s, now);
	}
	if (core->queued_count != 0 && now >= core->balance_at) {
		sched_balance(s, core, now);
	}
}

struct sched_entity *sched_pick(struct sched *s, unsigned cpu, uint64_t now, uint64_t *until)
{
	struct sched_cpu *c = &s->cpus[cpu];
	struct sched_core *core = &s->cores[c->core];
	const struct sched_entity *before = c->on;
	struct sched_entity *e;

	CHECK(c->online);
	c->kicked = true; /* Nothing below need kick this CPU. */
	leave(s, cpu, now);
	sched_sort_parked(s, core, now);
	e = sched_choose(s, cpu, now);
	if (e == NULL) {
		e = sched_pull(s, cpu, now);
	}
	if (e != NULL) {
		e->switch_count += e != before;
		sched_start(s, cpu, e, now);
		sched_cpumask_clear(&s->idle, cpu);
	} else {
		sched_cpumask_set(&s->idle, cpu);
	}
	sched_favour(s, cpu, NULL);
	c->yielding = NULL;
	balance(s, core, now);
	sched_offer(s);
	c->until = deadline(s, cpu, now);
	c->kicked = false;
	*until = c->until;
	return e;
}

/* A waiting sibling of `e`, from its own core where there is one, that may start on `cpu`. */
static struct sched_entity *find_sibling(struct sched *s, const struct sched_entity *e,
					 unsigned cpu)
{
	for (unsigned i = 0; i < s->core_count; i++) {
		unsigned core = (s->cpus[cpu].core + i) % s->core_count;

		if (s->cores[core].queued_count == 0) {
			continue;
		}
		list_for_each (n, &s->cores[core].queue) {
			struct sched_entity *other = sched_entity_of(n);

			if (other->group == e->group && other->on == SCHED_NO_CPU &&
			    sched_allowed(other, cpu)) {
				return other;
			}
		}
	}
	return NULL;
}

void sched_spin(struct sched *s, unsigned cpu, uint64_t now)
{
	struct sched_cpu *c = &s->cpus[cpu];
	struct sched_entity *e = c->current;
	struct sched_entity *sibling;

	if (e == NULL) {
		return;
	}
	e->group->yield_count++;
	sibling = find_sibling(s, e, cpu);
	if (sibling != NULL && sibling->core != c->core) {
		sched_move(s, sibling, cpu, now);
	}
	if (sibling != NULL && !sibling->parked) {
		sched_favour(s, cpu, sibling);
		e->group->yield_sibling_count++;
	} else if (s->cores[c->core].queued_count == 0) {
		return;
	}
	c->yielding = e;
	sched_kick(s, cpu);
}

void sched_account(struct sched *s, struct sched_entity *e, uint64_t now)
{
	if (e->state == SCHED_RUNNING) {
		sched_core_update(s, sched_core_of(s, e->cpu), now);
	} else if (e->state == SCHED_QUEUED) {
		e->wait_ticks += sched_elapsed(now, e->since);
		e->since = max_u64(e->since, now);
	}
}

struct sched_cpu_load sched_cpu_load(const struct sched *s, unsigned cpu, uint64_t now)
{
	const struct sched_cpu *c = &s->cpus[cpu];
	const struct sched_core *core = &s->cores[c->core];
	struct sched_cpu_load load = {
		.current = c->current,
		.queued_count = core->queued_count,
		.busy_ticks = c->busy_ticks,
	};

	if (c->current != NULL) {
		load.busy_ticks += sched_elapsed(now, c->charged_at);
		load.weight = c->current->group->weight;
	}
	list_for_each (n, &core->queue) {
		load.weight += sched_entity_of(n)->group->weight;
	}
	return load;
}
