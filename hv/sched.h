/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which vCPU runs next on which CPU: fair by weight in virtual time, capped by budgets, one guest
 * at a time on a core. A pure module driven by events with the time as an argument (TSC ticks); it
 * knows nothing of vCPUs, only of entities and the groups they belong to. It takes no locks: the
 * caller holds one around every call.
 *
 *   struct sched ── core[] ── queue: runnable entities, least virtual time first
 *                     │    └─ parked: runnable, but their group has used up its cap
 *                     └─ cpu[]: siblings of the core; `current` as decided, `on` as executed
 *
 * Each entity's virtual time advances by (ticks run) * SCHED_WEIGHT_DEFAULT / weight; the runnable
 * entity of a core with the least runs, for one slice when others wait, without an end when it is
 * alone. The virtual times of all cores are one scale: a core whose waiting entities have fallen
 * behind another core's moves one there at its balance points, which is what makes three hogs on
 * two CPUs get two thirds each. What was missed while nobody waited is forgotten.
 *
 * Bounds, with S = slice, C = wake_credit, W = 4 (balance_period + S), w the weight of the entity
 * in question and, summed over the others that may run on its core, w_i theirs:
 *
 *   wake-up    one that has half of its credit left (it uses less than its share, and has slept)
 *              starts as soon as the kicked CPU picks, beside any number of hogs of any weights.
 *              Those that wake together add a turn of at most S each; siblings of another group
 *              add the time they need to pick. Others that wake wait like everybody:
 *   waiting    sum of 2 S + C + S w_i / (8 w) + min(W w_i / 100, 4 W), plus W; beside N of equal
 *              weight in practice N S. Also how long a group waits for its turn on a core. The
 *              last term of the sum is for what comes from other cores with arrears.
 *   idling     no CPU idles for longer than it takes kicked CPUs to pick while something waits that
 *              may run there: in its mask, not throttled, of the group that holds the core. CPUs
 *              that their siblings' group cannot fill idle until that group's turn is over.
 *   shares     hogs: within a few slices plus 2 balance periods of what weights give.
 *   caps       on average exact, bursts of one cap_period's budget; over a time T a hog's error is
 *              at most cap_period / 2 T.
 *
 * A decision about a CPU that executes something takes effect when that CPU calls sched_pick; until
 * then `on` says what it still executes, which runs nowhere else and keeps other groups off the
 * core.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/list.h"

#define SCHED_CPUS_MAX 256u
#define SCHED_WEIGHT_DEFAULT 100u
#define SCHED_WEIGHT_MIN 1u
#define SCHED_WEIGHT_MAX 10000u
#define SCHED_CAP_MAX (100u * SCHED_CPUS_MAX)
#define SCHED_NO_CPU 0xffffu
#define SCHED_NO_END (~0ull)

/* A set of CPUs. */
struct sched_cpumask {
	uint64_t bits[SCHED_CPUS_MAX / 64];
};

static inline void sched_cpumask_set(struct sched_cpumask *m, unsigned cpu)
{
	m->bits[cpu / 64] |= BIT(cpu % 64);
}

static inline void sched_cpumask_clear(struct sched_cpumask *m, unsigned cpu)
{
	m->bits[cpu / 64] &= ~BIT(cpu % 64);
}

static inline bool sched_cpumask_has(const struct sched_cpumask *m, unsigned cpu)
{
	return (m->bits[cpu / 64] & BIT(cpu % 64)) != 0;
}

static inline struct sched_cpumask sched_cpumask_all(void)
{
	return (struct sched_cpumask){.bits = {~0ull, ~0ull, ~0ull, ~0ull}};
}

static inline bool sched_cpumask_empty(const struct sched_cpumask *m)
{
	return (m->bits[0] | m->bits[1] | m->bits[2] | m->bits[3]) == 0;
}

static inline bool sched_cpumask_full(const struct sched_cpumask *m)
{
	return (m->bits[0] & m->bits[1] & m->bits[2] & m->bits[3]) == ~0ull;
}

/* The first CPU of `m` at or above `from`; SCHED_CPUS_MAX where there is none. */
static inline unsigned sched_cpumask_next(const struct sched_cpumask *m, unsigned from)
{
	for (unsigned word = from / 64; word < SCHED_CPUS_MAX / 64; word++) {
		uint64_t bits = m->bits[word];

		if (word == from / 64) {
			bits &= ~0ull << (from % 64);
		}
		if (bits != 0) {
			return word * 64 + (unsigned)__builtin_ctzll(bits);
		}
	}
	return SCHED_CPUS_MAX;
}

