/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a guest: start, stop, pause, restart, and every way a start can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/layout.h"
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/cpu/regs.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "tests/fakes/vm_rig.h"

static struct guest_config config;
static struct guest *g;

/* One machine for all tests that leave it as it was. */
static int machine(void **state)
{
	(void)state;
	vm_rig_machine(true);
	g = vm_rig_guest("web", &config);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	config.memory = VM_RIG_GUEST_MEMORY;
	config.restart = GUEST_RESTART_NEVER;
	config.serial = true;
	config.cpus = 1;
	g->kernel = vm_rig_kernel();
	g->quick_ends = 0;
	guest_set_idle_action(NULL);
	vm_rig_clear();
	return 0;
}

static int clean(void **state)
{
	(void)state;
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	return vm_rig_leaks();
}

static void assert_says(const char *words)
{
	if (strstr(vm_rig_text(), words) == NULL) {
		fail_msg("no '%s' in:\n%s", words, vm_rig_text());
	}
}

static void assert_silent_about(const char *words)
{
	assert_null(strstr(vm_rig_text(), words));
}

static struct fake_vcpu *cpu(void)
{
	return fake_vcpu(g->vm.vcpus[0]);
}

/* --- starting --- */

static void a_started_guest_has_all_it_was_promised(void **state)
{
	struct linux_entry entry;

	(void)state;
	vm_rig_start(g);
	assert_says("bulkhead: guest web: started\r\n");
	assert_int_equal(g->start_count, 1);
	assert_true(g->vm.gspace.ram_bytes >= config.memory - LAYOUT_VIDEO_SIZE);
	assert_int_equal(fake_backend.vms, 1);
	assert_int_equal(fake_backend.vcpus, 1);
	linux_entry_state(&g->plan, &entry);
	assert_int_equal(g->vm.vcpus[0]->rip, entry.rip);
	assert_int_equal(g->vm.vcpus[0]->gpr[GPR_RSI], entry.rsi);
	assert_int_equal(cpu()->regs[VCPU_REG_CR0], entry.cr0);
	assert_int_equal(cpu()->regs[VCPU_REG_CR3], entry.cr3);
	assert_int_equal(cpu()->regs[VCPU_REG_CR4], entry.cr4);
	assert_int_equal(cpu()->regs[VCPU_REG_EFER], entry.efer);
	assert_int_equal(cpu()->regs[VCPU_REG_RFLAGS], entry.rflags);
	assert_memory_equal(cpu()->segs, entry.segments, sizeof(entry.segments));
	assert_true(guest_overhead_bytes(g) >= sizeof(*g));
	assert_ptr_equal(guest_event_source(&g->vm), &g->events);
}

static void the_images_are_in_its_memory(void **state)
{
	static const char initrd[] = "an initial RAM disk";
	uint8_t byte;
	char text[32];

	(void)state;
	g->initrd = (struct guest_file){initrd, sizeof(initrd)};
	vm_rig_start(g);
	g->initrd = (struct guest_file){NULL, 0};
	/* HLT is what the rig's kernel is made of. */
	assert_int_equal(
		guest_mem_read(&g->vm, gpa(g->plan.parts[LINUX_PART_KERNEL].gpa), &byte, 1), HV_OK);
	assert_int_equal(byte, 0xf4);
	assert_int_equal(guest_mem_read(&g->vm, gpa(g->plan.parts[LINUX_PART_INITRD].gpa), text,
					sizeof(initrd)),
			 HV_OK);
	assert_string_equal(text, initrd);
	assert_int_equal(
		guest_mem_read(&g->vm, gpa(g->plan.parts[LINUX_PART_CMDLINE].gpa), text, 14),
		HV_OK);
	assert_string_equal(text, "console=ttyS0");
	assert_int_equal(guest_mem_read(&g->vm, gpa(LAYOUT_ACPI_BASE), text, 8), HV_OK);
	assert_memory_equal(text, "RSD PTR ", 8);
}

