/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which vCPU runs next on a CPU: fair by weight in virtual time. A pure module driven by events
 * with the time as an argument (TSC ticks); it knows nothing of vCPUs, only of entities.
 *
 * Each entity's virtual time advances by (ticks run) * SCHED_WEIGHT_DEFAULT / weight; the runnable
 * entity with the least virtual time runs, for one slice when others wait, without an end when it
 * is alone. An entity that wakes is placed at most `wake_credit` behind the others, so that it runs
 * soon but cannot save up CPU time by sleeping.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/list.h"

#define SCHED_WEIGHT_DEFAULT 100u
#define SCHED_WEIGHT_MIN 1u
#define SCHED_WEIGHT_MAX 10000u

enum sched_state {
	SCHED_BLOCKED = 0,
	SCHED_QUEUED,
	SCHED_RUNNING,
};

struct sched_entity {
	struct list_node node; /* in sched.queue while SCHED_QUEUED */
	enum sched_state state;
	uint32_t weight;     /* SCHED_WEIGHT_MIN .. SCHED_WEIGHT_MAX */
	uint64_t vruntime;   /* virtual ticks */
	uint64_t run_ticks;  /* real ticks ever run */
	uint64_t wait_ticks; /* ticks ever spent runnable but not running */
	uint64_t since;	     /* when the present state began */
};

struct sched {
	struct list_node queue; /* ascending vruntime */
	struct sched_entity *current;
	uint64_t least;	      /* vruntime floor: never goes back */
	uint64_t charged_at;  /* `current` is charged up to here */
	uint64_t slice;	      /* ticks */
	uint64_t wake_credit; /* virtual ticks */
};

#define SCHED_NO_END (~0ull)

void sched_init(struct sched *s, uint64_t slice, uint64_t wake_credit);
void sched_entity_init(struct sched_entity *e, uint32_t weight);

/* Makes a blocked entity runnable; no effect in other states. True: it should run now, before
 * the current one. */
bool sched_wake(struct sched *s, struct sched_entity *e, uint64_t now);
/* Takes an entity out, wherever it is; harmless when blocked. */
void sched_block(struct sched *s, struct sched_entity *e, uint64_t now);
/*
 * Charges the current entity, puts it back in the queue, and makes the next one current. NULL when
 * none is runnable. *slice_end is when it must be picked again, SCHED_NO_END when it is alone.
 */
struct sched_entity *sched_pick(struct sched *s, uint64_t now, uint64_t *slice_end);
/* Charges the current entity up to `now`. */
void sched_account(struct sched *s, uint64_t now);
/* Whether another entity waits for this CPU. */
bool sched_contended(const struct sched *s);