#define sched_cpumask_for_each(cpu, m) \
	for (unsigned cpu = sched_cpumask_next((m), 0); cpu < SCHED_CPUS_MAX; \
	     cpu = sched_cpumask_next((m), cpu + 1))

enum sched_state {
	SCHED_BLOCKED = 0,
	SCHED_QUEUED,
	SCHED_RUNNING,
};

/* A guest. */
struct sched_group {
	uint32_t weight; /* of each entity; SCHED_WEIGHT_MIN .. SCHED_WEIGHT_MAX */
	uint32_t cap;	 /* percent of one CPU for all its entities together; 0: none */
	/* Budget, only with a cap. In hundredths of ticks; less than 0: debt. */
	int64_t tokens;
	uint64_t charged_at;	  /* `tokens` are right as of */
	struct list_node running; /* entities in SCHED_RUNNING */
	uint32_t running_count;
	bool throttled; /* budget used up: none of its entities starts */
	/* Counters. */
	uint64_t throttle_count;
	uint64_t yield_count;	      /* sched_spin by its entities */
	uint64_t yield_sibling_count; /* of these, handed to a sibling */
};

/* A vCPU. Fields are for reading, after sched_account where they count ticks. */
struct sched_entity {
	struct sched_group *group;
	struct list_node node; /* in a core's queue or parked list while SCHED_QUEUED */
	struct list_node peer; /* in group->running while SCHED_RUNNING */
	struct sched_cpumask allowed;
	enum sched_state state;
	bool parked;	      /* SCHED_QUEUED, and the group is throttled */
	bool stranded;	      /* SCHED_QUEUED, and no CPU allowed to it is online */
	uint16_t cpu;	      /* where it runs or ran last; SCHED_NO_CPU: nowhere yet */
	uint16_t on;	      /* the CPU that executes it, maybe not for long; SCHED_NO_CPU */
	uint16_t core;	      /* index of the queue that it is in */
	uint16_t favoured_on; /* the CPU whose next turn was yielded to it; SCHED_NO_CPU */
	uint64_t vruntime;    /* virtual ticks */
	uint64_t since;	      /* when the present state began, or was last accounted */
	uint64_t woken_at;
	bool waking; /* woken and not yet run */
	/* Counters. */
	uint64_t run_ticks;
	uint64_t wait_ticks; /* runnable but not running, throttled or not: steal */
	uint64_t wake_count;
	uint64_t wake_ticks_total; /* from sched_wake to the sched_pick that starts it */
	uint64_t wake_ticks_max;
	uint64_t switch_count;	  /* starts in place of something else */
	uint64_t migration_count; /* starts on another CPU than the one before */
};

struct sched_config {
	unsigned cpu_count;	 /* 1 .. SCHED_CPUS_MAX */
	const uint16_t *core_of; /* per CPU the number of its core; NULL: one CPU per core */
	bool share_cores;	 /* siblings may run different groups */
	uint64_t slice;		 /* ticks; how long one runs while others wait */
	uint64_t wake_credit;	 /* ticks; how far ahead of the others a waking one may come */
	uint64_t cap_period;	 /* ticks; a cap's budget is that of one period at most */
	uint64_t balance_period; /* ticks */
	/*
	 * `cpu` should call sched_pick soon. Called from inside the functions below, also for the
	 * CPU that calls them; must not call them. Not repeated until that sched_pick.
	 */
	void (*kick)(void *ctx, unsigned cpu);
	void *ctx;
};

struct sched_cpu {
	struct sched_entity *current;	/* SCHED_RUNNING here */
	struct sched_entity *on;	/* what the CPU executes until its next sched_pick */
	struct sched_entity *favourite; /* gets the next turn: somebody yielded to it */
	struct sched_entity *yielding;	/* does not get the next turn */
	uint64_t charged_at;		/* `current` is charged up to here */
	uint64_t until;			/* as returned by the last sched_pick */
	uint64_t busy_ticks;		/* with an entity running */
	uint16_t core;
	uint16_t sibling; /* ring of the CPUs that share `core` */
	uint16_t thread;  /* ring of the CPUs of the physical core */
	bool online;
	bool kicked; /* and has not picked since */
};

