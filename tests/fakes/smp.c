/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs as host threads that hand the turn to each other. */
#include "tests/fakes/smp.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* No test goes on for longer without getting anywhere. */
#define STEPS_MAX 10000u

struct cpu {
	pthread_t thread;
	pthread_cond_t turn;
	enum smp_place place;
	struct vcpu *guest;
	bool interrupted;
	bool has_exit; /* ends the guest's run with `exit` */
	struct vm_exit exit;
	void (*call)(void); /* instead of a round */
	bool end;
};

static struct {
	pthread_mutex_t lock;
	unsigned count;
	unsigned running; /* whose turn it is */
	struct cpu cpus[FAKE_CPUS_MAX];
} smp = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void need(bool ok, const char *what, unsigned cpu)
{
	if (!ok) {
		fprintf(stderr, "SMP rig: CPU %u %s\n", cpu, what);
		abort();
	}
}

/* --- turns --- */

/* Under the lock: until it is `cpu`'s turn. */
static void wait_for_turn(unsigned cpu)
{
	while (smp.running != cpu) {
		pthread_cond_wait(&smp.cpus[cpu].turn, &smp.lock);
	}
	fake_cpu_switch(cpu);
}

static void hand_over(unsigned from, unsigned to)
{
	smp.running = to;
	pthread_cond_signal(&smp.cpus[to].turn);
	wait_for_turn(from);
}

/* On a CPU but the first: gives way to CPU 0. */
static void stand(enum smp_place place)
{
	unsigned here = fake_cpu_index();

	smp.cpus[here].place = place;
	hand_over(here, 0);
}

static bool timer_due(unsigned cpu)
{
	return vm_rig.host_timer[cpu] <= fake_tsc;
}

bool smp_interrupted(unsigned cpu)
{
	return smp.cpus[cpu].interrupted || timer_due(cpu);
}

void smp_interrupt(unsigned cpu)
{
	smp.cpus[cpu].interrupted = true;
}

static bool can_go(unsigned cpu)
{
	const struct cpu *c = &smp.cpus[cpu];

	return c->place == SMP_OUT || c->place == SMP_WAIT || smp_interrupted(cpu) ||
	       (c->place == SMP_GUEST && c->has_exit);
}

/* --- what the run loop and the backend call --- */

/* The interrupts that wait are taken. */
static void take_interrupts(void)
{
	unsigned here = fake_cpu_index();

	smp.cpus[here].interrupted = false;
	if (timer_due(here)) {
		vm_rig.host_timer[here] = TIMER_NEVER;
		run_timer_fired();
	}
}

static void enter_guest(struct vcpu *vcpu, struct vm_exit *exit)
{
	unsigned here = fake_cpu_index();
	struct cpu *c = &smp.cpus[here];

	*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
	if (here == 0 || smp_interrupted(here)) {
		return;
	}
	c->guest = vcpu;
	stand(SMP_GUEST);
	c->guest = NULL;
	if (c->has_exit) {
		c->has_exit = false;
		*exit = c->exit;
	}
}

static void sleep_on(void)
{
	unsigned here = fake_cpu_index();

	if (here != 0 && !smp_interrupted(here)) {
		stand(SMP_IDLE);
	}
	take_interrupts();
}

/* CPU 0 waits: one of the others must be able to end that. */
static void let_others_go(void)
{
	static unsigned steps;
	bool any = false;

	need(++steps < STEPS_MAX * 100, "waits for what never comes", 0);
	for (unsigned i = 1; i < smp.count; i++) {
		if (can_go(i)) {
			any = true;
			(void)smp_go(i);
		}
	}
	need(any, "waits while nobody else can go on", 0);
}

static void relax(void)
{
	if (fake_cpu_index() == 0) {
		let_others_go();
	} else {
		stand(SMP_WAIT);
	}
}

