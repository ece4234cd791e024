/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's virtual machine: created, given its memory, loaded with the kernel and set going; taken
 * apart again.
 */
#include "hv/guest_vm.h"

#include "guests/tables/acpi.h"
#include "guests/tables/e820.h"
#include "guests/tables/legacy.h"
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/check.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/rep_movs.h"
#include "hv/fpu.h"
#include "hv/guest_disk_floppy.h"
#include "hv/guest_firmware.h"
#include "hv/guest_net.h"
#include "hv/guest_vga.h"
#include "hv/guest_virtio.h"
#include "hv/hyperv.h"
#include "hv/pv.h"
#include "hv/vcpu.h"
#include "hv/wallclock.h"
#include "mm/frame.h"
#include "mm/pool.h"

#define ACPI_IMAGE_ORDER 2u
static_assert((PAGE_SIZE << ACPI_IMAGE_ORDER) == LAYOUT_ACPI_SIZE, "tables fit their buffer");

/* --- what the board asks for --- */

static void board_wants_kick(void *ctx, unsigned vcpu)
{
	guest_kick(ctx, vcpu);
}

static void board_wants_notify(void *ctx, unsigned vcpu)
{
	struct guest *g = ctx;

	run_notify(&g->tasks[vcpu]);
}

static void board_wants_nmi(void *ctx, unsigned vcpu)
{
	guest_nmi(ctx, vcpu);
}

/* The BSP begins again where firmware would be. */
static void board_wants_init(void *ctx, unsigned vcpu)
{
	struct guest *g = ctx;

	if (vcpu == 0) {
		guest_end(g, GUEST_END_RESET, "by an INIT message");
		return;
	}
	vcpu_request_stop(g->vm.vcpus[vcpu], VCPU_REQ_INIT);
	guest_kick(g, vcpu);
}

static void board_wants_startup(void *ctx, unsigned vcpu, uint8_t vector)
{
	struct guest *g = ctx;

	atomic_store(&g->vm.vcpus[vcpu]->startup_vector, vector);
	guest_request(g, vcpu, VCPU_REQ_STARTUP);
}

static void board_wants_rest(void *ctx, unsigned vcpu)
{
	struct guest *g = ctx;
	struct vcpu *v = g->vm.vcpus[vcpu];

	v->halted = true;
	v->resting = true;
	vcpu_request(v, VCPU_REQ_EVENT | VCPU_REQ_HALTED);
}

static void board_wants_rested(void *ctx, unsigned vcpu)
{
	guest_request(ctx, vcpu, VCPU_REQ_RESTED);
}

static void board_wants_suspend(void *ctx)
{
	struct guest *g = ctx;

	log_event("guest %s: suspended", g->vm.name);
	atomic_store(&g->vm.suspended, true);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		vcpu_request_stop(g->vm.vcpus[i], VCPU_REQ_SUSPEND);
		guest_kick(g, i);
	}
}

static void board_wants_wake(void *ctx)
{
	struct guest *g = ctx;

	log_event("guest %s: woke up", g->vm.name);
	guest_request(g, 0, VCPU_REQ_WAKE);
	atomic_store(&g->vm.suspended, false);
}

/* What its vCPUs are told then is in their own state. */
static void board_is_suspended(void *ctx, bool suspended)
{
	struct guest *g = ctx;

	atomic_store(&g->vm.suspended, suspended);
}

static void board_wants_power_off(void *ctx)
{
	guest_end(ctx, GUEST_END_POWER_OFF, "power-off");
}

static void board_wants_reset(void *ctx, const char *how)
{
	guest_end(ctx, GUEST_END_RESET, how);
}

/* The status alone tells whether the guest was content, so this is an end like power-off. */
static void board_wants_debug_exit(void *ctx, uint32_t status)
{
	char reason[GUEST_REASON_MAX];

	fmt_snprintf(reason, sizeof(reason), "debug exit, status %u", status);
	guest_end(ctx, GUEST_END_POWER_OFF, reason);
}

