/* SPDX-License-Identifier: Apache-2.0 */
/* Frequency measurement against clocks that are derived from the fake TSC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/tsc.h"
#include "hv/base/bits.h"
#include "tests/fakes/fake_cpu.h"

#define PM_PORT 0x608

static struct {
	uint64_t hz;	     /* of the TSC, in truth */
	uint64_t io_cost;    /* TSC ticks a port access takes */
	unsigned slow_every; /* each so-manieth access is interrupted for a millisecond */
	unsigned stop_at;    /* at this access, and each of twice the number, for 70-100 ms */
	unsigned accesses;
	bool pm_stopped, pit_stopped;
	uint64_t pit_loaded_at;
	uint16_t latch;
	bool latch_high;
	uint8_t control;
} world;

static void spend(void)
{
	world.accesses++;
	fake_tsc += world.io_cost;
	if (world.slow_every != 0 && world.accesses % world.slow_every == 0) {
		fake_tsc += world.hz / 1000;
	}
	if (world.stop_at != 0 && world.accesses == world.stop_at) {
		fake_tsc += world.hz / 1000 * (70 + world.stop_at % 31);
		world.stop_at *= 2;
	}
}

static uint64_t counts(uint64_t ticks, uint64_t rate)
{
	return (uint64_t)((unsigned __int128)ticks * rate / world.hz);
}

static uint32_t pm_in(void *ctx, uint16_t port, unsigned size)
{
	uint32_t value;

	(void)ctx;
	(void)port;
	assert_int_equal(size, 4);
	spend();
	/* The upper eight bits of a 24-bit timer are garbage here. */
	value = (uint32_t)counts(fake_tsc, 3579545) & 0xffffff;
	spend();
	return world.pm_stopped ? 0 : value | 0xab000000;
}

static uint32_t pit_in(void *ctx, uint16_t port, unsigned size)
{
	(void)ctx;
	(void)size;
	spend();
	if (port == 0x61) {
		return world.control | 0x20;
	}
	world.latch_high = !world.latch_high;
	return world.latch_high ? world.latch & 0xffu : world.latch >> 8;
}

static void pit_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)size;
	spend();
	if (port == 0x61) {
		world.control = (uint8_t)value;
	} else if (port == 0x42) {
		world.pit_loaded_at = fake_tsc;
	} else if (port == 0x43 && value == 0x80) {
		uint64_t passed = counts(fake_tsc - world.pit_loaded_at, 1193182);

		world.latch = world.pit_stopped ? 0xffff : (uint16_t)(0xffff - passed);
		world.latch_high = false;
	}
}

static const struct fake_port_hook pm_hook = {PM_PORT, PM_PORT, pm_in, NULL, NULL};
static const struct fake_port_hook pit_hook = {0x42, 0x43, pit_in, pit_out, NULL};
static const struct fake_port_hook control_hook = {0x61, 0x61, pit_in, pit_out, NULL};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.tsc_step = 30;
	fake_tsc = 123456789;
	fake_port_hook(&pm_hook);
	fake_port_hook(&pit_hook);
	fake_port_hook(&control_hook);
	world.hz = 2600000000ull;
	world.io_cost = 1500;
	world.slow_every = 0;
	world.stop_at = 0;
	world.accesses = 0;
	world.pm_stopped = world.pit_stopped = false;
	world.control = 0x0e;
	return 0;
}

static void assert_near(uint64_t hz, uint64_t truth, uint64_t ppm)
{
	uint64_t apart = hz > truth ? hz - truth : truth - hz;

	assert_true(apart <= truth / 1000000 * ppm);
}

static void pm_timer_measures(void **state)
{
	struct tsc_result r;

	(void)state;
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_near(r.hz, world.hz, 150);
	assert_string_equal(r.source, "PM timer");
	assert_int_equal(r.hz, r.measured_hz);
}

static void measuring_takes_about_fifteen_milliseconds(void **state)
{
	struct tsc_result r;
	uint64_t before = fake_tsc;

	(void)state;
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_true(fake_tsc - before < world.hz / 1000 * 17);
}

static void pit_serves_without_pm_timer(void **state)
{
	struct tsc_result r;

	(void)state;
	assert_int_equal(tsc_find_frequency(0, &r), HV_OK);
	assert_near(r.hz, world.hz, 400);
	assert_string_equal(r.source, "8254");
	assert_int_equal(world.control, 0x0d); /* gate on, speaker off, NMI enables kept */
}

