/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/irq.h"
#include "hv/base/acpi_format.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/trap.h"
#include "tests/fakes/fake_pci.h"

#define MS 1000000ull

static unsigned calls[4];

static void count(void *ctx, unsigned index)
{
	unsigned *n = ctx;

	*n += 1 + index;
}

static int setup(void **state)
{
	(void)state;
	memset(calls, 0, sizeof(calls));
	fake_pci_reset(3);
	return 0;
}

static uint32_t redirection(unsigned line)
{
	return fake_pci_machine.redirection[2 * line];
}

static void vectors_reach_their_handlers(void **state)
{
	const struct host_irq_handler a = {count, &calls[0], 0};
	const struct host_irq_handler b = {count, &calls[1], 4};
	uint8_t va = host_irq_alloc(&a);
	uint8_t vb = host_irq_alloc(&b);

	(void)state;
	assert_int_equal(va, HOST_IRQ_VECTOR_FIRST);
	assert_int_not_equal(va, vb);
	trap_irq_dispatch(vb);
	assert_int_equal(calls[0], 0);
	assert_int_equal(calls[1], 5);
	assert_int_equal(fake_pci_machine.eois, 1);
	trap_irq_dispatch(va);
	assert_int_equal(calls[0], 1);
	assert_int_equal(fake_pci_machine.eois, 2);
	/* One that nobody has. */
	trap_irq_dispatch(HOST_IRQ_VECTOR_LAST);
	assert_int_equal(calls[0] + calls[1], 6);
}

static void vectors_run_out(void **state)
{
	const struct host_irq_handler h = {count, &calls[0], 0};
	unsigned got = 0;

	(void)state;
	while (host_irq_alloc(&h) != 0) {
		got++;
	}
	assert_int_equal(got, HOST_IRQ_VECTOR_LAST - HOST_IRQ_VECTOR_FIRST + 1);
}

static void messages_go_round_the_cpus(void **state)
{
	uint32_t id = 99;

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		assert_true(host_irq_target(i, &id));
		assert_int_equal(id, i % 3);
	}
	/* One that is parked, one that eight bits do not name. */
	cpu_set_state(percpu_get(1), CPU_PARKED);
	assert_true(host_irq_target(1, &id));
	assert_int_equal(id, 2);
	percpu_get(2)->apic_id = 0xff;
	assert_true(host_irq_target(1, &id));
	assert_int_equal(id, 0);
	cpu_set_state(percpu_get(0), CPU_PARKED);
	assert_false(host_irq_target(0, &id));
}

static void a_line_is_shared_and_polled_until_it_fires(void **state)
{
	const struct host_irq_handler a = {count, &calls[0], 0};
	const struct host_irq_handler b = {count, &calls[1], 0};

	(void)state;
	assert_int_equal(host_irq_line(11, &a), HV_OK);
	assert_int_equal(host_irq_line(11, &b), HV_OK);
	/* Level, active low. */
	assert_int_equal(redirection(11), 0xa000 | HOST_IRQ_VECTOR_FIRST);
	fake_pci_pass(10 * MS + MS / 2, MS / 4);
	assert_in_range(calls[0], 8, 11);
	assert_int_equal(calls[1], calls[0]);
	assert_true(fake_pci_line(11));
	assert_in_range(calls[1], 9, 12);
	assert_int_equal(fake_pci_machine.eois, 1);
	memset(calls, 0, sizeof(calls));
	fake_pci_pass(10 * MS, MS);
	assert_int_equal(calls[0], 0);
}

static void overrides_hold_for_lines(void **state)
{
	const struct host_irq_handler a = {count, &calls[0], 0};

	(void)state;
	fake_pci_machine.acpi.override_count = 2;
	fake_pci_machine.acpi.overrides[0] =
		(struct acpi_override){.irq = 9, .gsi = 20, .flags = MADT_INTI_ACTIVE_HIGH | 0xc};
	fake_pci_machine.acpi.overrides[1] = (struct acpi_override){.irq = 10, .gsi = 21};
	assert_int_equal(host_irq_line(9, &a), HV_OK);
	assert_int_equal(redirection(20), 0x8000 | HOST_IRQ_VECTOR_FIRST);
	assert_int_equal(host_irq_line(10, &a), HV_OK);
	assert_int_equal(redirection(21), 0xa000 | (HOST_IRQ_VECTOR_FIRST + 1));
	assert_int_equal(redirection(9), 0x10000);
}

static void a_line_that_never_falls_is_polled(void **state)
{
	const struct host_irq_handler a = {count, &calls[0], 0};
	unsigned fired = 0;

	(void)state;
	assert_int_equal(host_irq_line(5, &a), HV_OK);
	while (fired < 100000 && fake_pci_line(5)) {
		fired++;
	}
	assert_in_range(fired, 100, 10000);
	assert_int_equal(fake_pci_machine.eois, fired);
	memset(calls, 0, sizeof(calls));
	fake_pci_pass(10 * MS, MS / 4);
	assert_in_range(calls[0], 8, 11);
}

static void many_interrupts_are_no_storm(void **state)
{
	const struct host_irq_handler a = {count, &calls[0], 0};

	(void)state;
	assert_int_equal(host_irq_line(5, &a), HV_OK);
	/* 20,000 a second, for a second. */
	for (unsigned i = 0; i < 20000; i++) {
		assert_true(fake_pci_line(5));
		fake_pci_pass(50000, 50000);
	}
}

static void without_a_line_there_is_polling(void **state)
{
	const struct host_irq_handler a = {count, &calls[0], 0};
	const struct host_irq_handler b = {count, &calls[1], 0};

	(void)state;
	/* Beyond the I/O APIC. */
	assert_int_equal(host_irq_line(200, &a), HV_OK);
	assert_int_equal(host_irq_poll(&b), HV_OK);
	fake_pci_pass(10 * MS, MS / 4);
	assert_in_range(calls[0], 8, 11);
	assert_in_range(calls[1], 8, 11);
}

static void there_is_an_end_to_sharing(void **state)
{
	const struct host_irq_handler a = {count, &calls[0], 0};

	(void)state;
	for (unsigned i = 0; i < HOST_IRQ_SHARERS_MAX; i++) {
		assert_int_equal(host_irq_line(3, &a), HV_OK);
	}
	assert_int_equal(host_irq_line(3, &a), HV_E_NO_MEMORY);
	for (unsigned i = 1; i < HOST_IRQ_LINES_MAX; i++) {
		assert_int_equal(host_irq_line(100 + i, &a), HV_OK);
	}
	assert_int_equal(host_irq_poll(&a), HV_E_NO_MEMORY);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(vectors_reach_their_handlers), T(vectors_run_out),
		T(messages_go_round_the_cpus),	 T(a_line_is_shared_and_polled_until_it_fires),
		T(overrides_hold_for_lines),	 T(a_line_that_never_falls_is_polled),
		T(many_interrupts_are_no_storm), T(without_a_line_there_is_polling),
		T(there_is_an_end_to_sharing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
