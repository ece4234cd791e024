/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CPU: where a waking entity goes, what an idle CPU pulls, and the balance points that keep
 * the cores' virtual times together.
 */
#include "hv/sched_internal.h"

/* Whether `cpu` idles, is not on its way to other work, and could start `e`. */
static bool is_free(struct sched *s, unsigned cpu, const struct sched_entity *e)
{
	return sched_cpumask_has(&s->idle, cpu) && !s->cpus[cpu].kicked && sched_allowed(e, cpu) &&
	       sched_compatible(s, cpu, e->group);
}

/* Whether all threads of the physical core idle. */
static bool is_whole(const struct sched *s, unsigned cpu)
{
	unsigned other = cpu;

	do {
		const struct sched_cpu *c = &s->cpus[other];

		if (c->on != NULL || c->kicked) {
			return false;
		}
		other = c->thread;
	} while (other != cpu);
	return true;
}

static unsigned find_free(struct sched *s, const struct sched_entity *e)
{
	unsigned found = SCHED_NO_CPU;

	if (sched_cpumask_empty(&s->idle)) {
		return found;
	}
	sched_cpumask_for_each(cpu, &s->idle)
	{
		if (!is_free(s, cpu, e)) {
			continue;
		}
		if (is_whole(s, cpu)) {
			return cpu;
		}
		if (found == SCHED_NO_CPU) {
			found = cpu;
		}
	}
	return found;
}

static unsigned running_count(struct sched *s, const struct sched_core *core)
{
	unsigned count = 0;

	sched_for_each_sibling(cpu, s, core->first)
	{
		count += s->cpus[cpu].current != NULL;
	}
	return count;
}

/* Runnable entities per CPU of the core, in 256ths. */
static unsigned load_of(struct sched *s, const struct sched_core *core)
{
	return (core->queued_count + running_count(s, core)) * 256 / core->cpu_count;
}

static unsigned find_least_loaded(struct sched *s, const struct sched_entity *e)
{
	unsigned found = SCHED_NO_CPU;
	unsigned least = ~0u;

	if (e->cpu != SCHED_NO_CPU && sched_allowed(e, e->cpu)) {
		found = e->cpu;
		if (s->core_count == 1) {
			return found;
		}
		least = load_of(s, sched_core_of(s, found));
	}
	sched_cpumask_for_each(cpu, &s->online)
	{
		unsigned load;

		if (!sched_allowed(e, cpu)) {
			continue;
		}
		load = load_of(s, sched_core_of(s, cpu));
		if (load < least) {
			least = load;
			found = cpu;
		}
	}
	return found;
}

static unsigned find_cpu(struct sched *s, const struct sched_entity *e)
{
	unsigned cpu;

	if (e->on != SCHED_NO_CPU && sched_allowed(e, e->on)) {
		return e->on; /* It can start nowhere else before. */
	}
	if (e->cpu != SCHED_NO_CPU && is_free(s, e->cpu, e)) {
		return e->cpu;
	}
	cpu = find_free(s, e);
	return cpu != SCHED_NO_CPU ? cpu : find_least_loaded(s, e);
}

void sched_place(struct sched *s, struct sched_entity *e, uint64_t behind, uint64_t now)
{
	unsigned cpu = find_cpu(s, e);

	if (cpu == SCHED_NO_CPU) {
		e->stranded = true;
		list_append(&s->stranded, &e->node);
		return;
	}
	sched_arrive(s, sched_core_of(s, cpu), e, behind, now);
	sched_announce(s, e, now);
}

/* The CPU of the core that `e` would take over; SCHED_NO_CPU: none executes anything. One that runs
 * may be the only one with an entity although `e` may not run there: its slices bring the turn. */
static unsigned find_victim(struct sched *s, const struct sched_entity *e)
{
	unsigned found = SCHED_NO_CPU;

	sched_for_each_sibling(cpu, s, s->cores[e->core].first)
	{
		const struct sched_entity *current = s->cpus[cpu].current;
		const struct sched_entity *best =
			found != SCHED_NO_CPU ? s->cpus[found].current : NULL;

		if (current == NULL) {
			continue;
		}
		if (best == NULL || (sched_allowed(e, cpu) && !sched_allowed(e, found)) ||
		    (sched_allowed(e, cpu) == sched_allowed(e, found) &&
		     sched_before(best->vruntime, current->vruntime))) {
			found = cpu;
		}
	}
	return found;
}

