/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor in a test program. */
#include "tests/fakes/vm_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guests/loaders/linux_header.h"
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/blk/registry.h"
#include "hv/cpu/features.h"
#include "hv/cpu/percpu.h"
#include "hv/exit.h"
#include "hv/fpu.h"
#include "hv/monitor.h"
#include "hv/wallclock.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"

#define SETUP_BYTES 1024u
#define KERNEL_BYTES 4096u
#define TEXT_MAX 0x40000u

struct vm_rig vm_rig;

static uint8_t kernel[SETUP_BYTES + KERNEL_BYTES];
static char text[TEXT_MAX];
static size_t text_len;

static void need(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "VM rig: %s\n", what);
		abort();
	}
}

/* --- the machine --- */

static void arm(uint64_t deadline)
{
	vm_rig.host_timer[fake_cpu_index()] = deadline;
	vm_rig.arms++;
	if (vm_rig.on_arm != NULL) {
		vm_rig.on_arm();
	}
}

static void poll(void)
{
	vm_rig.polls++;
	if (vm_rig.on_poll != NULL) {
		vm_rig.on_poll();
	}
	guest_offer_keys();
	monitor_poll();
}

/* As a kick: what it does to a guest is the test's. */
static void send_notice(unsigned cpu)
{
	need(cpu < percpu_count() && cpu != fake_cpu_index(), "a notice that reaches nobody else");
	vm_rig.notices[cpu]++;
}

static void send_kick(unsigned cpu)
{
	need(cpu < percpu_count() && cpu != fake_cpu_index(), "a kick that reaches nobody else");
	vm_rig.kicks[cpu]++;
	if (vm_rig.on_kick != NULL) {
		vm_rig.on_kick(cpu);
	}
}

static void write_console(const char *data, size_t n)
{
	if (n > 0 && text_len + n < sizeof(text)) {
		memcpy(text + text_len, data, n);
		text_len += n;
		text[text_len] = '\0';
	}
}

static void power_off(void)
{
	vm_rig.power_offs++;
}

static void reboot(void)
{
	vm_rig.reboots++;
}

static void describe(void)
{
	vm_rig.descriptions++;
	monitor_print("cpu fake\n");
}

