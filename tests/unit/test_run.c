/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop: slices, sleep, timers, work in between, and what is saved when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/watchdog.h"
#include "mm/space.h"
#include "tests/fakes/run_rig.h"
#include "tests/fakes/saved_rig.h"

/* Runs the loop for that long, counting the runs of each guest. */
static unsigned runs_of_web, runs_of_db;
static uint64_t run_end = TIMER_NEVER;

static void count_runs(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (fake_tsc >= run_end) {
		*exit = yield;
	}
	runs_of_web += vcpu->vm == &web->vm;
	runs_of_db += vcpu->vm == &db->vm;
}

static void run_for(uint64_t ticks)
{
	run_end = fake_tsc + ticks;
	fake_backend.guest = count_runs;
	runs_of_web = runs_of_db = 0;
	while (fake_tsc < run_end) {
		run_once();
	}
	run_end = TIMER_NEVER;
	fake_backend.guest = NULL;
}

/* --- idle --- */

static void with_nothing_to_do_it_sleeps(void **state)
{
	unsigned polls = vm_rig.polls;
	unsigned idle = fake_cpu.idle_count;
	uint64_t ticks = run_stats(0)->idle_ticks;

	(void)state;
	fake_cpu.on_idle = poke_cpu;
	run_once();
	run_once();
	assert_int_equal(fake_cpu.idle_count, idle + 2);
	assert_int_equal(run_stats(0)->idle_ticks, ticks + 2000);
	assert_true(vm_rig.host_timer[0] == TIMER_NEVER);
	/* Keys are looked at when there are some, before the sleep, once. */
	assert_int_equal(vm_rig.polls, polls);
	run_chore(RUN_CHORE_INPUT);
	run_once();
	assert_int_equal(vm_rig.polls, polls + 1);
	assert_int_equal(fake_cpu.idle_count, idle + 3);
	run_once();
	assert_int_equal(vm_rig.polls, polls + 1);
}

static void a_halted_guest_sleeps_until_its_timer(void **state)
{
	uint64_t start;

	(void)state;
	vm_rig_start(web);
	allow_interrupts(web);
	arm_lapic(web, 10 * MS);
	start = fake_tsc;
	fake_backend_push(&hlt);
	run_once();
	assert_true(vcpu_of(web)->halted);
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
	run_once(); /* sleeps */
	assert_true(fake_tsc >= start + 10 * MS);
	assert_true(fake_tsc < start + 11 * MS);
	fake_backend_push(&yield);
	run_once();
	assert_false(vcpu_of(web)->halted);
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_INTERRUPT);
	assert_int_equal(fake_backend.delivered.vector, 0x40);
}

static const struct vm_exit look_at_port_b = {
	.kind = VM_EXIT_IO, .insn_len = 2, .io = {.port = 0x61, .size = 1, .in = true}};

static void count_down(struct guest *g, unsigned count)
{
	assert_true(bus_write(&g->vm.pio, 0x61, 1, 0, 1));
	assert_true(bus_write(&g->vm.pio, 0x43, 1, 0, 0xb0));
	assert_true(bus_write(&g->vm.pio, 0x42, 1, 0, count & 0xff));
	assert_true(bus_write(&g->vm.pio, 0x42, 1, 0, count >> 8));
}

/* With interrupts off, too: it is no HLT of its own. */
static void a_guest_that_looks_for_a_timers_end_sleeps_between(void **state)
{
	uint64_t start;

	(void)state;
	vm_rig_start(web);
	count_down(web, 0xffff);
	start = fake_tsc;
	fake_backend_push(&look_at_port_b);
	run_once();
	assert_true(vcpu_of(web)->halted);
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
	assert_false(atomic_load(&vcpu_of(web)->stranded));
	run_once(); /* sleeps */
	assert_in_range(fake_tsc - start, MS / 8, MS / 4);
	fake_backend_push(&yield);
	run_once();
	assert_false(vcpu_of(web)->halted);
	assert_int_equal(web->state, GUEST_RUNNING);
}

/* In a VM whose 8254 knows nothing of it. */
static void a_rest_ends_when_it_is_loaded(void **state)
{
	(void)state;
	vm_rig_start(web);
	count_down(web, 0xffff);
	fake_backend_push(&look_at_port_b);
	run_once();
	guest_freeze(web);
	vtimer_cancel(&web->board->pit.rested);
	saved_reload(&vcpu_of(web)->pv.saved);
	assert_true(vcpu_of(web)->resting);
	guest_thaw(web);
	fake_backend_push(&yield);
	run_once();
	assert_false(vcpu_of(web)->resting);
	assert_false(vcpu_of(web)->halted);
}