static void *cpu_main(void *arg)
{
	struct cpu *c = arg;
	unsigned here = (unsigned)(c - smp.cpus);

	pthread_mutex_lock(&smp.lock);
	wait_for_turn(here);
	while (!c->end) {
		if (c->call != NULL) {
			c->call();
			c->call = NULL;
		} else {
			run_once();
		}
		stand(SMP_OUT);
	}
	smp.running = 0;
	pthread_cond_signal(&smp.cpus[0].turn);
	pthread_mutex_unlock(&smp.lock);
	return NULL;
}

/* --- for tests --- */

void smp_begin(unsigned cpus)
{
	smp.count = cpus;
	smp.running = 0;
	pthread_mutex_lock(&smp.lock);
	fake_cpu.on_window = take_interrupts;
	fake_cpu.on_idle = sleep_on;
	fake_cpu.on_relax = relax;
	fake_backend.guest = enter_guest;
	vm_rig.on_kick = smp_interrupt;
	for (unsigned i = 0; i < cpus; i++) {
		struct cpu *c = &smp.cpus[i];

		*c = (struct cpu){.place = SMP_OUT};
		pthread_cond_init(&c->turn, NULL);
		if (i != 0) {
			need(pthread_create(&c->thread, NULL, cpu_main, c) == 0, "does not start",
			     i);
		}
	}
}

enum smp_place smp_go(unsigned cpu)
{
	need(fake_cpu_index() == 0, "is not who says who goes on", fake_cpu_index());
	need(cpu > 0 && cpu < smp.count, "is not there", cpu);
	need(can_go(cpu), "would stand there for ever", cpu);
	hand_over(0, cpu);
	return smp.cpus[cpu].place;
}

void smp_until(unsigned cpu, enum smp_place place)
{
	for (unsigned steps = 0; smp_go(cpu) != place; steps++) {
		need(steps < STEPS_MAX, "does not get there", cpu);
	}
}

void smp_settle(void)
{
	unsigned steps = 0;
	bool any;

	do {
		any = false;
		for (unsigned i = 1; i < smp.count; i++) {
			if (can_go(i)) {
				any = true;
				(void)smp_go(i);
			}
		}
		need(++steps < STEPS_MAX, "and the others do not settle", 0);
	} while (any);
}

enum smp_place smp_exit(unsigned cpu, struct vm_exit exit)
{
	need(smp.cpus[cpu].place == SMP_GUEST, "is in no guest", cpu);
	smp.cpus[cpu].has_exit = true;
	smp.cpus[cpu].exit = exit;
	return smp_go(cpu);
}

enum smp_place smp_call(unsigned cpu, void (*fn)(void))
{
	need(smp.cpus[cpu].place == SMP_OUT, "is in a round", cpu);
	smp.cpus[cpu].call = fn;
	return smp_go(cpu);
}

enum smp_place smp_place(unsigned cpu)
{
	return smp.cpus[cpu].place;
}

struct vcpu *smp_guest(unsigned cpu)
{
	return smp.cpus[cpu].guest;
}

static void out_with_it(unsigned cpu)
{
	for (unsigned steps = 0; smp.cpus[cpu].place != SMP_OUT; steps++) {
		need(steps < STEPS_MAX, "does not come out", cpu);
		if (smp.cpus[cpu].place == SMP_GUEST) {
			/* The fake backend ends the slice with it. */
			(void)smp_exit(cpu, (struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
		} else {
			smp.cpus[cpu].interrupted = true;
			(void)smp_go(cpu);
		}
	}
}

void smp_rest(void)
{
	for (unsigned i = 1; i < smp.count; i++) {
		out_with_it(i);
	}
}

void smp_end(void)
{
	smp_rest();
	for (unsigned i = 1; i < smp.count; i++) {
		smp.cpus[i].end = true;
		hand_over(0, i);
		pthread_mutex_unlock(&smp.lock);
		pthread_join(smp.cpus[i].thread, NULL);
		pthread_mutex_lock(&smp.lock);
	}
	pthread_mutex_unlock(&smp.lock);
	smp.count = 0;
}
