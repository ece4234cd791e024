/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caps: a bucket of tokens per group, filled by `cap` percent of one CPU, drained by each of its
 * entities that runs, full at one period's worth. What runs on while its CPU is on the way to
 * sched_pick makes a debt, which is paid back before the group runs again: the average is exact.
 */
#include "hv/sched_internal.h"

/* More than a cap's period by far; keeps the products below 2^63. */
#define TICKS_MAX BIT(40)

static int64_t full(const struct sched *s, const struct sched_group *g)
{
	return (int64_t)(min_u64(s->config.cap_period, TICKS_MAX) * g->cap);
}

/* Where a throttled group starts again: as late as it can be without wasting a full bucket. */
static int64_t enough(const struct sched *s, const struct sched_group *g)
{
	return full(s, g) / 2;
}

static void throttle(struct sched *s, struct sched_group *g)
{
	g->throttled = true;
	g->throttle_count++;
	list_for_each (n, &g->running) {
		sched_kick(s, list_entry(n, struct sched_entity, peer)->cpu);
	}
}

void sched_budget_charge_capped(struct sched *s, struct sched_group *g, uint64_t now)
{
	int64_t ticks = (int64_t)min_u64(sched_elapsed(now, g->charged_at), TICKS_MAX);
	int64_t gain = (int64_t)g->cap - 100 * (int64_t)g->running_count;

	if (g->charged_at == 0) {
		sched_budget_reset(s, g, now);
		return;
	}
	g->charged_at = max_u64(g->charged_at, now);
	g->tokens += ticks * gain;
	if (g->tokens > full(s, g)) {
		g->tokens = full(s, g);
	}
	if (g->throttled) {
		g->throttled = g->tokens < enough(s, g);
	} else if (g->tokens <= 0) {
		throttle(s, g);
	}
}

void sched_budget_reset(const struct sched *s, struct sched_group *g, uint64_t now)
{
	g->charged_at = max_u64(now, 1); /* 0: never yet */
	g->tokens = enough(s, g);
	g->throttled = false;
}

uint64_t sched_budget_end(const struct sched_group *g, uint64_t now)
{
	int64_t drain = 100 * (int64_t)g->running_count - (int64_t)g->cap;

	if (g->cap == 0 || drain <= 0) {
		return SCHED_NO_END;
	}
	return g->tokens <= 0 ? now : now + (uint64_t)((g->tokens + drain - 1) / drain);
}

uint64_t sched_budget_release(const struct sched *s, const struct sched_group *g, uint64_t now)
{
	int64_t missing = enough(s, g) - g->tokens;

	if (!g->throttled) {
		return SCHED_NO_END;
	}
	return missing <= 0 ? now : now + (uint64_t)((missing + g->cap - 1) / g->cap);
}
