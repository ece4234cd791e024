/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a guest, from its configuration to its end. */
#include "hv/guest.h"

#include "guests/tables/acpi.h"
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/acpi_format.h"
#include "hv/base/lock.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/guest_memory.h"
#include "hv/guest_varstore.h"
#include "hv/guest_vm.h"
#include "hv/pv.h"
#include "hv/recorder.h"
#include "hv/vcpu.h"
#include "mm/pool.h"

/* Lines of each vCPU's last exits, and of all: printing them takes a serial port its time. */
#define DEATH_TRACE 16u
#define DEATH_TRACE_ALL 64u
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

void guest_init(void)
{
	guests_count = 0;
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

static int source_virtual_pending(void *ctx, const struct vcpu *vcpu)
{
	const struct guest *g = ctx;

	return lapic_page_pending(board_lapic(g->board, vcpu->index));
}

static void source_hand_over(void *ctx, struct vcpu *vcpu, struct apic_entry *out)
{
	const struct guest *g = ctx;

	lapic_page_hand_over(board_lapic(g->board, vcpu->index), out);
}

const struct event_source *guest_event_source(struct vm *vm)
{
	return &guest_of(vm)->events;
}

void guest_request(struct guest *g, unsigned vcpu, uint32_t requests)
{
	vcpu_request(g->vm.vcpus[vcpu], requests);
	run_wake(&g->tasks[vcpu]);
}

uint64_t guest_vcpus(const struct guest *g)
{
	return g->vm.vcpu_count != 0 ? MASK(g->vm.vcpu_count - 1, 0) : 0;
}

/* Returns who has to come out of the guest for it. */
static uint64_t request_flush(struct guest *g, uint64_t vcpus)
{
	uint64_t running = 0;

	for (; vcpus != 0; vcpus &= vcpus - 1) {
		unsigned i = (unsigned)__builtin_ctzll(vcpus);

		vcpu_request(g->vm.vcpus[i], VCPU_REQ_TLB_FLUSH);
		if (run_executes(g->vm.vcpus[i])) {
			run_wake(&g->tasks[i]);
			running |= BIT(i);
		}
	}
	return running;
}

void guest_flush(struct guest *g, uint64_t vcpus)
{
	uint64_t running = request_flush(g, vcpus);

	for (; running != 0; running &= running - 1) {
		const struct vcpu *target = g->vm.vcpus[__builtin_ctzll(running)];

		while ((atomic_load(&target->requests) & VCPU_REQ_TLB_FLUSH) != 0 &&
		       run_executes(target)) {
			cpu_relax();
		}
	}
}

void guest_nmi(struct guest *g, unsigned vcpu)
{
	uint32_t before = atomic_fetch_or(&g->vm.vcpus[vcpu]->requests, VCPU_REQ_NMI);

	if ((before & VCPU_REQ_NMI) != 0) {
		vcpu_request(g->vm.vcpus[vcpu], VCPU_REQ_NMI_AGAIN);
	}
	run_wake(&g->tasks[vcpu]);
}

void guest_kick(struct guest *g, unsigned vcpu)
{
	guest_request(g, vcpu, VCPU_REQ_EVENT);
}

/* The first vCPU, as firmware hands it over: the others wait for the guest to start them. */
static void wake(struct vcpu *vcpu)
{
	struct guest *g = guest_of(vcpu->vm);
	uint32_t vector;
	enum hv_status status = guest_mem_read(&g->vm, gpa(GUEST_FACS + FACS_WAKING_VECTOR),
					       &vector, sizeof(vector));

	if (status != HV_OK || vector == 0 || vector >= LAYOUT_HIGH_BASE) {
		guest_end(g, GUEST_END_RESET, "woke up without a waking vector");
		return;
	}
	lapic_virtual_wire(board_lapic(g->board, vcpu->index));
	vcpu_wake(vcpu, vector);
}

void guest_vcpu_signals(struct vcpu *vcpu, uint32_t requests)
{
	const struct guest *g = guest_of(vcpu->vm);

	if ((requests & VCPU_REQ_SUSPEND) != 0) {
		lapic_reset(board_lapic(g->board, vcpu->index));
		vcpu_init(vcpu);
	}
	if ((requests & VCPU_REQ_INIT) != 0) {
		lapic_init_reset(board_lapic(g->board, vcpu->index));
		vcpu_init(vcpu);
	}
	if ((requests & VCPU_REQ_WAKE) != 0) {
		wake(vcpu);
	}
	if ((requests & VCPU_REQ_STARTUP) != 0) {
		vcpu_startup(vcpu, atomic_load(&vcpu->startup_vector));
	}
	for (uint32_t nmis = requests & VCPU_REQ_NMIS; nmis != 0; nmis &= nmis - 1) {
		event_nmi(vcpu, the_backend);
	}
}

uint64_t guest_tsc(const struct guest *g, const struct vcpu *vcpu)
{
	return vtime_now(&g->vm.time) + vcpu->tsc_adjust;
}

void guest_apply_tsc(struct guest *g, struct vcpu *vcpu)
{
	int cpu = atomic_load_explicit(&vcpu->loaded_on, memory_order_relaxed);
	/* The guest's TSC is made from that of the CPU it runs on. */
	int64_t correction = cpu != VCPU_NOT_LOADED ? clock_correction((unsigned)cpu) : 0;

	the_backend->set_tsc_offset(vcpu,
				    vcpu->tsc_adjust - g->vm.time.offset + (uint64_t)correction);
	lapic_set_tsc_offset(board_lapic(g->board, vcpu->index), vcpu->tsc_adjust);
}

/* --- starting --- */

static void begin_start(struct guest *g)
{
	g->state = GUEST_STARTING;
	g->phase = GUEST_PHASE_CREATE;
	g->start_again = false;
	g->start_failed = false;
	g->wants_end = false;
	g->reason[0] = '\0';
	g->start_count++;
	work_start(&g->work);
}

enum hv_status guest_start(struct guest *g)
{
	if (g->refused) {
		return HV_E_NOT_FOUND;
	}
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
	unsigned count = g->vm.vcpu_count;
	uint64_t lines = min_u64(DEATH_TRACE, max_u64(DEATH_TRACE_ALL / max_u64(count, 1), 1));

	for (unsigned i = 0; i < count; i++) {
		log_info("%s: last exits of vCPU %u:", g->vm.name, i);
		recorder_print(&g->vm.vcpus[i]->recorder, lines, clock_now(), print_trace_line, g);
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

/* Its vCPUs are held. */
static void note_past(struct guest *g)
{
	if (g->state != GUEST_RUNNING && g->state != GUEST_PAUSED) {
		return;
	}
	g->past = (struct guest_past){.ticks = clock_now() - g->started_ticks};
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
			g->past.exits[k] += g->vm.vcpus[i]->exits_by_kind[k];
		}
	}
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
		run_hold(&g->tasks[i]);
	}
	note_past(g);
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

bool guest_end(struct guest *g, enum guest_end end, const char *reason)
{
	bool first;

	lock_acquire(&g->ending);
	first = !g->wants_end;
	if (first) {
		g->wants_end = true;
		g->wanted_end = end;
		(void)str_copy(g->wanted_reason, sizeof(g->wanted_reason), span_of(reason));
	}
	lock_release(&g->ending);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		guest_request(g, i, VCPU_REQ_STOP);
	}
	run_chore(RUN_CHORE_GUESTS);
	return first;
}

