/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run loop of each CPU: pick a vCPU, run it until its slice ends or it blocks, handle its
 * exits. Interrupts are off throughout, except in the windows opened after a host-interrupt exit
 * and while idle.
 *
 *	run_once:  timers -> chores, with the baton -> pick -> slice: prepare, enter, handle ...
 *
 * The baton is what makes the rest of hv/ simple: guests' lives, the monitor, console input and
 * long work are chores, done by whichever CPU gets the one try-lock, never within a slice. Nobody
 * spins for it: who finds it taken goes on, and its holder looks for new chores when it lets go.
 *
 * A vCPU is asked for things by bits in vcpu->requests and run_wake, a CPU by bits of its own; a
 * CPU that runs a guest or sleeps is `open` and is sent an interrupt, at most one, to come and
 * look.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/timer.h"
#include "hv/sched.h"

struct cpu_local;
struct space;
struct vcpu;
struct vm;

/* A vCPU as the run loop sees it. */
struct run_task {
	struct sched_entity entity; /* under the scheduler's lock */
	struct vcpu *vcpu;
	bool held;	       /* not to be woken; under the scheduler's lock */
	uint64_t wake_seen;    /* entity.wake_ticks_total at its last start; under that lock, too */
	uint64_t wake_peak;    /* longest wake-up since run_take_wake_peak; likewise */
	_Atomic bool sleeping; /* blocked, or about to: a wake has to take the lock */
	_Atomic bool on_cpu;   /* in a slice */
};

/* What the run loop calls out to; all set before run_loop. */
struct run_ops {
	/* Sets the CPU's one-shot timer; TIMER_NEVER disarms it. */
	void (*arm_host_timer)(uint64_t deadline);
	/* Reads what people typed, goes on with what the monitor does; with the baton. */
	void (*poll)(void);
	/* Interrupts another CPU; its handler has nothing to do but acknowledge. */
	void (*send_kick)(unsigned cpu);
	/* Ends guests that have asked for it; with the baton. */
	void (*end_guests)(void);
	/* Interrupts another CPU with the vector that backends are told of (post_vector): a vCPU
	 * that it runs takes what was posted. Called where info.posts_interrupts. */
	void (*send_notice)(unsigned cpu);
};

/* What to do with the baton. */
#define RUN_CHORE_INPUT 1u  /* somebody typed, a guest has room for more, `top` is due */
#define RUN_CHORE_GUESTS 2u /* a guest wants to end, or has given RAM back */
#define RUN_CHORE_WORK 4u   /* hv/work.h has steps to take */

/*
 * For all CPUs that there may be: `cores` has the core of each, siblings the same;
 * `share_cores` lets vCPUs of different guests run on siblings. Called once, on the boot CPU, which
 * has the baton from then on.
 */
struct run_config {
	const struct run_ops *ops;
	unsigned cpu_count; /* 1 .. CPU_MAX */
	const uint16_t *cores;
	bool share_cores;
};
void run_init(const struct run_config *config);
/* The boot CPU has set everything up and lets go of the baton: whoever gets it does chores. */
void run_open(void);
/* Makes this CPU one that runs guests; its timer and its backend are ready. */
void run_cpu_init(void);
/* The timer queue of this CPU. */
struct timer_queue *run_timers(void);

void run_group_init(struct sched_group *g, unsigned weight, unsigned cap);
/* `allowed`: the CPUs on which it may run. The vCPU is held. */
void run_task_init(struct run_task *t, struct vcpu *vcpu, struct sched_group *group,
		   const struct sched_cpumask *allowed);

/* Something was requested of the vCPU: wakes it, or has it look. From anywhere. */
void run_wake(struct run_task *t);
/*
 * Something was posted for the vCPU (vcpu->post), before this is called: the CPU that runs it takes
 * it without an exit, else it looks as after run_wake. From anywhere.
 */
void run_notify(struct run_task *t);
/*
 * Whether a CPU may be executing the vCPU's code at the moment. If not, what was requested of it
 * before is taken before it executes again. From anywhere.
 */
bool run_executes(const struct vcpu *vcpu);
/*
 * Takes the vCPU off whatever CPU it is on and unloads it, and lets nothing wake it before
 * run_release. Returns when that is so. With the baton.
 */
