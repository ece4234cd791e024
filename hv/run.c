/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop of a CPU. */
#include "hv/run_internal.h"

#include "hv/api/clock.h"
#include "hv/api/vm.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/lock.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "hv/event.h"
#include "hv/exit.h"
#include "hv/fetch.h"
#include "hv/fpu.h"
#include "hv/guest.h"
#include "hv/pv.h"
#include "hv/recorder.h"
#include "hv/vcpu.h"
#include "hv/watchdog.h"
#include "hv/work.h"

#define SLICE_NS 4000000ull
#define WAKE_CREDIT_NS 4000000ull
#define CAP_PERIOD_NS 10000000ull
#define BALANCE_NS 10000000ull

struct run_shared run;

/* --- start --- */

/* The scheduler wants CPU `index` to pick again; under its lock. */
static void sched_kick(void *ctx, unsigned index)
{
	(void)ctx;
	run_ask(index, ASK_RESCHED);
}

static void slice_over(struct timer *t)
{
	struct run_cpu *cpu = container_of(t, struct run_cpu, slice);

	atomic_fetch_or(&cpu->asked, ASK_RESCHED);
}

void run_init(const struct run_config *config)
{
	struct sched_config sched = {
		.cpu_count = config->cpu_count,
		.core_of = config->cores,
		.share_cores = config->share_cores,
		.slice = clock_ns_to_ticks(SLICE_NS),
		.wake_credit = clock_ns_to_ticks(WAKE_CREDIT_NS),
		.cap_period = clock_ns_to_ticks(CAP_PERIOD_NS),
		.balance_period = clock_ns_to_ticks(BALANCE_NS),
		.kick = sched_kick,
	};

	run.ops = config->ops;
	run.slice_ticks = sched.slice;
	run.cpu_count = config->cpu_count;
	atomic_store(&run.online_count, 0);
	atomic_store(&run.chores, 0);
	run.baton = (struct spinlock){0};
	(void)lock_try(&run.baton);
	sched_init(&run.sched, &sched);
	for (unsigned i = 0; i < config->cpu_count; i++) {
		struct run_cpu *cpu = &run.cpus[i];

		*cpu = (struct run_cpu){.programmed = TIMER_NEVER};
		timer_queue_init(&cpu->timers);
		timer_init(&cpu->slice, &cpu->timers, slice_over);
	}
	timer_set_local_queue(run_timers);
}

void run_open(void)
{
	lock_release(&run.baton);
}

void run_cpu_init(void)
{
	lock_acquire(&run.lock);
	this_cpu()->online_since = clock_now();
	sched_cpu_online(&run.sched, cpu_this()->index, this_cpu()->online_since);
	lock_release(&run.lock);
	atomic_fetch_add(&run.online_count, 1);
}

struct timer_queue *run_timers(void)
{
	return &this_cpu()->timers;
}

bool run_has_cpu(const struct sched_cpumask *set)
{
	for (unsigned i = 0; i < run.cpu_count; i++) {
		if (sched_cpumask_has(set, i) && sched_cpumask_has(&run.sched.online, i)) {
			return true;
		}
	}
	return false;
}

unsigned run_cpu_count(void)
{
	return atomic_load(&run.online_count);
}

void run_group_init(struct sched_group *g, unsigned weight, unsigned cap)
{
	sched_group_init(g, weight, cap);
}

void run_task_init(struct run_task *t, struct vcpu *vcpu, struct sched_group *group,
		   const struct sched_cpumask *allowed)
{
	*t = (struct run_task){.vcpu = vcpu, .held = true, .sleeping = true};
	sched_entity_init(&t->entity, group, allowed);
}

/* --- waking and blocking --- */

void run_wake(struct run_task *t)
{
	int cpu;

	if (!atomic_load(&t->sleeping)) {
		cpu = atomic_load(&t->vcpu->loaded_on);
		if (cpu != VCPU_NOT_LOADED) {
			run_nudge((unsigned)cpu);
		}
		return;
	}
	lock_acquire(&run.lock);
	if (!t->held && atomic_load(&t->sleeping)) {
		atomic_store(&t->sleeping, false);
		sched_wake(&run.sched, &t->entity, clock_now());
	}
	lock_release(&run.lock);
}

