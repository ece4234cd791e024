/* SPDX-License-Identifier: Apache-2.0 */
/* What the run loop tells people. */
#include "hv/run_internal.h"

const char *run_last_guest(const struct cpu_local *cpu)
{
	return atomic_load_explicit(&run.cpus[cpu->index].last_guest, memory_order_relaxed);
}

const struct run_stats *run_stats(unsigned cpu)
{
	return &run.cpus[cpu].stats;
}

static enum run_state state_of(const struct run_task *t)
{
	const struct sched_entity *e = &t->entity;

	if (t->held) {
		return RUN_HELD;
	}
	if (e->state == SCHED_QUEUED) {
		return e->parked ? RUN_CAPPED : RUN_READY;
	}
	return e->state == SCHED_RUNNING ? RUN_RUNNING : RUN_BLOCKED;
}

void run_task_info(struct run_task *t, struct run_task_info *out)
{
	const struct sched_entity *e = &t->entity;

	lock_acquire(&run.lock);
	sched_account(&run.sched, &t->entity, clock_now());
	*out = (struct run_task_info){
		.state = state_of(t),
		.cpu = e->cpu,
		.run_ticks = e->run_ticks,
		.wait_ticks = e->wait_ticks,
		.wake_count = e->wake_count,
		.wake_ticks = e->wake_ticks_total,
		.wake_ticks_max = e->wake_ticks_max,
		.switch_count = e->switch_count,
		.migration_count = e->migration_count,
	};
	lock_release(&run.lock);
}

uint64_t run_take_wake_peak(struct run_task *t)
{
	uint64_t peak;

	lock_acquire(&run.lock);
	peak = t->wake_peak;
	t->wake_peak = 0;
	lock_release(&run.lock);
	return peak;
}

void run_group_info(const struct sched_group *g, struct run_group_info *out)
{
	lock_acquire(&run.lock);
	*out = (struct run_group_info){
		.throttle_count = g->throttle_count,
		.yield_count = g->yield_count,
		.yield_sibling_count = g->yield_sibling_count,
	};
	lock_release(&run.lock);
}

void run_cpu_info(unsigned index, struct run_cpu_info *out)
{
	const struct run_cpu *cpu = &run.cpus[index];
	struct sched_entity *current;
	uint64_t now;

	lock_acquire(&run.lock);
	now = clock_now();
	current = run.sched.cpus[index].current;
	*out = (struct run_cpu_info){
		.online = sched_cpumask_has(&run.sched.online, index),
		.busy_ticks = sched_cpu_load(&run.sched, index, now).busy_ticks,
		.switch_count = cpu->stats.switches,
		.kick_count = cpu->stats.kicks,
	};
	if (out->online) {
		out->up_ticks = now - cpu->online_since;
	}
	if (current != NULL) {
		out->current = container_of(current, struct run_task, entity)->vcpu;
	}
	lock_release(&run.lock);
}
