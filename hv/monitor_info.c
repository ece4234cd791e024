/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's `info` and `stats`. */
#include "hv/api/clock.h"
#include "hv/cpu/percpu.h"
#include "hv/cpus.h"
#include "hv/guest.h"
#include "hv/monitor.h"
#include "hv/watchdog.h"
#include "mm/frame.h"
#include "mm/pool.h"

static void info_machine(void)
{
	monitor_actions()->describe_machine();
}

/* What a CPU does right now. */
static const char *doing(const struct cpu_local *cpu, const struct run_cpu_info *info)
{
	static const char *const states[] = {[CPU_OFFLINE] = "offline",
					     [CPU_STARTING] = "starting",
					     [CPU_PARKED] = "parked",
					     [CPU_FAILED] = "failed"};
	static const char *const phases[] = {[WATCHDOG_OFF] = "starting",
					     [WATCHDOG_GUEST] = "guest",
					     [WATCHDOG_IDLE] = "idle",
					     [WATCHDOG_HOST] = "host"};
	unsigned state = cpu_get_state(cpu);

	if (info->online) {
		return phases[atomic_load_explicit(&cpu->phase, memory_order_relaxed) &
			      WATCHDOG_PHASE_MASK];
	}
	return state != CPU_ONLINE && state < ARRAY_SIZE(states) ? states[state] : "starting";
}

static void info_cpu(const struct cpu_local *cpu, unsigned core)
{
	struct run_cpu_info info;
	uint64_t busy;
	char runs[VM_NAME_MAX + 8] = "-";

	run_cpu_info(cpu->index, &info);
	busy = info.up_ticks != 0 ? clock_muldiv(info.busy_ticks, 1000, info.up_ticks) : 0;
	if (info.current != NULL) {
		fmt_snprintf(runs, sizeof(runs), "%s/%u", info.current->vm->name,
			     info.current->index);
	}
	monitor_print("%3u %7u %4u %-8s %3lu.%lu %9lu %9lu %9lu %4lu %6ld  %s\n", cpu->index,
		      cpu->apic_id, core, doing(cpu, &info), busy / 10, busy % 10,
		      info.switch_count, info.kick_count, cpu->irq_count,
		      atomic_load_explicit(&cpu->nmi_count, memory_order_relaxed), cpu->tsc_offset,
		      runs);
}

static void info_cpus(void)
{
	uint16_t cores[CPU_MAX];

	cpus_cores(cores);
	monitor_print("CPU APIC-ID CORE STATE    BUSY%%  SWITCHES     KICKS      IRQS NMIS    TSC  "
		      "RUNS\n");
	for (unsigned i = 0; i < percpu_count(); i++) {
		info_cpu(percpu_get(i), cores[i]);
	}
}

static void info_memory_of(const struct guest *g)
{
	const struct gspace *space = &g->vm.gspace;
	uint64_t tables = (space->stage2.table_count + space->host.pt.table_count) * PAGE_SIZE;
	uint64_t holes = gspace_holes(space);

	monitor_print("  %-16s RAM %lu KiB, overhead %lu KiB, page tables %lu KiB", g->vm.name,
		      space->ram_bytes >> 10, guest_overhead_bytes(g) >> 10, tables >> 10);
	if (holes != 0) {
		monitor_print(", %lu KiB given back", holes >> 10);
	}
	monitor_print("\n");
}

static void info_memory(void)
{
	struct frame_stats s;

	frame_stats(&s);
	monitor_print("memory        %8lu MiB\n", s.total * PAGE_SIZE >> 20);
	monitor_print("  free        %8lu MiB\n", s.free * PAGE_SIZE >> 20);
	monitor_print("  guests      %8lu MiB\n", s.guest * PAGE_SIZE >> 20);
	monitor_print("  hypervisor  %8lu KiB, of which %lu KiB in use\n", s.hv * PAGE_SIZE >> 10,
		      pool_bytes_used() >> 10);
	for (unsigned i = 0; i < guest_count(); i++) {
		const struct guest *g = guest_at(i);

		if (g->has_space) {
			info_memory_of(g);
		}
	}
	monitor_memory_of_disks();
}