/*
 * Puts the vCPU that runs here to sleep, unless something was requested of it meanwhile. Who
 * requests something looks at `sleeping` after it, this looks at the requests after `sleeping`.
 */
static bool go_to_sleep(struct run_task *t)
{
	bool asleep;

	lock_acquire(&run.lock);
	atomic_store(&t->sleeping, true);
	asleep = t->held || atomic_load(&t->vcpu->requests) == 0;
	if (asleep) {
		sched_block(&run.sched, &t->entity, clock_now());
	} else {
		atomic_store(&t->sleeping, false);
	}
	lock_release(&run.lock);
	return asleep;
}

void run_block(struct run_task *t)
{
	lock_acquire(&run.lock);
	t->held = true;
	atomic_store(&t->sleeping, true);
	sched_block(&run.sched, &t->entity, clock_now());
	lock_release(&run.lock);
}

void run_release(struct run_task *t)
{
	vcpu_request(t->vcpu, VCPU_REQ_EVENT);
	lock_acquire(&run.lock);
	t->held = false;
	lock_release(&run.lock);
	run_wake(t);
}

void run_group_set(struct sched_group *g, unsigned weight, unsigned cap)
{
	lock_acquire(&run.lock);
	sched_group_set(&run.sched, g, weight, cap, clock_now());
	lock_release(&run.lock);
}

void run_task_pin(struct run_task *t, const struct sched_cpumask *allowed)
{
	lock_acquire(&run.lock);
	sched_entity_pin(&run.sched, &t->entity, allowed, clock_now());
	lock_release(&run.lock);
}

void run_yield(void)
{
	/* Nobody to yield to: a spinning guest must not keep the other CPUs from the lock. */
	if (__atomic_load_n(&run.sched.queued_count, __ATOMIC_RELAXED) == 0) {
		return;
	}
	lock_acquire(&run.lock);
	sched_spin(&run.sched, cpu_this()->index, clock_now());
	lock_release(&run.lock);
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

/* --- chores --- */

void run_chore(unsigned chores)
{
	atomic_fetch_or(&run.chores, chores);
	this_cpu()->attention = true;
}

void run_timer_fired(void)
{
	struct run_cpu *cpu = this_cpu();

	cpu->programmed = TIMER_NEVER;
	cpu->attention = true;
}

/* Work is left and this CPU has something else to do: one that has not takes it. */
static void wake_idle_cpu(void)
{
	for (unsigned i = 0; i < run.cpu_count; i++) {
		if (atomic_load_explicit(&run.cpus[i].idle, memory_order_relaxed)) {
			run_nudge(i);
			return;
		}
	}
}

static void do_chores(uint32_t chores)
{
	if ((chores & RUN_CHORE_INPUT) != 0) {
		run.ops->poll();
	}
	if ((chores & RUN_CHORE_GUESTS) != 0) {
		run.ops->end_guests();
	}
	if (work_pending()) {
		work_step();
	}
	if (work_pending()) {
		atomic_fetch_or(&run.chores, RUN_CHORE_WORK);
	}
}

/* Takes what chores there are, of long work one step. */
static void conduct(struct run_cpu *cpu)
{
	uint32_t chores;

	do {
		if (!lock_try(&run.baton)) {
			return;
		}
		/* Nobody has to wait for this CPU to put its last vCPU away. */
		run_unload(cpu);
		do_chores(atomic_exchange(&run.chores, 0));
		lock_release(&run.baton);
		/* Who asks for a chore and finds the baton taken goes on: it must be seen here. */
		atomic_thread_fence(memory_order_seq_cst);
		chores = atomic_load(&run.chores);
	} while ((chores & ~RUN_CHORE_WORK) != 0);
}

/* --- a slice --- */

/*
 * A flush may have begun between the load of CR3 and the moment when others see this CPU in the
 * space: then nobody asks it.
 */
static void enter_space(struct run_cpu *cpu, struct space *s)
{
	if (space_current() == s) {
		return;
	}
	space_switch(s);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&run.flush_ticket) != atomic_load(&cpu->flushed)) {
		run_flush(cpu);
	}
}

