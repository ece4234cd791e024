/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers, guest time and locks under real concurrency, for ThreadSanitizer: each CPU is a thread
 * with a timer queue of its own that it runs all the time, and all arm, cancel and take apart the
 * timers of one VM's devices, as exit handlers on several CPUs do.
 */
#define _DEFAULT_SOURCE /* rand_r */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/api/vtime.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"

#define CPUS 2u
#define DEVICES 4u
#define ROUNDS 10000u

/* --- what the portable code calls --- */

_Noreturn void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
	abort();
}

/* One clock for all, that goes on with each look. */
static _Atomic uint64_t tsc = 1000000;

uint64_t cpu_rdtsc(void)
{
	return atomic_fetch_add_explicit(&tsc, 7, memory_order_relaxed);
}

void cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* Their clocks are one: nothing is corrected. */
uint64_t cpu_read_gs0(void)
{
	return 0;
}

struct cpu_local *percpu_get(unsigned index)
{
	(void)index;
	return NULL;
}

/* --- the machine --- */

/* A device with one timer; what the lock covers must never be seen half changed. */
struct device {
	struct spinlock lock;
	struct vtimer *timer; /* allocated anew now and then; NULL in between */
	uint64_t armed;
	uint64_t fired;
	uint64_t both; /* armed + fired */
};

static struct timer_queue queues[CPUS];
static struct vtime vm_time;
static struct device devices[DEVICES];
/* Lives of timers and of the VM: one CPU at a time, never waited for. */
static struct spinlock baton;
static uint64_t baton_count;
static _Thread_local unsigned here;

static struct timer_queue *queue_here(void)
{
	return &queues[here];
}

struct device_timer {
	struct vtimer vtimer;
	struct device *device;
};

static void expire(struct vtimer *t)
{
	struct device *d = container_of(t, struct device_timer, vtimer)->device;

	lock_acquire(&d->lock);
	d->fired++;
	d->both++;
	lock_release(&d->lock);
}

static void plug_in(struct device *d)
{
	struct device_timer *t = malloc(sizeof(*t));

	if (t == NULL) {
		abort();
	}
	t->device = d;
	vtimer_init(&t->vtimer, &vm_time, expire);
	lock_acquire(&d->lock);
	d->timer = &t->vtimer;
	lock_release(&d->lock);
}

/* As guest_vm_destroy: cancelled, then nobody's function runs any more, then freed. */
static void pull_out(struct device *d)
{
	struct vtimer *t;

	lock_acquire(&d->lock);
	t = d->timer;
	d->timer = NULL;
	vtimer_cancel(t);
	lock_release(&d->lock);
	for (unsigned i = 0; i < CPUS; i++) {
		if (i != here) {
			timer_queue_settle(&queues[i]);
		}
	}
	memset(t, 0xee, sizeof(struct device_timer));
	free(container_of(t, struct device_timer, vtimer));
}

static void use(struct device *d, unsigned what)
{
	lock_acquire(&d->lock);
	if (d->both != d->armed + d->fired) {
		check_failed(__FILE__, __LINE__, "a lock covers nothing");
	}
	if (d->timer != NULL && what % 4 == 0) {
		vtimer_cancel(d->timer);
	} else if (d->timer != NULL) {
		vtimer_arm(d->timer, vtime_now(&vm_time) + what % 50);
		d->armed++;
		d->both++;
	}
	lock_release(&d->lock);
}

static void chores(unsigned what)
{
	struct device *d = &devices[what % DEVICES];

	if (!lock_try(&baton)) {
		return;
	}
	baton_count++;
	pull_out(d);
	plug_in(d);
	lock_release(&baton);
}

static void *cpu_main(void *arg)
{
	unsigned seed;

	here = (unsigned)(uintptr_t)arg;
	seed = here + 1;
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned what = (unsigned)rand_r(&seed);

		use(&devices[what / 64 % DEVICES], what / 1024);
		timer_queue_run(&queues[here], clock_now());
		if (what % 16 == 0) {
			chores(what / 32);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[CPUS];
	uint64_t fired = 0;

	clock_init(2000000000);
	for (unsigned i = 0; i < CPUS; i++) {
		timer_queue_init(&queues[i]);
	}
	timer_set_local_queue(queue_here);
	vtime_init(&vm_time, &queues[0]);
	for (unsigned i = 0; i < DEVICES; i++) {
		plug_in(&devices[i]);
	}
	for (unsigned i = 0; i < CPUS; i++) {
		if (pthread_create(&threads[i], NULL, cpu_main, (void *)(uintptr_t)i) != 0) {
			abort();
		}
	}
	for (unsigned i = 0; i < CPUS; i++) {
		pthread_join(threads[i], NULL);
	}
	for (unsigned i = 0; i < DEVICES; i++) {
		fired += devices[i].fired;
		pull_out(&devices[i]);
	}
	printf("%llu fired, %llu chores\n", (unsigned long long)fired,
	       (unsigned long long)baton_count);
	for (unsigned i = 0; i < CPUS; i++) {
		if (timer_queue_next(&queues[i]) != TIMER_NEVER) {
			check_failed(__FILE__, __LINE__, "a timer is left");
		}
	}
	return fired > 1000 && baton_count > 100 ? 0 : 1;
}
