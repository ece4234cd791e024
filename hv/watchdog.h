/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each CPU says what it is doing, and another one looks every two seconds: CPU 0 after all others,
 * the next one that runs after CPU 0. A CPU that does not leave the hypervisor's own code for five
 * seconds is asked by an NMI where it is, and one event line says so. Nothing else happens to it.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "hv/api/timer.h"
#include "hv/cpu/percpu.h"

#define WATCHDOG_PERIOD_NS 2000000000ull
#define WATCHDOG_LIMIT_NS 5000000000ull

/* In the low bits of cpu_local.phase; the rest is the time, of WATCHDOG_HOST only. */
enum watchdog_phase {
	WATCHDOG_OFF = 0, /* not to be looked after */
	WATCHDOG_GUEST,
	WATCHDOG_IDLE,
	WATCHDOG_HOST,
};
#define WATCHDOG_PHASE_MASK 3ull

struct watchdog_ops {
	void (*send_nmi)(uint32_t apic_id);
	/* The name of the guest that `cpu` ran last, NULL when there is none; from another CPU. */
	const char *(*last_guest)(const struct cpu_local *cpu);
	/* Called at each check; interrupts CPUs that have missed an interrupt. */
	void (*wake_late)(uint64_t now);
};

/* Before the first check. */
void watchdog_init(const struct watchdog_ops *ops);
/*
 * Looks after the CPUs that are this CPU's to look after; called by each CPU every
 * WATCHDOG_PERIOD_NS, with no lock held. `now` is clock_now(). CPU 0 also logs what the machine
 * checks of all CPUs left.
 */
void watchdog_check(uint64_t now);

/*
 * Has this CPU look after those that are its own to look after from now on, by a timer in `queue`,
 * its own. All but the first few, of which one may have failed to start, have nobody and no timer.
 */
void watchdog_start(struct timer_queue *queue);

/* This CPU begins or goes on with hypervisor work that must not take long. */
static inline void watchdog_host(struct cpu_local *cpu, uint64_t now)
{
	atomic_store_explicit(&cpu->phase, (now & ~WATCHDOG_PHASE_MASK) | WATCHDOG_HOST,
			      memory_order_relaxed);
}

/* This CPU enters a guest, goes to sleep, or is not to be looked after any more. */
static inline void watchdog_leave(struct cpu_local *cpu, enum watchdog_phase phase)
{
	atomic_store_explicit(&cpu->phase, (uint64_t)phase, memory_order_relaxed);
}