static void load(struct run_cpu *cpu, struct vcpu *vcpu)
{
	unsigned index = cpu_this()->index;

	if (cpu->loaded != vcpu) {
		run_unload(cpu);
		run_fetch_state(vcpu);
		enter_space(cpu, &vcpu->vm->gspace.host);
		cpu->stats.switches++;
		the_backend->vcpu_load(vcpu, index);
		cpu_write_dr03(vcpu->dr);
		fpu_load(vcpu);
		cpu->loaded = vcpu;
		atomic_store_explicit(&cpu->last_guest, vcpu->vm->name, memory_order_relaxed);
		atomic_store(&vcpu->loaded_on, (int)index);
		if (clock_is_corrected()) {
			guest_apply_tsc(guest_of(vcpu->vm), vcpu);
		}
	} else {
		enter_space(cpu, &vcpu->vm->gspace.host);
	}
}

static void program_host_timer(struct run_cpu *cpu)
{
	uint64_t next = timer_queue_next(&cpu->timers);

	if (next != cpu->programmed) {
		cpu->programmed = next;
		run.ops->arm_host_timer(next);
	}
}

/* What interrupts left to do within a slice; chores end it. */
static void service(struct run_cpu *cpu, uint64_t now)
{
	cpu->attention = false;
	if (timer_queue_next(&cpu->timers) <= now) {
		timer_queue_run(&cpu->timers, now);
	}
	if ((atomic_load(&run.chores) & ~RUN_CHORE_WORK) != 0) {
		atomic_fetch_or(&cpu->asked, ASK_RESCHED);
	}
}

/*
 * Others look at `stranded` and the requests to see whether anybody gets the VM going again
 * (hv/exit.c): the one falls before the other goes. The full barrier is also between the end of
 * `executes_on` and the look at what was posted.
 */
static uint32_t take_requests(struct vcpu *vcpu)
{
	uint32_t requests = atomic_load(&vcpu->requests);

	do {
		if ((requests & VCPU_REQ_REVIVE) != 0) {
			atomic_fetch_add(&vcpu->vm->revivals, 1);
			atomic_store(&vcpu->stranded, false);
		}
	} while (!atomic_compare_exchange_weak(&vcpu->requests, &requests, 0));
	return requests;
}

/* Whether HLT goes on. */
static bool stays_halted(struct vcpu *vcpu, const struct event_source *source)
{
	if (pv_take_unhalt(vcpu) || event_wakes(vcpu, the_backend, source) || pv_idle_over(vcpu)) {
		vcpu->halted = false;
		vcpu->resting = false;
		pv_end_idle(vcpu);
		atomic_store(&vcpu->stranded, false);
		return false;
	}
	if (!vcpu->pv.idle && !vcpu->resting &&
	    (the_backend->get_reg(vcpu, VCPU_REG_RFLAGS) & RFLAGS_IF) == 0) {
		exit_strand(vcpu);
	}
	return true;
}

/*
 * The interrupts it raises for this vCPU are looked at next, also those that came meanwhile: no
 * other turn is needed for them.
 */
static void do_device_work(struct vcpu *vcpu)
{
	bool more = vwork_run(&vcpu->vm->work);

	atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_EVENT);
	if (more) {
		atomic_fetch_or(&vcpu->requests, VCPU_REQ_DEVICE);
	}
}

/* An interrupt may have ended the rest before, and the guest be in a HLT of its own. */
static void end_rest(struct vcpu *vcpu)
{
	if (vcpu->resting) {
		vcpu->resting = false;
		vcpu->halted = false;
	}
}

