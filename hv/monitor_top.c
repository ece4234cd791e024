/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `top`: what guests and CPUs did within a second. All counters are read twice, a timer apart; what
 * is printed is the difference. Nothing waits: the timer asks for the monitor's chore, which takes
 * the next sample, prints, and arms the timer again while there is more to print.
 */
#include "hv/api/clock.h"
#include "hv/cpu/percpu.h"
#include "hv/guest.h"
#include "hv/monitor.h"
#include "mm/frame.h"
#include "mm/pool.h"

#define TOP_PERIOD_NS 1000000000ull
#define TOP_COLUMNS 79u

struct vcpu_sample {
	struct run_task_info task;
	uint64_t wake_peak; /* since the sample before */
	uint64_t exits[VM_EXIT_KIND_COUNT];
};

struct guest_sample {
	uint64_t start_count;
	unsigned vcpu_count; /* 0: it has no VM */
	unsigned first;	     /* its first in vcpus[] */
};

struct sample {
	uint64_t taken_at;
	struct run_cpu_info cpus[CPU_MAX];
	struct guest_sample guests[GUESTS_MAX];
	struct vcpu_sample *vcpus; /* with room for what all guests are configured to have */
};

/* What one vCPU, or all of a guest, did between two samples. */
struct activity {
	uint64_t run_ticks;
	uint64_t wait_ticks;
	uint64_t wake_count;
	uint64_t wake_ticks;
	uint64_t wake_peak;
	uint64_t exit_count;
	uint64_t exits[VM_EXIT_KIND_COUNT];
};

static struct {
	bool active;
	uint64_t left; /* refreshes to come */
	struct timer timer;
	_Atomic bool due;
	struct sample samples[2];
	unsigned latest; /* of the two */
} top;

/* --- samples --- */

static size_t vcpus_size(void)
{
	size_t count = 0;

	for (unsigned i = 0; i < guest_count(); i++) {
		count += guest_at(i)->config->cpus;
	}
	return count * sizeof(struct vcpu_sample);
}

static void take_vcpu(struct run_task *task, struct vcpu_sample *out)
{
	run_task_info(task, &out->task);
	out->wake_peak = run_take_wake_peak(task);
	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		out->exits[k] = task->vcpu->exits_by_kind[k];
	}
}

static void take_sample(struct sample *s)
{
	unsigned first = 0;

	s->taken_at = clock_now();
	for (unsigned i = 0; i < percpu_count(); i++) {
		run_cpu_info(i, &s->cpus[i]);
	}
	for (unsigned i = 0; i < guest_count(); i++) {
		struct guest *g = guest_at(i);

		s->guests[i] = (struct guest_sample){g->start_count, g->vm.vcpu_count, first};
		for (unsigned v = 0; v < g->vm.vcpu_count; v++) {
			take_vcpu(&g->tasks[v], &s->vcpus[first + v]);
		}
		first += g->config->cpus;
	}
}

/* Adds what a vCPU did. */
static void add_activity(const struct vcpu_sample *a, const struct vcpu_sample *b,
			 struct activity *sum)
{
	sum->run_ticks += b->task.run_ticks - a->task.run_ticks;
	sum->wait_ticks += b->task.wait_ticks - a->task.wait_ticks;
	sum->wake_count += b->task.wake_count - a->task.wake_count;
	sum->wake_ticks += b->task.wake_ticks - a->task.wake_ticks;
	sum->wake_peak = max_u64(sum->wake_peak, b->wake_peak);
	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		sum->exits[k] += b->exits[k] - a->exits[k];
		sum->exit_count += b->exits[k] - a->exits[k];
	}
}

/* --- printing --- */

/* In tenths of a percent of one CPU. */
static uint64_t share_of(uint64_t ticks, uint64_t elapsed)
{
	return (clock_muldiv(ticks, 2000, elapsed) + 1) / 2;
}

/* Rounded: a refresh is never exactly on time. */
static uint64_t per_second(uint64_t count, uint64_t elapsed)
{
	return (clock_muldiv(2 * count, clock_hz(), elapsed) + 1) / 2;
}

static uint64_t to_us(uint64_t ticks)
{
	return clock_ticks_to_ns(ticks) / 1000;
}

