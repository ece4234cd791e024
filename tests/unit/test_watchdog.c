/* SPDX-License-Identifier: Apache-2.0 */
/* Four CPUs whose phases the test sets; NMIs are taken at once, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/watchdog.h"
#include "tests/fakes/fake_cpu.h"

#define HZ 1000000000ull
#define PERIOD (2 * HZ)

static _Alignas(4096) uint8_t areas[3][CPU_AREA_SIZE];
static struct cpu_local *cpu[4];
static unsigned nmis;
static uint32_t nmi_to;
static bool deaf;
static const char *guest;
static uint64_t log_mark;

static void send_nmi(uint32_t apic_id)
{
	struct cpu_local *c = percpu_by_apic_id(apic_id);

	nmis++;
	nmi_to = apic_id;
	if (!deaf) {
		c->nmi_rip = 0xffffffff80012345ull;
		c->nmi_count++;
	}
}

static const char *last_guest(const struct cpu_local *c)
{
	assert_non_null(c);
	return guest;
}

static void nobody_is_late(uint64_t now)
{
	(void)now;
}

static const struct watchdog_ops ops = {send_nmi, last_guest, nobody_is_late};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.tsc_step = 1000;
	memset(areas, 0, sizeof(areas));
	cpu[0] = percpu_init_boot(0x1000, 0x2000, 0);
	for (unsigned i = 0; i < 3; i++) {
		cpu[i + 1] = percpu_add(areas[i], 10 * (i + 1));
		cpu_set_state(cpu[i + 1], CPU_ONLINE);
	}
	cpu[0]->phase = 0;
	clock_init(HZ);
	watchdog_init(&ops);
	nmis = 0;
	deaf = false;
	guest = "web";
	log_set_sink(NULL);
	log_mark = log_ring()->end;
	return 0;
}

static const char *logged(void)
{
	static char text[8192];
	uint64_t pos = log_mark;

	text[ring_read(log_ring(), &pos, text, sizeof(text) - 1)] = '\0';
	log_mark = log_ring()->end;
	return text;
}

static void check_on(unsigned i, uint64_t now)
{
	percpu_activate(cpu[i]);
	watchdog_check(now);
}

/* CPU 0's checks from `from` to `to`, both included. */
static void checks(uint64_t from, uint64_t to)
{
	for (uint64_t now = from; now <= to; now += PERIOD) {
		check_on(0, now);
	}
}

static void a_stuck_cpu_is_named_once(void **state)
{
	(void)state;
	watchdog_host(cpu[3], 100 * HZ);
	checks(100 * HZ, 104 * HZ);
	assert_string_equal(logged(), "");
	check_on(0, 106 * HZ);
	assert_string_equal(logged(), "bulkhead: CPU 3 is stuck in the hypervisor for 6 s at "
				      "0xffffffff80012345, last guest web\n");
	assert_int_equal(nmis, 1);
	assert_int_equal(nmi_to, 30);
	checks(108 * HZ, 120 * HZ);
	assert_string_equal(logged(), "");
	assert_int_equal(nmis, 1);
	watchdog_leave(cpu[3], WATCHDOG_GUEST);
	check_on(0, 122 * HZ);
	assert_string_equal(logged(),
			    "bulkhead: CPU 3 is not stuck any more, after at most 22 s\n");
	check_on(0, 124 * HZ);
	assert_string_equal(logged(), "");
}

static void a_second_incident_is_another_one(void **state)
{
	(void)state;
	watchdog_host(cpu[1], 100 * HZ);
	checks(100 * HZ, 106 * HZ);
	assert_non_null(strstr(logged(), "CPU 1 is stuck"));
	/* Out and in again between two looks. */
	watchdog_host(cpu[1], 107 * HZ);
	check_on(0, 108 * HZ);
	assert_string_equal(logged(), "bulkhead: CPU 1 is not stuck any more, after at most 8 s\n");
	checks(110 * HZ, 112 * HZ);
	guest = NULL;
	assert_string_equal(logged(), "bulkhead: CPU 1 is stuck in the hypervisor for 5 s at "
				      "0xffffffff80012345, last guest web\n");
	assert_int_equal(nmis, 2);
}

