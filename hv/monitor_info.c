/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's `info` and `stats`. */
#include "hv/api/clock.h"
#include "hv/guest.h"
#include "hv/monitor.h"
#include "mm/frame.h"
#include "mm/pool.h"

static void info_machine(void)
{
	monitor_actions()->describe_machine();
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
			monitor_print(
				"  %-16s RAM %lu KiB, overhead %lu KiB, page tables %lu KiB\n",
				g->vm.name, g->vm.gspace.ram_bytes >> 10,
				guest_overhead_bytes(g) >> 10,
				(g->vm.gspace.stage2.table_count +
				 g->vm.gspace.host.pt.table_count) *
						PAGE_SIZE >>
					10);
		}
	}
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
	{"machine", info_machine},
	{"memory", info_memory},
	{"isolation", info_isolation},
	{"policy", info_policy},
};

void monitor_info(struct span args)
{
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		if (span_eq(args, topics[i].name)) {
			topics[i].print();
			return;
		}
	}
	monitor_print("info about what? machine, memory, isolation or policy\n");
}

static void stats_vcpu(const struct vcpu *vcpu, const struct run_task *task)
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
	monitor_print("vcpu%u.run_us %lu\n", v, clock_ticks_to_ns(task->entity.run_ticks) / 1000);
	monitor_print("vcpu%u.wait_us %lu\n", v, clock_ticks_to_ns(task->entity.wait_ticks) / 1000);
	monitor_print("vcpu%u.rip 0x%lx\n", v, vcpu->rip);
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
	if (!g->has_space || g->board == NULL) {
		return;
	}
	monitor_print("ram_bytes %lu\n", g->vm.gspace.ram_bytes);
	monitor_print("overhead_bytes %lu\n", guest_overhead_bytes(g));
	monitor_print("stage2_tables %lu\n", g->vm.gspace.stage2.table_count);
	monitor_print("guest_time_us %lu\n", vtime_now_ns(&g->vm.time) / 1000);
	monitor_print("unknown_msrs %lu\n", g->unknown_msrs);
	monitor_print("unclaimed_ports %lu\n", g->vm.pio.unclaimed);
	monitor_print("unclaimed_mmio %lu\n", g->vm.mmio.unclaimed);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		run_account(&g->tasks[i]);
		stats_vcpu(g->vm.vcpus[i], &g->tasks[i]);
	}
}
