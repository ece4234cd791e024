/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run loops of several CPUs together: who runs where, who is interrupted, whose state is where,
 * and who does the chores.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/hyperv_internal.h"
#include "tests/fakes/smp_rig.h"

/* --- at the same time --- */

static void two_guests_run_at_once(void **state)
{
	(void)state;
	vm_rig_start(web);
	vm_rig_start(db);
	space_switch(space_core());
	smp_until(1, SMP_GUEST);
	smp_until(2, SMP_GUEST);
	assert_ptr_not_equal(smp_guest(1)->vm, smp_guest(2)->vm);
	for (unsigned cpu = 1; cpu <= 2; cpu++) {
		assert_ptr_equal(fake_backend.loaded[cpu], smp_guest(cpu));
		assert_int_equal(smp_guest(cpu)->loaded_on, cpu);
		assert_true(space_is_current_on(&smp_guest(cpu)->vm->gspace.host, cpu));
	}
	/* Each on its own: no slices, nobody is interrupted. */
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	for (unsigned i = 0; i < 20; i++) {
		struct vcpu *one = smp_guest(1);
		struct vcpu *two = smp_guest(2);

		assert_int_equal(smp_exit(1, nothing), SMP_GUEST);
		assert_int_equal(smp_exit(2, nothing), SMP_GUEST);
		assert_ptr_equal(smp_guest(1), one);
		assert_ptr_equal(smp_guest(2), two);
	}
	assert_int_equal(all_kicks(), 0);
	assert_true(vm_rig.host_timer[1] == TIMER_NEVER);
	assert_true(vm_rig.host_timer[2] == TIMER_NEVER);
}

static void vcpus_of_one_guest_run_at_once(void **state)
{
	(void)state;
	configs[0].cpus = 2;
	vm_rig_start(web);
	space_switch(space_core());
	vcpu_of(web, 1)->wait_for_sipi = false;
	smp_until(1, SMP_GUEST);
	smp_until(2, SMP_GUEST);
	assert_ptr_equal(smp_guest(1)->vm, smp_guest(2)->vm);
	assert_ptr_not_equal(smp_guest(1), smp_guest(2));
}

/* --- waking --- */

static void a_wake_up_interrupts_one_idle_cpu_once(void **state)
{
	(void)state;
	configs[0].pin = cpus(1, 3);
	vm_rig_start(web);
	space_switch(space_core());
	smp_until(1, SMP_GUEST);
	fake_vcpu(vcpu_of(web, 0))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	assert_int_equal(smp_exit(1, hlt), SMP_OUT);
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		smp_until(cpu, SMP_IDLE);
	}
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	guest_request(web, 0, VCPU_REQ_NMI);
	assert_int_equal(all_kicks(), 1);
	/* It is on its way: nobody need be told again. */
	guest_kick(web, 0);
	guest_request(web, 0, VCPU_REQ_NMI);
	assert_int_equal(all_kicks(), 1);
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		if (smp_interrupted(cpu)) {
			smp_until(cpu, SMP_GUEST);
			assert_ptr_equal(smp_guest(cpu), vcpu_of(web, 0));
		}
	}
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
	assert_int_equal(fake_backend.delivered_count, 1);
}

static void a_guest_that_runs_is_interrupted_once(void **state)
{
	(void)state;
	start_on_1(web);
	for (unsigned i = 0; i < 3; i++) {
		guest_kick(web, 0);
	}
	assert_int_equal(vm_rig.kicks[1], 1);
	/* It has exited and looked: the next one is a new matter. */
	assert_int_equal(smp_go(1), SMP_GUEST);
	assert_int_equal(atomic_load(&vcpu_of(web, 0)->requests), 0);
	guest_kick(web, 0);
	assert_int_equal(vm_rig.kicks[1], 2);
	assert_int_equal(all_kicks(), 2);
}

static struct timer late;

static void nothing_late(struct timer *t)
{
	(void)t;
}

/* An emulator that forgets an interrupt: whoever looks after others sends another one. */
static void a_lost_interrupt_is_sent_again(void **state)
{
	(void)state;
	start_on_1(web);
	run_wake_late(fake_tsc);
	assert_int_equal(vm_rig.kicks[1], 0);
	/* A kick that did not get through. */
	guest_kick(web, 0);
	assert_int_equal(vm_rig.kicks[1], 1);
	run_wake_late(fake_tsc);
	assert_int_equal(vm_rig.kicks[1], 2);
	assert_int_equal(smp_go(1), SMP_GUEST);
	run_wake_late(fake_tsc);
	assert_int_equal(vm_rig.kicks[1], 2);
	/* A timer that should have fired: CPU 1 arms one of its own. */
	fake_cpu_switch(1);
	timer_init(&late, run_timers(), nothing_late);
	timer_arm(&late, fake_tsc + MS);
	fake_cpu_switch(0);
	run_wake_late(fake_tsc + 100 * MS);
	assert_int_equal(vm_rig.kicks[1], 2);
	run_wake_late(fake_tsc + 600 * MS);
	assert_int_equal(vm_rig.kicks[1], 3);
	timer_cancel(&late);
}

