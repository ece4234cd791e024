/* SPDX-License-Identifier: Apache-2.0 */
/* `set`: what it refuses, and that it reaches guests that run, that are paused and that start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/monitor.h"
#include "tests/fakes/vm_rig.h"

#define DEFAULTS "web: weight 100, cap none, pin all\r\n"

static struct guest_config config;
static struct guest *g;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	g = vm_rig_guest("web", &config);
	config.cpus = 2;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	g->share_changed = false;
	return 0;
}

static int clean(void **state)
{
	(void)state;
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	return vm_rig_leaks();
}

static void answers(const char *args, const char *want)
{
	vm_rig_clear();
	monitor_set(span_of(args));
	assert_string_equal(vm_rig_text(), want);
}

static void stats_have(const char *line)
{
	vm_rig_clear();
	monitor_stats(span_of("web"));
	if (strstr(vm_rig_text(), line) == NULL) {
		fail_msg("no '%s' in:\n%s", line, vm_rig_text());
	}
}

static void without_a_key_it_shows_what_is(void **state)
{
	(void)state;
	answers("web", DEFAULTS);
	config.cap = 150;
	answers("web ", "web: weight 100, cap 150, pin all\r\n");
	config.cap = 0;
}

static void what_is_wrong_is_refused(void **state)
{
	static const char weight[] = "weight is 1 to 10000\r\n";
	static const char cap[] = "cap is 1 to 6400, in percent of one CPU, or none\r\n";
	static const char pin[] = "pin is a list of CPUs, as 0-3,8, or all\r\n";
	static const struct {
		const char *args, *want;
	} cases[] = {
		{"", "which guest? `list` shows them\r\n"},
		{"nobody weight 3", "no guest is named 'nobody'; `list` shows them\r\n"},
		{"web speed 3", "set what? weight, cap, pin or memory\r\n"},
		{"web Weight 3", "set what? weight, cap, pin or memory\r\n"},
		{"web weight", weight},
		{"web weight 0", weight},
		{"web weight 10001", weight},
		{"web weight -1", weight},
		{"web weight 4294967297", weight},
		{"web weight 3 4", weight},
		{"web weight none", weight},
		{"web cap", cap},
		{"web cap 0", cap},
		{"web cap 6401", cap},
		{"web cap 50%", cap},
		{"web pin", pin},
		{"web pin 0,", pin},
		{"web pin 3-1", pin},
		{"web pin 256", pin},
		{"web pin 0 1", pin},
		{"web pin 1-255", "none of these CPUs runs guests; `info cpus` shows which do\r\n"},
	};

	(void)state;
	vm_rig_start(g);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		answers(cases[i].args, cases[i].want);
	}
	assert_false(g->share_changed);
	answers("web", DEFAULTS);
	assert_int_equal(g->group.weight, 100);
	assert_int_equal(g->group.cap, 0);
}

static void the_limits_are_allowed(void **state)
{
	(void)state;
	answers("web weight 1", "web: weight 1, cap none, pin all\r\n");
	answers("web weight 10000", "web: weight 10000, cap none, pin all\r\n");
	answers("web cap 6400", "web: weight 10000, cap 6400, pin all\r\n");
	answers("web cap 1", "web: weight 10000, cap 1, pin all\r\n");
	answers("web cap none", "web: weight 10000, cap none, pin all\r\n");
	answers("web  pin  0-2 , 255 ", "web: weight 10000, cap none, pin 0-2,255\r\n");
	answers("web pin all", "web: weight 10000, cap none, pin all\r\n");
	answers("web pin 0-255", "web: weight 10000, cap none, pin all\r\n");
}

static void a_running_guest_is_changed_at_once(void **state)
{
	(void)state;
	vm_rig_start(g);
	monitor_set(span_of("web weight 300"));
	monitor_set(span_of("web cap 25"));
	monitor_set(span_of("web pin 0"));
	assert_int_equal(g->group.weight, 300);
	assert_int_equal(g->group.cap, 25);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(g->tasks[i].entity.allowed.bits[0], 1);
		assert_int_equal(g->tasks[i].entity.allowed.bits[3], 0);
	}
	stats_have("\r\nweight 300\r\ncap 25\r\npin 0\r\n");
}

static void it_holds_for_the_next_start_too(void **state)
{
	(void)state;
	monitor_set(span_of("web weight 7"));
	vm_rig_start(g);
	assert_int_equal(g->group.weight, 7);
	monitor_set(span_of("web pin 0,2"));
	vm_rig_end(g);
	stats_have("\r\nweight 7\r\ncap 0\r\npin 0,2\r\n");
	vm_rig_start(g);
	assert_int_equal(g->group.weight, 7);
	assert_int_equal(g->tasks[1].entity.allowed.bits[0], 5);
}

static void every_state_of_a_guest_takes_it(void **state)
{
	(void)state;
	assert_int_equal(guest_start(g), HV_OK);
	for (unsigned i = 0; work_pending(); i++) {
		monitor_set(span_of(i % 2 == 0 ? "web cap 10" : "web pin 0"));
		work_step();
	}
	assert_int_equal(g->group.cap, 10);
	assert_int_equal(guest_pause(g), HV_OK);
	monitor_set(span_of("web cap 20"));
	monitor_set(span_of("web pin 0,5"));
	assert_int_equal(g->group.cap, 20);
	assert_int_equal(guest_resume(g), HV_OK);
	guest_stop(g, GUEST_END_REQUEST, "enough");
	while (work_pending()) {
		monitor_set(span_of("web weight 9"));
		work_step();
	}
	stats_have("\r\nweight 9\r\ncap 20\r\npin 0,5\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_key_it_shows_what_is),  TEST(what_is_wrong_is_refused),
		TEST(the_limits_are_allowed),	       TEST(a_running_guest_is_changed_at_once),
		TEST(it_holds_for_the_next_start_too), TEST(every_state_of_a_guest_takes_it),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