/* Sees to it that some CPU of the core picks at `when` at the latest. */
static void ensure_pick(struct sched *s, const struct sched_entity *e, uint64_t when)
{
	unsigned first = SCHED_NO_CPU;

	sched_for_each_sibling(cpu, s, s->cores[e->core].first)
	{
		const struct sched_cpu *c = &s->cpus[cpu];

		if (c->online && (c->kicked || c->until <= when)) {
			return;
		}
		if (c->online && first == SCHED_NO_CPU) {
			first = cpu;
		}
	}
	sched_kick(s, first);
}

static unsigned find_free_sibling(struct sched *s, const struct sched_entity *e)
{
	unsigned from = s->cores[e->core].first;

	if (e->cpu != SCHED_NO_CPU && s->cpus[e->cpu].core == e->core) {
		from = e->cpu;
	}
	sched_for_each_sibling(cpu, s, from)
	{
		if (is_free(s, cpu, e)) {
			return cpu;
		}
	}
	return SCHED_NO_CPU;
}

/* A CPU that idles and will take `e`: of its core, or one that will pull. */
static unsigned find_idle(struct sched *s, const struct sched_entity *e)
{
	unsigned cpu = find_free_sibling(s, e);

	return cpu != SCHED_NO_CPU ? cpu : find_free(s, e);
}

/* Whether one that wakes has half of its credit left. It goes even before those that have more to
 * catch up on because they came from another core. */
static bool is_rested(const struct sched *s, const struct sched_entity *e)
{
	return e->waking &&
	       !sched_before(s->cores[e->core].least - sched_credit(s, e) / 2, e->vruntime);
}

void sched_announce(struct sched *s, struct sched_entity *e, uint64_t now)
{
	unsigned cpu;

	if (e->parked) {
		ensure_pick(s, e, sched_budget_release(s, e->group, now));
		return;
	}
	if (e->on != SCHED_NO_CPU) {
		return; /* The CPU that executes it has been kicked and sees to it. */
	}
	cpu = sched_cpumask_empty(&s->idle) ? SCHED_NO_CPU : find_idle(s, e);
	if (cpu != SCHED_NO_CPU) {
		sched_kick(s, cpu);
		return;
	}
	cpu = find_victim(s, e);
	if (cpu != SCHED_NO_CPU && is_rested(s, e)) {
		sched_favour(s, cpu, e);
		sched_kick(s, cpu);
	} else if (cpu != SCHED_NO_CPU &&
		   (sched_before(e->vruntime, s->cpus[cpu].current->vruntime) ||
		    s->cpus[cpu].until > now + s->config.slice)) {
		sched_kick(s, cpu);
	}
}

void sched_move(struct sched *s, struct sched_entity *e, unsigned cpu, uint64_t now)
{
	sched_dequeue(s, e);
	sched_arrive(s, sched_core_of(s, cpu), e, sched_arrears(s, e), now);
}

/* Whether kicked CPUs of the core are about to take all that it has in its queue. */
static bool is_served(struct sched *s, const struct sched_core *core)
{
	unsigned coming = 0;

	sched_for_each_sibling(cpu, s, core->first)
	{
		coming += s->cpus[cpu].kicked && sched_cpumask_has(&s->idle, cpu);
	}
	return core->queued_count <= coming;
}

static struct sched_entity *first_pullable(struct sched *s, const struct sched_core *core,
					   unsigned cpu)
{
	list_for_each (n, &core->queue) {
		struct sched_entity *e = sched_entity_of(n);

		if (e->on == SCHED_NO_CPU && sched_allowed(e, cpu) && !e->group->throttled &&
		    sched_compatible(s, cpu, e->group)) {
			return e;
		}
	}
	return NULL;
}

struct sched_entity *sched_pull(struct sched *s, unsigned cpu, uint64_t now)
{
	struct sched_entity *best = NULL;
	uint64_t best_time = 0;

