/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's machine: created, loaded, taken apart, and every way a start can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "guests/tables/dsdt.h"
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/cpu/regs.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "tests/fakes/guest_rig.h"

/* --- starting --- */

static void a_started_guest_has_all_it_was_promised(void **state)
{
	struct load_entry entry;

	(void)state;
	vm_rig_start(g);
	assert_says("bulkhead: guest web: started\r\n");
	assert_int_equal(g->start_count, 1);
	assert_true(g->vm.gspace.ram_bytes >= config.memory - LAYOUT_VIDEO_SIZE);
	assert_int_equal(fake_backend.vms, 1);
	assert_int_equal(fake_backend.vcpus, 1);
	kernel_entry_state(&g->plan, &entry);
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

/* What the DSDT says of the 64-bit PCI window: where it begins, 0 when it is not shown. */
static uint64_t window64(void)
{
	static const uint8_t flags_name[] = {'F', 'L', 'G', 'S', 0x0c};
	static uint8_t tables[LAYOUT_ACPI_SIZE];
	uint64_t base = 0;
	bool shown = false;

	assert_int_equal(guest_mem_read(&g->vm, gpa(LAYOUT_ACPI_BASE), tables, sizeof(tables)),
			 HV_OK);
	for (size_t i = 0; i + 64 < sizeof(tables); i++) {
		if (memcmp(tables + i, flags_name, sizeof(flags_name)) == 0 && !shown) {
			shown = (tables[i + 5] & DSDT_FLAG_WINDOW64) != 0;
		}
		if (memcmp(tables + i, "\x8a\x2b\x00\x00", 4) == 0) {
			memcpy(&base, tables + i + 14, sizeof(base));
		}
	}
	return shown ? base : 0;
}

/* In reach of the physical addresses that CPUID tells the guest. */
static void the_pci_window_is_where_addresses_reach(void **state)
{
	static const struct {
		uint8_t bits;
		uint64_t base;
	} cases[] = {{48, BIT(41)}, {40, BIT(39)}, {36, BIT(35)}, {32, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_cpuid_set(0x80000008, 0, (struct cpuid_regs){.eax = 0x3000u | cases[i].bits});
		vm_rig_start(g);
		space_switch(&g->vm.gspace.host);
		assert_true(window64() == cases[i].base);
		space_switch(space_core());
		vm_rig_end(g);
	}
	fake_cpuid_set(0x80000008, 0, (struct cpuid_regs){.eax = 0x3030});
}

/* From a device's request to what the CPU is told, and out of HLT. */
static void a_cpu_that_delivers_shares_the_lapic(void **state)
{
	struct hv_backend backend = fake_hv_backend;
	const struct event_source *source = guest_event_source(&g->vm);
	struct lapic *l;

	(void)state;
	backend.info.virtual_interrupts = true;
	vcpu_set_backend(&backend);
	vm_rig_start(g);
	l = board_lapic(g->board, 0);
	assert_ptr_equal(l->page, fake_backend.apic_page);
	assert_int_equal(fake_backend.apic_page[0xf0 / 4], 0x1ff); /* virtual wire */
	atomic_store(&g->vm.vcpus[0]->requests, 0);
	assert_false(event_wakes(g->vm.vcpus[0], &backend, source));
	lapic_interrupt(l, 0x41);
	assert_int_equal(atomic_load(&g->vm.vcpus[0]->requests), VCPU_REQ_EVENT);
	cpu()->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	assert_true(event_wakes(g->vm.vcpus[0], &backend, source));
	event_deliver(g->vm.vcpus[0], &backend, source);
	assert_int_equal(fake_backend.apic_loaded.requested, 0x41);
	assert_int_equal(fake_backend.apic_loaded.mode, APIC_MODE_XAPIC);
	assert_int_equal(cpu()->injected.type, VCPU_EVENT_NONE);
	vcpu_set_backend(&fake_hv_backend);
}

/* Where it takes what is posted, nothing is requested of a vCPU that runs. */
static void a_cpu_that_takes_posts_is_given_them(void **state)
{
	struct hv_backend backend = fake_hv_backend;
	struct vcpu *vcpu;

	(void)state;
	backend.info.virtual_interrupts = true;
	backend.info.posts_interrupts = true;
	vcpu_set_backend(&backend);
	vm_rig_start(g);
	vcpu = g->vm.vcpus[0];
	atomic_store(&vcpu->requests, 0);
	lapic_interrupt(board_lapic(g->board, 0), 0x41);
	assert_int_equal(apic_post_peek(vcpu->post, 2), 1u << 1);
	/* It runs nowhere. */
	assert_int_equal(atomic_load(&vcpu->requests), VCPU_REQ_EVENT);
	event_deliver(vcpu, &backend, guest_event_source(&g->vm));
	assert_int_equal(fake_backend.apic_loaded.requested, 0x41);
	assert_false(apic_post_outstanding(vcpu->post));
	vcpu_set_backend(&fake_hv_backend);
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
		guest_mem_read(&g->vm, gpa(g->plan.bzimage.parts[LINUX_PART_KERNEL].gpa), &byte, 1),
		HV_OK);
	assert_int_equal(byte, 0xf4);
	assert_int_equal(guest_mem_read(&g->vm, gpa(g->plan.bzimage.parts[LINUX_PART_INITRD].gpa),
					text, sizeof(initrd)),
			 HV_OK);
	assert_string_equal(text, initrd);
	assert_int_equal(guest_mem_read(&g->vm, gpa(g->plan.bzimage.parts[LINUX_PART_CMDLINE].gpa),
					text, 14),
			 HV_OK);
	assert_string_equal(text, "console=ttyS0");
	assert_int_equal(guest_mem_read(&g->vm, gpa(LAYOUT_ACPI_BASE), text, 8), HV_OK);
	assert_memory_equal(text, "RSD PTR ", 8);
}

/* One segment at 1 MiB, and a module. */
static void a_multiboot_kernel_finds_what_it_expects(void **state)
{
	static const uint32_t words[] = {0x1badb002, 1u << 16, 0u - 0x1badb002 - (1u << 16),
					 0x100000,   0x100000, 0,
					 0,	     0x100020, 0xf4f4f4f4};
	static const uint8_t module[3] = "ab";
	uint32_t vector = 0;
	uint32_t count = 0;

	(void)state;
	g->kernel = (struct guest_file){words, sizeof(words)};
	g->modules[0] = (struct guest_file){module, sizeof(module)};
	config.module_count = 1;
	(void)str_copy(config.modules[0].string, 8, span_of("m a=b"));
	vm_rig_start(g);
	config.module_count = 0;
	assert_int_equal(g->vm.vcpus[0]->rip, 0x100020);
	assert_int_equal(g->vm.vcpus[0]->gpr[GPR_RAX], 0x2badb002);
	assert_int_equal(g->vm.vcpus[0]->gpr[GPR_RBX], 0x1000);
	assert_int_equal(cpu()->regs[VCPU_REG_CR0] & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(guest_mem_read(&g->vm, gpa(0x1000 + 20), &count, 4), HV_OK);
	assert_int_equal(count, 1);
	/* What a BIOS leaves: vectors that lead to handlers, the 8259s at its vectors. */
	assert_int_equal(guest_mem_read(&g->vm, gpa(0x70 * 4), &vector, 4), HV_OK);
	assert_int_equal(vector, 0xf0000010);
	assert_int_equal(g->board->pic.chips[1].base, 0x70);
	vm_rig_end(g);
	/* A bzImage finds none of it. */
	g->kernel = vm_rig_kernel();
	vm_rig_start(g);
	assert_int_equal(guest_mem_read(&g->vm, gpa(0x70 * 4), &vector, 4), HV_OK);
	assert_int_equal(vector, 0);
	assert_int_equal(g->board->pic.chips[1].base, 0);
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
	g->vm.vcpus[0]->pv.system_time = VM_RIG_CODE | 1;
	atomic_store(&g->wall_clock_msr, VM_RIG_CODE);
	missed_note(&g->unknown_msrs, 0x1234);
	vm_rig_end(g);
	vm_rig_start(g);
	vcpu = g->vm.vcpus[0];
	assert_int_equal(g->unknown_msrs.total, 0);
	assert_int_equal(guest_mem_read(&g->vm, gpa(VM_RIG_CODE), &word, 8), HV_OK);
	assert_int_equal(word, 0);
	assert_int_equal(vcpu->gpr[GPR_R15], 0);
	assert_int_equal(vcpu->tsc_adjust, 0);
	assert_int_equal(vcpu->exit_count, 0);
	assert_int_equal(vcpu->recorder.count, 0);
	assert_int_equal(g->mtrr.fixed[0], 0x0606060606060606);
	assert_int_equal(g->vm.vcpus[0]->pv.system_time, 0);
	assert_int_equal(atomic_load(&g->wall_clock_msr), 0);
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
		{0xf4, 2, 63, "guest web: stopped: debug exit, status 63\r\n", false},
	};
	unsigned runs;

	(void)state;
	config.debug_exit = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_rig_start(g);
		fake_tsc += 10 * VM_RIG_HZ;
		g->vm.vcpus[0]->gpr[GPR_RAX] = cases[i].value;
		fake_backend_push(
			&(struct vm_exit){.kind = VM_EXIT_IO,
					  .insn_len = 1,
					  .io = {.port = cases[i].port, .size = cases[i].size}});
		run_once();
		assert_silent_about(cases[i].event);
		runs = fake_backend.runs;
		run_once();
		assert_int_equal(fake_backend.runs, runs);
		assert_says(cases[i].event);
		vm_rig_work();
		assert_int_equal(g->state, cases[i].again ? GUEST_RUNNING : GUEST_STOPPED);
		if (cases[i].again) {
			vm_rig_end(g);
		}
	}
}