static void board_wants_output(void *ctx, const char *data, size_t n)
{
	struct guest *g = ctx;

	console_guest_output(&g->console, data, n);
}

/* Keys that found no room wait with the console, which is a matter for the baton. */
static void board_has_room(void *ctx)
{
	(void)ctx;
	run_chore(RUN_CHORE_INPUT);
}

/* A device model's idea of who had better do its work may name a vCPU that there is not. */
static void work_waits(void *ctx, unsigned vcpu)
{
	struct guest *g = ctx;

	guest_request(g, vcpu < g->vm.vcpu_count ? vcpu : 0, VCPU_REQ_DEVICE);
}

static size_t console_to_board(void *ctx, const char *data, size_t n)
{
	struct guest *g = ctx;

	return board_serial_input(g->board, data, n);
}

static void board_wants_synic(void *ctx, uint32_t command)
{
	struct guest *g = ctx;

	hyperv_test_command(&g->vm, command);
}

static const struct board_ops board_ops = {
	.kick = board_wants_kick,
	.notify = board_wants_notify,
	.nmi = board_wants_nmi,
	.init = board_wants_init,
	.startup = board_wants_startup,
	.rest = board_wants_rest,
	.rested = board_wants_rested,
	.suspend = board_wants_suspend,
	.wake = board_wants_wake,
	.set_suspended = board_is_suspended,
	.power_off = board_wants_power_off,
	.reset = board_wants_reset,
	.debug_exit = board_wants_debug_exit,
	.test_synic = board_wants_synic,
	.serial_output = board_wants_output,
	.serial_room = board_has_room,
};

/* --- creating --- */

/* The start failed: the event line says why, what exists already is given back. */
static bool start_failed(struct guest *g, const char *what, enum hv_status status)
{
	char reason[GUEST_REASON_MAX];

	fmt_snprintf(reason, sizeof(reason), "cannot start: %s: %s", what, hv_status_name(status));
	g->start_failed = true;
	guest_stop(g, GUEST_END_CRASH, reason);
	return true;
}

static enum hv_status declare_ram(struct guest *g)
{
	uint64_t mmio = guest_has_firmware(g) ? LAYOUT_FIRMWARE_MMIO_BASE : LAYOUT_MMIO_BASE;
	enum hv_status status = ram_layout_build(g->config->memory, mmio, &g->ram);

	for (unsigned i = 0; status == HV_OK && i < g->ram.count; i++) {
		status = gspace_add_region(&g->vm.gspace, g->ram.ranges[i].base,
					   g->ram.ranges[i].size, true);
	}
	return status;
}

static enum hv_status create_vcpus(struct guest *g)
{
	const struct guest_share share = guest_share(g);

	run_group_init(&g->group, share.weight, share.cap);
	for (unsigned i = 0; i < g->config->cpus; i++) {
		struct vcpu *vcpu = vcpu_new(&g->vm, i);

		if (vcpu == NULL) {
			return HV_E_NO_MEMORY;
		}
		g->vm.vcpus[i] = vcpu;
		pv_add_saved(vcpu);
		g->vm.vcpu_count = i + 1;
		run_task_init(&g->tasks[i], vcpu, &g->group, &share.pin);
	}
	return HV_OK;
}

/* The CPU's view of each LAPIC is the LAPIC. */
static void share_lapics(struct guest *g)
{
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		struct vcpu *vcpu = g->vm.vcpus[i];
		struct lapic *l = board_lapic(g->board, i);

		lapic_use_page(l, the_backend->apic_page(vcpu));
		if (vcpu->post != NULL) {
			lapic_use_post(l, vcpu->post);
		}
	}
}

static enum hv_status create_board(struct guest *g)
{
	struct board_config config = {
		.vm = &g->vm,
		.time = &g->vm.time,
		.pio = &g->vm.pio,
		.mmio = &g->vm.mmio,
		.saved = &g->vm.saved,
		.vcpu_count = g->vm.vcpu_count,
		.memory = g->config->memory,
		.serial = g->config->serial,
		.vga = g->config->vga,
		.debug_exit = g->config->debug_exit,
		.test_device = g->config->test_device,
		.hpet = guest_has_hpet(g),
		.xapic_only = g->config->xapic_only,
		.firmware = guest_has_firmware(g),
		.ops = &board_ops,
		.ctx = g,
	};
	enum hv_status status;