struct sched_core {
	struct list_node queue;	  /* ascending vruntime */
	struct list_node parked;  /* in no order */
	struct sched_group *next; /* takes the core over as soon as all others have left it */
	uint64_t least;		  /* vruntime floor: never goes back */
	uint64_t offset;	  /* vruntime here + offset = time on the machine's scale */
	uint64_t clock;		  /* scratch of a balance point: the core on that scale */
	uint64_t balance_at;	  /* next balance point */
	uint32_t queued_count;	  /* in `queue` */
	uint16_t first;		  /* one of its CPUs */
	uint16_t cpu_count;
};

struct sched {
	struct sched_config config;
	struct sched_cpumask online;
	struct sched_cpumask idle; /* online, and the last sched_pick found nothing */
	struct list_node stranded; /* runnable, but no CPU allowed to them is online */
	uint64_t queued_count;	   /* in all cores' queues */
	bool contended;		   /* somebody waited at the last sched_pick */
	uint32_t core_count;
	struct sched_cpu cpus[SCHED_CPUS_MAX];
	struct sched_core cores[SCHED_CPUS_MAX];
};

/* `config` is copied, and `core_of` not used any more afterwards. All CPUs are offline. */
void sched_init(struct sched *s, const struct sched_config *config);
/* From now on `cpu` takes part: it is idle and calls sched_pick when kicked. */
void sched_cpu_online(struct sched *s, unsigned cpu, uint64_t now);

/* `cap` is in percent of one CPU, may exceed 100 (at most SCHED_CAP_MAX), 0 is none. */
void sched_group_init(struct sched_group *g, uint32_t weight, uint32_t cap);
/* Changes weight and cap while the group's entities run. */
void sched_group_set(struct sched *s, struct sched_group *g, uint32_t weight, uint32_t cap,
		     uint64_t now);

/* Blocked; may run on the CPUs in `allowed`, which is not empty. */
void sched_entity_init(struct sched_entity *e, struct sched_group *g,
		       const struct sched_cpumask *allowed);
/* Changes where it may run; a CPU that it must leave is kicked. */
void sched_entity_pin(struct sched *s, struct sched_entity *e, const struct sched_cpumask *allowed,
		      uint64_t now);
/*
 * Whether a CPU may still execute it, whatever its state: not until that CPU's next sched_pick may
 * it, its group or what it stands for be taken apart.
 */
static inline bool sched_entity_busy(const struct sched_entity *e)
{
	return e->on != SCHED_NO_CPU;
}

/* Makes a blocked entity runnable; no effect in other states. */
void sched_wake(struct sched *s, struct sched_entity *e, uint64_t now);
/*
 * Takes an entity out, wherever it is and whoever calls; harmless when blocked. A CPU that executes
 * it is kicked, and it runs nowhere else before that CPU has picked.
 */
void sched_block(struct sched *s, struct sched_entity *e, uint64_t now);
/*
 * `cpu` has stopped executing what it executed: decides what it executes next. NULL: it idles.
 * *until is when it must call again at the latest, SCHED_NO_END when only a kick will bring a
 * reason to.
 */
struct sched_entity *sched_pick(struct sched *s, unsigned cpu, uint64_t now, uint64_t *until);
/*
 * `cpu` has stopped executing what it executed, which may be taken apart now, and calls sched_pick
 * soon.
 */
void sched_leave(struct sched *s, unsigned cpu, uint64_t now);
/*
 * The current entity of `cpu` waits for something in a loop: its turn goes to a waiting sibling of
 * its group where there is one (that may be who holds the lock), else to somebody else. Kicks `cpu`
 * when there is anybody. Costs and gains no share.
 */
void sched_spin(struct sched *s, unsigned cpu, uint64_t now);
/* Brings the counters of `e` up to date. */
void sched_account(struct sched *s, struct sched_entity *e, uint64_t now);

/* What `top` shows of a CPU. */
struct sched_cpu_load {
	const struct sched_entity *current; /* NULL: idle */
	uint32_t queued_count;		    /* wait on its core */
	uint32_t weight;		    /* of what it runs and what waits on its core */
	uint64_t busy_ticks;		    /* as of `now` */
};
struct sched_cpu_load sched_cpu_load(const struct sched *s, unsigned cpu, uint64_t now);
