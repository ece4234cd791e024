/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of the hypervisor, in order, and the only place that names both backends. Each step
 * says in the log what it found; after the last one the run loop never returns.
 */
#include "hv/main.h"

#include "drivers/apic.h"
#include "hv/api/clock.h"
#include "hv/base/check.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/blk/registry.h"
#include "hv/console.h"
#include "hv/cpu/features.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/rep_movs.h"
#include "hv/cpu/stack_guard.h"
#include "hv/cpu/topology.h"
#include "hv/cpu/trap.h"
#include "hv/cpus.h"
#include "hv/fpu.h"
#include "hv/guest.h"
#include "hv/monitor.h"
#include "hv/msr_policy.h"
#include "hv/platform.h"
#include "hv/probe.h"
#include "hv/random.h"
#include "hv/run.h"
#include "hv/screen.h"
#include "hv/setup.h"
#include "hv/setup_uplink.h"
#include "hv/vcpu.h"
#include "hv/watchdog.h"
#include "mm/space.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

/* How long another CPU may take from its first code to the run loop. */
#define ENTER_LIMIT_NS 5000000000ull

/* Bounds of the boot stack, from hv/cpu/entry.S. */
extern char hv_boot_stack[];
extern char hv_boot_stack_top[];

static void print_report(const char *line)
{
	platform_emergency_write(line, str_len(line));
	platform_emergency_write("\r\n", 2);
}

static const struct trap_hooks hooks = {
	.print = print_report,
	.fatal = cpus_stop_all,
	.nmi = cpus_obey_stop,
	.stray_irq = host_apic_stray,
};

static void init_cpu(void)
{
	struct cpu_local *cpu;

	cpu_features_init();
	topology_init();
	cpu = percpu_init_boot((uint64_t)(uintptr_t)hv_boot_stack,
			       (uint64_t)(uintptr_t)hv_boot_stack_top, cpu_apic_id());
	percpu_activate(cpu);
	trap_init();
	trap_set_hooks(&hooks);
	trap_load();
	fpu_cpu_init();
	fpu_try_xsavec();
	rep_movs_try();
	log_info("cpu: %s%s%s", cpu_features()->brand, cpu_features()->hypervisor ? ", below " : "",
		 cpu_features()->hypervisor_name);
}

/* Chooses and turns on the backend. The loader's preflight has said already what is missing. */
static void init_backend(void)
{
	static struct hv_backend_policy policy;
	const struct hv_backend *backend;
	const char *why = "";

	policy.msrs = msr_pass_ranges();
	policy.post_vector = PLATFORM_POST_VECTOR;
	backend = cpu_features()->svm ? svm_probe(&policy, &why) : vmx_probe(&policy, &why);
	if (backend == NULL || backend->cpu_enable(0) != HV_OK) {
		log_event("cannot run guests: %s", why);
		platform_power_off();
	}
	vcpu_set_backend(backend);
	log_info("backend: %s, %u tags", backend->info.vendor, backend->info.tag_count);
}

static void take_input(void)
{
	platform_poll();
	guest_offer_keys();
	screen_poll();
	monitor_poll();
}

static const struct run_ops run_ops = {
	.arm_host_timer = platform_arm_timer,
	.poll = take_input,
	.send_kick = platform_kick,
	.end_guests = guest_end_wanted,
	.send_notice = platform_notice,
};

static const struct watchdog_ops watchdog_ops = {host_apic_send_nmi, run_last_guest, run_wake_late};

/* CPUs that have come as far as the run loop, or as they will come. */
static _Atomic unsigned entered_count;

/* What each CPU but the first does when it has been started: it joins the run loop. */
static void enter_cpu(struct cpu_local *cpu)
{
	bool able;

	fpu_cpu_init();
	able = the_backend->cpu_enable(cpu->index) == HV_OK;
	if (able) {
		run_cpu_init();
		watchdog_start(run_timers());
	} else {
		log_warn("CPU %u cannot run guests", cpu->index);
	}
	atomic_fetch_add(&entered_count, 1);
	if (!able) {
		cpu_park(cpu);
	}
	run_loop();
}

/* Guests may be pinned to any of them. */
static void wait_for_cpus(unsigned count)
{
	uint64_t limit = clock_now() + clock_ns_to_ticks(ENTER_LIMIT_NS);

	while (atomic_load(&entered_count) < count && clock_now() < limit) {
		__builtin_ia32_pause();
	}
	if (atomic_load(&entered_count) < count) {
		log_warn("CPUs: only %u of %u have entered the run loop",
			 atomic_load(&entered_count), count);
	}
}

