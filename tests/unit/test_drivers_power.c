/* SPDX-License-Identifier: Apache-2.0 */
/* Each way off in its order; "it worked" is a jump out of the port write, as power would go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/power.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define PM1A 0x604
#define PM1B 0x704
#define SMI 0xb2

static struct power_config config;
static const char *said;
static unsigned flushes;
static uint16_t pm1a_value;
/* The first write of this to this port takes the power away. */
static uint16_t ends_at_port;
static uint32_t ends_at_value;

static uint64_t efi_system[16], efi_runtime[16];

static void say(const char *line)
{
	said = line;
}

static void flush(void)
{
	flushes++;
}

static uint32_t port_in(void *ctx, uint16_t port, unsigned size)
{
	(void)ctx;
	(void)size;
	return port == PM1A ? pm1a_value : port == PM1B ? 0x0001 : port == 0x64 ? 0x1c : UINT32_MAX;
}

static void port_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)size;
	if (port == SMI && value == 0xf1) {
		pm1a_value |= 1;
	}
	if (port == ends_at_port && value == ends_at_value) {
		cpu_stop();
	}
}

static const struct fake_port_hook hook = {0, 0xffff, port_in, port_out, NULL};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.tsc_step = 1000000;
	fake_port_hook(&hook);
	pm1a_value = 0x1c01;
	ends_at_port = 0;
	said = NULL;
	flushes = 0;
	memset(efi_system, 0, sizeof(efi_system));
	memset(efi_runtime, 0, sizeof(efi_runtime));
	config = (struct power_config){
		.acpi = {.pm1a_control = PM1A, .s5_type_a = 5, .s5_known = true},
		.say = say,
		.flush = flush,
		.tsc_hz = 1000000000,
	};
	power_init(&config);
	return 0;
}

/* The index of the first such write in the log, or -1. */
static int written(uint16_t port, uint32_t value)
{
	size_t n;
	const struct fake_port_write *w = fake_port_log(&n);

	for (size_t i = 0; i < n; i++) {
		if (w[i].port == port && w[i].value == value) {
			return (int)i;
		}
	}
	return -1;
}

static void acpi_switches_off(void **state)
{
	size_t n;

	(void)state;
	ends_at_port = PM1A;
	ends_at_value = 0x3401; /* SLP_EN, type 5, the rest kept */
	EXPECT_STOP(power_off());
	fake_port_log(&n);
	assert_int_equal(n, 1);
	assert_null(said);
	assert_int_equal(flushes, 1);
}

static void acpi_mode_is_entered_first(void **state)
{
	(void)state;
	pm1a_value = 0;
	config.acpi.smi_command = SMI;
	config.acpi.acpi_enable = 0xf1;
	config.acpi.pm1b_control = PM1B;
	config.acpi.s5_type_b = 7;
	ends_at_port = PM1B;
	ends_at_value = 0x3c01;
	EXPECT_STOP(power_off());
	assert_int_equal(written(SMI, 0xf1), 0);
	assert_int_equal(written(PM1A, 0x3401), 1);
	assert_int_equal(written(PM1B, 0x3c01), 2);
}

static uint64_t firmware_returns(uint64_t fn, const uint64_t args[4])
{
	assert_int_equal(fn, 0xf00);
	assert_int_equal(args[1] | args[2] | args[3], 0);
	return 0x8000000000000003ull;
}

static void give_efi(void)
{
	efi_system[0] = 0x5453595320494249ull;
	efi_system[11] = (uint64_t)(uintptr_t)efi_runtime;
	efi_runtime[0] = 0x56524553544e5552ull;
	efi_runtime[13] = 0xf00;
	config.efi_system_table = (uint64_t)(uintptr_t)efi_system;
	fake_cpu.on_call_ms = firmware_returns;
}

static void efi_is_the_second_choice_and_ports_the_last(void **state)
{
	(void)state;
	config.acpi.s5_known = false;
	give_efi();
	EXPECT_STOP(power_off());
	assert_int_equal(fake_cpu.call_ms_count, 1);
	assert_int_equal(fake_cpu.call_ms_args[0], 2); /* EfiResetShutdown */
	assert_int_equal(written(0x604, 0x2000), 0);
	assert_int_equal(written(0xb004, 0x2000), 1);
	assert_non_null(said);
	assert_non_null(strstr(said, "safe to switch it off"));
}

static void broken_efi_tables_are_not_called(void **state)
{
	(void)state;
	config.acpi.s5_known = false;
	give_efi();
	efi_runtime[0] = 0;
	EXPECT_STOP(power_off());
	efi_system[11] = 0;
	EXPECT_STOP(power_off());
	efi_system[0] = 0;
	EXPECT_STOP(power_off());
	assert_int_equal(fake_cpu.call_ms_count, 0);
}

static void reset_tries_all(void **state)
{
	(void)state;
	config.acpi.reset_port = 0xd00;
	config.acpi.reset_value = 6;
	give_efi();
	EXPECT_TRIPLE_FAULT(power_reset());
	assert_int_equal(written(0xd00, 6), 0);
	assert_int_equal(fake_cpu.call_ms_args[0], 0); /* EfiResetCold */
	assert_int_equal(written(0xcf9, 2), 1);
	assert_int_equal(written(0xcf9, 6), 2);
	assert_int_equal(written(0x64, 0xfe), 3);
}

static void without_configuration_it_still_tries(void **state)
{
	static const struct power_config none = {.tsc_hz = 1000};

	(void)state;
	power_init(&none);
	EXPECT_STOP(power_off());
	assert_int_equal(written(0x604, 0x2000), 0);
	EXPECT_TRIPLE_FAULT(power_reset());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(acpi_switches_off, setup),
		cmocka_unit_test_setup(acpi_mode_is_entered_first, setup),
		cmocka_unit_test_setup(efi_is_the_second_choice_and_ports_the_last, setup),
		cmocka_unit_test_setup(broken_efi_tables_are_not_called, setup),
		cmocka_unit_test_setup(reset_tries_all, setup),
		cmocka_unit_test_setup(without_configuration_it_still_tries, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