	guest_disk_floppy_types(g, config.floppies);
	g->board = pool_alloc(board_size(g->vm.vcpu_count, g->config->test_device));
	if (g->board == NULL) {
		return HV_E_NO_MEMORY;
	}
	status = board_init(g->board, &config);
	if (status == HV_OK) {
		status = guest_disks_attach(g);
	}
	if (status == HV_OK && the_backend->info.virtual_interrupts) {
		share_lapics(g);
	}
	return status;
}

static void describe_cpu(struct guest *g)
{
	struct cpuid_config config = {
		.vcpu_count = g->vm.vcpu_count,
		.tsc_hz = clock_hz(),
		.apic_hz = lapic_timer_hz(),
		.paravirt = g->config->paravirt,
		.hyperv = g->config->hyperv,
		.xapic_only = g->config->xapic_only,
		.virtual_interrupts = the_backend->info.virtual_interrupts,
		.xcr0_supported = fpu_supported(),
		.no_rdtscp = the_backend->info.no_rdtscp,
		.no_invpcid = the_backend->info.no_invpcid,
		.no_xsavec = !fpu_xsavec_works(),
		.slow_movsb = !rep_movsb_is_fast(),
	};

	cpuid_table_build(&g->cpuid, &config);
	mtrr_reset(&g->mtrr);
}

/* What takes no memory. */
static void begin_vm(struct guest *g)
{
	struct vm *vm = &g->vm;

	atomic_init(&g->wall_clock_msr, 0);
	memset(&g->unknown_msrs, 0, sizeof(g->unknown_msrs));
	atomic_store(&vm->suspended, false);
	/* Time stands still until the kernel is in place. */
	vtime_init(&vm->time, run_timers());
	saved_set_init(&vm->saved);
	saved_add(&vm->saved, &vm->time.saved, 0);
	pv_add_wall_saved(g);
	vtime_pause(&vm->time);
	vwork_queue_init(&vm->work, work_waits, g);
	bus_init(&vm->pio, BUS_PIO);
	bus_init(&vm->mmio, BUS_MMIO);
	vm->lacks = (struct lacks){.total = 0};
	vm->pio.lacks = &vm->lacks;
	vm->mmio.lacks = &vm->lacks;
}

/* Without RAM's frames. */
static enum hv_status create_space(struct guest *g)
{
	struct vm *vm = &g->vm;
	enum hv_status status;

	status = gspace_init(&vm->gspace, vm->id, the_backend->info.stage2_format,
			     the_backend->info.stage2_max_level);
	if (status != HV_OK) {
		return status;
	}
	g->has_space = true;
	if (the_backend->info.small_code) {
		gspace_limit_code(&vm->gspace, PT_LEVEL_4K);
	}
	status = declare_ram(g);
	return status == HV_OK && guest_has_firmware(g) ? guest_firmware_add_memory(g) : status;
}

static enum hv_status create_cpus(struct guest *g)
{
	enum hv_status status = the_backend->vm_init(&g->vm);

	if (status != HV_OK) {
		return status;
	}
	g->has_backend_vm = true;
	if (g->config->hyperv) {
		status = hyperv_create(&g->vm, g->config->cpus);
	}
	return status == HV_OK ? create_vcpus(g) : status;
}

/* Everything but the RAM's frames. */
static enum hv_status create_vm(struct guest *g)
{
	enum hv_status status;

	begin_vm(g);
	status = create_space(g);
	if (status == HV_OK) {
		status = create_cpus(g);
	}
	if (status == HV_OK) {
		status = create_board(g);
	}
	if (status == HV_OK) {
		status = guest_vga_create(g);
	}
	if (status == HV_OK) {
		status = guest_net_create(g);
	}
	return status == HV_OK ? guest_virtio_create(g) : status;
}

