/* SPDX-License-Identifier: Apache-2.0 */
/* `top`: what it prints for counters that are known, when it prints, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/cpu/percpu.h"
#include "hv/monitor.h"
#include "tests/fakes/vm_rig.h"

#define PROMPT "bulkhead> "
#define SECOND VM_RIG_HZ

static struct guest_config config;
static struct guest_config other_config;
static struct guest *g;
static struct guest *other;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	if (percpu_count() == 0) {
		percpu_activate(percpu_init_boot(0x1000, 0x2000, 0));
	}
	g = vm_rig_guest("web", &config);
	other = vm_rig_guest("a-guest-with-a-name-of-31-chars", &other_config);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	config.cpus = 1;
	vm_rig_clear();
	return 0;
}

static int clean(void **state)
{
	(void)state;
	monitor_top_end();
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	if (other->state != GUEST_STOPPED) {
		vm_rig_end(other);
	}
	return vm_rig_leaks();
}

/* The guests only take time here; what the run loop would do is not of interest. */
static void pass(uint64_t ticks)
{
	vm_rig_advance(ticks);
	monitor_poll();
}

static void has(const char *words)
{
	if (strstr(vm_rig_text(), words) == NULL) {
		fail_msg("no '%s' in:\n%s", words, vm_rig_text());
	}
}

static void has_not(const char *words)
{
	if (strstr(vm_rig_text(), words) != NULL) {
		fail_msg("'%s' in:\n%s", words, vm_rig_text());
	}
}

static unsigned count_of(const char *words)
{
	unsigned count = 0;

	for (const char *at = vm_rig_text(); (at = strstr(at, words)) != NULL; at++) {
		count++;
	}
	return count;
}

/* Whether all that was printed fits a terminal. */
static void assert_narrow(void)
{
	const char *line = vm_rig_text();
	const char *end;

	while ((end = strstr(line, "\r\n")) != NULL) {
		if (end - line > 79) {
			fail_msg("%d columns: %.*s", (int)(end - line), (int)(end - line), line);
		}
		line = end + 2;
	}
}

/* --- when --- */

static void nothing_is_printed_before_a_second_has_passed(void **state)
{
	(void)state;
	vm_rig_type("top\r");
	assert_string_equal(vm_rig_text(), "top\r\n");
	assert_true(monitor_top_active());
	pass(SECOND - SECOND / 1000);
	assert_string_equal(vm_rig_text(), "top\r\n");
	pass(SECOND / 1000);
	has("top\r\ntop: 1000 ms, 1 CPU, 2 guests, ");
	assert_false(monitor_top_active());
	/* The prompt comes back, once. */
	assert_int_equal(count_of(PROMPT), 1);
	vm_rig_clear();
	pass(10 * SECOND);
	assert_string_equal(vm_rig_text(), "");
}

/* The run loop's own way: timer, chore, baton. */
static void the_run_loop_gets_it_printed(void **state)
{
	(void)state;
	vm_rig_type("top\r");
	fake_tsc += SECOND;
	run_timer_fired();
	run_once();
	has("top: 1000 ms");
	assert_false(monitor_top_active());
}

static void it_is_repeated_as_often_as_wanted(void **state)
{
	(void)state;
	vm_rig_type("top 3\r");
	for (unsigned i = 1; i <= 3; i++) {
		assert_true(monitor_top_active());
		pass(SECOND);
		assert_int_equal(count_of("top: 1000 ms"), i);
	}
	assert_false(monitor_top_active());
	assert_int_equal(count_of(PROMPT), 1);
	/* An empty line between two. */
	assert_int_equal(count_of("\r\n\r\ntop: "), 2);
}

static void a_late_refresh_counts_the_time_there_was(void **state)
{
	(void)state;
	vm_rig_type("top\r");
	vm_rig_advance(3 * SECOND);
	monitor_poll();
	has("top: 3000 ms");
}

