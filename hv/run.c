/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop of a CPU. */
#include "hv/run.h"

#include "hv/api/clock.h"
#include "hv/api/vm.h"
#include "hv/base/bits.h"
#include "hv/cpu/percpu.h"
#include "hv/exit.h"
#include "hv/fpu.h"
#include "hv/guest.h"
#include "hv/pv.h"
#include "hv/recorder.h"
#include "hv/vcpu.h"
#include "hv/work.h"

#define SLICE_NS 4000000ull
#define WAKE_CREDIT_NS 4000000ull

static struct {
	const struct run_ops *ops;
	struct sched sched;
	struct timer_queue timers;
	struct timer slice; /* ends the current slice */
	uint64_t slice_ticks;
	uint64_t programmed; /* what the host timer is armed for */
	struct vcpu *loaded; /* whose FPU, debug registers and MSRs this CPU holds */
	bool resched;
	bool attention;
	struct run_stats stats;
} cpu;

static void slice_over(struct timer *t)
{
	(void)t;
	cpu.resched = true;
}

void run_init(const struct run_ops *ops)
{
	cpu.ops = ops;
	cpu.slice_ticks = clock_ns_to_ticks(SLICE_NS);
	cpu.programmed = TIMER_NEVER;
	cpu.loaded = NULL;
	sched_init(&cpu.sched, cpu.slice_ticks, clock_ns_to_ticks(WAKE_CREDIT_NS));
	timer_queue_init(&cpu.timers);
	timer_init(&cpu.slice, &cpu.timers, slice_over);
}

struct timer_queue *run_timers(void)
{
	return &cpu.timers;
}

const struct run_stats *run_stats(void)
{
	return &cpu.stats;
}

void run_task_init(struct run_task *t, struct vcpu *vcpu, uint32_t weight)
{
	sched_entity_init(&t->entity, weight);
	t->vcpu = vcpu;
}

void run_wake(struct run_task *t)
{
	uint64_t now;

	if (t->entity.state != SCHED_BLOCKED) {
		return;
	}
	now = clock_now();
	if (sched_wake(&cpu.sched, &t->entity, now)) {
		cpu.resched = true;
	} else if (!cpu.slice.armed) {
		/* The current one was alone so far: from now on it runs in slices. */
		timer_arm(&cpu.slice, now + cpu.slice_ticks);
	}
}

void run_block(struct run_task *t)
{
	if (t->entity.state == SCHED_RUNNING) {
		cpu.resched = true;
	}
	sched_block(&cpu.sched, &t->entity, clock_now());
}

void run_account(void)
{
	sched_account(&cpu.sched, clock_now());
}

void run_yield(void)
{
	cpu.resched = true;
}

void run_yield_to(const struct run_task *t)
{
	if (t->entity.state == SCHED_QUEUED) {
		run_yield();
	}
}

uint64_t run_wait_ticks(const struct run_task *t)
{
	return t->entity.wait_ticks;
}

void run_attention(void)
{
	cpu.attention = true;
}

void run_timer_fired(void)
{
	cpu.programmed = TIMER_NEVER;
	cpu.attention = true;
}

static void unload(void)
{
	struct vcpu *old = cpu.loaded;

	if (old != NULL) {
		fpu_save(old);
		cpu_read_dr03(old->dr);
		the_backend->vcpu_put(old);
		cpu.loaded = NULL;
	}
}

void run_forget(struct vcpu *vcpu)
{
	if (cpu.loaded == vcpu) {
		unload();
	}
	if (space_current() == &vcpu->vm->gspace.host) {
		space_switch(space_core());
	}
}

static void load(struct vcpu *vcpu)
{
	space_switch(&vcpu->vm->gspace.host);
	if (cpu.loaded == vcpu) {
		return;
	}
	unload();
	cpu.stats.switches++;
	the_backend->vcpu_load(vcpu, cpu_this()->index);
	cpu_write_dr03(vcpu->dr);
	fpu_load(vcpu);
	cpu.loaded = vcpu;
}

static void program_host_timer(void)
{
	uint64_t next = timer_queue_next(&cpu.timers);

	if (next != cpu.programmed) {
		cpu.programmed = next;
		cpu.ops->arm_host_timer(next);
	}
}

/* What interrupts left to do. */
static void service(void)
{
	cpu.attention = false;
	timer_queue_run(&cpu.timers, clock_now());
	cpu.ops->poll();
}

/* Work before the next entry; false when the vCPU cannot run on. */
static bool prepare(struct run_task *task)
{
	struct vcpu *vcpu = task->vcpu;
	uint32_t requests = atomic_exchange(&vcpu->requests, 0);
	const struct event_source *source = guest_event_source(vcpu->vm);

	if ((requests & VCPU_REQ_PV) != 0) {
		pv_requests(vcpu, requests);
	}
	if (vcpu->halted) {
		if (!pv_take_unhalt(vcpu) && !event_wakes(vcpu, the_backend, source)) {
			run_block(task);
			return false;
		}
		vcpu->halted = false;
	}
	if ((requests & VCPU_REQ_TLB_FLUSH) != 0) {
		the_backend->tlb_flush(vcpu);
	}
	if (requests != 0) {
		exit_sync_tpr_from_hw(vcpu);
		event_deliver(vcpu, the_backend, source);
		pv_eoi_offer(vcpu);
	}
	return true;
}

static void run_slice(struct run_task *task, uint64_t slice_end)
{
	struct vcpu *vcpu = task->vcpu;
	struct vm_exit exit;

	load(vcpu);
	pv_vcpu_load(vcpu);
	if (slice_end != SCHED_NO_END) {
		timer_arm(&cpu.slice, slice_end);
	}
	cpu.resched = false;
	while (!cpu.resched) {
		if (atomic_load_explicit(&vcpu->requests, memory_order_acquire) != 0 &&
		    !prepare(task)) {
			break;
		}
		program_host_timer();
		the_backend->vcpu_run(vcpu, &exit);
		recorder_note(vcpu, &exit, clock_now());
		pv_eoi_settle(vcpu);
		exit_handle(vcpu, &exit);
		if (cpu.attention) {
			service();
			/* A step of work may have run in another VM's space. */
			space_switch(&vcpu->vm->gspace.host);
		}
	}
	timer_cancel(&cpu.slice);
	pv_vcpu_put(vcpu, task->entity.state != SCHED_BLOCKED);
}

static void idle(void)
{
	uint64_t since = clock_now();

	program_host_timer();
	cpu_idle();
	cpu.stats.idle_ticks += clock_now() - since;
}

void run_once(void)
{
	struct sched_entity *next;
	uint64_t slice_end;
	uint64_t now;

	cpu.stats.loops++;
	service();
	if (work_pending()) {
		work_step();
	}
	now = clock_now();
	next = sched_pick(&cpu.sched, now, &slice_end);
	if (next != NULL) {
		if (work_pending()) {
			slice_end = min_u64(slice_end, now + cpu.slice_ticks);
		}
		run_slice(container_of(next, struct run_task, entity), slice_end);
	} else if (!work_pending()) {
		idle();
	}
}

_Noreturn void run_loop(void)
{
	for (;;) {
		run_once();
	}
}