static void flush_vcpu(struct vcpu *vcpu, uint32_t requests)
{
	the_backend->tlb_flush(vcpu);
	if ((requests & VCPU_REQ_RELEASED) != 0) {
		fetch_clear(vcpu);
	}
}

/* Work before the next entry; false when the vCPU cannot run on. */
static bool prepare(struct run_task *task)
{
	struct vcpu *vcpu = task->vcpu;
	uint32_t requests = take_requests(vcpu);
	const struct event_source *source = guest_event_source(vcpu->vm);

	if ((requests & VCPU_REQ_STOP) != 0) {
		run_block(task);
		return false;
	}
	/* An offer that did not come to an entry: what follows looks at the LAPIC. */
	pv_eoi_settle(vcpu);
	/* Before it may sleep: nobody asks twice. */
	if ((requests & VCPU_REQ_FLUSHES) != 0) {
		flush_vcpu(vcpu, requests);
	}
	if ((requests & VCPU_REQ_SIGNALS) != 0) {
		guest_vcpu_signals(vcpu, requests);
	}
	if ((requests & VCPU_REQ_DEVICE) != 0) {
		do_device_work(vcpu);
	}
	if (vcpu->wait_for_sipi) {
		exit_strand(vcpu);
		return !go_to_sleep(task);
	}
	if ((requests & VCPU_REQ_PV) != 0) {
		pv_requests(vcpu, requests);
	}
	if ((requests & VCPU_REQ_RESTED) != 0) {
		end_rest(vcpu);
	}
	/* It may wake by what devices do now. */
	if ((requests & VCPU_REQ_HALTED) != 0) {
		(void)vwork_idle(&vcpu->vm->work);
	}
	/* The TPR that counts may be in hardware. */
	exit_sync_tpr_from_hw(vcpu);
	if (vcpu->halted && stays_halted(vcpu, source)) {
		return !go_to_sleep(task);
	}
	event_deliver(vcpu, the_backend, source);
	pv_eoi_offer(vcpu);
	return true;
}

/*
 * What was posted before the vCPU was seen to execute (run_notify): nobody else sees to it. Taken
 * with the next hand-over.
 */
static inline bool posted(struct vcpu *vcpu)
{
	if (vcpu->post == NULL || !apic_post_outstanding(vcpu->post)) {
		return false;
	}
	vcpu_request(vcpu, VCPU_REQ_EVENT);
	return true;
}

/*
 * Enters the guest once. False when something was asked for meanwhile: whoever asks after `open` is
 * set sends an interrupt, which stays pending until the guest runs and ends its run.
 */
static inline bool enter(struct run_cpu *cpu, struct cpu_local *local, struct vcpu *vcpu,
			 struct vm_exit *exit)
{
	bool go;

	/* Both become visible with `open`, before the requests are looked at. */
	atomic_store_explicit(&cpu->inside, true, memory_order_relaxed);
	atomic_store_explicit(&vcpu->executes_on, (int)local->index, memory_order_relaxed);
	atomic_exchange(&cpu->open, true);
	go = (atomic_load_explicit(&vcpu->requests, memory_order_acquire) |
	      atomic_load_explicit(&cpu->asked, memory_order_acquire)) == 0 &&
	     !posted(vcpu);
	if (go) {
		watchdog_leave(local, WATCHDOG_GUEST);
		the_backend->vcpu_run(vcpu, exit);
	}
	atomic_store_explicit(&cpu->open, false, memory_order_relaxed);
	atomic_store_explicit(&vcpu->executes_on, VCPU_NOT_LOADED, memory_order_relaxed);
	atomic_store_explicit(&cpu->inside, false, memory_order_release);
	return go;
}