/* While its CPU is not in the guest it need not be interrupted: it looks before it enters. */
static void between_two_entries_nobody_is_interrupted(void **state)
{
	(void)state;
	start_on_1(web);
	assert_int_equal(smp_exit(1, yield), SMP_OUT);
	guest_request(web, 0, VCPU_REQ_NMI);
	assert_int_equal(all_kicks(), 0);
	smp_until(1, SMP_GUEST);
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
}

static const struct hv_backend *real;
static void (*meddle)(void); /* once */

/* Another CPU comes in while this one looks whether the guest can take something. */
static unsigned meddled_blocked(const struct vcpu *vcpu, enum vcpu_event_type type)
{
	unsigned why = real->blocked(vcpu, type);
	unsigned here = fake_cpu_index();
	void (*fn)(void) = meddle;

	meddle = NULL;
	if (fn != NULL) {
		fake_cpu_switch(0);
		fn();
		fake_cpu_switch(here);
	}
	return why;
}

/* With an interrupt that web cannot take: each time it is prepared there is that look. */
static void meddle_with_web(void (*fn)(void))
{
	static struct hv_backend meddled;

	fake_vcpu(vcpu_of(web, 0))->regs[VCPU_REG_RFLAGS] &= ~RFLAGS_IF;
	assert_true(bus_write(&web->vm.mmio, LAPIC_SVR, 4, 0, 0x1ff));
	send_ipi(web, 0, 0, 0x4040);
	assert_int_equal(smp_go(1), SMP_GUEST);
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	real = the_backend;
	meddled = *real;
	meddled.blocked = meddled_blocked;
	vcpu_set_backend(&meddled);
	meddle = fn;
}

static void meddled_once(void)
{
	assert_null(meddle);
	/* Its CPU looks again by itself: nobody had to interrupt it. */
	assert_int_equal(all_kicks(), 0);
}

static void send_nmi(void)
{
	guest_request(web, 0, VCPU_REQ_NMI);
}

/* A request between that look and the sleep. */
static void a_request_on_the_way_to_sleep_is_not_lost(void **state)
{
	(void)state;
	configs[0].cpus = 2;
	start_on_1(web);
	/* Somebody who may send an NMI: else this HLT would be the guest's end. */
	atomic_store(&vcpu_of(web, 1)->stranded, false);
	meddle_with_web(send_nmi);
	assert_int_equal(smp_exit(1, hlt), SMP_GUEST);
	meddled_once();
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
}

static void want_flush(void)
{
	guest_request(web, 0, VCPU_REQ_TLB_FLUSH);
}

/* The same on the way in: what is requested of the vCPU ... */
static void a_request_on_the_way_in_is_served_first(void **state)
{
	unsigned runs;

	(void)state;
	start_on_1(web);
	meddle_with_web(want_flush);
	guest_kick(web, 0);
	vm_rig.kicks[1] = 0;
	runs = fake_backend.runs;
	assert_int_equal(smp_go(1), SMP_GUEST);
	meddled_once();
	assert_int_equal(fake_vcpu(vcpu_of(web, 0))->flushes, 1);
	assert_int_equal(fake_backend.runs, runs + 1);
}

/* ... and what the CPU is asked for. */
static void a_cpu_that_is_asked_on_the_way_in_stays_out(void **state)
{
	unsigned runs;

	(void)state;
	start_on_1(web);
	meddle_with_web(run_flush_cpus);
	guest_kick(web, 0);
	vm_rig.kicks[1] = 0;
	runs = fake_backend.runs;
	assert_int_equal(smp_go(1), SMP_OUT);
	assert_null(meddle);
	assert_int_equal(vm_rig.kicks[1], 0);
	assert_int_equal(fake_backend.runs, runs);
	assert_int_equal(smp_go(1), SMP_GUEST);
}

/* The CPU has decided to sleep, and is asleep for everybody, but has not executed HLT yet. */
static void wake_before_hlt(void)
{
	unsigned here = fake_cpu_index();

	fake_cpu_switch(0);
	guest_request(web, 0, VCPU_REQ_NMI);
	fake_cpu_switch(here);
	assert_int_equal(vm_rig.kicks[here], 1);
}