/* The handler may HLT: that is not for the rest's end to end. */
static void an_interrupt_ends_a_rest(void **state)
{
	(void)state;
	vm_rig_start(web);
	allow_interrupts(web);
	arm_lapic(web, MS / 10); /* the look takes half of that, the rest would take more */
	count_down(web, 0xffff);
	fake_backend_push(&look_at_port_b);
	run_once();
	assert_true(vcpu_of(web)->resting);
	run_once(); /* sleeps */
	fake_backend.delivered_count = 0;
	fake_backend_push(&hlt);
	run_once();
	assert_int_equal(fake_backend.delivered_count, 1);
	assert_true(vcpu_of(web)->halted);
	assert_false(vcpu_of(web)->resting);
	vm_rig_advance(MS);
	run_once();
	assert_true(vcpu_of(web)->halted);
}

/* STI; HLT: the interrupt that waited for IF is taken behind the HLT. */
static void sti_hlt(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (!fake_vcpu(vcpu)->shadow && fake_backend.delivered_count == 0) {
		fake_vcpu(vcpu)->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
		fake_vcpu(vcpu)->shadow = true;
		*exit = hlt;
	} else {
		*exit = yield;
	}
}

/* An interrupt that is pending already when HLT comes. */
static void hlt_falls_through_when_something_waits(void **state)
{
	unsigned idle;

	(void)state;
	vm_rig_start(web);
	arm_lapic(web, MS);
	vm_rig_advance(2 * MS);
	assert_int_equal(board_pending(web->board, 0), 0x40);
	idle = fake_cpu.idle_count;
	fake_backend.delivered_count = 0;
	fake_backend.guest = sti_hlt;
	run_once();
	assert_int_equal(fake_cpu.idle_count, idle);
	assert_int_equal(fake_backend.delivered_count, 1);
	assert_int_equal(fake_backend.delivered.vector, 0x40);
	assert_false(vcpu_of(web)->halted);
}

static void an_nmi_wakes_without_interrupts(void **state)
{
	(void)state;
	vm_rig_start(web);
	allow_interrupts(web);
	fake_backend_push(&hlt);
	run_once();
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
	fake_vcpu(vcpu_of(web))->regs[VCPU_REG_RFLAGS] &= ~RFLAGS_IF;
	assert_true(bus_write(&web->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&web->vm.mmio, 0xfee00300, 4, 0, 0x4400));
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
}

/* --- slices --- */

static void alone_it_runs_without_ticks(void **state)
{
	unsigned arms;

	(void)state;
	vm_rig_start(web);
	fake_backend_push(&yield);
	run_once();
	arms = vm_rig.arms;
	for (unsigned i = 0; i < 60; i++) {
		fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	}
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(fake_backend_queued(), 0);
	assert_int_equal(vm_rig.arms, arms);
	assert_true(vm_rig.host_timer[0] == TIMER_NEVER);
}

static void two_share_the_cpu_in_slices(void **state)
{
	uint64_t switches;

	(void)state;
	vm_rig_start(web);
	vm_rig_start(db);
	switches = run_stats(0)->switches;
	run_for(400 * MS);
	assert_in_range(runs_of_web, 3800, 4200);
	assert_in_range(runs_of_db, 3800, 4200);
	switches = run_stats(0)->switches - switches;
	assert_in_range(switches, 90, 110);
}

static void weights_divide_it(void **state)
{
	(void)state;
	configs[0].weight = 300;
	vm_rig_start(web);
	vm_rig_start(db);
	run_for(1600 * MS);
	assert_in_range(runs_of_web, 3 * runs_of_db - 500, 3 * runs_of_db + 500);
}

static void resume_db_and_go_on(struct vcpu *vcpu, struct vm_exit *exit)
{
	assert_ptr_equal(vcpu, vcpu_of(web));
	(void)exit;
	if (db->state == GUEST_PAUSED) {
		assert_int_equal(guest_resume(db), HV_OK);
	}
}

/* The newcomer ends the other's run without an end. */
static void a_second_guest_begins_within_a_slice(void **state)
{
	uint64_t start;

	(void)state;
	vm_rig_start(web);
	fake_backend_push(&yield);
	run_once();
	vm_rig_start(db);
	start = fake_tsc;
	fake_backend.guest = count_runs;
	runs_of_db = 0;
	while (runs_of_db == 0) {
		run_once();
	}
	assert_true(fake_tsc - start <= 2 * SLICE);
}