static void info_isolation(void)
{
	struct gspace *spaces[GUESTS_MAX];
	struct isolation_report report;
	unsigned count = 0;

	for (unsigned i = 0; i < guest_count(); i++) {
		struct guest *g = guest_at(i);

		if (g->has_space) {
			spaces[count++] = &g->vm.gspace;
		}
	}
	gspace_isolation_check(spaces, count, &report);
	monitor_print("isolation: %u VMs, %lu frames checked, %lu violations\n", count,
		      report.frames_checked, report.violations);
	if (report.what != NULL) {
		monitor_print("isolation: first: frame 0x%lx: %s\n", report.first_violation.v,
			      report.what);
	}
}

static void info_policy(void)
{
	size_t count;
	const struct msr_rule *rules = msr_rules(&count);

	for (size_t i = 0; i < count; i++) {
		if (rules[i].why != NULL) {
			monitor_print("MSR 0x%x..0x%x reads 0x%lx: %s\n", rules[i].first,
				      rules[i].last, rules[i].value, rules[i].why);
		}
	}
}

static const struct {
	const char *name;
	void (*print)(void);
} topics[] = {
	{"machine", info_machine},	{"cpus", info_cpus},	 {"memory", info_memory},
	{"isolation", info_isolation},	{"policy", info_policy}, {"disks", monitor_info_disks},
	{"networks", monitor_networks},
};

void monitor_info(struct span args)
{
	struct span rest = args;
	struct span first;

	if (span_next_word(&rest, &first) && span_eq(first, "windows")) {
		monitor_windows(rest);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		if (span_eq(args, topics[i].name)) {
			topics[i].print();
			return;
		}
	}
	monitor_print(
		"info about what? machine, cpus, memory, disks, networks, isolation, policy or "
		"windows NAME\n");
}

/* What a vCPU does right now. */
static const char *activity(const struct vcpu *vcpu, enum run_state state)
{
	static const char *const names[] = {[RUN_HELD] = "held",
					    [RUN_BLOCKED] = "halted",
					    [RUN_READY] = "ready",
					    [RUN_CAPPED] = "capped",
					    [RUN_RUNNING] = "running"};

	return state == RUN_BLOCKED && vcpu->wait_for_sipi ? "wait-for-sipi" : names[state];
}

static uint64_t to_us(uint64_t ticks)
{
	return clock_ticks_to_ns(ticks) / 1000;
}

static void stats_exits(const struct vcpu *vcpu)
{
	unsigned v = vcpu->index;

	monitor_print("vcpu%u.exits %lu\n", v, vcpu->exit_count);
	monitor_print("vcpu%u.eoi-exits-saved %lu\n", v, vcpu->pv.eoi_saved);
	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		if (vcpu->exits_by_kind[k] != 0) {
			monitor_print("vcpu%u.exits.%s %lu\n", v,
				      vm_exit_kind_name((enum vm_exit_kind)k),
				      vcpu->exits_by_kind[k]);
		}
	}
}

static void stats_vcpu(struct run_task *task)
{
	const struct vcpu *vcpu = task->vcpu;
	unsigned v = vcpu->index;
	struct run_task_info info;
	char cpu[8] = "none";

	run_task_info(task, &info);
	if (info.cpu != SCHED_NO_CPU) {
		fmt_snprintf(cpu, sizeof(cpu), "%u", info.cpu);
	}
	stats_exits(vcpu);
	monitor_print("vcpu%u.run_us %lu\n", v, to_us(info.run_ticks));
	monitor_print("vcpu%u.wait_us %lu\n", v, to_us(info.wait_ticks));
	monitor_print("vcpu%u.state %s\n", v, activity(vcpu, info.state));
	monitor_print("vcpu%u.cpu %s\n", v, cpu);
	monitor_print("vcpu%u.wake_count %lu\n", v, info.wake_count);
	monitor_print("vcpu%u.wake_us_mean %lu\n", v,
		      info.wake_count != 0 ? to_us(info.wake_ticks / info.wake_count) : 0);
	monitor_print("vcpu%u.wake_us_max %lu\n", v, to_us(info.wake_ticks_max));
	monitor_print("vcpu%u.switches %lu\n", v, info.switch_count);
	monitor_print("vcpu%u.migrations %lu\n", v, info.migration_count);
	monitor_print("vcpu%u.rip 0x%lx\n", v, vcpu->rip);
}