void guest_end_wanted(void)
{
	char reason[GUEST_REASON_MAX];

	for (unsigned i = 0; i < guests_count; i++) {
		struct guest *g = guests[i];
		enum guest_end end;
		bool wanted;

		lock_acquire(&g->ending);
		wanted = g->wants_end;
		g->wants_end = false;
		end = g->wanted_end;
		memcpy(reason, g->wanted_reason, sizeof(reason));
		lock_release(&g->ending);
		if (wanted) {
			guest_stop(g, end, reason);
		}
		guest_memory_wanted(g);
	}
}

void guest_offer_keys(void)
{
	for (unsigned i = 0; i < guests_count; i++) {
		console_guest_ready(&guests[i]->console);
		guest_keys_feed(guests[i]);
	}
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
	/* What a disk of the machine still has is in the device models' memory. */
	if (!guest_disks_settled(g) || !guest_varstore_settled(g)) {
		return true;
	}
	guest_vm_destroy(g);
	if (g->has_space && !gspace_fini_step(&g->vm.gspace, GUEST_STEP_BYTES)) {
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
		return guest_vm_step(g);
	}
	return g->state == GUEST_STOPPING && stop_step(g);
}

void guest_reset(struct guest *g, const char *reason)
{
	if (g->refused) {
		return;
	}
	if (g->state == GUEST_STOPPED) {
		begin_start(g);
		return;
	}
	g->quick_ends = 0;
	guest_stop(g, GUEST_END_RESET, reason);
	g->start_again = true;
}

/* --- pausing --- */

void guest_freeze(struct guest *g)
{
	g->state = GUEST_PAUSED;
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		run_hold(&g->tasks[i]);
	}
	vtime_pause(&g->vm.time);
}

void guest_thaw(struct guest *g)
{
	vtime_resume(&g->vm.time);
	g->state = GUEST_RUNNING;
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		guest_apply_tsc(g, g->vm.vcpus[i]);
		pv_resumed(g->vm.vcpus[i]);
		run_release(&g->tasks[i]);
	}
}

enum hv_status guest_pause(struct guest *g)
{
	if (g->state != GUEST_RUNNING) {
		return HV_E_BUSY;
	}
	guest_freeze(g);
	log_event("guest %s: paused", g->vm.name);
	return HV_OK;
}

enum hv_status guest_resume(struct guest *g)
{
	/* One that has asked to end must not enter again; it is stopped in a moment. */
	if (g->state != GUEST_PAUSED || g->wants_end || g->reload.active) {
		return HV_E_BUSY;
	}
	log_event("guest %s: resumed", g->vm.name);
	guest_thaw(g);
	return HV_OK;
}

/* --- its share of the CPUs --- */

struct guest_share guest_share(const struct guest *g)
{
	if (g->share_changed) {
		return g->share;
	}
	return (struct guest_share){g->config->weight, g->config->cap, g->config->pin};
}

void guest_set_share(struct guest *g, const struct guest_share *share)
{
	g->share = *share;
	g->share_changed = true;
	if (g->vm.vcpu_count > 0) {
		run_group_set(&g->group, share->weight, share->cap);
	}
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		run_task_pin(&g->tasks[i], &share->pin);
	}
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
	g->events = (struct event_source){
		.ctx = g,
		.pending = source_pending,
		.requested = source_requested,
		.accept = source_accept,
		.virtual_pending = source_virtual_pending,
		.hand_over = source_hand_over,
	};
	console_guest_init(&g->console, g->vm.name);
	work_init(&g->work, guest_step);
	guest_memory_init(g);
	guest_reload_init(g);
	guests[guests_count++] = g;
	return g;
}