static void any_key_ends_it(void **state)
{
	static const struct {
		const char *keys, *shown;
	} cases[] = {
		{"q", PROMPT},
		{"\r", PROMPT},
		{"\x03", PROMPT},
		{" ", PROMPT},
		{"\x7f", PROMPT},
		{"\x1d", PROMPT},
		{"\x1b[B", PROMPT},
		/* What a script types ahead is not lost. */
		{"x", PROMPT "x"},
		{"nope\r", PROMPT "nope\r\nno command 'nope'; `help` lists them\r\n" PROMPT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_rig_type("top 99\r");
		pass(SECOND);
		vm_rig_clear();
		vm_rig_type(cases[i].keys);
		assert_false(monitor_top_active());
		assert_string_equal(vm_rig_text(), cases[i].shown);
		assert_int_equal(timer_queue_next(run_timers()), TIMER_NEVER);
		vm_rig_type("\x03");
	}
	/* A terminal that ends lines with CR LF does not end it at once. */
	vm_rig_type("top 99\r\n");
	assert_true(monitor_top_active());
}

static void log_lines_bring_no_prompt_back(void **state)
{
	(void)state;
	vm_rig_type("top 2\r");
	vm_rig_clear();
	log_event("something");
	assert_string_equal(vm_rig_text(), "bulkhead: something\r\n");
	monitor_top_end();
	vm_rig_clear();
	log_event("something");
	has(PROMPT);
}

static void wrong_counts_are_refused(void **state)
{
	(void)state;
	vm_rig_type("top 0\r");
	has("at least 1\r\n" PROMPT);
	vm_rig_clear();
	vm_rig_type("top web\r");
	has("'web' is not a number\r\n" PROMPT);
	assert_false(monitor_top_active());
}

/* --- what --- */

static void exits(unsigned vcpu, enum vm_exit_kind kind, uint64_t count)
{
	g->vm.vcpus[vcpu]->exits_by_kind[kind] += count;
	g->vm.vcpus[vcpu]->exit_count += count;
}

static void numbers_are_differences_per_second(void **state)
{
	struct sched_entity *e;

	(void)state;
	vm_rig_start(g);
	/* Blocked: the counters stand still but for what is done to them here. */
	run_hold(&g->tasks[0]);
	exits(0, VM_EXIT_IO, 1000000);
	e = &g->tasks[0].entity;
	e->run_ticks = 5 * SECOND;
	e->wait_ticks = 7 * SECOND;
	g->tasks[0].wake_peak = SECOND; /* from before */
	vm_rig_type("top 2\r");
	exits(0, VM_EXIT_IO, 600);
	exits(0, VM_EXIT_CPUID, 100);
	exits(0, VM_EXIT_HOST_INTERRUPT, 300);
	e->run_ticks += SECOND;
	e->wait_ticks += SECOND / 2;
	e->wake_count += 20;
	e->wake_ticks_total += 20 * (SECOND / 1000000) * 40; /* 40 us each */
	g->tasks[0].wake_peak = SECOND / 1000000 * 90;
	vm_rig_clear();
	pass(2 * SECOND);
	has("web: running, 16 MiB, exits/s: io 300 host-irq 150 cpuid 50\r\n"
	    "  0 on -      50.0   25.0      10      40      90      500  io 60%\r\n");
	/* All of it belongs to that interval only. */
	vm_rig_clear();
	pass(SECOND);
	has("web: running, 16 MiB, exits/s: none\r\n"
	    "  0 on -       0.0    0.0       0       0       0        0\r\n");
	has_not("a-guest");
	assert_narrow();
}

static void several_vcpus_are_summed_up(void **state)
{
	(void)state;
	config.cpus = 3;
	vm_rig_start(g);
	for (unsigned i = 0; i < 3; i++) {
		run_hold(&g->tasks[i]);
	}
	vm_rig_type("top\r");
	for (unsigned i = 0; i < 3; i++) {
		struct sched_entity *e = &g->tasks[i].entity;

		e->run_ticks += SECOND / 10 * (i + 1);
		e->wake_count += 1;
		e->wake_ticks_total += SECOND / 1000000 * 10 * i;
		g->tasks[i].wake_peak = SECOND / 1000000 * (10 - i);
		exits(i, VM_EXIT_HLT, 10ull * i);
	}
	exits(2, VM_EXIT_IO, 21);
	pass(SECOND);
	has("exits/s: hlt 30 io 21\r\n"
	    "  all         60.0    0.0       3      10      10       51  hlt 58%\r\n"
	    "  0 on -      10.0    0.0       1       0      10        0\r\n"
	    "  1 on -      20.0    0.0       1      10       9       10  hlt 100%\r\n"
	    "  2 on -      30.0    0.0       1      20       8       41  io 51%\r\n");
}

static void the_widest_numbers_fit_a_terminal(void **state)
{
	(void)state;
	vm_rig_start(g);
	vm_rig_start(other);
	vm_rig_type("top\r");
	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		other->vm.vcpus[0]->exits_by_kind[k] += 2000000 - k;
	}
	pass(SECOND);
	assert_narrow();
	has("a-guest-with-a-name-of-31-chars: running, 16 MiB, exits/s: invalid 2000000\r\n");
}