/* An AMD CPU with AVX. */
static void cpu_facts(void)
{
	static const struct {
		uint32_t leaf, sub;
		struct cpuid_regs regs;
	} leaves[] = {
		{0, 0, {0x10, 0x68747541, 0x444d4163, 0x69746e65}},
		{1, 0, {0x00a20f10, 0x00100800, 0xfed83203, 0x178bfbff}},
		{7, 0, {0, 0x219c95a9, 0x00400684, 0}},
		{0xd, 0, {7, 832, 832, 0}},
		{0xd, 1, {1, 832, 0, 0}},
		{0xd, 2, {256, 576, 0, 0}},
		{0x80000000, 0, {0x8000001e, 0, 0, 0}},
		{0x80000001, 0, {0x00a20f10, 0, 0x000001f7, 0x2fd3fbff}},
		{0x80000007, 0, {0, 0, 0, 0x100}},
		{0x80000008, 0, {0x3030, 0, 0, 0}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		fake_cpuid_set(leaves[i].leaf, leaves[i].sub, leaves[i].regs);
	}
}

static void init_boot_cpu(void)
{
	percpu_activate(percpu_init_boot(0x1000, 0x2000, 0));
}

/* As the boot CPU and hv/main.c do it. */
static void init_other_cpu(unsigned index)
{
	static _Alignas(PAGE_SIZE) uint8_t areas[FAKE_CPUS_MAX][CPU_AREA_SIZE];

	memset(areas[index], 0, sizeof(areas[index]));
	fake_cpu_switch(index);
	percpu_activate(percpu_add(areas[index], index));
	space_cpu_init();
	fpu_cpu_init();
	run_cpu_init();
	fake_cpu_switch(0);
}

void vm_rig_machine(bool all)
{
	vm_rig_machine_of(all, 1);
}

void vm_rig_machine_of(bool all, unsigned cpus)
{
	static const struct run_ops run_ops = {arm, poll, send_kick, guest_end_wanted, send_notice};
	static const uint16_t cores[FAKE_CPUS_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
	struct run_config run_config = {&run_ops, cpus, cores, false};
	static const struct console_ops console_ops = {write_console, monitor_key, monitor_prompt,
						       NULL};
	static const struct monitor_ops monitor_ops = {power_off, reboot, describe};

	fake_backend_reset();
	fake_cpu_reset();
	init_boot_cpu();
	fake_machine(VM_RIG_MEMORY);
	cpu_facts();
	cpu_features_init();
	fpu_cpu_init();
	clock_init(VM_RIG_HZ);
	fake_tsc = 123456789;
	wallclock_set(1767323045);
	vm_rig = (struct vm_rig){0};
	for (unsigned i = 0; i < FAKE_CPUS_MAX; i++) {
		vm_rig.host_timer[i] = TIMER_NEVER;
	}
	vm_rig_clear();
	log_set_sink(console_write);
	log_set_threshold(LOG_DEBUG);
	console_init(&console_ops, all);
	monitor_init(&monitor_ops, !all);
	vcpu_set_backend(&fake_hv_backend);
	guest_init();
	blk_registry_init();
	run_init(&run_config);
	run_cpu_init();
	for (unsigned i = 1; i < cpus; i++) {
		init_other_cpu(i);
	}
	run_open();
	vm_rig.pool_bytes = pool_bytes_used();
}

/* --- guests --- */

static void poke(size_t at, uint64_t value, size_t size)
{
	memcpy(kernel + at, &value, size);
}

struct guest_file vm_rig_kernel(void)
{
	memset(kernel, 0xf4, sizeof(kernel)); /* HLT */
	memset(kernel, 0, SETUP_BYTES);
	poke(HDR_SETUP_SECTS, 1, 1);
	poke(HDR_SYSSIZE, KERNEL_BYTES / 16, 4);
	poke(HDR_BOOT_FLAG, 0xaa55, 2);
	poke(0x200, 0x6aeb, 2);
	poke(HDR_MAGIC, 0x53726448, 4);
	poke(HDR_VERSION, 0x020f, 2);
	poke(HDR_LOADFLAGS, LOADFLAGS_LOADED_HIGH, 1);
	poke(HDR_INITRD_ADDR_MAX, 0x7fffffff, 4);
	poke(HDR_KERNEL_ALIGNMENT, 0x200000, 4);
	poke(HDR_RELOCATABLE, 1, 1);
	poke(HDR_XLOADFLAGS, XLF_KERNEL_64, 2);
	poke(HDR_CMDLINE_SIZE, 2047, 4);
	poke(HDR_PREF_ADDRESS, MIB(2), 8);
	poke(HDR_INIT_SIZE, MIB(1), 4);
	return (struct guest_file){kernel, sizeof(kernel)};
}

struct guest *vm_rig_guest(const char *name, struct guest_config *config)
{
	struct guest_file none = {NULL, 0};
	struct guest *g;

	*config = (struct guest_config){.memory = VM_RIG_GUEST_MEMORY,
					.cpus = 1,
					.weight = 100,
					.pin = sched_cpumask_all(),
					.autostart = true,
					.serial = true,
					.paravirt = true,
					.cmdline = "console=ttyS0"};
	(void)str_copy(config->name, sizeof(config->name), span_of(name));
	g = guest_add(config, vm_rig_kernel(), none);
	need(g != NULL, "no guest can be added");
	vm_rig.pool_bytes = pool_bytes_used();
	return g;
}

void vm_rig_work(void)
{
	for (unsigned steps = 0; work_pending(); steps++) {
		need(steps < 10000, "work without an end");
		work_step();
	}
}

void vm_rig_start(struct guest *g)
{
	need(guest_start(g) == HV_OK, "the guest is not stopped");
	vm_rig_work();
	need(g->state == GUEST_RUNNING, "the guest did not start");
	space_switch(&g->vm.gspace.host);
}

void vm_rig_end(struct guest *g)
{
	guest_stop(g, GUEST_END_REQUEST, "by request");
	vm_rig_work();
	need(g->state == GUEST_STOPPED, "the guest did not stop");
}

static const char *left_on_cpu(unsigned cpu)
{
	unsigned here = fake_cpu_index();
	const char *what = NULL;

	fake_cpu_switch(cpu);
	if (fake_loaded() != NULL) {
		what = "a loaded vCPU";
	} else if (timer_queue_next(run_timers()) != TIMER_NEVER) {
		what = "a timer";
	} else if (space_current() != space_core()) {
		what = "a current space";
	}
	fake_cpu_switch(here);
	return what;
}

bool vm_rig_leaks(void)
{
	struct frame_stats s;
	const char *what = NULL;

	frame_stats(&s);
	if (s.guest != 0) {
		what = "guest RAM";
	} else if (pool_bytes_used() != vm_rig.pool_bytes) {
		what = "hypervisor memory";
	} else if (fake_backend.vms != 0 || fake_backend.vcpus != 0) {
		what = "a VM or vCPU of the backend";
	} else if (work_pending()) {
		what = "work";
	}
	for (unsigned i = 0; i < percpu_count() && what == NULL; i++) {
		what = left_on_cpu(i);
	}
	if (what != NULL) {
		fprintf(stderr, "VM rig: left over: %s (pool %ld bytes)\n", what,
			(long)(pool_bytes_used() - vm_rig.pool_bytes));
	}
	return what != NULL;
}

/* --- running --- */

void vm_rig_code(struct guest *g, const uint8_t *bytes, size_t n)
{
	space_switch(&g->vm.gspace.host);
	need(guest_mem_write(&g->vm, gpa(VM_RIG_CODE), bytes, n) == HV_OK, "no RAM for code");
	g->vm.vcpus[0]->rip = VM_RIG_CODE;
}

void vm_rig_exit(struct guest *g, struct vm_exit exit)
{
	space_switch(&g->vm.gspace.host);
	exit_handle(g->vm.vcpus[0], &exit);
	guest_end_wanted();
}

static uint64_t slice_ticks;

/* One exit, and something to do behind it: the turn ends. */
static void spins(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)vcpu;
	fake_tsc += slice_ticks;
	*exit = (struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2};
	run_chore(RUN_CHORE_INPUT);
}

void vm_rig_slice(uint64_t ticks)
{
	slice_ticks = ticks;
	fake_backend.guest = spins;
	run_once();
	fake_backend.guest = NULL;
}

void vm_rig_advance(uint64_t ticks)
{
	uint64_t target = fake_tsc + ticks;

	while (timer_queue_next(run_timers()) <= target) {
		uint64_t next = timer_queue_next(run_timers());

		fake_tsc = next > fake_tsc ? next : fake_tsc;
		timer_queue_run(run_timers(), fake_tsc);
	}
	fake_tsc = target;
}

/* --- the console --- */

const char *vm_rig_text(void)
{
	return text;
}

void vm_rig_clear(void)
{
	text_len = 0;
	text[0] = '\0';
}

void vm_rig_type(const char *keys)
{
	for (; *keys != '\0'; keys++) {
		console_key(*keys);
	}
}