static void rearm_itself(struct vtimer *t)
{
	vtimer_arm(t, t->deadline + 1);
}

/* A device's timer function that runs on another CPU when the guest is taken apart. */
static void no_timer_outlives_the_board(void **state)
{
	struct vtimer t;

	(void)state;
	vm_rig_start(g);
	vtimer_init(&t, &g->vm.time, rearm_itself);
	vm_rig_end(g);
	vtimer_arm(&t, 1);
	vm_rig_advance(1000);
	assert_int_equal(timer_queue_next(run_timers()), TIMER_NEVER);
	vtimer_cancel(&t);
}

static struct vwork late_work;

static void no_work(struct vwork *w)
{
	(void)w;
}

/* As a timer function on another CPU may, just after its device was stopped. */
static void stop_and_ask(struct pci_device *d)
{
	(void)d;
	vwork_ask(&late_work, 0);
}

/* Its memory is freed now. */
static void nothing_waits(struct pci_device *d)
{
	(void)d;
	assert_false(vwork_is_asked(&late_work));
}

static void work_asked_for_at_the_end_is_forgotten(void **state)
{
	static const struct board_pci_owner owner = {stop_and_ask, nothing_waits};
	static struct pci_device device; /* on no slot */

	(void)state;
	vm_rig_start(g);
	vwork_init(&late_work, &g->vm.work, no_work);
	board_add_pci(g->board, &device, NULL, &owner);
	vm_rig_end(g);
	assert_true(list_empty(&g->vm.work.waiting));
}