static void loading_costs_the_guest_no_time(void **state)
{
	(void)state;
	assert_int_equal(guest_start(g), HV_OK);
	while (work_pending()) {
		fake_tsc += 1000000;
		work_step();
	}
	assert_int_equal(vtime_now(&g->vm.time), 0);
	assert_int_equal(guest_tsc(g, g->vm.vcpus[0]), 0);
	assert_int_equal(fake_tsc + cpu()->tsc_offset, 0);
	fake_tsc += 500;
	assert_int_equal(guest_tsc(g, g->vm.vcpus[0]), 500);
}

static void starting_twice_is_refused(void **state)
{
	(void)state;
	assert_int_equal(guest_start(g), HV_OK);
	assert_int_equal(guest_start(g), HV_E_BUSY);
	vm_rig_work();
	assert_int_equal(guest_start(g), HV_E_BUSY);
	assert_int_equal(guest_pause(g), HV_OK);
	assert_int_equal(guest_start(g), HV_E_BUSY);
}

/* The event line comes before the memory is back; whoever reads it may start again at once. */
static void a_start_while_stopping_waits_for_the_memory(void **state)
{
	uint64_t starts = g->start_count;

	(void)state;
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	guest_stop(g, GUEST_END_REQUEST, "x");
	assert_int_equal(guest_start(g), HV_OK);
	assert_int_equal(g->state, GUEST_STOPPING);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(g->start_count, starts + 2);
}

static void a_start_is_cut_into_steps(void **state)
{
	unsigned steps = 0;

	(void)state;
	config.memory = MIB(24);
	assert_int_equal(guest_start(g), HV_OK);
	while (work_pending()) {
		work_step();
		steps++;
	}
	/* Create; low memory and three times 8 MiB; plan; load. */
	assert_true(steps >= 7);
	assert_int_equal(g->state, GUEST_RUNNING);
}

/* --- stopping --- */

static void stopping_gives_everything_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		vm_rig_start(g);
		vm_rig_end(g);
		assert_false(vm_rig_leaks());
	}
	assert_says("bulkhead: guest web: stopped: by request\r\n");
	assert_int_equal(guest_overhead_bytes(g), 0);
}

/* Also from within the exit handlers, with the vCPU loaded and its timers armed. */
static void stopping_a_running_vcpu_unloads_it(void **state)
{
	(void)state;
	vm_rig_start(g);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	assert_ptr_equal(fake_backend.loaded, g->vm.vcpus[0]);
	vm_rig_end(g);
	assert_null(fake_backend.loaded);
}

static void stop_at_every_step_of_the_start(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 12; n++) {
		assert_int_equal(guest_start(g), HV_OK);
		for (unsigned i = 0; i < n && work_pending(); i++) {
			work_step();
		}
		vm_rig_end(g);
		if (vm_rig_leaks()) {
			fail_msg("after %u steps", n);
		}
	}
}

static void pause_is_refused_while_it_does_not_run(void **state)
{
	(void)state;
	assert_int_equal(guest_pause(g), HV_E_BUSY);
	assert_int_equal(guest_resume(g), HV_E_BUSY);
	assert_int_equal(guest_start(g), HV_OK);
	assert_int_equal(guest_pause(g), HV_E_BUSY);
	vm_rig_work();
	assert_int_equal(guest_resume(g), HV_E_BUSY);
	guest_stop(g, GUEST_END_REQUEST, "by request");
	assert_int_equal(guest_pause(g), HV_E_BUSY);
}

static void stopping_what_is_stopped_says_nothing(void **state)
{
	(void)state;
	guest_stop(g, GUEST_END_REQUEST, "by request");
	assert_silent_about("stopped");
	assert_false(work_pending());
	vm_rig_start(g);
	guest_stop(g, GUEST_END_POWER_OFF, "power-off");
	guest_stop(g, GUEST_END_CRASH, "triple fault");
	vm_rig_work();
	assert_says("guest web: stopped: power-off");
	assert_silent_about("triple fault");
	assert_string_equal(g->reason, "power-off");
}