static void (*real_idle)(void);

static void wake_then_idle(void)
{
	fake_cpu.on_idle = real_idle;
	wake_before_hlt();
	real_idle();
}

static void a_wake_up_right_before_the_sleep_is_not_lost(void **state)
{
	(void)state;
	start_on_1(web);
	assert_int_equal(smp_exit(1, hlt), SMP_OUT);
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
	real_idle = fake_cpu.on_idle;
	fake_cpu.on_idle = wake_then_idle;
	/* The interrupt is pending when it gets to HLT: it does not sleep. */
	assert_int_equal(smp_go(1), SMP_OUT);
	assert_int_equal(smp_go(1), SMP_GUEST);
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
}

/* --- whose state is where --- */

static void a_vcpu_that_moves_takes_its_state_along(void **state)
{
	struct vcpu *vcpu;

	(void)state;
	start_on_1(web);
	vcpu = vcpu_of(web, 0);
	assert_int_equal(smp_exit(1, hlt), SMP_OUT);
	smp_until(1, SMP_IDLE);
	smp_until(2, SMP_IDLE);
	assert_int_equal(vcpu->loaded_on, 1);
	fake_cpu_switch(1);
	fake_cpu.dr[2] = 0x1234;
	fake_cpu.xcr0 = 3;
	fake_cpu_switch(0);
	pin(web, 0, 2);
	guest_request(web, 0, VCPU_REQ_NMI);
	assert_int_equal(vm_rig.kicks[2], 1);
	assert_int_equal(vm_rig.kicks[1], 0);
	/* CPU 2 needs what CPU 1 holds. */
	smp_until(2, SMP_WAIT);
	assert_int_equal(vm_rig.kicks[1], 1);
	assert_int_equal(vcpu->loaded_on, 1);
	assert_int_equal(smp_go(2), SMP_WAIT);
	assert_int_equal(vm_rig.kicks[1], 1);
	smp_until(1, SMP_IDLE);
	assert_null(fake_backend.loaded[1]);
	assert_false(space_is_current_on(&web->vm.gspace.host, 1));
	assert_int_equal(smp_go(2), SMP_GUEST);
	assert_ptr_equal(fake_backend.loaded[2], vcpu);
	fake_cpu_switch(2);
	assert_int_equal(fake_cpu.dr[2], 0x1234);
	assert_int_equal(fake_cpu.xcr0, 3);
	fake_cpu_switch(0);
}

/* Both want what the other has. */
static void two_vcpus_change_places(void **state)
{
	(void)state;
	start_on_1(web);
	configs[1].pin = cpus(2, 2);
	vm_rig_start(db);
	space_switch(space_core());
	smp_until(2, SMP_GUEST);
	fake_vcpu(vcpu_of(db, 0))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	for (unsigned cpu = 1; cpu <= 2; cpu++) {
		assert_int_equal(smp_exit(cpu, hlt), SMP_OUT);
		smp_until(cpu, SMP_IDLE);
	}
	pin(web, 0, 2);
	pin(db, 0, 1);
	guest_request(web, 0, VCPU_REQ_NMI);
	guest_request(db, 0, VCPU_REQ_NMI);
	smp_until(1, SMP_WAIT);
	/* The other serves it before it asks for something itself. */
	smp_until(2, SMP_GUEST);
	assert_int_equal(smp_go(1), SMP_GUEST);
	assert_ptr_equal(smp_guest(1), vcpu_of(db, 0));
	assert_ptr_equal(smp_guest(2), vcpu_of(web, 0));
}

/* A CPU that waits is asked for something itself. */
static unsigned waiting_done;

static void wait_for_release(void)
{
	unsigned here = fake_cpu_index();

	run_hold(&web->tasks[0]);
	waiting_done++;
	assert_int_equal(fake_cpu_index(), here);
}