static void run_slice(struct run_cpu *cpu, struct run_task *task, uint64_t slice_end)
{
	struct cpu_local *local = cpu_this();
	struct vcpu *vcpu = task->vcpu;
	struct vm_exit exit;
	uint64_t now;

	load(cpu, vcpu);
	pv_vcpu_load(vcpu);
	if (slice_end != SCHED_NO_END) {
		timer_arm(&cpu->slice, slice_end);
	}
	while (atomic_load_explicit(&cpu->asked, memory_order_acquire) == 0) {
		if (atomic_load_explicit(&vcpu->requests, memory_order_acquire) != 0 &&
		    !prepare(task)) {
			break;
		}
		program_host_timer(cpu);
		if (enter(cpu, local, vcpu, &exit)) {
			now = clock_now();
			watchdog_host(local, now);
			recorder_note(vcpu, &exit, now);
			pv_eoi_settle(vcpu);
			exit_handle(vcpu, &exit);
		} else {
			/* Many others may ask again and again: the slice's end must get through. */
			cpu_interrupt_window();
			/* Device work that asks for more of itself may keep the guest out for
			 * long, but no turn of it takes long. */
			watchdog_host(local, clock_now());
		}
		if (cpu->attention) {
			service(cpu, clock_now());
		}
	}
	timer_cancel(&cpu->slice);
	pv_vcpu_put(vcpu, task->entity.state != SCHED_BLOCKED);
}

/* --- the loop --- */

/* Whether this CPU can sleep: another one that has the baton takes what chores there are. */
static bool may_sleep(struct run_cpu *cpu)
{
	if (atomic_load(&cpu->asked) != 0) {
		return false;
	}
	if (atomic_load(&run.chores) == 0) {
		return true;
	}
	if (lock_try(&run.baton)) {
		lock_release(&run.baton);
		return false;
	}
	return true;
}

static void idle(struct run_cpu *cpu, uint64_t until)
{
	uint64_t since = clock_now();

	if (until != SCHED_NO_END) {
		timer_arm(&cpu->slice, until);
	}
	program_host_timer(cpu);
	atomic_store_explicit(&cpu->idle, true, memory_order_relaxed);
	atomic_exchange(&cpu->open, true);
	if (may_sleep(cpu)) {
		watchdog_leave(cpu_this(), WATCHDOG_IDLE);
		cpu_idle();
	} else {
		/* The chore may be waiting for an interrupt itself: a disk's last request. */
		cpu_interrupt_window();
	}
	atomic_store_explicit(&cpu->open, false, memory_order_relaxed);
	atomic_store_explicit(&cpu->idle, false, memory_order_relaxed);
	timer_cancel(&cpu->slice);
	cpu->stats.idle_ticks += clock_now() - since;
}

/* The task has been picked: how long that took if it was woken for it. */
static void note_wake(struct run_task *t)
{
	uint64_t total = t->entity.wake_ticks_total;

	t->wake_peak = max_u64(t->wake_peak, total - t->wake_seen);
	t->wake_seen = total;
}

static struct run_task *pick(struct run_cpu *cpu, uint64_t *until)
{
	struct sched_entity *next;
	struct run_task *task = NULL;

	atomic_fetch_and(&cpu->asked, ~ASK_RESCHED);
	lock_acquire(&run.lock);
	next = sched_pick(&run.sched, cpu_this()->index, clock_now(), until);
	if (next != NULL) {
		task = container_of(next, struct run_task, entity);
		note_wake(task);
	}
	lock_release(&run.lock);
	return task;
}

void run_once(void)
{
	struct run_cpu *cpu = this_cpu();
	struct run_task *next;
	uint64_t now = clock_now();
	uint64_t until;

	cpu->stats.loops++;
	watchdog_host(cpu_this(), now);
	run_serve(cpu);
	service(cpu, now);
	if (atomic_load(&run.chores) != 0) {
		conduct(cpu);
	}
	next = pick(cpu, &until);
	if (next == NULL) {
		idle(cpu, until);
		return;
	}
	if ((atomic_load(&run.chores) & RUN_CHORE_WORK) != 0) {
		wake_idle_cpu();
		until = min_u64(until, clock_now() + run.slice_ticks);
	}
	run_slice(cpu, next, until);
}

_Noreturn void run_loop(void)
{
	for (;;) {
		run_once();
	}
}