/* The kind with most exits of those that are not in `but`. */
static unsigned busiest_kind(const uint64_t exits[VM_EXIT_KIND_COUNT], uint64_t but)
{
	unsigned best = VM_EXIT_KIND_COUNT;

	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		if ((but & BIT(k)) == 0 && (best == VM_EXIT_KIND_COUNT || exits[k] > exits[best])) {
			best = k;
		}
	}
	return best;
}
static_assert(VM_EXIT_KIND_COUNT < 64, "a set of kinds is one word");

static void print_row(const char *name, const struct activity *a, uint64_t elapsed)
{
	uint64_t run = share_of(a->run_ticks, elapsed);
	uint64_t steal = share_of(a->wait_ticks, elapsed);
	uint64_t mean = a->wake_count != 0 ? a->wake_ticks / a->wake_count : 0;
	unsigned kind = busiest_kind(a->exits, 0);
	char busiest[24] = "";

	if (a->exit_count != 0) {
		fmt_snprintf(busiest, sizeof(busiest), "  %s %u%%",
			     vm_exit_kind_name((enum vm_exit_kind)kind),
			     (unsigned)clock_muldiv(a->exits[kind], 100, a->exit_count));
	}
	monitor_print("  %-9s %4lu.%lu %4lu.%lu %7lu %7lu %7lu %8lu%s\n", name, run / 10, run % 10,
		      steal / 10, steal % 10, per_second(a->wake_count, elapsed), to_us(mean),
		      to_us(a->wake_peak), per_second(a->exit_count, elapsed), busiest);
}

/* State, memory, and as many of the busiest kinds of exits as the line has room for. */
static void print_guest_line(const struct guest *g, const struct activity *a, uint64_t elapsed)
{
	char line[TOP_COLUMNS + 1];
	uint64_t shown = 0;
	size_t n = fmt_snprintf(line, sizeof(line), "%s: %s, %lu MiB, exits/s:", g->vm.name,
				guest_state_name(g->state), g->config->memory >> 20);

	for (;;) {
		unsigned kind = busiest_kind(a->exits, shown);
		uint64_t rate = per_second(a->exits[kind], elapsed);
		size_t more = fmt_snprintf(line + n, sizeof(line) - n, " %s %lu",
					   vm_exit_kind_name((enum vm_exit_kind)kind), rate);

		if (rate == 0 || n + more >= sizeof(line)) {
			break;
		}
		shown |= BIT(kind);
		n += more;
	}
	line[n] = '\0';
	monitor_print("%s%s\n", line, shown == 0 ? " none" : "");
}

static void print_guest(const struct guest *g, const struct vcpu_sample *a,
			const struct vcpu_sample *b, uint64_t elapsed)
{
	struct activity sum = {0};

	for (unsigned v = 0; v < g->vm.vcpu_count; v++) {
		add_activity(&a[v], &b[v], &sum);
	}
	print_guest_line(g, &sum, elapsed);
	if (g->vm.vcpu_count > 1) {
		print_row("all", &sum, elapsed);
	}
	for (unsigned v = 0; v < g->vm.vcpu_count; v++) {
		struct activity one = {0};
		char name[16];

		add_activity(&a[v], &b[v], &one);
		if (b[v].task.cpu == SCHED_NO_CPU) {
			fmt_snprintf(name, sizeof(name), "%u on -", v);
		} else {
			fmt_snprintf(name, sizeof(name), "%u on %u", v, b[v].task.cpu);
		}
		print_row(name, &one, elapsed);
	}
}

/* A guest that was started meanwhile has nothing to compare with. */
static void print_guests(const struct sample *a, const struct sample *b, uint64_t elapsed)
{
	monitor_print("VCPU          CPU%%  STEAL WAKES/S WAKE us  MAX us  EXITS/S  BUSIEST\n");
	for (unsigned i = 0; i < guest_count(); i++) {
		const struct guest_sample *was = &a->guests[i];
		const struct guest_sample *is = &b->guests[i];

		if (is->vcpu_count != 0 && is->vcpu_count == was->vcpu_count &&
		    is->start_count == was->start_count) {
			print_guest(guest_at(i), &a->vcpus[was->first], &b->vcpus[is->first],
				    elapsed);
		}
	}
}