/* Whether the machine has that much memory left; says so when not. */
static bool enough_memory(struct guest *g)
{
	struct frame_stats stats;
	char reason[GUEST_REASON_MAX];

	frame_stats(&stats);
	if (g->config->memory / PAGE_SIZE <= stats.free) {
		return true;
	}
	fmt_snprintf(reason, sizeof(reason),
		     "cannot start: memory = %lu MiB, but only %lu MiB are free",
		     g->config->memory >> 20, stats.free * PAGE_SIZE >> 20);
	g->start_failed = true;
	guest_stop(g, GUEST_END_CRASH, reason);
	return false;
}

/* Whether `pin` names a CPU of this machine; says so when not. */
static bool pinned_somewhere(struct guest *g)
{
	const struct guest_share share = guest_share(g);
	char reason[GUEST_REASON_MAX];

	if (run_has_cpu(&share.pin)) {
		return true;
	}
	fmt_snprintf(reason, sizeof(reason),
		     "cannot start: pin names none of this machine's CPUs, which are 0 to %u",
		     percpu_count() - 1);
	g->start_failed = true;
	guest_stop(g, GUEST_END_CRASH, reason);
	return false;
}

static bool start_create(struct guest *g)
{
	uint64_t before = pool_bytes_used();
	enum hv_status status;

	if (!pinned_somewhere(g)) {
		return true;
	}
	if (!enough_memory(g)) {
		return true;
	}
	status = create_vm(g);
	if (status != HV_OK) {
		return start_failed(g, "creating the machine", status);
	}
	describe_cpu(g);
	if (guest_has_firmware(g)) {
		status = guest_firmware_create(g);
	}
	if (status != HV_OK) {
		return start_failed(g, "telling the firmware about the machine", status);
	}
	g->overhead = sizeof(*g) + pool_bytes_used() - before;
	g->range = 0;
	g->populated = 0;
	g->phase = GUEST_PHASE_POPULATE;
	return true;
}

static bool start_populate(struct guest *g)
{
	const struct ram_range *range = &g->ram.ranges[g->range];
	uint64_t n = min_u64(GUEST_STEP_BYTES, range->size - g->populated);
	enum hv_status status = gspace_populate(&g->vm.gspace, range->base + g->populated, n);

	if (status != HV_OK) {
		return start_failed(g, "taking memory", status);
	}
	g->populated += n;
	if (g->populated == range->size) {
		g->populated = 0;
		g->range++;
	}
	if (g->range == g->ram.count) {
		g->phase = guest_has_firmware(g) ? GUEST_PHASE_FIRMWARE : GUEST_PHASE_PLAN;
	}
	return true;
}

static enum hv_status write_guest(void *ctx, uint64_t address, const void *src, size_t n)
{
	return guest_mem_write(ctx, gpa(address), src, n);
}

/* Where the guest's 64-bit PCI window is; 0 when its addresses do not reach beyond its RAM. */
static uint64_t pci_window64(const struct guest *g)
{
	const struct ram_range *last = &g->ram.ranges[g->ram.count - 1];
	struct cpuid_regs sizes =
		cpuid_read(&g->cpuid, &(struct cpuid_vcpu_state){0}, CPUID_LEAF_ADDRESS_SIZES, 0);
	uint64_t base = layout_pci_window64(sizes.eax & 0xff);

	return last->base + last->size <= base ? base : 0;
}

static enum hv_status write_tables(struct guest *g)
{
	struct acpi_config config = {
		.vcpu_count = g->vm.vcpu_count,
		.serial = g->config->serial,
		.mouse = g->config->vga,
		.vga = g->config->vga,
		.hpet = guest_has_hpet(g),
		.floppies = {g->board->cfg.floppies[0], g->board->cfg.floppies[1]},
		.window64 = pci_window64(g)};
	uint8_t *image = pool_pages(ACPI_IMAGE_ORDER);
	size_t used = 0;
	enum hv_status status = HV_E_NO_MEMORY;

