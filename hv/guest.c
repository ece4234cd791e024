/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a guest, from its configuration to its end. */
#include "hv/guest.h"

#include "guests/tables/acpi.h"
#include "guests/tables/e820.h"
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"
#include "hv/fpu.h"
#include "hv/recorder.h"
#include "hv/vcpu.h"
#include "hv/wallclock.h"
#include "mm/frame.h"
#include "mm/pool.h"

/* One step of starting or stopping: about a millisecond on real hardware. */
#define STEP_BYTES MIB(8)
#define ACPI_IMAGE_ORDER 2u
static_assert((PAGE_SIZE << ACPI_IMAGE_ORDER) == LAYOUT_ACPI_SIZE, "tables fit their buffer");
#define DEATH_TRACE 16u
/* A guest that ends this soon this often is not started again. */
#define QUICK_END_NS 2000000000ull
#define QUICK_END_MAX 5u

static struct guest *guests[GUESTS_MAX];
static unsigned guests_count;
static void (*idle_action)(void);

static const char *const state_names[GUEST_STATE_COUNT] = {
	[GUEST_STOPPED] = "stopped", [GUEST_STARTING] = "starting", [GUEST_RUNNING] = "running",
	[GUEST_PAUSED] = "paused",   [GUEST_STOPPING] = "stopping",
};

const char *guest_state_name(enum guest_state state)
{
	return (unsigned)state < GUEST_STATE_COUNT ? state_names[state] : "?";
}

unsigned guest_count(void)
{
	return guests_count;
}

struct guest *guest_at(unsigned index)
{
	return index < guests_count ? guests[index] : NULL;
}

struct guest *guest_find(struct span name)
{
	for (unsigned i = 0; i < guests_count; i++) {
		if (span_eq(name, guests[i]->vm.name)) {
			return guests[i];
		}
	}
	return NULL;
}

void guest_set_idle_action(void (*fn)(void))
{
	idle_action = fn;
}

uint64_t guest_overhead_bytes(const struct guest *g)
{
	return g->overhead;
}

/* --- interrupts and time --- */

static int source_pending(void *ctx, const struct vcpu *vcpu)
{
	const struct guest *g = ctx;

	return board_pending(g->board, vcpu->index);
}

static int source_requested(void *ctx, const struct vcpu *vcpu)
{
	const struct guest *g = ctx;

	return board_requested(g->board, vcpu->index);
}

static uint8_t source_accept(void *ctx, struct vcpu *vcpu)
{
	const struct guest *g = ctx;

	return board_accept(g->board, vcpu->index);
}

const struct event_source *guest_event_source(struct vm *vm)
{
	return &guest_of(vm)->events;
}

void guest_kick(struct guest *g, unsigned vcpu)
{
	vcpu_request(g->vm.vcpus[vcpu], VCPU_REQ_EVENT);
	if (g->state == GUEST_RUNNING) {
		run_wake(&g->tasks[vcpu]);
	}
}

uint64_t guest_tsc(const struct guest *g, const struct vcpu *vcpu)
{
	return vtime_now(&g->vm.time) + vcpu->tsc_adjust;
}

void guest_apply_tsc(struct guest *g, struct vcpu *vcpu)
{
	the_backend->set_tsc_offset(vcpu, vcpu->tsc_adjust - g->vm.time.offset);
	lapic_set_tsc_offset(board_lapic(g->board, vcpu->index), vcpu->tsc_adjust);
}

/* --- what the board asks for --- */

static void board_wants_kick(void *ctx, unsigned vcpu)
{
	guest_kick(ctx, vcpu);
}

static void board_wants_nmi(void *ctx, unsigned vcpu)
{
	struct guest *g = ctx;

	event_nmi(g->vm.vcpus[vcpu]);
	guest_kick(g, vcpu);
}

/* The BSP begins again where firmware would be. */
static void board_wants_init(void *ctx, unsigned vcpu)
{
	(void)vcpu;
	guest_stop(ctx, GUEST_END_RESET, "by an INIT message");
}

/* Only a CPU that waits after INIT heeds it. */
static void board_wants_startup(void *ctx, unsigned vcpu, uint8_t vector)
{
	(void)ctx;
	(void)vcpu;
	(void)vector;
}

static void board_wants_power_off(void *ctx)
{
	guest_stop(ctx, GUEST_END_POWER_OFF, "power-off");
}

static void board_wants_reset(void *ctx, const char *how)
{
	guest_stop(ctx, GUEST_END_RESET, how);
}