static void who_waits_serves_the_others(void **state)
{
	(void)state;
	start_on_1(web);
	configs[1].pin = cpus(2, 2);
	vm_rig_start(db);
	space_switch(space_core());
	smp_until(2, SMP_GUEST);
	fake_vcpu(vcpu_of(db, 0))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	assert_int_equal(smp_exit(2, hlt), SMP_OUT);
	smp_until(2, SMP_IDLE);
	smp_interrupt(2);
	smp_until(2, SMP_OUT);
	assert_int_equal(vcpu_of(db, 0)->loaded_on, 2);
	/* CPU 2 waits for CPU 1 to leave web; CPU 3 wants db, which CPU 2 holds. */
	waiting_done = 0;
	assert_int_equal(smp_call(2, wait_for_release), SMP_WAIT);
	pin(db, 0, 3);
	guest_request(db, 0, VCPU_REQ_NMI);
	smp_until(3, SMP_WAIT);
	assert_int_equal(smp_go(2), SMP_WAIT);
	assert_int_equal(vcpu_of(db, 0)->loaded_on, VCPU_NOT_LOADED);
	assert_int_equal(smp_go(3), SMP_GUEST);
	/* And CPU 1 leaves it. */
	assert_true(smp_interrupted(1));
	assert_int_equal(smp_go(1), SMP_OUT);
	smp_until(1, SMP_IDLE);
	smp_until(2, SMP_WAIT);
	assert_int_equal(waiting_done, 0);
	smp_until(1, SMP_IDLE);
	smp_until(2, SMP_OUT);
	assert_int_equal(waiting_done, 1);
	run_release(&web->tasks[0]);
	smp_until(1, SMP_GUEST);
}

/* --- holding --- */

static void holding_a_vcpu_in_a_slice_elsewhere(void **state)
{
	struct vcpu *vcpu;

	(void)state;
	start_on_1(web);
	vcpu = vcpu_of(web, 0);
	assert_int_equal(guest_pause(web), HV_OK);
	/* It has left the guest, and the CPU, and nothing brings it back. */
	assert_null(smp_guest(1));
	assert_int_equal(vcpu->loaded_on, VCPU_NOT_LOADED);
	assert_null(fake_backend.loaded[1]);
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
	guest_request(web, 0, VCPU_REQ_NMI);
	if (smp_place(1) == SMP_OUT) {
		smp_until(1, SMP_IDLE);
	}
	assert_false(smp_interrupted(1));
	assert_int_equal(fake_backend.delivered_count, 0);
	assert_int_equal(guest_resume(web), HV_OK);
	smp_until(1, SMP_GUEST);
	/* What came meanwhile is not lost. */
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
}

static void holding_a_vcpu_that_sleeps_elsewhere(void **state)
{
	(void)state;
	start_on_1(web);
	assert_int_equal(smp_exit(1, hlt), SMP_OUT);
	smp_until(1, SMP_IDLE);
	assert_int_equal(vcpu_of(web, 0)->loaded_on, 1);
	assert_int_equal(guest_pause(web), HV_OK);
	assert_int_equal(vcpu_of(web, 0)->loaded_on, VCPU_NOT_LOADED);
	assert_null(fake_backend.loaded[1]);
	assert_int_equal(vm_rig.kicks[1], 1);
	assert_int_equal(guest_resume(web), HV_OK);
	/* It looks, and sleeps on: nothing has come. */
	smp_until(1, SMP_OUT);
	smp_until(1, SMP_IDLE);
	assert_true(vcpu_of(web, 0)->halted);
	assert_int_equal(web->tasks[0].entity.state, SCHED_BLOCKED);
}

static void stopping_a_guest_that_runs_elsewhere(void **state)
{
	(void)state;
	start_on_1(web);
	vm_rig_end(web);
	assert_null(smp_guest(1));
	assert_null(fake_backend.loaded[1]);
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		assert_false(space_is_current_on(&web->vm.gspace.host, cpu));
	}
}

/* Also a CPU that only still has the space, because it slept last after a slice of it. */
static void the_space_is_left_on_all_cpus(void **state)
{
	(void)state;
	configs[0].cpus = 2;
	vm_rig_start(web);
	space_switch(space_core());
	vcpu_of(web, 1)->wait_for_sipi = false;
	smp_until(1, SMP_GUEST);
	smp_until(2, SMP_GUEST);
	for (unsigned i = 0; i < 2; i++) {
		fake_vcpu(vcpu_of(web, i))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
		assert_int_equal(smp_exit(i + 1, hlt), SMP_OUT);
		smp_until(i + 1, SMP_IDLE);
		assert_true(space_is_current_on(&web->vm.gspace.host, i + 1));
	}
	vm_rig_end(web);
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		assert_false(space_is_current_on(&web->vm.gspace.host, cpu));
		assert_null(fake_backend.loaded[cpu]);
	}
}

static bool can_get_on(unsigned cpu)
{
	return smp_place(cpu) == SMP_OUT || smp_place(cpu) == SMP_WAIT || smp_interrupted(cpu);
}