	if (image != NULL) {
		status = acpi_build(&config, image, LAYOUT_ACPI_SIZE, &used);
	}
	if (status == HV_OK) {
		status = guest_mem_write(&g->vm, gpa(LAYOUT_ACPI_BASE), image, used);
	}
	if (image != NULL) {
		pool_pages_free(image, ACPI_IMAGE_ORDER);
	}
	return status;
}

static enum hv_status write_bios_remains(struct guest *g)
{
	uint8_t *low = pool_alloc(LEGACY_LOW_SIZE);
	uint8_t rom[LEGACY_ROM_SIZE];
	enum hv_status status = low != NULL ? HV_OK : HV_E_NO_MEMORY;

	if (status == HV_OK && kernel_leaves_low_memory(&g->plan)) {
		legacy_build_low(g->config->serial, low);
		status = guest_mem_write(&g->vm, gpa(0), low, LEGACY_LOW_SIZE);
	}
	if (status == HV_OK) {
		legacy_build_rom(rom);
		status = guest_mem_write(&g->vm, gpa(LAYOUT_BIOS_BASE), rom, sizeof(rom));
	}
	if (low != NULL) {
		pool_free(low, LEGACY_LOW_SIZE);
	}
	return status;
}

static enum hv_status plan_kernel(struct guest *g, struct load_error *err)
{
	struct multiboot_module modules[CONFIG_MODULES_MAX];
	struct e820_map map;
	struct kernel_source source = {
		.kernel = g->kernel.data,
		.kernel_size = g->kernel.size,
		.initrd = g->initrd.data,
		.initrd_size = g->initrd.size,
		.modules = modules,
		.module_count = g->config->module_count,
		.cmdline = g->config->cmdline,
		.rsdp = GUEST_RSDP,
		.map = &map,
		.vga = g->config->vga,
	};
	enum hv_status status = e820_build(g->config->memory, &map);

	if (status != HV_OK) {
		return load_fail(err, status, "laying out the memory");
	}
	for (unsigned i = 0; i < g->config->module_count; i++) {
		modules[i] = (struct multiboot_module){g->modules[i].data, g->modules[i].size,
						       g->config->modules[i].string};
	}
	return kernel_plan(&source, &g->plan, err);
}

static bool start_plan(struct guest *g)
{
	struct load_error err;
	enum hv_status status = plan_kernel(g, &err);

	if (status != HV_OK) {
		return start_failed(g, err.text, status);
	}
	status = write_tables(g);
	if (status == HV_OK && kernel_expects_bios(&g->plan)) {
		status = write_bios_remains(g);
	}
	if (status != HV_OK) {
		return start_failed(g, "writing the firmware tables", status);
	}
	g->progress = (struct load_progress){0};
	g->phase = GUEST_PHASE_LOAD;
	return true;
}

static void enter_kernel(struct guest *g)
{
	struct vcpu *vcpu = g->vm.vcpus[0];
	struct load_entry entry;

	kernel_entry_state(&g->plan, &entry);
	vcpu->rip = entry.rip;
	memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
	vcpu->gpr[GPR_RAX] = entry.rax;
	vcpu->gpr[GPR_RBX] = entry.rbx;
	vcpu->gpr[GPR_RSI] = entry.rsi;
	the_backend->set_reg(vcpu, VCPU_REG_EFER, entry.efer);
	the_backend->set_reg(vcpu, VCPU_REG_CR4, entry.cr4);
	the_backend->set_reg(vcpu, VCPU_REG_CR3, entry.cr3);
	the_backend->set_reg(vcpu, VCPU_REG_CR0, entry.cr0);
	the_backend->set_reg(vcpu, VCPU_REG_RFLAGS, entry.rflags);
	for (unsigned i = 0; i < VCPU_SEG_COUNT; i++) {
		the_backend->set_seg(vcpu, (enum vcpu_seg)i, &entry.segments[i]);
	}
}

/* Where what a person types goes. */
static void connect_console(struct guest *g)
{
	g->console.receive = NULL;
	if (g->config->serial) {
		g->console.receive = console_to_board;
	} else if (g->config->virtio_console) {
		g->console.receive = guest_virtio_input;
	}
	g->console.receive_ctx = g;
}