static void stats_share(const struct guest *g)
{
	const struct guest_share share = guest_share(g);
	char pin[CONFIG_CPUS_TEXT_MAX];

	config_format_cpus(&share.pin, pin, sizeof(pin));
	monitor_print("weight %u\n", share.weight);
	monitor_print("cap %u\n", share.cap);
	monitor_print("pin %s\n", pin);
}

static void stats_group(const struct guest *g)
{
	struct run_group_info info;

	run_group_info(&g->group, &info);
	monitor_print("throttle_count %lu\n", info.throttle_count);
	monitor_print("yields %lu\n", info.yield_count);
	monitor_print("yields_to_sibling %lu\n", info.yield_sibling_count);
}

/* How often in all, and at each of the first places. */
static void stats_missed(const char *key, const struct missed *m)
{
	uint64_t place;
	uint64_t count;

	monitor_print("%s %lu\n", key, atomic_load(&m->total));
	for (unsigned i = 0; (count = missed_at(m, i, &place)) != 0; i++) {
		monitor_print("%s.0x%lx %lu\n", key, place, count);
	}
}

/* A model's name as a part of a key: "IDE channel" becomes "ide-channel". */
static void make_key(const char *name, char *key, size_t cap)
{
	size_t n = 0;

	for (; name[n] != '\0' && n + 1 < cap; n++) {
		key[n] = name[n];
		if (name[n] == ' ') {
			key[n] = '-';
		} else if (name[n] >= 'A' && name[n] <= 'Z') {
			key[n] |= 'a' - 'A';
		}
	}
	key[n] = '\0';
}

/* What its device models were asked for and do not have. */
static void stats_lacks(struct guest *g)
{
	static struct lack list[LACKS_MAX]; /* whoever holds the baton has it */
	unsigned count;
	uint64_t total = lacks_copy(&g->vm.lacks, list, &count);
	char device[VM_NAME_MAX];

	monitor_print("missed %lu\n", total);
	for (unsigned i = 0; i < count; i++) {
		make_key(list[i].device, device, sizeof(device));
		monitor_print("missed.%s.%s.0x%x %lu\n", device, lacks_kind_name(list[i].kind),
			      list[i].what, list[i].count);
	}
}

static void stats_past(const struct guest_past *past)
{
	uint64_t sum = 0;

	if (past->ticks == 0) {
		return;
	}
	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		sum += past->exits[k];
	}
	monitor_print("past.ticks %lu\npast.exits %lu\n", past->ticks, sum);
	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		if (past->exits[k] != 0) {
			monitor_print("past.exits.%s %lu\n",
				      vm_exit_kind_name((enum vm_exit_kind)k), past->exits[k]);
		}
	}
}

void monitor_stats(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g == NULL) {
		return;
	}
	monitor_print("name %s\n", g->vm.name);
	monitor_print("state %s\n", guest_state_name(g->state));
	monitor_print("starts %lu\n", g->start_count);
	monitor_print("started_ticks %lu\n", g->started_ticks);
	monitor_print("memory_bytes %lu\n", g->config->memory);
	stats_share(g);
	monitor_stats_disks(g);
	stats_past(&g->past);
	if (!g->has_space || g->board == NULL) {
		return;
	}
	monitor_print("ram_bytes %lu\n", g->vm.gspace.ram_bytes);
	monitor_print("given_back_bytes %lu\n", gspace_holes(&g->vm.gspace));
	monitor_print("overhead_bytes %lu\n", guest_overhead_bytes(g));
	monitor_print("stage2_tables %lu\n", g->vm.gspace.stage2.table_count);
	monitor_print("guest_time_us %lu\n", vtime_now_ns(&g->vm.time) / 1000);
	stats_missed("unknown_msrs", &g->unknown_msrs);
	stats_missed("unclaimed_ports", &g->vm.pio.unclaimed);
	stats_missed("unclaimed_mmio", &g->vm.mmio.unclaimed);
	stats_lacks(g);
	stats_group(g);
	monitor_stats_nics(g);
	monitor_stats_balloon(g);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		stats_vcpu(&g->tasks[i]);
	}
}