static void random_move(unsigned cpu)
{
	static const struct vm_exit *const exits[] = {&hlt, &hlt, &nothing, &yield};

	fake_tsc += MS / 10;
	if (smp_guest(cpu) != NULL && rand() % 2 == 0) {
		fake_vcpu(smp_guest(cpu))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
		(void)smp_exit(cpu, *exits[rand() % 4]);
	} else if (can_get_on(cpu)) {
		(void)smp_go(cpu);
	}
}

static void pause_or_resume(struct guest *g)
{
	if (g->state == GUEST_PAUSED) {
		assert_int_equal(guest_resume(g), HV_OK);
		return;
	}
	assert_int_equal(guest_pause(g), HV_OK);
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		assert_int_equal(vcpu_of(g, i)->loaded_on, VCPU_NOT_LOADED);
		assert_false(fake_vcpu(vcpu_of(g, i))->running);
	}
}

static void random_message(struct guest *g)
{
	unsigned ap = 1 + (unsigned)rand() % 3;

	switch (rand() % 24) {
	case 0:
	case 1:
		pause_or_resume(g);
		break;
	case 2:
	case 3:
	case 4:
		guest_request(g, (unsigned)rand() % g->vm.vcpu_count, VCPU_REQ_NMI);
		break;
	case 5:
		send_ipi(web, 0, ap, ICR_INIT);
		break;
	case 6:
	case 7:
		send_ipi(web, 0, ap, ICR_STARTUP | 8);
		break;
	default:
		break;
	}
}

/* Whether it still exits when it is asked for something. */
static void assert_alive(unsigned vcpu)
{
	uint64_t exits = vcpu_of(web, vcpu)->exit_count;

	if (vcpu != 0) {
		send_ipi(web, 0, vcpu, ICR_STARTUP | 8);
	}
	guest_request(web, vcpu, VCPU_REQ_NMI);
	for (unsigned n = 0; n < 1000; n++) {
		unsigned cpu = 1 + n % 3;

		fake_tsc += MS;
		if (smp_guest(cpu) != NULL) {
			(void)smp_exit(cpu, nothing);
		} else if (can_get_on(cpu)) {
			(void)smp_go(cpu);
		}
		if (vcpu_of(web, vcpu)->exit_count > exits) {
			return;
		}
	}
	fail_msg("vCPU %u does not run any more", vcpu);
}

/* Everything at random, by a fixed seed: what must hold at any time is checked by the fakes. */
static void four_vcpus_are_paused_and_resumed_at_random(void **state)
{
	unsigned runs;

	(void)state;
	srand(4);
	configs[0].cpus = 4;
	configs[0].pin = configs[1].pin = cpus(1, 3);
	vm_rig_start(web);
	vm_rig_start(db);
	space_switch(space_core());
	for (unsigned i = 1; i < 4; i++) {
		send_ipi(web, 0, i, ICR_STARTUP | 8);
	}
	runs = fake_backend.runs;
	for (unsigned n = 0; n < 20000; n++) {
		random_move(1 + (unsigned)rand() % 3);
		random_message(rand() % 4 == 0 ? db : web);
	}
	assert_true(fake_backend.runs - runs > 2000);
	/* Nobody was forgotten. */
	if (web->state == GUEST_PAUSED) {
		pause_or_resume(web);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_alive(i);
	}
}

/* --- chores and the baton --- */

static unsigned polled_on;

static void note_poll(void)
{
	polled_on = fake_cpu_index();
}

static void who_finds_chores_does_them(void **state)
{
	unsigned polls = vm_rig.polls;

	(void)state;
	start_on_1(web);
	polls = vm_rig.polls;
	vm_rig.on_poll = note_poll;
	polled_on = 99;
	/* The exit's own CPU. */
	assert_int_equal(smp_exit(1, yield), SMP_OUT);
	assert_int_equal(vm_rig.polls, polls);
	smp_until(1, SMP_GUEST);
	assert_int_equal(vm_rig.polls, polls + 1);
	assert_int_equal(polled_on, 1);
	/* Another one that comes round first. */
	assert_int_equal(smp_exit(1, yield), SMP_OUT);
	smp_until(2, SMP_IDLE);
	assert_int_equal(vm_rig.polls, polls + 2);
	assert_int_equal(polled_on, 2);
	smp_until(1, SMP_GUEST);
	assert_int_equal(vm_rig.polls, polls + 2);
}

/* Somebody who has the baton and is busy for a while. */
static unsigned busy_rounds;

static void be_busy(void)
{
	note_poll();
	while (busy_rounds > 0) {
		busy_rounds--;
		cpu_relax();
	}
}