/* What firmware would have done to the board. */
static void leave_as_firmware(struct guest *g)
{
	board_set_firmware_state(g->board, kernel_expects_bios(&g->plan));
	if (kernel_expects_bios(&g->plan)) {
		board_set_bios_state(g->board);
	}
}

/* Guest time begins here: nothing of the loading shows in it. */
static void go(struct guest *g)
{
	g->wall_base = wallclock_now();
	board_set_wall_clock(g->board, g->wall_base);
	if (!guest_has_firmware(g)) {
		leave_as_firmware(g);
	}
	vtime_resume(&g->vm.time);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		guest_apply_tsc(g, g->vm.vcpus[i]);
	}
	g->started_ticks = clock_now();
	g->state = GUEST_RUNNING;
	connect_console(g);
	log_event("guest %s: started", g->vm.name);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		run_release(&g->tasks[i]);
	}
}

static bool start_load(struct guest *g)
{
	struct guest_writer writer = {write_guest, &g->vm};
	bool done = false;
	enum hv_status status =
		kernel_load_step(&g->plan, &g->progress, GUEST_STEP_BYTES, &writer, &done);

	if (status != HV_OK) {
		return start_failed(g, "loading the kernel", status);
	}
	if (!done) {
		return true;
	}
	guest_vga_text_mode(g);
	enter_kernel(g);
	go(g);
	return false;
}

/* The first vCPU begins as after RESET, which is in the firmware's last 16 bytes. */
static bool start_firmware(struct guest *g)
{
	bool done = false;
	enum hv_status status = guest_firmware_load(g, &done);

	if (status != HV_OK) {
		return start_failed(g, "loading the firmware", status);
	}
	if (done) {
		go(g);
	}
	return !done;
}

/* One that needs the VM's space. */
static bool step_inside(struct guest *g)
{
	switch (g->phase) {
	case GUEST_PHASE_PLAN:
		return start_plan(g);
	case GUEST_PHASE_FIRMWARE:
		return start_firmware(g);
	case GUEST_PHASE_CREATE:
	case GUEST_PHASE_POPULATE:
	case GUEST_PHASE_LOAD:
		break;
	}
	return start_load(g);
}

bool guest_vm_step(struct guest *g)
{
	bool more = true;

	switch (g->phase) {
	case GUEST_PHASE_CREATE:
		return start_create(g);
	case GUEST_PHASE_POPULATE:
		return start_populate(g);
	case GUEST_PHASE_PLAN:
	case GUEST_PHASE_LOAD:
	case GUEST_PHASE_FIRMWARE:
		space_switch(&g->vm.gspace.host);
		more = step_inside(g);
		space_switch(space_core());
		break;
	}
	return more;
}

/* --- the end --- */

void guest_vm_destroy(struct guest *g)
{
	if (g->has_space) {
		run_forget(&g->vm);
	}
	if (g->board != NULL) {
		/* A function that runs elsewhere may arm its timer again: in no host queue. */
		vtime_pause(&g->vm.time);
		hyperv_stop(&g->vm);
		board_fini(g->board);
		/* Timer functions that were on their way are over then, and nothing brings more. */
		run_settle_timers();
		vwork_forget(&g->vm.work);
		board_release(g->board);
		guest_firmware_destroy(g);
		CHECK(list_empty(&g->vm.work.waiting));
		pool_free(g->board, board_size(g->vm.vcpu_count, g->config->test_device));
		g->board = NULL;
	}
	guest_vga_destroy(g);
	guest_keys_clear(g);
	console_guest_close(&g->console);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		vcpu_delete(g->vm.vcpus[i]);
		g->vm.vcpus[i] = NULL;
	}
	g->vm.vcpu_count = 0;
	hyperv_destroy(&g->vm);
	if (g->has_backend_vm) {
		the_backend->vm_fini(&g->vm);
		g->has_backend_vm = false;
	}
	g->overhead = 0;
}