static void a_crash_prints_the_last_exits(void **state)
{
	(void)state;
	vm_rig_start(g);
	g->vm.vcpus[0]->rip = 0x1234;
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_TRIPLE_FAULT});
	run_once();
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_says("bulkhead: guest web: stopped: triple fault");
	assert_says("web: last exits of vCPU 0:");
	assert_says("rip 0x0000000000001234 spurious");
	assert_says("triple-fault");
}

static void long_reasons_are_cut(void **state)
{
	char reason[200];

	(void)state;
	memset(reason, 'r', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	vm_rig_start(g);
	guest_stop(g, GUEST_END_REQUEST, reason);
	assert_int_equal(strlen(g->reason), GUEST_REASON_MAX - 1);
}

/* The last words, without a line end, and keys nobody took. */
static void the_uart_is_emptied_at_the_end(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_true(bus_write(&g->vm.pio, 0x3f8, 1, 0, '!'));
	for (unsigned i = 0; i < 40; i++) {
		console_guest_input(&g->console, "k", 1);
	}
	assert_true(g->console.input_len > 0);
	vm_rig_end(g);
	assert_int_equal(g->console.buf[(g->console.scrollback.end - 1) % CONSOLE_SCROLLBACK], '!');
	/* The next start does not find them. */
	assert_int_equal(g->console.input_len, 0);
	assert_null(g->console.receive);
}

/* --- again --- */

static void restart_follows_the_configuration(void **state)
{
	static const struct {
		enum guest_restart restart;
		enum guest_end end;
		bool again;
	} cases[] = {
		{GUEST_RESTART_NEVER, GUEST_END_POWER_OFF, false},
		{GUEST_RESTART_NEVER, GUEST_END_CRASH, false},
		{GUEST_RESTART_NEVER, GUEST_END_RESET, true},
		{GUEST_RESTART_NEVER, GUEST_END_REQUEST, false},
		{GUEST_RESTART_ON_CRASH, GUEST_END_POWER_OFF, false},
		{GUEST_RESTART_ON_CRASH, GUEST_END_CRASH, true},
		{GUEST_RESTART_ON_CRASH, GUEST_END_RESET, true},
		{GUEST_RESTART_ON_CRASH, GUEST_END_REQUEST, false},
		{GUEST_RESTART_ALWAYS, GUEST_END_POWER_OFF, true},
		{GUEST_RESTART_ALWAYS, GUEST_END_CRASH, true},
		{GUEST_RESTART_ALWAYS, GUEST_END_RESET, true},
		{GUEST_RESTART_ALWAYS, GUEST_END_REQUEST, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		config.restart = cases[i].restart;
		vm_rig_start(g);
		fake_tsc += 10 * VM_RIG_HZ;
		guest_stop(g, cases[i].end, "x");
		vm_rig_work();
		assert_int_equal(g->state, cases[i].again ? GUEST_RUNNING : GUEST_STOPPED);
		if (cases[i].again) {
			vm_rig_end(g);
		}
	}
}

static void a_reset_says_so(void **state)
{
	(void)state;
	vm_rig_start(g);
	fake_tsc += 10 * VM_RIG_HZ;
	guest_stop(g, GUEST_END_RESET, "by the keyboard controller");
	vm_rig_work();
	assert_says("bulkhead: guest web: reset: by the keyboard controller");
	assert_silent_about("stopped");
	assert_int_equal(vtime_now(&g->vm.time), 0);
}

static void a_guest_that_ends_at_once_is_given_up(void **state)
{
	unsigned starts;

	(void)state;
	config.restart = GUEST_RESTART_ALWAYS;
	vm_rig_start(g);
	for (starts = 1; starts < 20; starts++) {
		guest_stop(g, GUEST_END_CRASH, "triple fault");
		vm_rig_work();
		if (g->state == GUEST_STOPPED) {
			break;
		}
	}
	assert_int_equal(starts, 5);
	assert_says("warn: web: ended within two seconds 5 times in a row: not started again");
}

static void a_long_life_ends_the_row(void **state)
{
	(void)state;
	config.restart = GUEST_RESTART_ALWAYS;
	vm_rig_start(g);
	for (unsigned i = 0; i < 12; i++) {
		fake_tsc += i % 4 == 3 ? 3 * VM_RIG_HZ : 1000;
		guest_stop(g, GUEST_END_CRASH, "triple fault");
		vm_rig_work();
		assert_int_equal(g->state, GUEST_RUNNING);
	}
}

static void a_person_may_reset_as_often_as_they_like(void **state)
{
	(void)state;
	vm_rig_start(g);
	for (unsigned i = 0; i < 12; i++) {
		guest_reset(g, "by request");
		vm_rig_work();
		assert_int_equal(g->state, GUEST_RUNNING);
	}
	assert_silent_about("not started again");
}

static void reset_works_in_every_state(void **state)
{
	(void)state;
	guest_reset(g, "by request");
	assert_int_equal(g->state, GUEST_STARTING);
	work_step();
	guest_reset(g, "by request");
	assert_int_equal(g->state, GUEST_STOPPING);
	guest_reset(g, "by request");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(guest_pause(g), HV_OK);
	guest_reset(g, "by request");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	guest_stop(g, GUEST_END_REQUEST, "by request");
	guest_reset(g, "by request");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_false(g->vm.time.paused);
}

/* Nothing of the last life shows in the next. */
static void the_next_life_begins_clean(void **state)
{
	uint64_t word = 0x1122334455667788;
	struct vcpu *vcpu;

	(void)state;
	vm_rig_start(g);
	vcpu = g->vm.vcpus[0];
	assert_int_equal(guest_mem_write(&g->vm, gpa(VM_RIG_CODE), &word, 8), HV_OK);
	vcpu->gpr[GPR_R15] = word;
	vcpu->tsc_adjust = 55;
	vcpu->exit_count = 7;
	g->mtrr.fixed[0] = 0;
	g->system_time_msr[0] = VM_RIG_CODE | 1;
	vm_rig_end(g);
	vm_rig_start(g);
	vcpu = g->vm.vcpus[0];
	assert_int_equal(guest_mem_read(&g->vm, gpa(VM_RIG_CODE), &word, 8), HV_OK);
	assert_int_equal(word, 0);
	assert_int_equal(vcpu->gpr[GPR_R15], 0);
	assert_int_equal(vcpu->tsc_adjust, 0);
	assert_int_equal(vcpu->exit_count, 0);
	assert_int_equal(vcpu->recorder.count, 0);
	assert_int_equal(g->mtrr.fixed[0], 0x0606060606060606);
	assert_int_equal(g->system_time_msr[0], 0);
}

/* --- pausing --- */

static void time_stands_still_while_paused(void **state)
{
	uint64_t before;

	(void)state;
	vm_rig_start(g);
	fake_tsc += 1000;
	before = guest_tsc(g, g->vm.vcpus[0]);
	assert_int_equal(guest_pause(g), HV_OK);
	assert_says("bulkhead: guest web: paused\r\n");
	fake_tsc += 5 * VM_RIG_HZ;
	assert_int_equal(guest_tsc(g, g->vm.vcpus[0]), before);
	assert_int_equal(guest_pause(g), HV_E_BUSY);
	assert_int_equal(guest_resume(g), HV_OK);
	assert_says("bulkhead: guest web: resumed\r\n");
	assert_int_equal(guest_tsc(g, g->vm.vcpus[0]), before);
	/* The hardware's offset follows: RDTSC has no exit. */
	assert_int_equal(fake_tsc + cpu()->tsc_offset, before);
}

static void a_paused_guest_does_not_run(void **state)
{
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	assert_int_equal(guest_pause(g), HV_OK);
	runs = fake_backend.runs;
	/* A device may still ask for attention. */
	guest_kick(g, 0);
	run_once();
	run_once();
	assert_int_equal(fake_backend.runs, runs);
	assert_int_equal(guest_resume(g), HV_OK);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	assert_int_equal(fake_backend.runs, runs + 1);
}

static void timers_go_on_where_they_stood(void **state)
{
	(void)state;
	vm_rig_start(g);
	/* The LAPIC timer: one shot in 1 ms. */
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&g->vm.mmio, 0xfee003e0, 4, 0, 0xb));
	assert_true(bus_write(&g->vm.mmio, 0xfee00320, 4, 0, 0x40));
	assert_true(bus_write(&g->vm.mmio, 0xfee00380, 4, 0, LAPIC_TIMER_HZ / 1000));
	vm_rig_advance(VM_RIG_HZ / 2000);
	assert_int_equal(guest_pause(g), HV_OK);
	vm_rig_advance(VM_RIG_HZ);
	assert_int_equal(board_pending(g->board, 0), -1);
	assert_int_equal(guest_resume(g), HV_OK);
	vm_rig_advance(VM_RIG_HZ / 2000 - 100);
	assert_int_equal(board_pending(g->board, 0), -1);
	vm_rig_advance(200);
	assert_int_equal(board_pending(g->board, 0), 0x40);
}