static void chores_that_come_meanwhile_are_not_lost(void **state)
{
	unsigned polls;

	(void)state;
	start_on_1(web);
	polls = vm_rig.polls;
	vm_rig.on_poll = be_busy;
	busy_rounds = 2;
	run_chore(RUN_CHORE_INPUT);
	smp_until(2, SMP_WAIT);
	assert_int_equal(vm_rig.polls, polls + 1);
	/* CPU 1 has one, finds the baton taken, and does not wait for it. */
	assert_int_equal(smp_exit(1, yield), SMP_OUT);
	assert_int_equal(smp_go(1), SMP_GUEST);
	assert_int_equal(vm_rig.polls, polls + 1);
	/* Whoever lets go of the baton looks again. */
	assert_int_equal(smp_go(2), SMP_WAIT);
	assert_int_equal(smp_go(2), SMP_IDLE);
	assert_int_equal(vm_rig.polls, polls + 2);
	assert_int_equal(polled_on, 2);
}

/* With nothing else to do a CPU sleeps while another one has the baton, and not otherwise. */
static void nobody_sleeps_on_a_chore(void **state)
{
	unsigned polls = vm_rig.polls;

	(void)state;
	vm_rig.on_poll = be_busy;
	busy_rounds = 1;
	run_chore(RUN_CHORE_INPUT);
	smp_until(2, SMP_WAIT);
	run_chore(RUN_CHORE_INPUT);
	smp_until(1, SMP_IDLE);
	assert_int_equal(vm_rig.polls, polls + 1);
	assert_int_equal(smp_go(2), SMP_IDLE);
	assert_int_equal(vm_rig.polls, polls + 2);
}

static void web_crashes_on_1(void)
{
	assert_int_equal(smp_exit(1, triple_fault), SMP_OUT);
	/* It cannot be carried out now, but it does not run on either. */
	assert_int_equal(web->state, GUEST_RUNNING);
	while (smp_place(1) != SMP_IDLE) {
		assert_int_not_equal(smp_go(1), SMP_GUEST);
	}
	vm_rig.on_poll = NULL;
}

static void a_guest_ends_while_another_cpu_has_the_baton(void **state)
{
	(void)state;
	start_on_1(web);
	vm_rig.on_poll = web_crashes_on_1;
	run_chore(RUN_CHORE_INPUT);
	run_once(); /* on CPU 0, with the baton */
	assert_int_equal(web->state, GUEST_STOPPING);
	assert_non_null(strstr(vm_rig_text(), "guest web: stopped: triple fault"));
	vm_rig_work();
	assert_int_equal(web->state, GUEST_STOPPED);
}

/* All vCPUs stop, also those that run elsewhere, and nobody enters again before the end. */
static void the_end_of_one_vcpu_is_that_of_all(void **state)
{
	unsigned runs;

	(void)state;
	configs[0].cpus = 2;
	vm_rig_start(web);
	space_switch(space_core());
	vcpu_of(web, 1)->wait_for_sipi = false;
	smp_until(1, SMP_GUEST);
	smp_until(2, SMP_GUEST);
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	runs = fake_backend.runs;
	assert_int_equal(smp_exit(1, triple_fault), SMP_OUT);
	assert_int_equal(vm_rig.kicks[2], 1);
	assert_int_equal(smp_go(2), SMP_OUT);
	assert_int_equal(fake_backend.runs, runs);
	smp_settle();
	assert_non_null(strstr(vm_rig_text(), "guest web: stopped: triple fault"));
	assert_int_equal(fake_backend.runs, runs);
}

static unsigned steps_on[CPUS];
static unsigned steps_left;

static bool step(struct work *w)
{
	(void)w;
	steps_on[fake_cpu_index()]++;
	fake_tsc += MS / 2;
	return --steps_left > 0;
}

/* Long work goes to a CPU that has nothing else to do, and does not shorten slices elsewhere. */
static void work_goes_to_an_idle_cpu(void **state)
{
	static struct work job;

	(void)state;
	start_on_1(web);
	smp_until(2, SMP_IDLE);
	smp_until(3, SMP_IDLE);
	assert_int_equal(smp_exit(1, yield), SMP_OUT);
	memset(steps_on, 0, sizeof(steps_on));
	steps_left = 5;
	work_init(&job, step);
	work_start(&job);
	smp_until(1, SMP_GUEST);
	/* One step, and somebody is told. */
	assert_int_equal(steps_on[1], 1);
	assert_int_equal(vm_rig.kicks[2] + vm_rig.kicks[3], 1);
	for (unsigned cpu = 2; cpu <= 3; cpu++) {
		if (smp_interrupted(cpu)) {
			assert_int_equal(smp_go(cpu), SMP_OUT);
			smp_until(cpu, SMP_IDLE);
			assert_int_equal(steps_on[cpu], 4);
		}
	}
	assert_false(work_pending());
}