static void board_wants_output(void *ctx, const char *data, size_t n)
{
	struct guest *g = ctx;

	console_guest_output(&g->console, data, n);
}

static void board_has_room(void *ctx)
{
	struct guest *g = ctx;

	console_guest_ready(&g->console);
}

static size_t console_to_board(void *ctx, const char *data, size_t n)
{
	struct guest *g = ctx;

	return board_serial_input(g->board, data, n);
}

static const struct board_ops board_ops = {
	.kick = board_wants_kick,
	.nmi = board_wants_nmi,
	.init = board_wants_init,
	.startup = board_wants_startup,
	.power_off = board_wants_power_off,
	.reset = board_wants_reset,
	.serial_output = board_wants_output,
	.serial_room = board_has_room,
};

/* --- starting --- */

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
	enum hv_status status = ram_layout_build(g->config->memory, &g->ram);

	for (unsigned i = 0; status == HV_OK && i < g->ram.count; i++) {
		status = gspace_add_region(&g->vm.gspace, g->ram.ranges[i].base,
					   g->ram.ranges[i].size, true);
	}
	return status;
}

static enum hv_status create_vcpus(struct guest *g)
{
	for (unsigned i = 0; i < g->config->cpus; i++) {
		struct vcpu *vcpu = vcpu_new(&g->vm, i);

		if (vcpu == NULL) {
			return HV_E_NO_MEMORY;
		}
		g->vm.vcpus[i] = vcpu;
		g->vm.vcpu_count = i + 1;
		g->system_time_msr[i] = 0;
		run_task_init(&g->tasks[i], vcpu, g->config->weight);
	}
	return HV_OK;
}

static enum hv_status create_board(struct guest *g)
{
	struct board_config config = {
		.time = &g->vm.time,
		.pio = &g->vm.pio,
		.mmio = &g->vm.mmio,
		.vcpu_count = g->vm.vcpu_count,
		.memory = g->config->memory,
		.serial = g->config->serial,
		.ops = &board_ops,
		.ctx = g,
	};

	g->board = pool_alloc(board_size(g->vm.vcpu_count));
	if (g->board == NULL) {
		return HV_E_NO_MEMORY;
	}
	return board_init(g->board, &config);
}

static void describe_cpu(struct guest *g)
{
	struct cpuid_config config = {
		.vcpu_count = g->vm.vcpu_count,
		.tsc_hz = clock_hz(),
		.apic_hz = LAPIC_TIMER_HZ,
		.paravirt_clock = true,
		.xcr0_supported = fpu_supported(),
	};

	cpuid_table_build(&g->cpuid, &config);
	mtrr_reset(&g->mtrr);
}

/* Everything but the RAM's frames. */
static enum hv_status create_vm(struct guest *g)
{
	struct vm *vm = &g->vm;
	enum hv_status status;

	/* Time stands still until the kernel is in place. */
	vtime_init(&vm->time, run_timers());
	vtime_pause(&vm->time);
	bus_init(&vm->pio, BUS_PIO);
	bus_init(&vm->mmio, BUS_MMIO);
	status = gspace_init(&vm->gspace, vm->id, the_backend->info.stage2_format,
			     the_backend->info.stage2_max_level);
	if (status != HV_OK) {
		return status;
	}
	g->has_space = true;
	status = declare_ram(g);
	if (status == HV_OK) {
		status = the_backend->vm_init(vm);
	}
	if (status != HV_OK) {
		return status;
	}
	g->has_backend_vm = true;
	status = create_vcpus(g);
	return status == HV_OK ? create_board(g) : status;
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

static bool start_create(struct guest *g)
{
	uint64_t before = pool_bytes_used();
	enum hv_status status;

	if (!enough_memory(g)) {
		return true;
	}
	status = create_vm(g);
	if (status != HV_OK) {
		return start_failed(g, "creating the machine", status);
	}
	describe_cpu(g);
	g->overhead = sizeof(*g) + pool_bytes_used() - before;
	g->range = 0;
	g->populated = 0;
	g->phase = GUEST_PHASE_POPULATE;
	return true;
}

static bool start_populate(struct guest *g)
{
	const struct ram_range *range = &g->ram.ranges[g->range];
	uint64_t n = min_u64(STEP_BYTES, range->size - g->populated);
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
		g->phase = GUEST_PHASE_PLAN;
	}
	return true;
}

static enum hv_status write_guest(void *ctx, uint64_t address, const void *src, size_t n)
{
	return guest_mem_write(ctx, gpa(address), src, n);
}