/* A quarter of a second, begun a millisecond after it was woken for it. */
static void a_vcpu_that_ran_is_counted(void **state)
{
	(void)state;
	vm_rig_start(g);
	vm_rig_type("top\r");
	fake_tsc += SECOND / 1000;
	vm_rig_slice(SECOND / 4);
	run_hold(&g->tasks[0]);
	pass(SECOND - SECOND / 1000 - SECOND / 4);
	has("RUNS\r\n  0   25.0          1       0  -\r\nVCPU");
	/* It was woken before the first sample. */
	has("exits/s: pause 1\r\n"
	    "  0 on 0      25.0    0.1       0       0    1000        1  pause 100%\r\n");
}

static void what_runs_on_a_cpu_is_named(void **state)
{
	struct run_cpu_info info;

	(void)state;
	vm_rig_start(g);
	run_cpu_info(0, &info);
	assert_true(info.online);
	assert_null(info.current);
	vm_rig_slice(SECOND / 4);
	run_cpu_info(0, &info);
	assert_ptr_equal(info.current, g->vm.vcpus[0]);
	vm_rig_type("top\r");
	pass(SECOND);
	has("  0  100.0          0       0  web/0\r\n");
	has_not("idle:");
}

static void idle_cpus_are_only_counted(void **state)
{
	(void)state;
	vm_rig_type("top\r");
	pass(SECOND);
	has("RUNS\r\nidle: 1 CPU\r\nVCPU ");
}

/* --- guests come and go --- */

static void a_guest_that_starts_meanwhile_waits_for_its_turn(void **state)
{
	(void)state;
	vm_rig_start(g);
	vm_rig_type("top 4\r");
	vm_rig_end(g);
	vm_rig_clear();
	pass(SECOND);
	has_not("web: ");
	vm_rig_start(g);
	vm_rig_clear();
	pass(SECOND);
	has_not("web: ");
	/* Another run of it is not the same. */
	vm_rig_end(g);
	vm_rig_start(g);
	vm_rig_clear();
	pass(SECOND);
	has_not("web: ");
	vm_rig_clear();
	pass(SECOND);
	has("web: running");
}

static void a_paused_guest_says_so(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_int_equal(guest_pause(g), HV_OK);
	vm_rig_type("top\r");
	pass(SECOND);
	has("web: paused, 16 MiB, exits/s: none\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_printed_before_a_second_has_passed),
		TEST(the_run_loop_gets_it_printed),
		TEST(it_is_repeated_as_often_as_wanted),
		TEST(a_late_refresh_counts_the_time_there_was),
		TEST(any_key_ends_it),
		TEST(log_lines_bring_no_prompt_back),
		TEST(wrong_counts_are_refused),
		TEST(numbers_are_differences_per_second),
		TEST(several_vcpus_are_summed_up),
		TEST(the_widest_numbers_fit_a_terminal),
		TEST(a_vcpu_that_ran_is_counted),
		TEST(what_runs_on_a_cpu_is_named),
		TEST(idle_cpus_are_only_counted),
		TEST(a_guest_that_starts_meanwhile_waits_for_its_turn),
		TEST(a_paused_guest_says_so),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