/* Whether interrupts reach a vCPU that runs on another CPU without an exit. */
static void choose_posting(bool test)
{
	bool used = the_backend->info.posts_interrupts;

	if (used && test) {
		used = probe_posted_interrupts(platform_notice);
	}
	if (!used) {
		the_backend->forgo_posted_interrupts();
	}
	log_info("posted interrupts: %s", used ? "by the CPU" : "not used");
}

/* Whose hands the guests' LAPICs are in: hv/api/apic_page.h. */
static void choose_interrupts(void)
{
	enum config_virtual_interrupts wanted = setup_machine()->virtual_interrupts;
	bool used = the_backend->info.virtual_interrupts;

	if (!used) {
		return;
	}
	if (wanted == CONFIG_VIRTUAL_INTERRUPTS_AUTO) {
		used = probe_virtual_interrupts(platform_kick);
	} else {
		used = wanted == CONFIG_VIRTUAL_INTERRUPTS_ON;
	}
	if (!used) {
		the_backend->forgo_virtual_interrupts();
	}
	log_info("virtual interrupts: %s", used ? "by the CPU" : "not used");
	if (used) {
		choose_posting(wanted == CONFIG_VIRTUAL_INTERRUPTS_AUTO);
	}
}

/* The run loop before the other CPUs: they enter it as they come. */
static void init_cpus(const struct handoff *handoff)
{
	static uint16_t cores[CPU_MAX];
	struct run_config config = {
		.ops = &run_ops,
		.cores = cores,
		.share_cores = setup_machine()->smt_shared,
	};

	platform_find_cpus(handoff, enter_cpu);
	cpus_cores(cores);
	config.cpu_count = percpu_count();
	run_init(&config);
	watchdog_init(&watchdog_ops);
	run_cpu_init();
	watchdog_start(run_timers());
	wait_for_cpus(cpus_start());
}

static void on_front(struct guest_console *c)
{
	screen_front(c != NULL ? container_of(c, struct guest, console) : NULL);
}

static const struct console_ops console_ops = {platform_write, monitor_key, monitor_prompt,
					       on_front};
static const struct monitor_ops monitor_ops = {
	.power_off = platform_power_off,
	.reboot = platform_reboot,
	.describe_machine = platform_describe,
};

static void power_off_when_idle(void)
{
	log_event("no guest is running: switching the machine off");
	platform_power_off();
}

static void init_consoles(void)
{
	const struct machine_config *m = setup_machine();
	bool all = m->console == CONFIG_CONSOLE_ALL;

	log_set_threshold(m->log);
	console_init(&console_ops, all);
	monitor_init(&monitor_ops, !all);
	if (m->when_idle == CONFIG_IDLE_POWEROFF) {
		guest_set_idle_action(power_off_when_idle);
	}
}

static void greet(const struct handoff *handoff)
{
	const struct machine_config *m = setup_machine();
	struct guest *front =
		m->console == CONFIG_CONSOLE_GUEST ? guest_find(span_of(m->console_guest)) : NULL;

	log_info("start: %lu thousand ticks from EFI to here, %lu of them reading files (tick %lu)",
		 (cpu_rdtsc() - handoff->tsc_at_entry) / 1000,
		 (handoff->tsc_images_read - handoff->tsc_at_entry) / 1000, clock_now());
	log_event("ready: %u guest%s; type 'help' for the monitor's commands", guest_count(),
		  guest_count() == 1 ? "" : "s");
	if (front != NULL) {
		console_attach(&front->console);
	}
}

void hv_main(const struct handoff *handoff)
{
	stack_guard_init();
	platform_early_console(handoff);
	console_init(&console_ops, false);
	log_set_sink(console_write);
	log_event("hypervisor entered");
	init_cpu();
	if (mm_init(handoff) != HV_OK) {
		log_event("cannot run: no memory for the hypervisor itself");
		cpu_stop();
	}
	platform_screen(handoff);
	if (platform_facts(handoff) != HV_OK || platform_interrupts() != HV_OK) {
		log_event("cannot run: this machine has no clock or no local APIC");
		cpu_stop();
	}
	random_init();
	init_backend();
	guest_init();
	blk_registry_init();
	if (setup_read(handoff) != HV_OK) {
		log_event("cannot run: no memory for the configuration");
		platform_power_off();
	}
	init_cpus(handoff);
	choose_interrupts();
	platform_input();
	platform_devices(blk_registry_add);
	init_consoles();
	setup_disks();
	greet(handoff);
	if (mm_reclaim_loader(handoff) != HV_OK) {
		log_warn("memory: what the loader used stays in use");
	}
	run_flush_cpus();
	setup_uplinks(setup_machine());
	setup_autostart();
	guest_check_idle();
	run_open();
	run_loop();
}