static void print_cpu(unsigned cpu, const struct run_cpu_info *a, const struct run_cpu_info *b,
		      uint64_t elapsed)
{
	uint64_t busy = share_of(b->busy_ticks - a->busy_ticks, elapsed);
	char runs[VM_NAME_MAX + 8] = "-";

	if (b->current != NULL) {
		fmt_snprintf(runs, sizeof(runs), "%s/%u", b->current->vm->name, b->current->index);
	}
	monitor_print("%3u %4lu.%lu %10lu %7lu  %s\n", cpu, busy / 10, busy % 10,
		      per_second(b->switch_count - a->switch_count, elapsed),
		      per_second(b->kick_count - a->kick_count, elapsed), runs);
}

static bool was_busy(const struct run_cpu_info *a, const struct run_cpu_info *b)
{
	return b->current != NULL || b->busy_ticks != a->busy_ticks ||
	       b->switch_count != a->switch_count || b->kick_count != a->kick_count;
}

static void print_cpus(const struct sample *a, const struct sample *b, uint64_t elapsed)
{
	unsigned idle = 0;

	monitor_print("CPU  BUSY%% SWITCHES/S KICKS/S  RUNS\n");
	for (unsigned i = 0; i < percpu_count(); i++) {
		if (was_busy(&a->cpus[i], &b->cpus[i])) {
			print_cpu(i, &a->cpus[i], &b->cpus[i], elapsed);
		} else {
			idle += b->cpus[i].online;
		}
	}
	if (idle != 0) {
		monitor_print("idle: %u CPU%s\n", idle, idle == 1 ? "" : "s");
	}
}

static void print_difference(const struct sample *a, const struct sample *b)
{
	uint64_t elapsed = max_u64(b->taken_at - a->taken_at, 1);
	struct frame_stats memory;

	frame_stats(&memory);
	monitor_print("top: %lu ms, %u CPU%s, %u guest%s, %lu of %lu MiB free\n",
		      to_us(elapsed) / 1000, run_cpu_count(), run_cpu_count() == 1 ? "" : "s",
		      guest_count(), guest_count() == 1 ? "" : "s", memory.free * PAGE_SIZE >> 20,
		      memory.total * PAGE_SIZE >> 20);
	print_cpus(a, b, elapsed);
	print_guests(a, b, elapsed);
}

/* --- control --- */

static void on_timer(struct timer *t)
{
	(void)t;
	atomic_store(&top.due, true);
	run_chore(RUN_CHORE_INPUT);
}

static void arm(void)
{
	atomic_store(&top.due, false);
	timer_arm(&top.timer, clock_now() + clock_ns_to_ticks(TOP_PERIOD_NS));
}

static void free_samples(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(top.samples); i++) {
		pool_free(top.samples[i].vcpus, vcpus_size());
		top.samples[i].vcpus = NULL;
	}
}

static bool allocate_samples(void)
{
	if (guest_count() == 0) {
		return true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(top.samples); i++) {
		top.samples[i].vcpus = pool_alloc(vcpus_size());
	}
	return top.samples[0].vcpus != NULL && top.samples[1].vcpus != NULL;
}

void monitor_top(struct span args)
{
	uint64_t count;

	if (!monitor_number(args, 1, &count)) {
		return;
	}
	if (count == 0) {
		monitor_print("how many times? at least 1\n");
		return;
	}
	if (!allocate_samples()) {
		free_samples();
		monitor_print("no memory to count with\n");
		return;
	}
	top.active = true;
	top.left = count;
	top.latest = 0;
	take_sample(&top.samples[0]);
	timer_init(&top.timer, run_timers(), on_timer);
	arm();
}

bool monitor_top_active(void)
{
	return top.active;
}

void monitor_top_end(void)
{
	if (top.active) {
		top.active = false;
		timer_cancel(&top.timer);
		free_samples();
	}
}

void monitor_top_refresh(void)
{
	const struct sample *before = &top.samples[top.latest];

	if (!top.active || !atomic_load(&top.due)) {
		return;
	}
	top.latest ^= 1;
	take_sample(&top.samples[top.latest]);
	print_difference(before, &top.samples[top.latest]);
	if (--top.left == 0) {
		monitor_top_end();
	} else {
		monitor_print("\n");
		arm();
	}
}