/* --- what its devices ask for --- */

static void its_devices_end_it(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t size;
		uint16_t value;
		const char *event;
		bool again;
	} cases[] = {
		{0x604, 2, 0x3400, "guest web: stopped: power-off", false},
		{0xcf9, 1, 6, "guest web: reset: by the reset register (port 0xcf9)", true},
		{0x64, 1, 0xfe, "guest web: reset: by the keyboard controller", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_rig_start(g);
		fake_tsc += 10 * VM_RIG_HZ;
		g->vm.vcpus[0]->gpr[GPR_RAX] = cases[i].value;
		fake_backend_push(
			&(struct vm_exit){.kind = VM_EXIT_IO,
					  .insn_len = 1,
					  .io = {.port = cases[i].port, .size = cases[i].size}});
		run_once();
		assert_says(cases[i].event);
		vm_rig_work();
		assert_int_equal(g->state, cases[i].again ? GUEST_RUNNING : GUEST_STOPPED);
		if (cases[i].again) {
			vm_rig_end(g);
		}
	}
}

/* An INIT message to itself: on a PC the BSP begins again in the firmware. */
static void init_to_itself_is_a_reset(void **state)
{
	(void)state;
	vm_rig_start(g);
	fake_tsc += 10 * VM_RIG_HZ;
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&g->vm.mmio, 0xfee00300, 4, 0, 0x4608)); /* STARTUP: ignored */
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_true(bus_write(&g->vm.mmio, 0xfee00300, 4, 0, 0x4500));
	assert_says("guest web: reset: by an INIT message");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void a_message_can_be_an_nmi(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&g->vm.mmio, 0xfee00300, 4, 0, 0x4400));
	assert_true(g->vm.vcpus[0]->events.nmi_pending);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
}