/* One that has had more than its share waits, but the other runs in slices from then on. */
static void a_wake_up_that_waits_starts_slices(void **state)
{
	uint64_t start;

	(void)state;
	vm_rig_start(web);
	vm_rig_start(db);
	assert_int_equal(guest_pause(web), HV_OK);
	run_for(100 * MS);
	assert_int_equal(guest_pause(db), HV_OK);
	assert_int_equal(guest_resume(web), HV_OK);
	fake_backend_push(&yield);
	run_once();
	assert_true(vm_rig.host_timer[0] == TIMER_NEVER);
	fake_backend.guest = resume_db_and_go_on;
	run_once();
	/* Now it has an end, which brings the other. */
	start = fake_tsc;
	run_once();
	assert_ptr_equal(fake_backend.ran_last, vcpu_of(web));
	assert_in_range(fake_tsc - start, SLICE - fake_backend.run_ticks,
			SLICE + fake_backend.run_ticks);
	fake_backend.guest = NULL;
	fake_backend_push(&yield);
	run_once();
	assert_ptr_equal(fake_backend.ran_last, vcpu_of(db));
}

static unsigned spins;

/* web spins; db handles its interrupt and sleeps again. */
static void spin_and_sleep(struct vcpu *vcpu, struct vm_exit *exit)
{
	count_runs(vcpu, exit);
	if (vcpu->vm == &db->vm) {
		*exit = hlt;
	} else {
		spins++;
	}
}

static void a_wake_up_preempts(void **state)
{
	uint64_t due;

	(void)state;
	vm_rig_start(web);
	vm_rig_start(db);
	allow_interrupts(db);
	fake_backend.guest = spin_and_sleep;
	while (db->tasks[0].entity.state != SCHED_BLOCKED) {
		run_once();
	}
	arm_lapic(db, 10 * MS);
	due = fake_tsc + 10 * MS;
	runs_of_db = spins = 0;
	while (runs_of_db == 0) {
		run_once();
	}
	/* The timer's exit, and not the end of a slice. */
	assert_true(fake_tsc <= due + 2 * fake_backend.run_ticks);
	assert_in_range(spins, 190, 210);
	assert_int_equal(fake_backend.delivered.vector, 0x40);
}

static void a_yield_gives_the_cpu_to_the_other(void **state)
{
	struct vcpu *first;

	(void)state;
	vm_rig_start(web);
	vm_rig_start(db);
	fake_backend_push(&yield);
	run_once();
	first = fake_backend.ran_last;
	fake_backend_push(&yield);
	run_once();
	assert_ptr_not_equal(fake_backend.ran_last, first);
}

static unsigned asked;

/* Another vCPU asks before each entry. */
static void ask_again(struct vcpu *vcpu)
{
	if (++asked < 1000) {
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
	}
}

/* How long the CPU seemed to be at one and the same thing. */
static uint64_t longest;

static void a_while_later(void)
{
	fake_tsc += MS;
	longest = max_u64(longest, fake_tsc - (cpu_this()->phase & ~WATCHDOG_PHASE_MASK));
	take_timer();
}

/* With interrupts off between requests the slice would have no end. */
static void requests_without_end_do_not_keep_the_cpu(void **state)
{
	struct hv_backend backend = fake_hv_backend;
	unsigned runs;

	(void)state;
	backend.tlb_flush = ask_again;
	vm_rig_start(web);
	vm_rig_start(db);
	fake_backend_push(&yield);
	run_once();
	fake_cpu.on_window = a_while_later;
	vcpu_set_backend(&backend);
	asked = 0;
	longest = 0;
	vcpu_request(vcpu_of(web), VCPU_REQ_TLB_FLUSH);
	vcpu_request(vcpu_of(db), VCPU_REQ_TLB_FLUSH);
	runs = fake_backend.runs;
	run_once();
	vcpu_set_backend(&fake_hv_backend);
	assert_int_equal(fake_backend.runs, runs);
	assert_in_range(asked, 2, 10);
	assert_in_range(longest, 1, 3 * MS / 2);
	/* Nothing is left that was asked. */
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&yield);
	run_once();
}

/* --- the host timer --- */

