/* SPDX-License-Identifier: Apache-2.0 */
/* `info cpus`, and what `stats` says of scheduling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/percpu.h"
#include "hv/monitor.h"
#include "hv/watchdog.h"
#include "tests/fakes/vm_rig.h"

#define US (VM_RIG_HZ / 1000000)

static struct guest_config config;
static struct guest *g;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	if (percpu_count() == 0) {
		percpu_activate(percpu_init_boot(0x1000, 0x2000, 0));
	}
	g = vm_rig_guest("web", &config);
	config.cpus = 2;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	vm_rig_start(g);
	return 0;
}

static int clean(void **state)
{
	(void)state;
	vm_rig_end(g);
	return vm_rig_leaks();
}

static void has(const char *words)
{
	if (strstr(vm_rig_text(), words) == NULL) {
		fail_msg("no '%s' in:\n%s", words, vm_rig_text());
	}
}

static void info(void)
{
	vm_rig_clear();
	monitor_info(span_of("cpus"));
}

static void stats_have(const char *words)
{
	vm_rig_clear();
	monitor_stats(span_of("web"));
	has(words);
}

/* One slice of 100 us. */
static void run(void)
{
	vm_rig_slice(100 * US);
}

/* --- info cpus --- */

static void a_cpu_has_a_line(void **state)
{
	struct cpu_local *cpu = percpu_get(0);

	(void)state;
	cpu->irq_count = 1234;
	cpu->nmi_count = 5;
	cpu->tsc_offset = -77;
	run();
	watchdog_leave(cpu, WATCHDOG_GUEST);
	info();
	assert_int_equal(strncmp(vm_rig_text(), "CPU APIC-ID CORE STATE ", 23), 0);
	has("\r\n  0       0    0 guest ");
	has(" 1234    5    -77  web/");
	cpu->tsc_offset = 0;
}

static void its_state_is_what_it_says_it_does(void **state)
{
	struct cpu_local *cpu = percpu_get(0);

	(void)state;
	watchdog_leave(cpu, WATCHDOG_IDLE);
	info();
	has("\r\n  0       0    0 idle ");
	has("  -\r\n");
	watchdog_host(cpu, 123456789);
	info();
	has("\r\n  0       0    0 host ");
}

/* --- stats --- */

static void states_of_a_vcpu(void **state)
{
	struct vcpu *second = g->vm.vcpus[1];

	(void)state;
	stats_have("\r\nvcpu0.state ready\r\nvcpu0.cpu none\r\n");
	/* The other processor finds that it has to wait for a start-up message. */
	run();
	run();
	stats_have("\r\nvcpu0.state running\r\nvcpu0.cpu 0\r\n");
	has("\r\nvcpu1.state wait-for-sipi\r\n");
	second->wait_for_sipi = false;
	stats_have("\r\nvcpu1.state halted\r\n");
	second->wait_for_sipi = true;
	assert_int_equal(guest_pause(g), HV_OK);
	stats_have("\r\nvcpu0.state held\r\n");
	has("\r\nvcpu1.state held\r\n");
}

static void a_capped_guest_says_so(void **state)
{
	(void)state;
	g->tasks[0].entity.parked = true;
	stats_have("\r\nvcpu0.state capped\r\n");
	g->tasks[0].entity.parked = false;
}

static void counters_of_scheduling(void **state)
{
	struct sched_entity *e = &g->tasks[0].entity;

	(void)state;
	run_hold(&g->tasks[0]);
	e->wake_count = 4;
	e->wake_ticks_total = US * 4 * 30;
	e->wake_ticks_max = 70 * US;
	e->switch_count = 11;
	e->migration_count = 3;
	g->group.throttle_count = 21;
	g->group.yield_count = 22;
	g->group.yield_sibling_count = 23;
	stats_have(
		"\r\nthrottle_count 21\r\nyields 22\r\nyields_to_sibling 23\r\nvcpu0.exits 0\r\n");
	has("\r\nvcpu0.wake_count 4\r\nvcpu0.wake_us_mean 30\r\nvcpu0.wake_us_max 70\r\n"
	    "vcpu0.switches 11\r\nvcpu0.migrations 3\r\n");
	e->wake_count = 0;
	stats_have("\r\nvcpu0.wake_us_mean 0\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cpu_has_a_line),	      TEST(its_state_is_what_it_says_it_does),
		TEST(states_of_a_vcpu),	      TEST(a_capped_guest_says_so),
		TEST(counters_of_scheduling),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
