/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a vCPU or of its CPU while it runs, halts or waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mm/space.h"
#include "tests/fakes/run_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN_TEST(requests_are_served_before_the_entry),
		RUN_TEST(a_flush_is_not_lost_in_hlt),
		RUN_TEST(hlt_ends_by_the_hardwares_tpr),
		RUN_TEST(init_forgets_a_start_up_message),
		RUN_TEST(nobody_is_left_to_start_anybody),
		RUN_TEST(a_blocked_interrupt_opens_a_window),
		RUN_TEST(a_key_can_stop_the_guest_that_runs),
		RUN_TEST(attention_is_served_within_the_slice),
		RUN_TEST(chores_find_the_cpu_empty),
	};

	return cmocka_run_group_tests(tests, run_rig_machine, NULL);
}
