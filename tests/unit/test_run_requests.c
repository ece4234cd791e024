/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop: what is saved when, and what is asked of a vCPU and of the loop. */
#include "tests/fakes/run_rig.h"

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

/* --- requests and input --- */

static void requests_are_served_before_the_entry(void **state)
{
	struct fake_vcpu *f;

	(void)state;
	vm_rig_start(web);
	f = fake_vcpu(vcpu_of(web));
	vcpu_request(vcpu_of(web), VCPU_REQ_TLB_FLUSH);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(f->flushes, 1);
	assert_int_equal(atomic_load(&vcpu_of(web)->requests), 0);
}

static void halt_web(void)
{
	fake_backend_push(&hlt);
	run_once();
	assert_true(vcpu_of(web)->halted);
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
}

/* What wakes it need not end its HLT; the flush was asked for all the same. */
static void a_flush_is_not_lost_in_hlt(void **state)
{
	unsigned runs;

	(void)state;
	vm_rig_start(web);
	allow_interrupts(web);
	halt_web();
	runs = fake_backend.runs;
	guest_request(web, 0, VCPU_REQ_TLB_FLUSH);
	run_once();
	assert_int_equal(fake_backend.runs, runs);
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
	assert_int_equal(fake_vcpu(vcpu_of(web))->flushes, 1);
}

/* A guest lowers CR8 without an exit when nothing waits. */
static void hlt_ends_by_the_hardwares_tpr(void **state)
{
	(void)state;
	vm_rig_start(web);
	allow_interrupts(web);
	fake_vcpu(vcpu_of(web))->regs[VCPU_REG_CR8] = 15;
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(lapic_cr8(board_lapic(web->board, 0)), 15);
	arm_lapic(web, MS);
	fake_vcpu(vcpu_of(web))->regs[VCPU_REG_CR8] = 0;
	halt_web();
	run_once(); /* sleeps */
	fake_backend_push(&yield);
	run_once();
	assert_false(vcpu_of(web)->halted);
	assert_int_equal(fake_backend.delivered.vector, 0x40);
}

static void init_forgets_a_start_up_message(void **state)
{
	struct vcpu *vcpu;

	(void)state;
	vm_rig_start(web);
	vcpu = vcpu_of(web);
	atomic_store(&vcpu->requests, VCPU_REQ_STARTUP | VCPU_REQ_NMI);
	vcpu_request_stop(vcpu, VCPU_REQ_INIT);
	assert_int_equal(atomic_load(&vcpu->requests), VCPU_REQ_INIT | VCPU_REQ_NMI);
	atomic_store(&vcpu->requests, 0);
}

/* The last vCPU that could have sent anything halts while another is on its way to wait for it. */
static void nobody_is_left_to_start_anybody(void **state)
{
	(void)state;
	configs[0].cpus = 2;
	vm_rig_start(web);
	run_hold(&web->tasks[1]);
	run_release(&web->tasks[1]);
	vcpu_request_stop(web->vm.vcpus[1], VCPU_REQ_INIT);
	fake_vcpu(vcpu_of(web))->regs[VCPU_REG_RFLAGS] &= ~RFLAGS_IF;
	fake_backend.guest = NULL;
	fake_backend_push(&hlt);
	for (unsigned i = 0; i < 4 && fake_backend_queued() != 0; i++) {
		run_once();
	}
	fake_cpu.on_idle = poke_cpu;
	for (unsigned i = 0; i < 4; i++) {
		run_once();
	}
	assert_int_not_equal(web->state, GUEST_RUNNING);
	assert_string_equal(web->reason, "halted with interrupts off");
	while (web->state != GUEST_STOPPED) {
		run_once();
	}
	configs[0].cpus = 1;
}

/* A guest that cannot take the interrupt now is given a window. */
static void a_blocked_interrupt_opens_a_window(void **state)
{
	struct fake_vcpu *f;

	(void)state;
	vm_rig_start(web);
	f = fake_vcpu(vcpu_of(web));
	arm_lapic(web, MS);
	vm_rig_advance(2 * MS);
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(f->window_vector, 0x40);
	assert_int_equal(f->injected.type, VCPU_EVENT_NONE);
	allow_interrupts(web);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_INTERRUPT_WINDOW});
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(fake_backend.delivered.vector, 0x40);
	assert_int_equal(f->window_vector, -1);
}

static void stop_web(void)
{
	guest_stop(web, GUEST_END_REQUEST, "by request");
}

static void a_key_arrives(void)
{
	vm_rig.on_poll = stop_web;
	run_chore(RUN_CHORE_INPUT);
}

/* The monitor works while a guest spins, and may end that very guest. */
static void a_key_can_stop_the_guest_that_runs(void **state)
{
	unsigned runs;

	(void)state;
	vm_rig_start(web);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT});
	fake_cpu.on_window = a_key_arrives;
	run_once();
	/* The slice is over, though nobody else waits for the CPU. */
	assert_int_equal(fake_backend_queued(), 0);
	assert_int_equal(web->state, GUEST_RUNNING);
	runs = fake_backend.runs;
	run_once();
	vm_rig.on_poll = NULL;
	assert_int_equal(fake_backend.runs, runs);
	assert_int_equal(web->state, GUEST_STOPPING);
	fake_cpu.on_idle = poke_cpu;
	while (web->state != GUEST_STOPPED) {
		run_once();
	}
}

static unsigned fired;

static void count_firing(struct timer *t)
{
	(void)t;
	fired++;
}

/* Timers are run in between, keys and the rest wait for the slice's end. */
static void attention_is_served_within_the_slice(void **state)
{
	struct timer timer;
	unsigned polls;

	(void)state;
	vm_rig_start(web);
	fake_backend_push(&yield);
	run_once();
	polls = vm_rig.polls;
	fired = 0;
	timer_init(&timer, run_timers(), count_firing);
	timer_arm(&timer, fake_tsc + 1);
	fake_cpu.on_window = run_timer_fired;
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT});
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(fired, 1);
	assert_int_equal(fake_backend_queued(), 0);
	/* What the yield before it asked for, at the beginning of the round. */
	assert_int_equal(vm_rig.polls, polls + 1);
}

static void look_elsewhere(void)
{
	assert_null(fake_loaded());
	space_switch(space_core());
}

/* What is done with the baton finds nothing loaded, and may leave the guest's space. */
static void chores_find_the_cpu_empty(void **state)
{
	(void)state;
	vm_rig_start(web);
	fake_backend_push(&yield);
	run_once();
	assert_ptr_equal(fake_loaded(), vcpu_of(web));
	vm_rig.on_poll = look_elsewhere;
	fake_backend_push(&yield);
	run_once();
	assert_ptr_equal(fake_loaded(), vcpu_of(web));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_guests_state_stays_loaded),
		TEST(another_guest_gets_its_own_state),
		TEST(forgetting_leaves_nothing_on_the_cpu),
		TEST(requests_are_served_before_the_entry),
		TEST(a_flush_is_not_lost_in_hlt),
		TEST(hlt_ends_by_the_hardwares_tpr),
		TEST(init_forgets_a_start_up_message),
		TEST(nobody_is_left_to_start_anybody),
		TEST(a_blocked_interrupt_opens_a_window),
		TEST(a_key_can_stop_the_guest_that_runs),
		TEST(attention_is_served_within_the_slice),
		TEST(chores_find_the_cpu_empty),
		cmocka_unit_test(no_chores_before_all_is_set_up),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