static void its_console_is_connected(void **state)
{
	uint64_t value;

	(void)state;
	vm_rig_start(g);
	vm_rig_clear();
	for (const char *s = "login: \n"; *s != '\0'; s++) {
		assert_true(bus_write(&g->vm.pio, 0x3f8, 1, 0, (uint8_t)*s));
	}
	assert_string_equal(vm_rig_text(), "web| login: \r\n");
	assert_true(bus_write(&g->vm.pio, 0x3fb, 1, 0, 3));
	assert_true(bus_write(&g->vm.pio, 0x3fa, 1, 0, 1));
	for (unsigned i = 0; i < 5; i++) {
		console_guest_input(&g->console, "root\r", 5);
	}
	for (unsigned i = 0; i < 25; i++) {
		assert_true(bus_read(&g->vm.pio, 0x3f8, 1, 0, &value));
		assert_int_equal(value, "root\r"[i % 5]);
	}
}

static void without_serial_there_is_no_console(void **state)
{
	(void)state;
	config.serial = false;
	vm_rig_start(g);
	assert_null(g->console.receive);
}

/* --- the last one --- */

static unsigned idle_calls;

static void idle_action(void)
{
	idle_calls++;
}

static void the_last_stop_is_told(void **state)
{
	static struct guest_config other;
	struct guest *two = vm_rig_guest("db", &other);

	(void)state;
	idle_calls = 0;
	guest_set_idle_action(idle_action);
	vm_rig_start(g);
	vm_rig_start(two);
	vm_rig_end(g);
	assert_int_equal(idle_calls, 0);
	/* Not while the last one only begins again. */
	guest_reset(two, "by request");
	vm_rig_work();
	assert_int_equal(idle_calls, 0);
	vm_rig_end(two);
	assert_int_equal(idle_calls, 1);
}

