/* TEMPORARY stand-in until the real one is merged. */
#include "hv/sched.h"
void sched_init(struct sched *s, const struct sched_config *config)
{
	*s = (struct sched){.config = *config};
	list_init(&s->cores[0].queue);
}
void sched_cpu_online(struct sched *s, unsigned cpu, uint64_t now)
{
	(void)now;
	s->cpus[cpu].online = true;
	sched_cpumask_set(&s->online, cpu);
	sched_cpumask_set(&s->idle, cpu);
}
void sched_group_init(struct sched_group *g, uint32_t weight, uint32_t cap)
{
	*g = (struct sched_group){.weight = weight, .cap = cap};
}
void sched_entity_init(struct sched_entity *e, struct sched_group *g,
		       const struct sched_cpumask *allowed)
{
	*e = (struct sched_entity){.group = g, .allowed = *allowed, .cpu = SCHED_NO_CPU, .on = SCHED_NO_CPU};
	list_init(&e->node);
}
static void enqueue(struct sched *s, struct sched_entity *e)
{
	e->state = SCHED_QUEUED;
	list_append(&s->cores[0].queue, &e->node);
}
void sched_wake(struct sched *s, struct sched_entity *e, uint64_t now)
{
	unsigned c;
	(void)now;
	if (e->state != SCHED_BLOCKED) {
		return;
	}
	enqueue(s, e);
	c = sched_cpumask_next(&s->idle, 0);
	if (c < SCHED_CPUS_MAX) {
		sched_cpumask_clear(&s->idle, c);
		s->config.kick(s->config.ctx, c);
	} else {
		s->config.kick(s->config.ctx, 0);
	}
}
void sched_block(struct sched *s, struct sched_entity *e, uint64_t now)
{
	(void)now;
	if (e->state == SCHED_QUEUED) {
		list_remove(&e->node);
	}
	e->state = SCHED_BLOCKED;
	if (e->on != SCHED_NO_CPU) {
		s->config.kick(s->config.ctx, e->on);
	}
}
void sched_leave(struct sched *s, unsigned cpu, uint64_t now)
{
	struct sched_entity *e = s->cpus[cpu].on;
	if (e == NULL) {
		return;
	}
	e->run_ticks += now - s->cpus[cpu].charged_at;
	e->on = SCHED_NO_CPU;
	s->cpus[cpu].on = NULL;
	if (e->state == SCHED_RUNNING) {
		enqueue(s, e);
	}
}
struct sched_entity *sched_pick(struct sched *s, unsigned cpu, uint64_t now, uint64_t *until)
{
	sched_leave(s, cpu, now);
	*until = SCHED_NO_END;
	sched_cpumask_clear(&s->idle, cpu);
	list_for_each (it, &s->cores[0].queue) {
		struct sched_entity *e = list_entry(it, struct sched_entity, node);
		if (e->on == SCHED_NO_CPU && sched_cpumask_has(&e->allowed, cpu)) {
			list_remove(&e->node);
			e->state = SCHED_RUNNING;
			e->on = e->cpu = (uint16_t)cpu;
			s->cpus[cpu].on = e;
			s->cpus[cpu].charged_at = now;
			*until = now + s->config.slice;
			return e;
		}
	}
	sched_cpumask_set(&s->idle, cpu);
	return NULL;
}
void sched_yield(struct sched *s, unsigned cpu, uint64_t now)
{
	(void)now;
	s->config.kick(s->config.ctx, cpu);
}
void sched_account(struct sched *s, struct sched_entity *e, uint64_t now)
{
	(void)s;
	(void)e;
	(void)now;
}
