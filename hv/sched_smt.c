/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is on a CPU. A core belongs to one group at a time:
 *
 *   held by A ── the first in the queue is B's and behind all of A's that run ──> next = B
 *             ── the last of A has left (sched_pick) ──> held by B, next = NULL
 *
 * While `next` is set nothing of another group starts, so a change takes no longer than the kicked
 * siblings need to come. Until it is B's turn, CPUs that A cannot fill idle.
 */
#include "hv/sched_internal.h"

/* The group that other CPUs of the core execute; NULL: none does. */
static struct sched_group *holder(struct sched *s, unsigned cpu)
{
	sched_for_each_sibling(other, s, cpu)
	{
		if (other != cpu && s->cpus[other].on != NULL) {
			return s->cpus[other].on->group;
		}
	}
	return NULL;
}

bool sched_compatible(struct sched *s, unsigned cpu, const struct sched_group *g)
{
	struct sched_core *core = sched_core_of(s, cpu);
	struct sched_group *held;

	if (core->cpu_count == 1) {
		return true;
	}
	held = holder(s, cpu);
	return (held == NULL || held == g) && (core->next == NULL || core->next == g);
}

/* The first entity in the queue of `cpu`'s core, of `g` if given, that may start on `cpu`. */
static struct sched_entity *first_for(struct sched *s, unsigned cpu, const struct sched_group *g)
{
	struct sched_cpu *c = &s->cpus[cpu];

	list_for_each (n, &s->cores[c->core].queue) {
		struct sched_entity *e = sched_entity_of(n);

		if ((g == NULL || e->group == g) && sched_allowed(e, cpu) &&
		    e->on == SCHED_NO_CPU && e != c->yielding) {
			return e;
		}
	}
	return NULL;
}

/* The first entity in the queue of `cpu`'s core, of `g` if given, that may start on any of the
 * core's CPUs. */
static struct sched_entity *first_of_core(struct sched *s, unsigned cpu,
					  const struct sched_group *g)
{
	struct sched_cpu *c = &s->cpus[cpu];

	list_for_each (n, &s->cores[c->core].queue) {
		struct sched_entity *e = sched_entity_of(n);

		if ((g == NULL || e->group == g) && e->on == SCHED_NO_CPU && e != c->yielding) {
			return e;
		}
	}
	return NULL;
}

/* Whether `e` is behind everything that runs on the core. */
static bool is_due(struct sched *s, unsigned cpu, const struct sched_entity *e)
{
	sched_for_each_sibling(other, s, cpu)
	{
		struct sched_entity *current = s->cpus[other].current;

		if (current != NULL && !sched_before(e->vruntime, current->vruntime)) {
			return false;
		}
	}
	return true;
}

/* The core changes hands: those who are on it leave. */
static void hand_over(struct sched *s, unsigned cpu, struct sched_group *g)
{
	sched_core_of(s, cpu)->next = g;
	sched_for_each_sibling(other, s, cpu)
	{
		if (other != cpu && s->cpus[other].on != NULL) {
			sched_kick(s, other);
		}
	}
}

/* The group that may start on `cpu` now; NULL: none. */
static struct sched_group *turn(struct sched *s, unsigned cpu)
{
	struct sched_core *core = sched_core_of(s, cpu);
	struct sched_group *held = holder(s, cpu);
	struct sched_entity *lead;

	if (core->next != NULL && first_of_core(s, cpu, core->next) == NULL) {
		core->next = NULL;
	}
	if (core->next == NULL) {
		lead = first_of_core(s, cpu, NULL);
		if (lead == NULL) {
			return NULL;
		}
		if (held == NULL) {
			core->next = lead->group;
		} else if (lead->group != held && is_due(s, cpu, lead)) {
			hand_over(s, cpu, lead->group);
		}
	}
	if (held != NULL && core->next != NULL && core->next != held) {
		return NULL;
	}
	return held != NULL ? held : core->next;
}

static struct sched_entity *choose_on_core(struct sched *s, unsigned cpu)
{
	struct sched_group *g = turn(s, cpu);

	/* Where only siblings may run what has the turn, sched_offer calls them. */
	return g != NULL ? first_for(s, cpu, g) : NULL;
}

static struct sched_entity *choose(struct sched *s, unsigned cpu)
{
	if (sched_core_of(s, cpu)->cpu_count == 1) {
		return first_for(s, cpu, NULL);
	}
	return choose_on_core(s, cpu);
}

/*
 * Whether who was yielded to may have the turn out of order: not when it is a slice ahead of those
 * that wait. Two that yield to each other would else keep everybody else out, perhaps the one that
 * they wait for.
 */
static bool may_go_first(struct sched *s, unsigned cpu, const struct sched_entity *e)
{
	return sched_allowed(e, cpu) && e->on == SCHED_NO_CPU &&
	       sched_compatible(s, cpu, e->group) &&
	       !sched_before(sched_core_of(s, cpu)->least + s->config.slice, e->vruntime);
}

struct sched_entity *sched_choose(struct sched *s, unsigned cpu, uint64_t now)
{
	struct sched_cpu *c = &s->cpus[cpu];
	struct sched_entity *e = c->favourite;

	sched_core_update(s, &s->cores[c->core], now);
	if (e == NULL || !may_go_first(s, cpu, e)) {
		e = choose(s, cpu);
	}
	if (e == NULL && c->yielding != NULL) {
		c->yielding = NULL;
		e = choose(s, cpu);
	}
	return e;
}
