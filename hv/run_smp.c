/* SPDX-License-Identifier: Apache-2.0 */
/* What the CPUs of the run loop ask of each other. */
#include "hv/api/vm.h"
#include "hv/cpu/insn.h"
#include "hv/fpu.h"
#include "hv/run_internal.h"
#include "hv/vcpu.h"
#include "hv/watchdog.h"

/* A timer that is this late has lost its interrupt. */
#define LATE_NS 500000000ull

void run_nudge(unsigned index)
{
	if (index != cpu_this()->index && atomic_exchange(&run.cpus[index].open, false)) {
		this_cpu()->stats.kicks++;
		run.ops->send_kick(index);
	}
}

/*
 * Posting comes before the look at `executes_on`, and there entering the guest before the look at
 * what is posted, both with full barriers in between: whichever comes second sees the other. A
 * notice that comes too late changes nothing.
 */
void run_notify(struct run_task *t)
{
	int cpu = atomic_load(&t->vcpu->executes_on);

	if (cpu == VCPU_NOT_LOADED || (unsigned)cpu == cpu_this()->index) {
		vcpu_request(t->vcpu, VCPU_REQ_EVENT);
		run_wake(t);
		return;
	}
	run.ops->send_notice((unsigned)cpu);
}

void run_ask(unsigned index, uint32_t what)
{
	atomic_fetch_or(&run.cpus[index].asked, what);
	run_nudge(index);
}

void run_unload(struct run_cpu *cpu)
{
	struct vcpu *old = cpu->loaded;

	if (old != NULL) {
		fpu_save(old);
		cpu_read_dr03(old->dr);
		the_backend->vcpu_put(old);
		cpu->loaded = NULL;
		atomic_store_explicit(&old->loaded_on, VCPU_NOT_LOADED, memory_order_release);
	}
}

void run_flush(struct run_cpu *cpu)
{
	uint64_t ticket = atomic_load(&run.flush_ticket);

	cpu_write_cr3(cpu_read_cr3());
	atomic_store(&cpu->flushed, ticket);
}

void run_serve(struct run_cpu *cpu)
{
	uint32_t asked = atomic_fetch_and(&cpu->asked, ASK_RESCHED);

	if ((asked & ASK_UNLOAD) != 0) {
		run_unload(cpu);
		space_switch(space_core());
	}
	if ((asked & ASK_FLUSH) != 0) {
		run_flush(cpu);
	}
}

/* While waiting for another CPU, which may be waiting for this one. */
static void wait_a_little(void)
{
	run_serve(this_cpu());
	cpu_relax();
}

bool run_executes(const struct vcpu *vcpu)
{
	int cpu = atomic_load(&vcpu->loaded_on);

	return cpu != VCPU_NOT_LOADED && atomic_load(&run.cpus[cpu].inside);
}

/*
 * Whether a CPU still has the task as the one it picked last. This one does chores: it executes
 * nothing any more, and need not pick again for the scheduler to know.
 */
static bool is_current(struct run_task *t)
{
	unsigned here = cpu_this()->index;
	bool current;

	lock_acquire(&run.lock);
	if (t->entity.on == here) {
		sched_leave(&run.sched, here, clock_now());
	}
	current = sched_entity_busy(&t->entity);
	lock_release(&run.lock);
	return current;
}

void run_fetch_state(struct vcpu *vcpu)
{
	int here = (int)cpu_this()->index;
	int cpu = atomic_load_explicit(&vcpu->loaded_on, memory_order_acquire);

	if (cpu == VCPU_NOT_LOADED || cpu == here) {
		return;
	}
	run_ask((unsigned)cpu, ASK_UNLOAD);
	while (atomic_load_explicit(&vcpu->loaded_on, memory_order_acquire) == cpu) {
		wait_a_little();
	}
}

void run_hold(struct run_task *t)
{
	run_block(t);
	while (is_current(t)) {
		wait_a_little();
	}
	run_fetch_state(t->vcpu);
	if (this_cpu()->loaded == t->vcpu) {
		run_unload(this_cpu());
	}
}

void run_forget(struct vm *vm)
{
	struct run_cpu *cpu = this_cpu();

	if (cpu->loaded != NULL && cpu->loaded->vm == vm) {
		run_unload(cpu);
	}
	if (space_current() == &vm->gspace.host) {
		space_switch(space_core());
	}
	for (unsigned i = 0; i < run.cpu_count; i++) {
		if (space_is_current_on(&vm->gspace.host, i)) {
			run_ask(i, ASK_UNLOAD);
		}
	}
	for (unsigned i = 0; i < run.cpu_count; i++) {
		while (space_is_current_on(&vm->gspace.host, i)) {
			wait_a_little();
		}
	}
}

void run_settle_timers(void)
{
	for (unsigned i = 0; i < run.cpu_count; i++) {
		if (i != cpu_this()->index) {
			timer_queue_settle(&run.cpus[i].timers);
		}
	}
}

/* Whether CPU `index` should have come out of its guest, or out of its sleep, long ago. */
static bool is_late(unsigned index, uint64_t now)
{
	const struct run_cpu *cpu = &run.cpus[index];
	uint64_t phase = atomic_load_explicit(&percpu_get(index)->phase, memory_order_relaxed) &
			 WATCHDOG_PHASE_MASK;
	uint64_t next = timer_queue_next(&cpu->timers);
	bool overdue = next < now && now - next > clock_ns_to_ticks(LATE_NS);

	return (phase == WATCHDOG_GUEST || phase == WATCHDOG_IDLE) &&
	       (overdue || !atomic_load(&cpu->open));
}

void run_wake_late(uint64_t now)
{
	for (unsigned i = 0; i < run.cpu_count; i++) {
		if (i != cpu_this()->index && is_late(i, now)) {
			run.ops->send_kick(i);
		}
	}
}

void run_flush_cpus(void)
{
	for (unsigned i = 0; i < run.cpu_count; i++) {
		if (i != cpu_this()->index) {
			run_ask(i, ASK_FLUSH);
		}
	}
}

uint64_t run_flush_begin(void)
{
	return atomic_fetch_add(&run.flush_ticket, 1) + 1;
}

bool run_flush_done(const struct space *s, uint64_t ticket)
{
	bool done = true;

	for (unsigned i = 0; i < run.cpu_count; i++) {
		if (atomic_load(&run.cpus[i].flushed) < ticket && space_is_current_on(s, i)) {
			run_ask(i, ASK_FLUSH);
			done = false;
		}
	}
	return done;
}