void run_hold(struct run_task *t);
void run_release(struct run_task *t);
/* Unloads the vCPUs of this VM and leaves its space, on all CPUs. Its tasks are held. */
void run_forget(struct vm *vm);
/* Waits for the timer functions that run on other CPUs: what was cancelled is then over. With the
 * baton. */
void run_settle_timers(void);
/* Changes weight and cap of a group whose tasks may be running. */
void run_group_set(struct sched_group *g, unsigned weight, unsigned cap);
/* Changes where a task may run, at once. */
void run_task_pin(struct run_task *t, const struct sched_cpumask *allowed);
/* The current vCPU spins: it gives the CPU to somebody who gets on. */
void run_yield(void);
/* As above if `t` waits for a CPU: a hint. */
void run_yield_to(const struct run_task *t);
/* Ticks that the vCPU that runs here was ready to run and did not, ever. */
uint64_t run_wait_ticks(const struct run_task *t);

/* Asks for a chore. From anywhere. */
void run_chore(unsigned chores);
/* Called by the host timer's handler: what was armed has fired. */
void run_timer_fired(void);
/*
 * Interrupts other CPUs again that have missed an interrupt: their timer's or a kick. QEMU's TCG
 * loses one now and then (docs/platforms.md); a CPU that has missed none is at worst interrupted
 * once for nothing.
 */
void run_wake_late(uint64_t now);
/* All other CPUs drop their translations of core memory soon. */
void run_flush_cpus(void);

/*
 * What was unmapped from a space, and asked of its vCPUs, before run_flush_begin is known to no CPU
 * once run_flush_done says so: each that is in the space has been outside of a slice since, where
 * it holds no pointer into the VM window, and has dropped its translations. Nothing waits: the
 * second is called until it is true. With the baton.
 */
uint64_t run_flush_begin(void);
bool run_flush_done(const struct space *s, uint64_t ticket);

/* One round: timers, chores, one slice (or idling until an interrupt). */
void run_once(void);
_Noreturn void run_loop(void);

struct run_stats {
	uint64_t idle_ticks;
	uint64_t switches; /* vCPU changes: full state switches */
	uint64_t loops;
	uint64_t kicks; /* sent to others */
};
const struct run_stats *run_stats(unsigned cpu);

/* --- for people: counters as of now, of what runs on any CPU; with the baton --- */

enum run_state {
	RUN_HELD,    /* not to be woken: its guest starts, is paused or ends */
	RUN_BLOCKED, /* waits for an event */
	RUN_READY,   /* waits for a CPU */
	RUN_CAPPED,  /* its guest has used up its cap */
	RUN_RUNNING,
};

struct run_task_info {
	enum run_state state;
	uint16_t cpu; /* where it runs or ran last; SCHED_NO_CPU: nowhere yet */
	uint64_t run_ticks;
	uint64_t wait_ticks; /* ready or capped: steal */
	uint64_t wake_count;
	uint64_t wake_ticks; /* from being woken to running, all wake-ups together */
	uint64_t wake_ticks_max;
	uint64_t switch_count;
	uint64_t migration_count;
};
void run_task_info(struct run_task *t, struct run_task_info *out);
/* The longest wake-up of the task, in ticks, since this was called last. */
uint64_t run_take_wake_peak(struct run_task *t);

struct run_group_info {
	uint64_t throttle_count;
	uint64_t yield_count;
	uint64_t yield_sibling_count; /* of these, handed to a sibling */
};
void run_group_info(const struct sched_group *g, struct run_group_info *out);

struct run_cpu_info {
	bool online;		    /* runs guests */
	const struct vcpu *current; /* NULL: none */
	uint64_t busy_ticks;	    /* with a vCPU on it */
	uint64_t up_ticks;	    /* since it runs guests */
	uint64_t switch_count;
	uint64_t kick_count; /* sent to others */
};
/* `cpu` < percpu_count(). */
void run_cpu_info(unsigned cpu, struct run_cpu_info *out);
/* The guest whose vCPU `cpu` ran last; NULL: none yet. From any CPU. */
const char *run_last_guest(const struct cpu_local *cpu);
/* Whether a CPU in `set` runs guests. */
bool run_has_cpu(const struct sched_cpumask *set);
/* CPUs that run guests. */
unsigned run_cpu_count(void);