static void guests_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(guest_find(span_of("web")), g);
	assert_null(guest_find(span_of("we")));
	assert_null(guest_find(span_of("")));
	assert_ptr_equal(guest_at(0), g);
	assert_null(guest_at(guest_count()));
	assert_string_equal(guest_state_name(GUEST_PAUSED), "paused");
	assert_string_equal(guest_state_name(GUEST_STATE_COUNT), "?");
}

/* --- starts that fail --- */

static void more_memory_than_there_is(void **state)
{
	(void)state;
	config.memory = GIB(1);
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_says("guest web: stopped: cannot start: memory = 1024 MiB, but only ");
	assert_silent_about("last exits");
	/* Not even with `restart`: it would fail again. */
	config.restart = GUEST_RESTART_ALWAYS;
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	config.memory = VM_RIG_GUEST_MEMORY;
	vm_rig_start(g);
}

static void less_memory_than_any_guest_has(void **state)
{
	(void)state;
	config.memory = MIB(1);
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_says("cannot start: creating the machine: out of range");
}

static void a_kernel_that_is_none(void **state)
{
	static const char text[8192] = "not a kernel";

	(void)state;
	g->kernel = (struct guest_file){text, sizeof(text)};
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_says("guest web: stopped: cannot start: ");
	assert_says("bzImage");
	g->kernel.size = 0;
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_says("empty");
}

static enum hv_status refuse(struct vm *vm)
{
	(void)vm;
	return HV_E_UNSUPPORTED;
}

static void a_backend_that_refuses(void **state)
{
	(void)state;
	fake_backend.on_vm_init = refuse;
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	fake_backend.on_vm_init = NULL;
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_says("cannot start: creating the machine: unsupported");
	fake_backend.no_vcpu = true;
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	fake_backend.no_vcpu = false;
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_says("cannot start: creating the machine: no memory");
}

/* --- no memory at each single allocation --- */

static void *hoard[VM_RIG_MEMORY / PAGE_SIZE];
static unsigned hoarded;
static unsigned spare;

/* Takes all memory that is left but `spare` pages. The pool's own tables for it stay. */
static void take_all(void)
{
	uint64_t before = pool_bytes_used();
	void *page;

	hoarded = 0;
	while ((page = pool_pages(0)) != NULL) {
		hoard[hoarded++] = page;
	}
	vm_rig.pool_bytes += pool_bytes_used() - before - hoarded * PAGE_SIZE;
	for (unsigned i = 0; i < spare; i++) {
		pool_pages_free(hoard[i], 0);
		hoard[i] = NULL;
	}
}

static void give_back(void)
{
	for (unsigned i = 0; i < hoarded; i++) {
		if (hoard[i] != NULL) {
			pool_pages_free(hoard[i], 0);
		}
	}
	hoarded = 0;
}

static enum hv_status take_all_now(struct vm *vm)
{
	(void)vm;
	take_all();
	return HV_OK;
}

