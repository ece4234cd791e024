/* SPDX-License-Identifier: Apache-2.0 */
/* A scheduler with a few groups of one entity, for the tests of its parts. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/sched.h"

#define SLICE 4000u
#define CREDIT 4000u
#define CAP_PERIOD 10000u
#define BALANCE 10000u
#define RIG_CPUS 8u
#define RIG_ENTITIES 16u

static struct sched rig_sched;
static struct sched_group rig_group[RIG_ENTITIES];
static struct sched_entity rig_entity[RIG_ENTITIES];
static unsigned rig_count;
static bool rig_kicks[RIG_CPUS];
static uint64_t rig_until[RIG_CPUS];
static uint16_t rig_core_of[RIG_CPUS];

static inline void rig_kick(void *ctx, unsigned cpu)
{
	(void)ctx;
	rig_kicks[cpu] = true;
}

static inline struct sched_config rig_config(unsigned cpu_count, unsigned threads)
{
	struct sched_config config = {
		.cpu_count = cpu_count,
		.core_of = rig_core_of,
		.slice = SLICE,
		.wake_credit = CREDIT,
		.cap_period = CAP_PERIOD,
		.balance_period = BALANCE,
		.kick = rig_kick,
	};

	rig_count = 0;
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		/* Numbers as machines have them: not from 0, not dense. */
		rig_core_of[cpu] = (uint16_t)(500 - 3 * (cpu / threads));
		rig_kicks[cpu] = false;
	}
	return config;
}

/* CPUs, all online, in cores of `threads`. */
static inline void rig(unsigned cpu_count, unsigned threads)
{
	struct sched_config config = rig_config(cpu_count, threads);

	sched_init(&rig_sched, &config);
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		sched_cpu_online(&rig_sched, cpu, 0);
	}
}

static inline struct sched_entity *add_to(struct sched_group *g)
{
	struct sched_entity *e = &rig_entity[rig_count++];
	struct sched_cpumask all = sched_cpumask_all();

	sched_entity_init(e, g, &all);
	return e;
}

static inline struct sched_entity *add(uint32_t weight, uint32_t cap)
{
	sched_group_init(&rig_group[rig_count], weight, cap);
	return add_to(&rig_group[rig_count]);
}

static inline struct sched_entity *wake(struct sched_entity *e, uint64_t now)
{
	sched_wake(&rig_sched, e, now);
	return e;
}

static inline void pin(struct sched_entity *e, unsigned cpu, uint64_t now)
{
	struct sched_cpumask mask = {{0}};

	sched_cpumask_set(&mask, cpu);
	sched_entity_pin(&rig_sched, e, &mask, now);
}

/* Whether `cpu` has been kicked since this was last asked. */
static inline bool kicked(unsigned cpu)
{
	bool was = rig_kicks[cpu];

	rig_kicks[cpu] = false;
	return was;
}

static inline struct sched_entity *pick(unsigned cpu, uint64_t now)
{
	return sched_pick(&rig_sched, cpu, now, &rig_until[cpu]);
}

/* CPUs come to sched_pick the moment they should. */
static inline void run(uint64_t now, uint64_t end)
{
	unsigned count = rig_sched.config.cpu_count;

	for (unsigned cpu = 0; cpu < count; cpu++) {
		pick(cpu, now);
	}
	while (now < end) {
		uint64_t next = end;

		for (unsigned cpu = 0; cpu < count; cpu++) {
			next = rig_kicks[cpu] ? now : min_u64(next, rig_until[cpu]);
		}
		now = next > now ? next : now;
		for (unsigned cpu = 0; cpu < count; cpu++) {
			if (kicked(cpu) || rig_until[cpu] <= now) {
				pick(cpu, now);
			}
		}
	}
	for (unsigned i = 0; i < rig_count; i++) {
		sched_account(&rig_sched, &rig_entity[i], now);
	}
}