static enum hv_status write_tables(struct guest *g)
{
	struct acpi_config config = {.vcpu_count = g->vm.vcpu_count, .serial = g->config->serial};
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

static bool start_plan(struct guest *g)
{
	struct e820_map map;
	struct linux_source source = {
		.kernel = g->kernel.data,
		.kernel_size = g->kernel.size,
		.initrd = g->initrd.data,
		.initrd_size = g->initrd.size,
		.cmdline = g->config->cmdline,
		.rsdp = GUEST_RSDP,
		.map = &map,
	};
	struct load_error err;
	enum hv_status status = e820_build(g->config->memory, &map);

	if (status == HV_OK) {
		status = linux_plan(&source, &g->plan, &err);
		if (status != HV_OK) {
			return start_failed(g, err.text, status);
		}
	}
	if (status == HV_OK) {
		status = write_tables(g);
	}
	if (status != HV_OK) {
		return start_failed(g, "writing the firmware tables", status);
	}
	g->progress = (struct linux_progress){0};
	g->phase = GUEST_PHASE_LOAD;
	return true;
}

static void enter_kernel(struct guest *g)
{
	struct vcpu *vcpu = g->vm.vcpus[0];
	struct linux_entry entry;

	linux_entry_state(&g->plan, &entry);
	vcpu->rip = entry.rip;
	memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
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

/* Guest time begins here: nothing of the loading shows in it. */
static void go(struct guest *g)
{
	g->wall_base = wallclock_now();
	board_set_wall_clock(g->board, g->wall_base);
	vtime_resume(&g->vm.time);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		guest_apply_tsc(g, g->vm.vcpus[i]);
	}
	g->started_ticks = clock_now();
	g->state = GUEST_RUNNING;
	g->console.receive = g->config->serial ? console_to_board : NULL;
	g->console.receive_ctx = g;
	log_event("guest %s: started", g->vm.name);
	guest_kick(g, 0);
}

static bool start_load(struct guest *g)
{
	struct guest_writer writer = {write_guest, &g->vm};
	bool done = false;
	enum hv_status status = linux_load_step(&g->plan, &g->progress, STEP_BYTES, &writer, &done);

	if (status != HV_OK) {
		return start_failed(g, "loading the kernel", status);
	}
	if (!done) {
		return true;
	}
	enter_kernel(g);
	go(g);
	return false;
}

static bool start_step(struct guest *g)
{
	bool more = true;

	switch (g->phase) {
	case GUEST_PHASE_CREATE:
		return start_create(g);
	case GUEST_PHASE_POPULATE:
		return start_populate(g);
	case GUEST_PHASE_PLAN:
	case GUEST_PHASE_LOAD:
		space_switch(&g->vm.gspace.host);
		more = g->phase == GUEST_PHASE_PLAN ? start_plan(g) : start_load(g);
		space_switch(space_core());
		break;
	}
	return more;
}

static void begin_start(struct guest *g)
{
	g->state = GUEST_STARTING;
	g->phase = GUEST_PHASE_CREATE;
	g->start_again = false;
	g->start_failed = false;
	g->reason[0] = '\0';
	g->start_count++;
	work_start(&g->work);
}

enum hv_status guest_start(struct guest *g)
{
	if (g->state == GUEST_STOPPING) {
		g->start_again = true;
		return HV_OK;
	}
	if (g->state != GUEST_STOPPED) {
		return HV_E_BUSY;
	}
	begin_start(g);
	return HV_OK;
}

/* --- stopping --- */

static void print_trace_line(void *ctx, const char *text)
{
	const struct guest *g = ctx;

	log_info("%s: %s", g->vm.name, text);
}

static void print_last_exits(struct guest *g)
{
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		log_info("%s: last exits of vCPU %u:", g->vm.name, i);
		recorder_print(&g->vm.vcpus[i]->recorder, DEATH_TRACE, clock_now(),
			       print_trace_line, g);
	}
}

/* Whether `restart` wants the guest back after it ended by itself. */
static bool wants_restart(struct guest *g, enum guest_end end)
{
	bool quick = clock_ticks_to_ns(clock_now() - g->started_ticks) < QUICK_END_NS;
	bool again;

	if (end == GUEST_END_REQUEST || g->start_failed) {
		return false;
	}
	again = end == GUEST_END_RESET || g->config->restart == GUEST_RESTART_ALWAYS ||
		(g->config->restart == GUEST_RESTART_ON_CRASH && end == GUEST_END_CRASH);
	g->quick_ends = again && quick ? g->quick_ends + 1 : 0;
	if (g->quick_ends >= QUICK_END_MAX) {
		log_warn("%s: ended within two seconds %u times in a row: not started again",
			 g->vm.name, QUICK_END_MAX);
		g->quick_ends = 0;
		return false;
	}
	return again;
}

