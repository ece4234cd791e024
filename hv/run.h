/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run loop of a CPU: pick a vCPU, run it until its slice ends or it blocks, handle its exits,
 * and take a step of the hypervisor's own work in between. Interrupts are off throughout, except in
 * the windows opened after a host-interrupt exit and while idle.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/timer.h"
#include "hv/sched.h"

struct vcpu;

/* A vCPU as the run loop sees it. */
struct run_task {
	struct sched_entity entity;
	struct vcpu *vcpu;
};

/* What the run loop calls out to; all set before run_loop. */
struct run_ops {
	/* Sets the CPU's one-shot timer; TIMER_NEVER disarms it. */
	void (*arm_host_timer)(uint64_t deadline);
	/* Called after interrupts were let in: console input and the like. */
	void (*poll)(void);
};

void run_init(const struct run_ops *ops);
/* The timer queue of this CPU. */
struct timer_queue *run_timers(void);
void run_task_init(struct run_task *t, struct vcpu *vcpu, uint32_t weight);
/* Makes the vCPU runnable: it has something to do. No effect when it is already. */
void run_wake(struct run_task *t);
/* Takes the vCPU off the CPU: it does not run again until run_wake. */
void run_block(struct run_task *t);
/* Unloads the vCPU's state from this CPU, before it is deleted or its memory goes. */
void run_forget(struct vcpu *vcpu);
/* Brings the running entity's run_ticks up to now, for those who print them. */
void run_account(void);
/* The current vCPU gives the CPU back after this exit. */
void run_yield(void);
/* As above if `t` waits for a CPU: a hint. */
void run_yield_to(const struct run_task *t);
/* Ticks that the vCPU was ready to run and did not, ever. */
uint64_t run_wait_ticks(const struct run_task *t);
/* Called by interrupt handlers: look at timers and input before the next entry. */
void run_attention(void);
/* Called by the host timer's handler: what was armed has fired. */
void run_timer_fired(void);
/* One round: service, a step of work, one slice (or idling until an interrupt). */
void run_once(void);
_Noreturn void run_loop(void);

struct run_stats {
	uint64_t idle_ticks;
	uint64_t switches; /* vCPU changes: full state switches */
	uint64_t loops;
};
const struct run_stats *run_stats(void);
