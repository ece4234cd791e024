/* SPDX-License-Identifier: Apache-2.0 */
/* Fair scheduling by weight in virtual time. */
#include "hv/sched.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"

static struct sched_entity *entity_of(struct list_node *n)
{
	return list_entry(n, struct sched_entity, node);
}

void sched_init(struct sched *s, uint64_t slice, uint64_t wake_credit)
{
	*s = (struct sched){.slice = slice, .wake_credit = wake_credit};
	list_init(&s->queue);
}

void sched_entity_init(struct sched_entity *e, uint32_t weight)
{
	CHECK(weight >= SCHED_WEIGHT_MIN && weight <= SCHED_WEIGHT_MAX);
	*e = (struct sched_entity){.weight = weight};
	list_init(&e->node);
}

/* Adds the ticks since the last charge to the current entity. */
static void charge(struct sched *s, uint64_t now)
{
	struct sched_entity *e = s->current;
	uint64_t ticks = now > s->charged_at ? now - s->charged_at : 0;

	s->charged_at = now;
	if (e != NULL) {
		e->run_ticks += ticks;
		e->vruntime += ticks * SCHED_WEIGHT_DEFAULT / e->weight;
	}
}

/* Raises the floor to the least virtual time of what is runnable. */
static void raise_floor(struct sched *s)
{
	uint64_t least = s->least;

	if (s->current != NULL) {
		least = s->current->vruntime;
	}
	if (!list_empty(&s->queue)) {
		uint64_t first = entity_of(s->queue.next)->vruntime;

		least = s->current != NULL ? min_u64(least, first) : first;
	}
	s->least = max_u64(s->least, least);
}

static void enqueue(struct sched *s, struct sched_entity *e, uint64_t now)
{
	struct list_node *at = s->queue.prev;

	/* Mostly at the end: the one that just ran has run furthest. */
	while (at != &s->queue && entity_of(at)->vruntime > e->vruntime) {
		at = at->prev;
	}
	list_insert_before(at->next, &e->node);
	e->state = SCHED_QUEUED;
	e->since = now;
}

bool sched_wake(struct sched *s, struct sched_entity *e, uint64_t now)
{
	uint64_t earliest;

	if (e->state != SCHED_BLOCKED) {
		return false;
	}
	charge(s, now);
	raise_floor(s);
	earliest = s->least > s->wake_credit ? s->least - s->wake_credit : 0;
	e->vruntime = max_u64(e->vruntime, earliest);
	enqueue(s, e, now);
	return s->current == NULL || e->vruntime < s->current->vruntime;
}

void sched_block(struct sched *s, struct sched_entity *e, uint64_t now)
{
	if (e->state == SCHED_RUNNING) {
		CHECK(s->current == e);
		charge(s, now);
		raise_floor(s);
		s->current = NULL;
	} else if (e->state == SCHED_QUEUED) {
		e->wait_ticks += now > e->since ? now - e->since : 0;
		list_remove(&e->node);
	}
	e->state = SCHED_BLOCKED;
	e->since = now;
}

struct sched_entity *sched_pick(struct sched *s, uint64_t now, uint64_t *slice_end)
{
	struct sched_entity *e;

	charge(s, now);
	raise_floor(s);
	if (s->current != NULL) {
		enqueue(s, s->current, now);
		s->current = NULL;
	}
	if (list_empty(&s->queue)) {
		*slice_end = SCHED_NO_END;
		return NULL;
	}
	e = entity_of(s->queue.next);
	list_remove(&e->node);
	e->state = SCHED_RUNNING;
	e->wait_ticks += now > e->since ? now - e->since : 0;
	e->since = now;
	s->current = e;
	*slice_end = sched_contended(s) ? now + s->slice : SCHED_NO_END;
	return e;
}

void sched_account(struct sched *s, uint64_t now)
{
	charge(s, now);
}

bool sched_contended(const struct sched *s)
{
	return !list_empty(&s->queue);
}
