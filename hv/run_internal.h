/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the run loop share. */
#pragma once

#include "hv/api/clock.h"
#include "hv/api/timer.h"
#include "hv/base/bits.h"
#include "hv/base/lock.h"
#include "hv/cpu/percpu.h"
#include "hv/run.h"

/* What a CPU is asked for by others. */
#define ASK_RESCHED BIT32(0) /* give the CPU back to the scheduler */
#define ASK_UNLOAD BIT32(1)  /* put away what is loaded, leave the VM's space */
#define ASK_FLUSH BIT32(2)   /* drop translations */

struct run_cpu {
	struct timer_queue timers;
	struct timer slice;  /* ends the current slice */
	uint64_t programmed; /* what the host timer is armed for */
	struct vcpu *loaded; /* whose FPU, debug registers and MSRs this CPU holds */
	bool attention;
	_Atomic uint32_t asked;	  /* ASK_* */
	_Atomic uint64_t flushed; /* the ticket of its last ASK_FLUSH */
	_Atomic bool open;	  /* runs a guest or sleeps: only an interrupt gets through */
	_Atomic bool inside;	  /* may be executing the guest's code */
	_Atomic bool idle;
	const char *_Atomic last_guest;
	uint64_t online_since;
	struct run_stats stats;
};

struct run_shared {
	const struct run_ops *ops;
	struct spinlock lock; /* the scheduler's */
	struct sched sched;
	uint64_t slice_ticks;
	unsigned cpu_count;
	struct spinlock baton;
	_Atomic uint32_t chores; /* RUN_CHORE_* */
	_Atomic unsigned online_count;
	_Atomic uint64_t flush_ticket; /* the last one given out */
	struct run_cpu cpus[CPU_MAX];
};

extern struct run_shared run;

static inline struct run_cpu *this_cpu(void)
{
	return &run.cpus[cpu_this()->index];
}

/* Makes CPU `index` look at what it is asked for. */
void run_nudge(unsigned index);
/* Asks CPU `index` for ASK_*. */
void run_ask(unsigned index, uint32_t what);
/* Does what others ask of this CPU, outside slices. */
void run_serve(struct run_cpu *cpu);
/* Puts away the vCPU whose state this CPU holds, if there is one. */
void run_unload(struct run_cpu *cpu);
/* Waits until the vCPU's state is in no other CPU. */
void run_fetch_state(struct vcpu *vcpu);
/* Drops this CPU's translations of the hypervisor's spaces. */
void run_flush(struct run_cpu *cpu);
/* Keeps the task from running and from being woken, until run_release. */
void run_block(struct run_task *t);