static void guests_sleep_and_short_work_are_fine(void **state)
{
	(void)state;
	watchdog_leave(cpu[1], WATCHDOG_GUEST);
	watchdog_leave(cpu[2], WATCHDOG_IDLE);
	for (uint64_t now = 100 * HZ; now < 200 * HZ; now += PERIOD) {
		/* A clock that is a little ahead of CPU 0's. */
		watchdog_host(cpu[3], now + 1000);
		check_on(0, now);
	}
	assert_string_equal(logged(), "");
	assert_int_equal(nmis, 0);
}

static void a_cpu_that_takes_no_nmi(void **state)
{
	(void)state;
	deaf = true;
	guest = NULL;
	watchdog_host(cpu[2], 100 * HZ);
	checks(100 * HZ, 110 * HZ);
	assert_string_equal(logged(), "bulkhead: CPU 2 is stuck in the hypervisor for 6 s and does "
				      "not answer an NMI\n");
	/* And it did not take the watcher with it. */
	assert_true(fake_tsc < HZ);
}

static void somebody_looks_after_cpu_0(void **state)
{
	(void)state;
	watchdog_host(cpu[0], 100 * HZ);
	watchdog_host(cpu[3], 100 * HZ);
	for (uint64_t now = 100 * HZ; now <= 108 * HZ; now += PERIOD) {
		check_on(2, now);
		check_on(3, now);
	}
	assert_string_equal(logged(), "");
	for (uint64_t now = 100 * HZ; now <= 108 * HZ; now += PERIOD) {
		check_on(1, now);
	}
	assert_non_null(strstr(logged(), "CPU 0 is stuck in the hypervisor for 6 s"));
	assert_int_equal(nmis, 1);
	/* The next one takes over where CPU 1 does not run. */
	(void)setup(state);
	cpu_set_state(cpu[1], CPU_FAILED);
	watchdog_host(cpu[0], 100 * HZ);
	for (uint64_t now = 100 * HZ; now <= 108 * HZ; now += PERIOD) {
		check_on(2, now);
	}
	assert_non_null(strstr(logged(), "CPU 0 is stuck"));
}

static void cpus_that_do_not_run_are_left_alone(void **state)
{
	(void)state;
	watchdog_host(cpu[1], 100 * HZ);
	watchdog_host(cpu[2], 100 * HZ);
	cpu_set_state(cpu[1], CPU_PARKED);
	cpu_set_state(cpu[2], CPU_FAILED);
	checks(100 * HZ, 120 * HZ);
	assert_string_equal(logged(), "");
}

static void a_machine_that_stood_still_is_not_stuck(void **state)
{
	(void)state;
	watchdog_host(cpu[1], 101 * HZ);
	checks(100 * HZ, 102 * HZ);
	/* Somebody stopped the machine for a minute. */
	check_on(0, 162 * HZ);
	assert_string_equal(logged(), "");
	watchdog_host(cpu[1], 162 * HZ);
	checks(164 * HZ, 166 * HZ);
	assert_string_equal(logged(), "");
	/* It really is stuck. */
	check_on(0, 168 * HZ);
	assert_non_null(strstr(logged(), "CPU 1 is stuck in the hypervisor for 6 s"));
}

static void machine_checks_are_logged_by_cpu_0(void **state)
{
	const struct mce_record r = {.count = 1, .bank = {{.index = 4, .status = BIT(63)}}};

	(void)state;
	mce_post(&cpu[2]->mce, &r);
	check_on(1, 100 * HZ);
	assert_string_equal(logged(), "");
	check_on(0, 100 * HZ);
	assert_non_null(strstr(logged(), "bulkhead: CPU 2: machine check: bank 4: "));
	check_on(0, 102 * HZ);
	assert_string_equal(logged(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_stuck_cpu_is_named_once, setup),
		cmocka_unit_test_setup(a_second_incident_is_another_one, setup),
		cmocka_unit_test_setup(guests_sleep_and_short_work_are_fine, setup),
		cmocka_unit_test_setup(a_cpu_that_takes_no_nmi, setup),
		cmocka_unit_test_setup(somebody_looks_after_cpu_0, setup),
		cmocka_unit_test_setup(cpus_that_do_not_run_are_left_alone, setup),
		cmocka_unit_test_setup(a_machine_that_stood_still_is_not_stuck, setup),
		cmocka_unit_test_setup(machine_checks_are_logged_by_cpu_0, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