static void it_is_programmed_only_when_that_changes(void **state)
{
	unsigned arms;

	(void)state;
	vm_rig_start(web);
	arm_lapic(web, 100 * MS);
	fake_backend_push(&yield);
	run_once();
	arms = vm_rig.arms;
	for (unsigned i = 0; i < 30; i++) {
		fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
		fake_backend_push(&yield);
		run_once();
	}
	assert_int_equal(vm_rig.arms, arms);
	arm_lapic(web, 50 * MS);
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(vm_rig.arms, arms + 1);
	/* When it has fired it is armed again, for the same moment if need be. */
	run_timer_fired();
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(vm_rig.arms, arms + 2);
}

/* --- work --- */

static unsigned steps;
static unsigned steps_left;

static bool step(struct work *w)
{
	(void)w;
	steps++;
	/* As a step of a start does: another VM's space, then the core's. */
	space_switch(space_core());
	fake_tsc += MS / 2;
	return --steps_left > 0;
}

static void work_goes_on_beside_a_spinning_guest(void **state)
{
	static struct work job;

	(void)state;
	vm_rig_start(web);
	work_init(&job, step);
	steps = 0;
	steps_left = 20;
	work_start(&job);
	/* A step and a whole slice, in turns. */
	run_for(10 * (SLICE + MS / 2));
	assert_in_range(steps, 9, 11);
	assert_in_range(runs_of_web, 9 * 80, 11 * 80);
	run_for(12 * (SLICE + MS / 2));
	assert_int_equal(steps, 20);
}

static void work_is_done_at_once_while_idle(void **state)
{
	static struct work job;
	unsigned idle = fake_cpu.idle_count;

	(void)state;
	work_init(&job, step);
	steps = 0;
	steps_left = 5;
	work_start(&job);
	for (unsigned i = 0; i < 4; i++) {
		run_once();
		assert_int_equal(steps, i + 1);
	}
	assert_int_equal(fake_cpu.idle_count, idle);
	fake_cpu.on_idle = poke_cpu;
	run_once();
	assert_int_equal(steps, 5);
	assert_int_equal(fake_cpu.idle_count, idle + 1);
}

static bool interrupted;

static void a_disk_is_done(void)
{
	interrupted = true;
}

static bool wait_for_disk(struct work *w)
{
	(void)w;
	steps++;
	return !interrupted;
}

/* As a guest's end waits for the last request of its disk: the interrupt comes to this CPU. */
static void work_may_wait_for_an_interrupt(void **state)
{
	static struct work job;

	(void)state;
	work_init(&job, wait_for_disk);
	steps = 0;
	interrupted = false;
	fake_cpu.on_window = a_disk_is_done;
	fake_cpu.on_idle = poke_cpu;
	work_start(&job);
	run_once();
	run_once();
	assert_int_equal(steps, 2);
	assert_true(interrupted);
	assert_false(work_pending());
}

/* --- what is saved when --- */

static void one_guests_state_stays_loaded(void **state)
{
	unsigned loads, saves, restores;

	(void)state;
	vm_rig_start(web);
	allow_interrupts(web);
	fake_backend_push(&yield);
	run_once();
	loads = fake_backend.loads;
	saves = fake_cpu.xsave_count;
	restores = fake_cpu.xrstor_count;
	/* Chores put it away, once each. */
	for (unsigned i = 0; i < 5; i++) {
		fake_backend_push(&yield);
		run_once();
	}
	assert_int_equal(fake_backend.loads, loads + 5);
	assert_int_equal(fake_cpu.xsave_count, saves + 5);
	assert_int_equal(fake_cpu.xrstor_count, restores + 5);
	/* Sleep does not. */
	for (unsigned i = 0; i < 50; i++) {
		fake_backend_push(&hlt);
		run_once();
		assert_true(vcpu_of(web)->halted);
		guest_request(web, 0, VCPU_REQ_NMI);
	}
	assert_int_equal(fake_backend.loads, loads + 6);
	assert_int_equal(fake_cpu.xsave_count, saves + 6);
	assert_int_equal(fake_cpu.xrstor_count, restores + 6);
}