	if (s->queued_count == 0) {
		return NULL;
	}
	for (unsigned i = 0; i < s->core_count; i++) {
		struct sched_core *core = &s->cores[i];
		struct sched_entity *e;

		if (core->queued_count == 0 || i == s->cpus[cpu].core || is_served(s, core)) {
			continue;
		}
		e = first_pullable(s, core, cpu);
		if (e != NULL &&
		    (best == NULL || sched_before(e->vruntime + core->offset, best_time))) {
			best = e;
			best_time = e->vruntime + core->offset;
		}
	}
	if (best == NULL) {
		return NULL;
	}
	sched_move(s, best, cpu, now);
	return best->parked ? NULL : best;
}

static void offer_queue(struct sched *s, const struct sched_core *core)
{
	list_for_each (n, &core->queue) {
		struct sched_entity *e = sched_entity_of(n);
		unsigned cpu = e->on == SCHED_NO_CPU ? find_free(s, e) : SCHED_NO_CPU;

		if (cpu != SCHED_NO_CPU) {
			sched_kick(s, cpu);
		}
	}
}

void sched_offer(struct sched *s)
{
	/* All cores: a CPU that was kicked for one's queue may have found something else to do. */
	for (unsigned i = 0; i < s->core_count; i++) {
		if (s->queued_count == 0 || sched_cpumask_empty(&s->idle)) {
			return;
		}
		offer_queue(s, &s->cores[i]);
	}
}

/* Sets `clock` of all cores: the time of the runnable entity furthest behind, on one scale. */
static void read_clocks(struct sched *s, uint64_t now)
{
	for (unsigned i = 0; i < s->core_count; i++) {
		struct sched_core *core = &s->cores[i];

		sched_core_update(s, core, now);
		core->clock = core->least + core->offset;
	}
}

/* Where nobody waits, nobody has missed anything: such a core is not further behind `time` than
 * the window. Its entities stay as they are among themselves. */
static void catch_up(struct sched *s, struct sched_core *core, uint64_t time)
{
	uint64_t least = time - sched_window(s);

	if (sched_before(core->clock, least)) {
		core->offset += least - core->clock;
		core->clock = least;
	}
}

void sched_sync(struct sched *s, uint64_t now)
{
	uint64_t most;

	read_clocks(s, now);
	most = s->cores[0].clock;
	for (unsigned i = 1; i < s->core_count; i++) {
		most = sched_later(most, s->cores[i].clock);
	}
	for (unsigned i = 0; i < s->core_count; i++) {
		catch_up(s, &s->cores[i], most);
	}
}

/* The CPU, allowed to `e`, of the core that is furthest ahead. */
static unsigned find_ahead(const struct sched *s, const struct sched_entity *e)
{
	unsigned found = SCHED_NO_CPU;
	uint64_t most = 0;

	sched_cpumask_for_each(cpu, &s->online)
	{
		unsigned core = s->cpus[cpu].core;
		uint64_t clock = s->cores[core].clock;

		if (core != e->core && sched_allowed(e, cpu) &&
		    (found == SCHED_NO_CPU || sched_before(most, clock))) {
			found = cpu;
			most = clock;
		}
	}
	return found;
}

void sched_balance(struct sched *s, struct sched_core *core, uint64_t now)
{
	core->balance_at = now + s->config.balance_period;
	read_clocks(s, now);
	for (unsigned i = 0; i < s->core_count; i++) {
		if (s->cores[i].queued_count == 0) {
			catch_up(s, &s->cores[i], core->clock);
		}
	}
	list_for_each (n, &core->queue) {
		struct sched_entity *e = sched_entity_of(n);
		unsigned cpu = e->on == SCHED_NO_CPU ? find_ahead(s, e) : SCHED_NO_CPU;

		if (cpu != SCHED_NO_CPU &&
		    sched_before(e->vruntime + core->offset + s->config.slice,
				 sched_core_of(s, cpu)->clock)) {
			sched_move(s, e, cpu, now);
			sched_announce(s, e, now);
			return;
		}
	}
}