void guest_stop(struct guest *g, enum guest_end end, const char *reason)
{
	if (g->state == GUEST_STOPPING && end == GUEST_END_REQUEST) {
		g->start_again = false;
	}
	if (g->state == GUEST_STOPPED || g->state == GUEST_STOPPING) {
		return;
	}
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		run_block(&g->tasks[i]);
	}
	g->start_again = wants_restart(g, end);
	g->state = GUEST_STOPPING;
	g->phase = GUEST_PHASE_CREATE;
	g->end = end;
	g->console.receive = NULL;
	(void)str_copy(g->reason, sizeof(g->reason), span_of(reason));
	log_event("guest %s: %s: %s", g->vm.name, end == GUEST_END_RESET ? "reset" : "stopped",
		  g->reason);
	if (end == GUEST_END_CRASH && !g->start_failed) {
		print_last_exits(g);
	}
	work_start(&g->work);
}

/* Everything but the RAM. */
static void destroy_vm(struct guest *g)
{
	if (g->board != NULL) {
		board_fini(g->board);
		pool_free(g->board, board_size(g->vm.vcpu_count));
		g->board = NULL;
	}
	console_guest_close(&g->console);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		run_forget(g->vm.vcpus[i]);
		vcpu_delete(g->vm.vcpus[i]);
		g->vm.vcpus[i] = NULL;
	}
	g->vm.vcpu_count = 0;
	if (g->has_backend_vm) {
		the_backend->vm_fini(&g->vm);
		g->has_backend_vm = false;
	}
	g->overhead = 0;
}

static bool all_stopped(void)
{
	for (unsigned i = 0; i < guests_count; i++) {
		if (guests[i]->state != GUEST_STOPPED) {
			return false;
		}
	}
	return true;
}

void guest_check_idle(void)
{
	if (idle_action != NULL && all_stopped()) {
		idle_action();
	}
}

static bool stop_step(struct guest *g)
{
	destroy_vm(g);
	if (g->has_space && !gspace_fini_step(&g->vm.gspace, STEP_BYTES)) {
		return true;
	}
	g->has_space = false;
	g->state = GUEST_STOPPED;
	if (g->start_again) {
		begin_start(g);
		return true;
	}
	guest_check_idle();
	return false;
}

static bool guest_step(struct work *w)
{
	struct guest *g = container_of(w, struct guest, work);

	if (g->state == GUEST_STARTING) {
		return start_step(g);
	}
	return g->state == GUEST_STOPPING && stop_step(g);
}

void guest_reset(struct guest *g, const char *reason)
{
	if (g->state == GUEST_STOPPED) {
		begin_start(g);
		return;
	}
	g->quick_ends = 0;
	guest_stop(g, GUEST_END_RESET, reason);
	g->start_again = true;
}

/* --- pausing --- */

enum hv_status guest_pause(struct guest *g)
{
	if (g->state != GUEST_RUNNING) {
		return HV_E_BUSY;
	}
	g->state = GUEST_PAUSED;
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		run_block(&g->tasks[i]);
	}
	vtime_pause(&g->vm.time);
	log_event("guest %s: paused", g->vm.name);
	return HV_OK;
}

enum hv_status guest_resume(struct guest *g)
{
	if (g->state != GUEST_PAUSED) {
		return HV_E_BUSY;
	}
	vtime_resume(&g->vm.time);
	g->state = GUEST_RUNNING;
	log_event("guest %s: resumed", g->vm.name);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		guest_apply_tsc(g, g->vm.vcpus[i]);
		guest_kick(g, i);
	}
	return HV_OK;
}

/* --- adding --- */

struct guest *guest_add(const struct guest_config *config, struct guest_file kernel,
			struct guest_file initrd)
{
	struct guest *g = guests_count < GUESTS_MAX ? pool_alloc(sizeof(*g)) : NULL;

	if (g == NULL) {
		return NULL;
	}
	(void)str_copy(g->vm.name, sizeof(g->vm.name), span_of(config->name));
	g->vm.id = (uint16_t)(guests_count + 1);
	g->config = config;
	g->kernel = kernel;
	g->initrd = initrd;
	g->events = (struct event_source){g, source_pending, source_requested, source_accept};
	console_guest_init(&g->console, g->vm.name);
	work_init(&g->work, guest_step);
	guests[guests_count++] = g;
	return g;
}