/* --- flushes of others' translations by hypercall --- */

/* A guest with Microsoft's interface and two vCPUs, each in the guest on a CPU; the first one's. */
static unsigned two_vcpus_with_hyperv(void)
{
	configs[0].cpus = 2;
	configs[0].hyperv = true;
	vm_rig_start(web);
	space_switch(space_core());
	web->vm.hyperv->state.hypercall = HV_PAGE_ENABLE;
	vcpu_of(web, 1)->wait_for_sipi = false;
	smp_until(1, SMP_GUEST);
	smp_until(2, SMP_GUEST);
	return smp_guest(1)->index == 0 ? 1 : 2;
}

/* The first vCPU flushes everyone, itself included; where its CPU then stands. */
static enum smp_place flush_all(unsigned cpu)
{
	struct vcpu *vcpu = smp_guest(cpu);

	vcpu->gpr[GPR_RCX] = HV_CALL_FLUSH_SPACE_EX | HV_CONTROL_FAST;
	vcpu->gpr[GPR_RDX] = 0;
	vcpu->gpr[GPR_R8] = HV_FLUSH_ALL_PROCESSORS;
	return smp_exit(cpu, (struct vm_exit){.kind = VM_EXIT_HYPERCALL, .insn_len = 3});
}

static void a_flush_waits_for_who_is_in_the_guest(void **state)
{
	unsigned cpu = two_vcpus_with_hyperv();
	unsigned other = 3 - cpu;
	unsigned before = fake_vcpu(vcpu_of(web, 1))->flushes;

	(void)state;
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	assert_int_equal(flush_all(cpu), SMP_WAIT);
	assert_int_equal(vm_rig.kicks[other], 1);
	assert_int_equal(smp_go(cpu), SMP_WAIT);
	/* It comes out, and flushes before it goes in again. */
	assert_true(smp_interrupted(other));
	assert_int_equal(smp_go(other), SMP_GUEST);
	assert_int_equal(fake_vcpu(vcpu_of(web, 1))->flushes, before + 1);
	smp_until(cpu, SMP_GUEST);
	assert_int_equal(all_kicks(), 1);
	assert_int_equal(vcpu_of(web, 0)->gpr[GPR_RAX], HV_CALL_SUCCESS);
}

static void a_flush_does_not_wake_who_sleeps(void **state)
{
	unsigned cpu = two_vcpus_with_hyperv();
	unsigned other = 3 - cpu;
	unsigned before = fake_vcpu(vcpu_of(web, 1))->flushes;

	(void)state;
	fake_vcpu(vcpu_of(web, 1))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	assert_int_equal(smp_exit(other, hlt), SMP_OUT);
	smp_until(other, SMP_IDLE);
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	assert_int_equal(flush_all(cpu), SMP_GUEST);
	assert_int_equal(all_kicks(), 0);
	assert_int_equal(smp_place(other), SMP_IDLE);
	/* Once it is woken. */
	guest_nmi(web, 1);
	smp_until(other, SMP_GUEST);
	assert_int_equal(fake_vcpu(vcpu_of(web, 1))->flushes, before + 1);
}

/* --- posting --- */

/* A machine whose CPUs take what is posted, and web on CPU 1 of it. */
static struct apic_post *start_posting(void)
{
	static struct hv_backend posting, meddled;

	posting = fake_hv_backend;
	posting.info.virtual_interrupts = true;
	posting.info.posts_interrupts = true;
	vcpu_set_backend(&posting);
	start_on_1(web);
	memset(vm_rig.notices, 0, sizeof(vm_rig.notices));
	real = &posting;
	meddled = posting;
	meddled.blocked = meddled_blocked;
	vcpu_set_backend(&meddled);
	return vcpu_of(web, 0)->post;
}

static void post_41(void)
{
	lapic_interrupt(board_lapic(web->board, 0), 0x41);
}