static void another_guest_gets_its_own_state(void **state)
{
	unsigned saves;

	(void)state;
	vm_rig_start(web);
	vm_rig_start(db);
	vcpu_of(db)->dr[1] = 0xdb;
	vcpu_of(db)->xcr0 = 7;
	fake_backend_push(&yield);
	run_once();
	assert_ptr_equal(fake_loaded(), vcpu_of(web));
	assert_int_equal(fake_cpu.xcr0, 1);
	/* web changes its registers without an exit. */
	fake_cpu.dr[0] = 0x1234;
	fake_cpu.xcr0 = 3;
	saves = fake_cpu.xsave_count;
	fake_backend_push(&yield);
	run_once();
	assert_ptr_equal(fake_loaded(), vcpu_of(db));
	assert_ptr_equal(space_current(), &db->vm.gspace.host);
	assert_int_equal(fake_cpu.xsave_count, saves + 1);
	assert_int_equal(fake_cpu.xsave_mask, 7);
	assert_int_equal(fake_cpu.xrstor_mask, 7);
	assert_int_equal(fake_cpu.xcr0, 7);
	assert_int_equal(fake_cpu.dr[0], 0);
	assert_int_equal(fake_cpu.dr[1], 0xdb);
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(fake_cpu.dr[0], 0x1234);
	assert_int_equal(fake_cpu.dr[1], 0);
	assert_int_equal(fake_cpu.xcr0, 3);
}

static void forgetting_leaves_nothing_on_the_cpu(void **state)
{
	struct guest *ran;

	(void)state;
	vm_rig_start(web);
	vm_rig_start(db);
	fake_backend_push(&yield);
	run_once();
	ran = fake_loaded() == vcpu_of(web) ? web : db;
	assert_ptr_equal(fake_loaded(), vcpu_of(ran));
	/* Another one's is not touched. */
	run_forget(ran == web ? &db->vm : &web->vm);
	assert_ptr_equal(fake_loaded(), vcpu_of(ran));
	run_forget(&ran->vm);
	assert_null(fake_loaded());
	assert_int_equal(vcpu_of(ran)->loaded_on, VCPU_NOT_LOADED);
	assert_ptr_equal(space_current(), space_core());
	run_forget(&ran->vm);
	assert_null(fake_loaded());
}

static unsigned boot_polls;

static void poll_at_boot(void)
{
	boot_polls++;
}

static void arm_nothing(uint64_t deadline)
{
	(void)deadline;
}

/* While the first guests are set going another CPU may be in its loop already. Sets up a run loop
 * of its own: last. */
static void no_chores_before_all_is_set_up(void **state)
{
	static const struct run_ops ops = {.arm_host_timer = arm_nothing, .poll = poll_at_boot};
	static const uint16_t cores[] = {0};
	const struct run_config config = {.ops = &ops, .cpu_count = 1, .cores = cores};

	(void)state;
	fake_cpu.on_idle = poke_cpu;
	run_init(&config);
	run_cpu_init();
	run_chore(RUN_CHORE_INPUT);
	run_once();
	assert_int_equal(boot_polls, 0);
	run_open();
	run_once();
	assert_int_equal(boot_polls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN_TEST(with_nothing_to_do_it_sleeps),
		RUN_TEST(a_halted_guest_sleeps_until_its_timer),
		RUN_TEST(a_guest_that_looks_for_a_timers_end_sleeps_between),
		RUN_TEST(a_rest_ends_when_it_is_loaded),
		RUN_TEST(an_interrupt_ends_a_rest),
		RUN_TEST(hlt_falls_through_when_something_waits),
		RUN_TEST(an_nmi_wakes_without_interrupts),
		RUN_TEST(alone_it_runs_without_ticks),
		RUN_TEST(two_share_the_cpu_in_slices),
		RUN_TEST(weights_divide_it),
		RUN_TEST(a_second_guest_begins_within_a_slice),
		RUN_TEST(a_wake_up_that_waits_starts_slices),
		RUN_TEST(a_wake_up_preempts),
		RUN_TEST(a_yield_gives_the_cpu_to_the_other),
		RUN_TEST(requests_without_end_do_not_keep_the_cpu),
		RUN_TEST(it_is_programmed_only_when_that_changes),
		RUN_TEST(work_goes_on_beside_a_spinning_guest),
		RUN_TEST(work_is_done_at_once_while_idle),
		RUN_TEST(work_may_wait_for_an_interrupt),
		RUN_TEST(one_guests_state_stays_loaded),
		RUN_TEST(another_guest_gets_its_own_state),
		RUN_TEST(forgetting_leaves_nothing_on_the_cpu),
		cmocka_unit_test(no_chores_before_all_is_set_up),
	};

	return cmocka_run_group_tests(tests, run_rig_machine, NULL);
}
