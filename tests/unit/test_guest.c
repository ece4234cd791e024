/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a guest: start, stop, pause, restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "hv/cpu/regs.h"
#include "mm/frame.h"
#include "tests/fakes/guest_rig.h"

/* --- starting --- */

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
	assert_ptr_equal(fake_loaded(), g->vm.vcpus[0]);
	vm_rig_end(g);
	assert_null(fake_loaded());
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

/* Of its last run, when that is over; the next one counts from nothing. */
static void what_a_run_took_is_kept(void **state)
{
	(void)state;
	memset(&g->past, 0, sizeof(g->past));
	vm_rig_start(g);
	vm_rig_advance(5000);
	g->vm.vcpus[0]->exits_by_kind[VM_EXIT_CPUID] = 7;
	assert_int_equal(g->past.ticks, 0);
	vm_rig_end(g);
	assert_true(g->past.ticks >= 5000);
	assert_int_equal(g->past.exits[VM_EXIT_CPUID], 7);
	/* One that does not get as far as its first instruction has taken nothing. */
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_end(g);
	assert_int_equal(g->past.exits[VM_EXIT_CPUID], 7);
	vm_rig_start(g);
	vm_rig_end(g);
	assert_int_equal(g->past.exits[VM_EXIT_CPUID], 0);
}

static void a_crash_prints_the_last_exits(void **state)
{
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	g->vm.vcpus[0]->rip = 0x1234;
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_SPURIOUS});
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_TRIPLE_FAULT});
	run_once();
	/* Asked for, and carried out between slices: until then it does not run on. */
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_silent_about("stopped");
	runs = fake_backend.runs;
	run_once();
	assert_int_equal(fake_backend.runs, runs);
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_says("bulkhead: guest web: stopped: triple fault");
	assert_says("web: last exits of vCPU 0:");
	assert_says("rip 0x0000000000001234 spurious");
	assert_says("triple-fault");
}

/* Of what it asks for itself the first counts, and no entry comes after it. */
static void the_first_end_counts(void **state)
{
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	runs = fake_backend.runs;
	assert_true(guest_end(g, GUEST_END_POWER_OFF, "power-off"));
	assert_false(guest_end(g, GUEST_END_CRASH, "triple fault"));
	assert_int_equal(g->state, GUEST_RUNNING);
	run_once();
	assert_int_equal(fake_backend.runs, runs);
	assert_says("guest web: stopped: power-off");
	assert_silent_about("triple fault");
	assert_int_equal(g->end, GUEST_END_POWER_OFF);
	vm_rig_work();
	/* Once, and not the next life. */
	assert_int_equal(g->state, GUEST_STOPPED);
	vm_rig_start(g);
	guest_end_wanted();
	assert_int_equal(g->state, GUEST_RUNNING);
}

/* A person was faster: what the guest asked for ends nothing of its next life. */
static void an_end_that_comes_late_is_forgotten(void **state)
{
	(void)state;
	vm_rig_start(g);
	guest_end(g, GUEST_END_CRASH, "triple fault");
	guest_reset(g, "by request");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	run_chore(RUN_CHORE_GUESTS);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(fake_backend_queued(), 0);
	assert_silent_about("triple fault");
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

/* It ended itself when the pause came, and nobody has looked yet. */
static void one_that_has_ended_does_not_go_on(void **state)
{
	(void)state;
	vm_rig_start(g);
	guest_end(g, GUEST_END_CRASH, "triple fault");
	assert_int_equal(guest_pause(g), HV_OK);
	assert_int_equal(guest_resume(g), HV_E_BUSY);
	guest_end_wanted();
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_string_equal(g->reason, "triple fault");
	vm_rig_work();
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(starting_twice_is_refused),
		TEST(a_start_while_stopping_waits_for_the_memory),
		TEST(stopping_gives_everything_back),
		TEST(stopping_a_running_vcpu_unloads_it),
		TEST(pause_is_refused_while_it_does_not_run),
		TEST(stopping_what_is_stopped_says_nothing),
		TEST(what_a_run_took_is_kept),
		TEST(a_crash_prints_the_last_exits),
		TEST(the_first_end_counts),
		TEST(an_end_that_comes_late_is_forgotten),
		TEST(long_reasons_are_cut),
		TEST(restart_follows_the_configuration),
		TEST(a_reset_says_so),
		TEST(a_guest_that_ends_at_once_is_given_up),
		TEST(a_long_life_ends_the_row),
		TEST(a_person_may_reset_as_often_as_they_like),
		TEST(reset_works_in_every_state),
		TEST(time_stands_still_while_paused),
		TEST(a_paused_guest_does_not_run),
		TEST(one_that_has_ended_does_not_go_on),
		TEST(timers_go_on_where_they_stood),
		TEST(the_last_stop_is_told),
		TEST(guests_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