static void a_vcpu_that_runs_is_told_and_stays(void **state)
{
	struct apic_post *post = start_posting();
	unsigned runs = fake_backend.runs;

	(void)state;
	post_41();
	lapic_interrupt(board_lapic(web->board, 0), 0x51);
	assert_int_equal(vm_rig.notices[1], 1);
	assert_int_equal(all_kicks(), 0);
	assert_int_equal(atomic_load(&vcpu_of(web, 0)->requests), 0);
	assert_int_equal(fake_backend.runs, runs);
	/* It exits, as if before the notice: not in again before both are taken. */
	assert_int_equal(smp_exit(1, nothing), SMP_GUEST);
	assert_false(apic_post_outstanding(post));
	assert_int_equal(fake_backend.apic_loaded.requested, 0x51);
	assert_int_equal(fake_backend.apic_page[0x220 / 4], 1u << 1 | 1u << 17);
	assert_int_equal(vm_rig.notices[1], 1);
}

static void a_vcpu_that_sleeps_is_woken(void **state)
{
	struct apic_post *post = start_posting();

	(void)state;
	assert_int_equal(smp_exit(1, hlt), SMP_OUT);
	smp_until(1, SMP_IDLE);
	post_41();
	assert_int_equal(vm_rig.notices[1], 0);
	assert_int_equal(vm_rig.kicks[1], 1);
	smp_until(1, SMP_GUEST);
	assert_int_equal(fake_backend.apic_loaded.requested, 0x41);
	assert_false(apic_post_outstanding(post));
}

/* It was seen to run, and has halted when the notice comes, which says nothing. */
static void halting_with_something_posted_is_no_sleep(void **state)
{
	struct apic_post *post = start_posting();

	(void)state;
	post_41();
	assert_int_equal(vm_rig.notices[1], 1);
	assert_int_equal(smp_exit(1, hlt), SMP_GUEST);
	assert_int_equal(fake_backend.apic_loaded.requested, 0x41);
	assert_false(apic_post_outstanding(post));
}

/* What another CPU posts between the hand-over and the entry, having seen the vCPU run before. */
static void post_alone(void)
{
	assert_true(apic_post_add(vcpu_of(web, 0)->post, 0x41));
}

static void posting_on_the_way_in_is_taken_first(void **state)
{
	struct vm_exit window = {.kind = VM_EXIT_INTERRUPT_WINDOW};
	struct apic_post *post = start_posting();
	unsigned runs = fake_backend.runs;

	(void)state;
	/* An interrupt of the 8259's: there the meddler is asked. */
	vcpu_of(web, 0)->events.late_vector = 0x20;
	meddle = post_alone;
	assert_int_equal(smp_exit(1, window), SMP_GUEST);
	meddled_once();
	assert_false(apic_post_outstanding(post));
	assert_int_equal(fake_backend.apic_loaded.requested, 0x41);
	assert_int_equal(fake_backend.runs, runs + 1);
	assert_int_equal(fake_backend.delivered.vector, 0x20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_guests_run_at_once),
		TEST(vcpus_of_one_guest_run_at_once),
		TEST(a_wake_up_interrupts_one_idle_cpu_once),
		TEST(a_guest_that_runs_is_interrupted_once),
		TEST(a_lost_interrupt_is_sent_again),
		TEST(between_two_entries_nobody_is_interrupted),
		TEST(a_request_on_the_way_to_sleep_is_not_lost),
		TEST(a_request_on_the_way_in_is_served_first),
		TEST(a_cpu_that_is_asked_on_the_way_in_stays_out),
		TEST(a_wake_up_right_before_the_sleep_is_not_lost),
		TEST(a_vcpu_that_moves_takes_its_state_along),
		TEST(two_vcpus_change_places),
		TEST(who_waits_serves_the_others),
		TEST(holding_a_vcpu_in_a_slice_elsewhere),
		TEST(holding_a_vcpu_that_sleeps_elsewhere),
		TEST(stopping_a_guest_that_runs_elsewhere),
		TEST(the_space_is_left_on_all_cpus),
		TEST(who_finds_chores_does_them),
		TEST(chores_that_come_meanwhile_are_not_lost),
		TEST(nobody_sleeps_on_a_chore),
		TEST(a_guest_ends_while_another_cpu_has_the_baton),
		TEST(the_end_of_one_vcpu_is_that_of_all),
		TEST(work_goes_to_an_idle_cpu),
		TEST(a_flush_waits_for_who_is_in_the_guest),
		TEST(a_flush_does_not_wake_who_sleeps),
		TEST(a_vcpu_that_runs_is_told_and_stays),
		TEST(a_vcpu_that_sleeps_is_woken),
		TEST(halting_with_something_posted_is_no_sleep),
		TEST(posting_on_the_way_in_is_taken_first),
		TEST(four_vcpus_are_paused_and_resumed_at_random),
	};

	return cmocka_run_group_tests(tests, machine, shut_down);
}
