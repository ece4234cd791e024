/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine around the scheduler: CPUs that come to sched_pick some time after they are kicked,
 * entities that compute, sleep, spin, and are blocked and woken by others. Random mixes of them run
 * for a while of simulated time; what must hold always is checked at every event from the outside,
 * by what the CPUs execute. One tick is a microsecond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/base/bits.h"
#include "hv/sched.h"

#define SLICE 4000u
#define CREDIT 4000u
#define CAP_PERIOD 10000u
#define BALANCE 10000u
#define LAG 40u /* a CPU comes to sched_pick this long after a kick, at most */
#define SECOND 1000000u
#define NEVER (~0ull)

#define CPUS 8u
#define GROUPS 8u
#define PEERS 4u
#define ENTITIES (GROUPS * PEERS)

enum kind {
	HOG,	 /* computes for ever */
	SLEEPER, /* computes and sleeps in turn */
	YIELDER, /* a hog that spins now and then */
	FLAPPER, /* blocked and woken by others, whatever it does */
	KINDS,
};

struct actor {
	struct sched_entity e;
	enum kind kind;
	uint64_t burst;	   /* SLEEPER: computes for 1 .. burst */
	uint64_t pause;	   /* and sleeps for 1 .. pause */
	uint64_t left;	   /* still to compute */
	uint64_t act_at;   /* next event of its own */
	uint64_t spent[3]; /* by enum sched_state, as seen from outside */
	uint64_t lost;	   /* since when a CPU could have run it but idled; NEVER: none does */
	uint64_t waiting;  /* unthrottled time of the present wait */
	uint64_t wait_max; /* bound of that */
};

static struct {
	struct sched s;
	struct sched_group group[GROUPS];
	struct actor actor[ENTITIES];
	struct sched_entity *exec[CPUS];
	uint64_t pick_at[CPUS];
	uint16_t core_of[CPUS];
	unsigned cpu_count;
	unsigned group_count;
	unsigned actor_count;
	bool share;
	bool smt;
	bool changes; /* pins, weights and caps change on the way */
	uint64_t change_at;
	uint64_t now;
	uint64_t lost_max;
	uint64_t picks;
	uint64_t random;
	unsigned mix;
} m;

/* Highest seen, for stating bounds. */
static struct {
	uint64_t lost;
	uint64_t wait_percent; /* of the bound */
} worst;

static void dump(void)
{
	for (unsigned i = 0; i < m.cpu_count; i++) {
		print_error("  cpu %u core %u: group %td entity %td, picks at %lld\n", i,
			    m.core_of[i], m.exec[i] != NULL ? m.exec[i]->group - m.group : -1,
			    m.exec[i] != NULL ? container_of(m.exec[i], struct actor, e) - m.actor
					      : -1,
			    (long long)m.pick_at[i]);
	}
	for (unsigned i = 0; i < m.actor_count; i++) {
		const struct sched_entity *e = &m.actor[i].e;

		print_error("  entity %u group %td weight %u mask %llx: state %d core %d cpu %d%s"
			    " vruntime %llu, lost %llu\n",
			    i, e->group - m.group, e->group->weight,
			    (unsigned long long)(e->allowed.bits[0] & 0xff), e->state, e->core,
			    e->cpu, e->parked ? " parked" : "", (unsigned long long)e->vruntime,
			    (unsigned long long)m.actor[i].lost);
	}
}

