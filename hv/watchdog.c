/* SPDX-License-Identifier: Apache-2.0 */
/* Finding CPUs that do not come back from hypervisor code. */
#include "hv/watchdog.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/api/clock.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/mce.h"

/* CPU 0, and whichever of these is the next one that runs. */
#define WATCHERS 4u
/* How long an NMI may take: nothing on hardware, a while where CPUs take turns. */
#define NMI_WAIT_NS 100000000ull

/* What is known of a CPU; each entry is its watcher's, `checked` its own CPU's. */
struct watched {
	uint64_t stuck_in; /* the phase word that was reported; 0: none */
	uint64_t checked;  /* when this CPU looked after others last; 0: never */
};

static const struct watchdog_ops *ops;
static struct watched watched[CPU_MAX];

void watchdog_init(const struct watchdog_ops *o)
{
	ops = o;
	for (unsigned i = 0; i < CPU_MAX; i++) {
		watched[i] = (struct watched){0};
	}
}

static bool is_running(const struct cpu_local *cpu)
{
	return cpu_get_state(cpu) == CPU_ONLINE;
}

/* Whether this CPU looks after CPU 0: the first other one that runs does. */
static bool watches_cpu_0(const struct cpu_local *self)
{
	for (unsigned i = 1; i < self->index; i++) {
		if (is_running(percpu_get(i))) {
			return false;
		}
	}
	return self->index != 0;
}

/* How long a CPU has been in hypervisor code, by its phase word; its clock may be a little ahead.
 */
static uint64_t ticks_in_host(uint64_t phase, uint64_t now)
{
	uint64_t since = phase & ~WATCHDOG_PHASE_MASK;

	return (phase & WATCHDOG_PHASE_MASK) == WATCHDOG_HOST && now > since ? now - since : 0;
}

static unsigned seconds(uint64_t ticks)
{
	return (unsigned)(clock_ticks_to_ns(ticks) / 1000000000);
}

/* Has the CPU take an NMI, which notes what it interrupts; false when none is taken in time. */
static bool ask_where(struct cpu_local *cpu, uint64_t *rip)
{
	uint64_t before = atomic_load_explicit(&cpu->nmi_count, memory_order_acquire);
	uint64_t start = cpu_rdtsc();
	uint64_t limit = clock_ns_to_ticks(NMI_WAIT_NS);

	ops->send_nmi(cpu->apic_id);
	while (atomic_load_explicit(&cpu->nmi_count, memory_order_acquire) == before) {
		if (cpu_rdtsc() - start > limit) {
			return false;
		}
		__builtin_ia32_pause();
	}
	*rip = atomic_load_explicit(&cpu->nmi_rip, memory_order_relaxed);
	return true;
}

static void report(struct cpu_local *cpu, uint64_t ticks)
{
	const char *guest = ops->last_guest(cpu);
	char where[48] = "and does not answer an NMI";
	uint64_t rip;

	if (ask_where(cpu, &rip)) {
		fmt_snprintf(where, sizeof(where), "at 0x%lx", rip);
	}
	log_event("CPU %u is stuck in the hypervisor for %u s %s%s%s", cpu->index, seconds(ticks),
		  where, guest != NULL ? ", last guest " : "", guest != NULL ? guest : "");
}

static void look_after(struct cpu_local *cpu, uint64_t now)
{
	struct watched *w = &watched[cpu->index];
	uint64_t phase = atomic_load_explicit(&cpu->phase, memory_order_relaxed);
	uint64_t ticks = ticks_in_host(phase, now);

	if (w->stuck_in != 0 && w->stuck_in != phase) {
		log_event("CPU %u is not stuck any more, after at most %u s", cpu->index,
			  seconds(ticks_in_host(w->stuck_in, now)));
		w->stuck_in = 0;
	}
	if (w->stuck_in == 0 && ticks >= clock_ns_to_ticks(WATCHDOG_LIMIT_NS)) {
		w->stuck_in = phase;
		report(cpu, ticks);
	}
}

/*
 * Whether time has passed as it should since this CPU looked last. If not, the machine as a whole
 * was stopped by whoever runs it, or this CPU itself was stuck, and the others may not have had
 * their turn yet.
 */
static bool has_kept_time(const struct cpu_local *self, uint64_t now)
{
	uint64_t last = watched[self->index].checked;

	watched[self->index].checked = now;
	return last == 0 || now - last < clock_ns_to_ticks(WATCHDOG_LIMIT_NS);
}

void watchdog_check(uint64_t now)
{
	const struct cpu_local *self = cpu_this();

	if (self->index != 0 && !watches_cpu_0(self)) {
		return;
	}
	if (self->index != 0) {
		if (has_kept_time(self, now)) {
			look_after(percpu_get(0), now);
		}
		return;
	}
	for (unsigned i = 0; i < percpu_count(); i++) {
		mce_report(&percpu_get(i)->mce, i);
	}
	if (!has_kept_time(self, now)) {
		return;
	}
	for (unsigned i = 1; i < percpu_count(); i++) {
		if (is_running(percpu_get(i))) {
			look_after(percpu_get(i), now);
		}
	}
}

static void look_again(struct timer *t)
{
	uint64_t now = clock_now();

	watchdog_check(now);
	ops->wake_late(now);
	timer_arm(t, now + clock_ns_to_ticks(WATCHDOG_PERIOD_NS));
}

void watchdog_start(struct timer_queue *queue)
{
	static struct timer timers[WATCHERS];
	unsigned index = cpu_this()->index;

	if (index < WATCHERS) {
		timer_init(&timers[index], queue, look_again);
		look_again(&timers[index]);
	}
}