/* How far creating the machine came, by the number of pages that were left. */
static void no_memory_while_creating(void **state)
{
	unsigned failed = 0;
	bool created = false;

	(void)state;
	for (spare = 0; spare < 40 && !created; spare++) {
		vm_rig_machine(false);
		g = vm_rig_guest("poor", &config);
		fake_backend.on_vm_init = take_all_now;
		assert_int_equal(guest_start(g), HV_OK);
		work_step();
		created = g->state == GUEST_STARTING;
		failed += !created;
		if (!created) {
			assert_says("cannot start: creating the machine: no memory");
		}
		guest_stop(g, GUEST_END_REQUEST, "enough");
		vm_rig_work();
		give_back();
		fake_backend.on_vm_init = NULL;
		assert_int_equal(g->state, GUEST_STOPPED);
		assert_false(vm_rig_leaks());
	}
	assert_true(created);
	assert_true(failed > 15);
}

/* And in each later step: RAM, tables, loading. */
static void no_memory_in_each_later_step(void **state)
{
	(void)state;
	spare = 0;
	for (unsigned steps = 1; steps < 6; steps++) {
		enum guest_phase phase;

		vm_rig_machine(false);
		g = vm_rig_guest("poor", &config);
		assert_int_equal(guest_start(g), HV_OK);
		for (unsigned i = 0; i < steps; i++) {
			work_step();
		}
		phase = g->phase;
		take_all();
		vm_rig_work();
		if (phase == GUEST_PHASE_LOAD) {
			/* Everything was taken before: nothing can go wrong any more. */
			assert_int_equal(g->state, GUEST_RUNNING);
			vm_rig_end(g);
		}
		give_back();
		assert_int_equal(g->state, GUEST_STOPPED);
		if (phase == GUEST_PHASE_POPULATE) {
			assert_says("cannot start: taking memory: no memory");
		} else if (phase == GUEST_PHASE_PLAN) {
			assert_says("cannot start: writing the firmware tables: no memory");
		}
		assert_false(vm_rig_leaks());
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_started_guest_has_all_it_was_promised),
		TEST(the_images_are_in_its_memory),
		TEST(loading_costs_the_guest_no_time),
		TEST(starting_twice_is_refused),
		TEST(a_start_while_stopping_waits_for_the_memory),
		TEST(a_start_is_cut_into_steps),
		TEST(stopping_gives_everything_back),
		TEST(stopping_a_running_vcpu_unloads_it),
		TEST(stop_at_every_step_of_the_start),
		TEST(pause_is_refused_while_it_does_not_run),
		TEST(stopping_what_is_stopped_says_nothing),
		TEST(a_crash_prints_the_last_exits),
		TEST(long_reasons_are_cut),
		TEST(the_uart_is_emptied_at_the_end),
		TEST(restart_follows_the_configuration),
		TEST(a_reset_says_so),
		TEST(a_guest_that_ends_at_once_is_given_up),
		TEST(a_long_life_ends_the_row),
		TEST(a_person_may_reset_as_often_as_they_like),
		TEST(reset_works_in_every_state),
		TEST(the_next_life_begins_clean),
		TEST(time_stands_still_while_paused),
		TEST(a_paused_guest_does_not_run),
		TEST(timers_go_on_where_they_stood),
		TEST(its_devices_end_it),
		TEST(init_to_itself_is_a_reset),
		TEST(a_message_can_be_an_nmi),
		TEST(its_console_is_connected),
		TEST(without_serial_there_is_no_console),
		TEST(the_last_stop_is_told),
		TEST(guests_are_found_by_name),
		TEST(more_memory_than_there_is),
		TEST(less_memory_than_any_guest_has),
		TEST(a_kernel_that_is_none),
		TEST(a_backend_that_refuses),
		/* These set up machines of their own: last. */
		cmocka_unit_test(no_memory_while_creating),
		cmocka_unit_test(no_memory_in_each_later_step),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