static void pit_serves_when_pm_timer_stands(void **state)
{
	struct tsc_result r;

	(void)state;
	world.pm_stopped = true;
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_near(r.hz, world.hz, 400);
}

static void absent_pm_timer_is_noticed(void **state)
{
	struct tsc_result r;

	(void)state;
	assert_int_equal(tsc_find_frequency(0x7777, &r), HV_OK); /* reads all-ones */
	assert_string_equal(r.source, "8254");
}

static void interruptions_do_not_spoil_it(void **state)
{
	struct tsc_result r;

	(void)state;
	world.slow_every = 7;
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_near(r.hz, world.hz, 300);
}

/* A hypervisor below us takes the CPU away for longer than the 8254 needs to go round. */
static void long_stops_are_survived(void **state)
{
	struct tsc_result r;

	(void)state;
	world.stop_at = 3000;
	assert_int_equal(tsc_find_frequency(0, &r), HV_OK);
	assert_near(r.hz, world.hz, 400);
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_near(r.hz, world.hz, 150);
}

static void no_clock_at_all_ends(void **state)
{
	struct tsc_result r;

	(void)state;
	world.pm_stopped = world.pit_stopped = true;
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_E_IO);
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 0x16});
	fake_cpuid_set(0x16, 0, (struct cpuid_regs){.eax = 2600});
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_int_equal(r.hz, 2600000000ull);
	assert_int_equal(r.measured_hz, 0);
}

static void cpuid_is_believed_when_it_agrees(void **state)
{
	struct tsc_result r;

	(void)state;
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 0x15});
	fake_cpuid_set(0x15, 0, (struct cpuid_regs){.eax = 2, .ebx = 216, .ecx = 24000000});
	world.hz = 2592100000ull;
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_int_equal(r.hz, 2592000000ull);
	assert_string_equal(r.source, "CPUID 0x15");
	/* An emulated CPU repeats the figures of one it is not. */
	world.hz = 50000000;
	world.io_cost = 50;
	assert_int_equal(tsc_find_frequency(PM_PORT, &r), HV_OK);
	assert_near(r.hz, 50000000, 1000);
	assert_string_equal(r.source, "PM timer");
}

static void cpuid_forms(void **state)
{
	const char *source = NULL;

	(void)state;
	assert_int_equal(tsc_frequency_from_cpuid(&source), 0);
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 0x16});
	fake_cpuid_set(0x15, 0, (struct cpuid_regs){.eax = 2, .ebx = 216, .ecx = 0});
	fake_cpuid_set(0x16, 0, (struct cpuid_regs){.eax = 0xabcd0000u | 3000});
	assert_int_equal(tsc_frequency_from_cpuid(&source), 3000000000ull);
	assert_string_equal(source, "CPUID 0x16");
	fake_cpuid_set(0x15, 0, (struct cpuid_regs){UINT32_MAX, UINT32_MAX, UINT32_MAX, 0});
	assert_int_equal(tsc_frequency_from_cpuid(&source), UINT32_MAX);
	fake_cpuid_set(0x15, 0, (struct cpuid_regs){1, UINT32_MAX, UINT32_MAX, 0});
	assert_int_equal(tsc_frequency_from_cpuid(&source), 0);
	fake_cpuid_set(0x40000000, 0, (struct cpuid_regs){.eax = 0x40000010});
	fake_cpuid_set(0x40000010, 0, (struct cpuid_regs){.eax = 2500000});
	assert_int_equal(tsc_frequency_from_cpuid(&source), 0); /* no hypervisor bit */
	fake_cpuid_set(1, 0, (struct cpuid_regs){.ecx = BIT32(31)});
	assert_int_equal(tsc_frequency_from_cpuid(&source), 2500000000ull);
	assert_string_equal(source, "hypervisor");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pm_timer_measures, setup),
		cmocka_unit_test_setup(measuring_takes_about_fifteen_milliseconds, setup),
		cmocka_unit_test_setup(pit_serves_without_pm_timer, setup),
		cmocka_unit_test_setup(pit_serves_when_pm_timer_stands, setup),
		cmocka_unit_test_setup(absent_pm_timer_is_noticed, setup),
		cmocka_unit_test_setup(interruptions_do_not_spoil_it, setup),
		cmocka_unit_test_setup(long_stops_are_survived, setup),
		cmocka_unit_test_setup(no_clock_at_all_ends, setup),
		cmocka_unit_test_setup(cpuid_is_believed_when_it_agrees, setup),
		cmocka_unit_test_setup(cpuid_forms, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