/* An INIT message to itself: on a PC the BSP begins again in the firmware. */
static void init_to_itself_is_a_reset(void **state)
{
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	fake_tsc += 10 * VM_RIG_HZ;
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&g->vm.mmio, 0xfee00300, 4, 0, 0x4608)); /* STARTUP: ignored */
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(cpu()->segs[VCPU_SEG_CS].base, 0);
	assert_true(bus_write(&g->vm.mmio, 0xfee00300, 4, 0, 0x4500));
	runs = fake_backend.runs;
	run_once();
	assert_int_equal(fake_backend.runs, runs);
	assert_says("guest web: reset: by an INIT message");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void a_message_can_be_an_nmi(void **state)
{
	(void)state;
	vm_rig_start(g);
	fake_backend.delivered = (struct vcpu_event){0};
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&g->vm.mmio, 0xfee00300, 4, 0, 0x4400));
	/* From the device's side only a request: the vCPU's own CPU carries it out. */
	assert_int_equal(g->vm.vcpus[0]->events.nmi_pending, 0);
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NONE);
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
		if (i == 16) {
			/* The FIFO is empty, the rest comes when somebody has the baton. */
			assert_true(bus_read(&g->vm.pio, 0x3fd, 1, 0, &value));
			assert_int_equal(value & 1, 0);
			fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
			run_once();
		}
		assert_true(bus_read(&g->vm.pio, 0x3f8, 1, 0, &value));
		assert_int_equal(value, "root\r"[i % 5]);
	}
	assert_int_equal(g->console.input_len, 0);
}

static void without_serial_there_is_no_console(void **state)
{
	(void)state;
	config.serial = false;
	vm_rig_start(g);
	assert_null(g->console.receive);
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
static void starve(enum config_firmware firmware)
{
	static const uint8_t bios[PAGE_SIZE];
	unsigned failed = 0;
	bool created = false;

	for (spare = 0; spare < 60 && !created; spare++) {
		vm_rig_machine(false);
		g = vm_rig_guest("poor", &config);
		g->firmware_kind = firmware;
		g->bios = (struct guest_file){bios, sizeof(bios)};
		fake_backend.on_vm_init = take_all_now;
		assert_int_equal(guest_start(g), HV_OK);
		work_step();
		created = g->state == GUEST_STARTING;
		failed += !created;
		if (!created) {
			assert_says("cannot start: ");
			assert_says(": no memory");
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

static void no_memory_while_creating(void **state)
{
	(void)state;
	starve(CONFIG_FIRMWARE_NONE);
	starve(CONFIG_FIRMWARE_IS_BIOS);
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
		TEST(the_pci_window_is_where_addresses_reach),
		TEST(a_cpu_that_delivers_shares_the_lapic),
		TEST(a_cpu_that_takes_posts_is_given_them),
		TEST(the_images_are_in_its_memory),
		TEST(a_multiboot_kernel_finds_what_it_expects),
		TEST(loading_costs_the_guest_no_time),
		TEST(a_start_is_cut_into_steps),
		TEST(stop_at_every_step_of_the_start),
		TEST(the_uart_is_emptied_at_the_end),
		TEST(the_next_life_begins_clean),
		TEST(its_devices_end_it),
		TEST(no_timer_outlives_the_board),
		TEST(work_asked_for_at_the_end_is_forgotten),
		TEST(init_to_itself_is_a_reset),
		TEST(a_message_can_be_an_nmi),
		TEST(its_console_is_connected),
		TEST(without_serial_there_is_no_console),
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