#define MUST(cond) \
	do { \
		if (!(cond)) { \
			print_error("mix %u at %llu: %s\n", m.mix, (unsigned long long)m.now, \
				    #cond); \
			dump(); \
			assert_true(cond); \
		} \
	} while (0)

static uint64_t below(uint64_t limit)
{
	m.random ^= m.random << 13;
	m.random ^= m.random >> 7;
	m.random ^= m.random << 17;
	return (m.random >> 11) % limit;
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

/* ---------------------------------------------------------------- what must hold */

static bool same_core(unsigned a, unsigned b)
{
	return m.core_of[a] == m.core_of[b];
}

static bool beside(unsigned cpu, const struct sched_group *g)
{
	for (unsigned i = 0; i < m.cpu_count; i++) {
		if (i != cpu && same_core(i, cpu) && m.exec[i] != NULL && m.exec[i]->group != g) {
			return false;
		}
	}
	return true;
}

static void check_pick(unsigned cpu, struct sched_entity *e, uint64_t until)
{
	bool others = false;
	bool capped = false;

	for (unsigned i = 0; i < m.actor_count; i++) {
		others |= m.actor[i].e.state == SCHED_QUEUED;
		capped |= m.actor[i].e.parked;
	}
	if (e == NULL) {
		/* An idle CPU has no tick for what others do. */
		MUST(capped || until == SCHED_NO_END);
		return;
	}
	MUST(until > m.now);
	MUST(sched_cpumask_has(&e->allowed, cpu));
	MUST(e->state == SCHED_RUNNING && e->cpu == cpu);
	MUST(m.share || beside(cpu, e->group));
	for (unsigned i = 0; i < m.cpu_count; i++) {
		MUST(i == cpu || m.exec[i] != e);
	}
	/* No tick where nothing will change by itself. */
	MUST(others || e->group->cap != 0 || until == SCHED_NO_END);
}

/* A CPU that idles although `e` could run on it. */
static bool wasted(const struct sched_entity *e)
{
	for (unsigned cpu = 0; cpu < m.cpu_count; cpu++) {
		if (m.exec[cpu] == NULL && sched_cpumask_has(&m.s.online, cpu) &&
		    sched_cpumask_has(&e->allowed, cpu) && (m.share || beside(cpu, e->group))) {
			return true;
		}
	}
	return false;
}

static bool executes(const struct sched_entity *e)
{
	for (unsigned cpu = 0; cpu < m.cpu_count; cpu++) {
		if (m.exec[cpu] == e) {
			return true;
		}
	}
	return false;
}

/* `ticks` have passed with everything as it is now. */
static void check_waits(struct actor *a, uint64_t ticks)
{
	bool waits = a->e.state == SCHED_QUEUED && !a->e.group->throttled && !executes(&a->e);

	if (a->e.state != SCHED_QUEUED) {
		a->waiting = 0;
	} else if (waits) {
		a->waiting += ticks;
		worst.wait_percent = max_u64(worst.wait_percent, a->waiting * 100 / a->wait_max);
		MUST(a->waiting <= a->wait_max);
	}
	if (!waits || !wasted(&a->e)) {
		a->lost = 0;
		return;
	}
	a->lost += ticks;
	worst.lost = max_u64(worst.lost, a->lost);
	MUST(a->lost <= m.lost_max);
}

/* ---------------------------------------------------------------- the machine */

static void kick(void *ctx, unsigned cpu)
{
	(void)ctx;
	m.pick_at[cpu] = min_u64(m.pick_at[cpu], m.now + below(LAG + 1));
}

static void pick(unsigned cpu)
{
	uint64_t until;
	struct sched_entity *e;

	m.exec[cpu] = NULL;
	/* Before sched_pick sets it: a kick from inside must not be lost. */
	m.pick_at[cpu] = NEVER;
	e = sched_pick(&m.s, cpu, m.now, &until);
	m.picks++;
	check_pick(cpu, e, until);
	m.exec[cpu] = e;
	if (until != SCHED_NO_END) {
		m.pick_at[cpu] = min_u64(m.pick_at[cpu], until + below(LAG / 4));
	}
}

static void act(struct actor *a)
{
	switch (a->kind) {
	case SLEEPER:
		if (a->e.state == SCHED_RUNNING) {
			a->act_at = m.now + 1 + below(a->pause);
			sched_block(&m.s, &a->e, m.now);
		} else if (a->e.state == SCHED_BLOCKED) {
			a->left = 1 + below(a->burst);
			a->act_at = NEVER;
			sched_wake(&m.s, &a->e, m.now);
		}
		break;
	case YIELDER:
		a->act_at = m.now + 100 + below(3000);
		if (a->e.state == SCHED_RUNNING) {
			sched_spin(&m.s, a->e.cpu, m.now);
		}
		break;
	case FLAPPER:
		a->act_at = m.now + 1 + below(a->e.state == SCHED_BLOCKED ? a->pause : a->burst);
		if (a->e.state == SCHED_BLOCKED) {
			sched_wake(&m.s, &a->e, m.now);
		} else {
			sched_block(&m.s, &a->e, m.now);
		}
		break;
	case HOG:
	case KINDS:
	default:
		a->act_at = NEVER;
	}
}

/* When an actor does something by itself. */
static uint64_t next_act(const struct actor *a)
{
	if (a->kind == SLEEPER && a->e.state == SCHED_RUNNING) {
		return m.now + a->left;
	}
	return a->act_at;
}

static void advance(uint64_t to)
{
	uint64_t ticks = to - m.now;

	for (unsigned i = 0; i < m.actor_count; i++) {
		struct actor *a = &m.actor[i];

		a->spent[a->e.state] += ticks;
		if (a->e.state == SCHED_RUNNING) {
			a->left -= min_u64(a->left, ticks);
		}
		check_waits(a, ticks);
	}
	m.now = to;
}

static struct sched_cpumask random_mask(void)
{
	struct sched_cpumask mask = {{0}};

	for (unsigned cpu = 0; cpu < m.cpu_count; cpu++) {
		if (chance(50)) {
			sched_cpumask_set(&mask, cpu);
		}
	}
	if (sched_cpumask_empty(&mask)) {
		sched_cpumask_set(&mask, (unsigned)below(m.cpu_count));
	}
	return mask;
}

static uint32_t random_weight(void)
{
	static const uint32_t weights[] = {25, 50, 100, 100, 100, 200, 400};

	return weights[below(ARRAY_SIZE(weights))];
}

static void change(void)
{
	struct sched_group *g = &m.group[below(m.group_count)];
	struct sched_cpumask mask = chance(50) ? sched_cpumask_all() : random_mask();

	m.change_at = m.now + 1 + below(SECOND / 50);
	if (chance(50)) {
		sched_entity_pin(&m.s, &m.actor[below(m.actor_count)].e, &mask, m.now);
	} else {
		sched_group_set(&m.s, g, random_weight(), chance(50) ? 0 : 5 + (uint32_t)below(300),
				m.now);
	}
}

static uint64_t next_event(uint64_t end)
{
	uint64_t next = m.changes ? min_u64(end, m.change_at) : end;

	for (unsigned i = 0; i < m.cpu_count; i++) {
		next = min_u64(next, m.pick_at[i]);
	}
	for (unsigned i = 0; i < m.actor_count; i++) {
		next = min_u64(next, next_act(&m.actor[i]));
	}
	return max_u64(next, m.now);
}

static void run_until(uint64_t end)
{
	while (m.now < end) {
		advance(next_event(end));
		for (unsigned i = 0; i < m.actor_count; i++) {
			if (next_act(&m.actor[i]) <= m.now) {
				act(&m.actor[i]);
			}
		}
		for (unsigned i = 0; i < m.cpu_count; i++) {
			if (m.pick_at[i] <= m.now) {
				pick(i);
			}
		}
		if (m.changes && m.change_at <= m.now) {
			change();
		}
	}
	for (unsigned i = 0; i < m.actor_count; i++) {
		sched_account(&m.s, &m.actor[i].e, m.now);
	}
}

/* Run, wait and blocked time are what was seen from outside, and all the time there was. */
static void check_counters(void)
{
	for (unsigned i = 0; i < m.actor_count; i++) {
		struct actor *a = &m.actor[i];

		MUST(a->e.run_ticks == a->spent[SCHED_RUNNING]);
		MUST(a->e.wait_ticks == a->spent[SCHED_QUEUED]);
		MUST(a->e.run_ticks + a->e.wait_ticks + a->spent[SCHED_BLOCKED] == m.now);
	}
}

/* ---------------------------------------------------------------- mixes */

static void begin(unsigned mix, unsigned cpu_count, bool smt, bool share)
{
	struct sched_config config = {
		.cpu_count = cpu_count,
		.core_of = m.core_of,
		.share_cores = share,
		.slice = SLICE,
		.wake_credit = CREDIT,
		.cap_period = CAP_PERIOD,
		.balance_period = BALANCE,
		.kick = kick,
	};

	memset(&m, 0, sizeof(m));
	m.mix = mix;
	m.random = 0x9e3779b97f4a7c15ull * (mix + 1);
	m.cpu_count = cpu_count;
	m.smt = smt;
	m.share = share || !smt;
	m.lost_max = 4 * LAG;
	for (unsigned i = 0; i < cpu_count; i++) {
		m.core_of[i] = (uint16_t)(smt ? 7 + i / 2 : i);
		m.pick_at[i] = 0;
	}
	sched_init(&m.s, &config);
	for (unsigned i = 0; i < cpu_count; i++) {
		sched_cpu_online(&m.s, i, 0);
	}
}

static struct sched_group *add_group(uint32_t weight, uint32_t cap)
{
	struct sched_group *g = &m.group[m.group_count++];

	sched_group_init(g, weight, cap);
	return g;
}

static struct actor *add_actor(struct sched_group *g, enum kind kind)
{
	struct actor *a = &m.actor[m.actor_count++];
	struct sched_cpumask all = sched_cpumask_all();

	a->kind = kind;
	a->wait_max = NEVER;
	a->burst = 1 + below(6000);
	a->pause = 1 + below(12000);
	a->act_at = kind == HOG ? NEVER : below(2 * SLICE);
	sched_entity_init(&a->e, g, &all);
	if (kind == HOG || kind == YIELDER) {
		sched_wake(&m.s, &a->e, 0);
	}
	return a;
}

static void add_random_actors(struct sched_group *g)
{
	unsigned count = 1 + (unsigned)below(PEERS);

	for (unsigned i = 0; i < count; i++) {
		struct actor *a = add_actor(g, (enum kind)below(KINDS));

		if (chance(20)) {
			struct sched_cpumask mask = random_mask();

			sched_entity_pin(&m.s, &a->e, &mask, 0);
		}
	}
}

/* What capped groups have run: never more than the cap, a full budget, and what CPUs ran on. */
static void check_caps(void)
{
	for (unsigned i = 0; i < m.group_count; i++) {
		struct sched_group *g = &m.group[i];
		uint64_t run = 0;

		for (unsigned k = 0; k < m.actor_count; k++) {
			run += m.actor[k].e.group == g ? m.actor[k].e.run_ticks : 0;
		}
		MUST(g->cap == 0 ||
		     run <= (m.now + CAP_PERIOD) * g->cap / 100 + 2 * LAG * m.cpu_count);
	}
}

/* The bound of a wait, as stated in hv/sched.h, with all others taken as being on its core. */
static void bound_waits(void)
{
	const uint64_t window = 4 * (BALANCE + SLICE);

	for (unsigned i = 0; i < m.actor_count; i++) {
		uint64_t weight = m.actor[i].e.group->weight;
		uint64_t bound = window;

		for (unsigned k = 0; k < m.actor_count; k++) {
			uint64_t other = m.actor[k].e.group->weight;

			if (k != i) {
				bound += 2 * SLICE + CREDIT + other * SLICE / (8 * weight) +
					 min_u64(window * other / 100, 4 * window);
			}
		}
		m.actor[i].wait_max = bound;
	}
}

static void any_mix_keeps_the_rules(void **state)
{
	(void)state;
	for (unsigned mix = 0; mix < 3000; mix++) {
		uint64_t random = 0x1234567 + mix * 7919ull;

		begin(mix, 1 + (unsigned)(random % CPUS), random / 8 % 3 == 1,
		      random / 24 % 4 == 0);
		m.lost_max = m.smt ? SLICE + 4 * LAG : 4 * LAG;
		for (unsigned n = 1 + (unsigned)below(GROUPS); n > 0; n--) {
			add_random_actors(add_group(random_weight(),
						    chance(70) ? 0 : 5 + (uint32_t)below(300)));
		}
		bound_waits();
		m.changes = chance(20);
		run_until(SECOND / 10);
		check_counters();
		if (!m.changes) {
			check_caps();
		}
	}
	print_message("longest idle beside waiting: %llu us; longest wait: %llu %% of the bound\n",
		      (unsigned long long)worst.lost, (unsigned long long)worst.wait_percent);
}

/* Few CPUs for long: everybody's turn comes. */
static void nobody_starves(void **state)
{
	(void)state;
	for (unsigned mix = 0; mix < 100; mix++) {
		unsigned cpus = 1 + mix % 4;

		begin(mix, cpus, mix % 3 == 0, mix % 6 == 0);
		m.lost_max = NEVER;
		for (unsigned n = 2 + (unsigned)below(GROUPS - 2); n > 0; n--) {
			struct sched_group *g = add_group(random_weight(), 0);

			for (unsigned k = 1 + (unsigned)below(2); k > 0; k--) {
				add_actor(g, (enum kind)below(KINDS));
			}
		}
		bound_waits();
		run_until(2 * SECOND);
		check_counters();
	}
	print_message("longest wait: %llu %% of the bound\n",
		      (unsigned long long)worst.wait_percent);
}

/* What each hog would have of `cpus` CPUs if they could be divided: by weight, at most one. */
static void ideal_shares(double *share, double cpus)
{
	bool full[ENTITIES] = {false};
	bool again = true;

	while (again) {
		double weights = 0;
		double rest = cpus;

		for (unsigned i = 0; i < m.actor_count; i++) {
			weights += full[i] ? 0 : m.actor[i].e.group->weight;
			rest -= full[i] ? 1 : 0;
		}
		again = false;
		for (unsigned i = 0; i < m.actor_count; i++) {
			share[i] = full[i] ? 1 : rest * m.actor[i].e.group->weight / weights;
			if (share[i] > 1) {
				full[i] = true;
				again = true;
			}
		}
	}
}

static double fair_error(double cpus)
{
	double share[ENTITIES];
	double most = 0;

	ideal_shares(share, cpus < m.actor_count ? cpus : m.actor_count);
	for (unsigned i = 0; i < m.actor_count; i++) {
		double error = (double)m.actor[i].e.run_ticks / (double)m.now - share[i];

		error = error < 0 ? -error : error;
		most = error > most ? error : most;
	}
	return most;
}

static void hogs_get_their_shares(void **state)
{
	double most = 0;

	(void)state;
	for (unsigned mix = 0; mix < 200; mix++) {
		unsigned cpus = 1 + mix % CPUS;
		double error;

		begin(mix, cpus, mix % 5 == 0, mix % 2 == 0);
		for (unsigned n = 1 + (unsigned)below(GROUPS); n > 0; n--) {
			struct sched_group *g = add_group(random_weight(), 0);

			for (unsigned k = m.share ? 1 + (unsigned)below(PEERS) : 1; k > 0; k--) {
				add_actor(g, HOG);
			}
		}
		run_until(SECOND);
		check_counters();
		error = fair_error(m.share ? cpus : (cpus + 1) / 2);
		most = error > most ? error : most;
	}
	print_message("furthest from a fair share after a second: %u us\n",
		      (unsigned)(most * SECOND));
	assert_true(most < 0.05);
}

/* The same with equal weights, where the margin is the balance period's. */
static void equal_hogs_are_equal(void **state)
{
	double most = 0;

	(void)state;
	for (unsigned mix = 0; mix < 100; mix++) {
		unsigned cpus = 1 + mix % CPUS;
		unsigned count = cpus + 1 + mix / CPUS;
		double error;

		begin(mix, cpus, false, false);
		for (unsigned i = 0; i < count; i++) {
			add_actor(i % PEERS == 0 ? add_group(100, 0) : &m.group[m.group_count - 1],
				  HOG);
		}
		run_until(SECOND);
		error = fair_error(cpus);
		most = error > most ? error : most;
		MUST(cpus != 2 || count != 3 || error < 0.02 * 2 / 3);
	}
	print_message("furthest from an equal share after a second: %u us\n",
		      (unsigned)(most * SECOND));
	assert_true(most < 0.025);
}

/* Groups of two and cores of two threads: groups take turns, and each has the same. */
static void groups_share_cores_fairly(void **state)
{
	(void)state;
	for (unsigned mix = 0; mix < 12; mix++) {
		unsigned groups = 2 + mix % 3;
		uint64_t least = NEVER;
		uint64_t most = 0;

		begin(mix, 2, true, false);
		for (unsigned i = 0; i < groups; i++) {
			struct sched_group *g = add_group(100, 0);

			add_actor(g, HOG);
			add_actor(g, HOG);
		}
		run_until(SECOND);
		check_counters();
		for (unsigned i = 0; i < m.actor_count; i++) {
			least = min_u64(least, m.actor[i].e.run_ticks);
			most = max_u64(most, m.actor[i].e.run_ticks);
		}
		MUST(most - least <= SECOND / 50);
		/* They come in pairs: next to no forced idling. */
		MUST(least >= SECOND / groups - SECOND / 50);
	}
}

/* Caps of hogs with a CPU each, whatever else there is: within 1 % over a second. */
static void caps_are_exact(void **state)
{
	(void)state;
	for (unsigned mix = 0; mix < 60; mix++) {
		uint32_t cap = 10 + (uint32_t)below(290);
		unsigned count = (cap + 99) / 100 + mix % 2;
		struct sched_group *g;
		uint64_t run = 0;

		begin(mix, CPUS, mix % 3 == 0, false);
		g = add_group(400, cap);
		for (unsigned i = 0; i < count; i++) {
			add_actor(g, HOG);
		}
		run_until(SECOND);
		for (unsigned i = 0; i < count; i++) {
			run += m.actor[i].e.run_ticks;
		}
		MUST(run >= (uint64_t)cap * SECOND / 100 * 99 / 100);
		MUST(run <= (uint64_t)cap * SECOND / 100 * 101 / 100);
	}
}

/* One that sleeps most of the time beside hogs of any weights. */
static void sleepers_run_at_once(void **state)
{
	uint64_t most = 0;

	(void)state;
	for (unsigned mix = 0; mix < 60; mix++) {
		bool smt = mix % 3 == 0;
		struct actor *sleeper;

		begin(mix, 1 + mix % 4, smt, false);
		for (unsigned i = 0; i < 7; i++) {
			add_actor(add_group(random_weight(), 0), HOG);
		}
		sleeper = add_actor(add_group(100, 0), SLEEPER);
		sleeper->burst = 300;
		sleeper->pause = 30000;
		run_until(SECOND);
		check_counters();
		MUST(sleeper->e.wake_count > 20);
		most = max_u64(most, sleeper->e.wake_ticks_max);
		/* To the CPU that is kicked; with siblings, then those who leave, then back. */
		MUST(sleeper->e.wake_ticks_max <= (smt ? 4 : 2) * LAG);
	}
	print_message("latest start after a wake-up: %llu us\n", (unsigned long long)most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_mix_keeps_the_rules),   cmocka_unit_test(nobody_starves),
		cmocka_unit_test(hogs_get_their_shares),     cmocka_unit_test(equal_hogs_are_equal),
		cmocka_unit_test(groups_share_cores_fairly), cmocka_unit_test(caps_are_exact),
		cmocka_unit_test(sleepers_run_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
