/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/pci_irq.h"
#include "hv/base/bits.h"

static struct pci_irq irq;
static uint32_t gsis;
static unsigned gsi_calls;
static uint16_t isa;
static unsigned isa_calls;

static void gsi(void *ctx, unsigned line, bool level)
{
	assert_ptr_equal(ctx, &irq);
	assert_in_range(line, 16, 23);
	assert_true(((gsis & BIT32(line)) != 0) != level); /* changes only */
	gsis ^= BIT32(line);
	gsi_calls++;
}

static void inputs(void *ctx, uint16_t levels)
{
	assert_ptr_equal(ctx, &irq);
	assert_int_not_equal(levels, isa);
	isa = levels;
	isa_calls++;
}

static int setup(void **state)
{
	const struct pci_irq_config cfg = {.gsi = gsi, .isa = inputs, .ctx = &irq};

	(void)state;
	gsis = 0;
	gsi_calls = 0;
	isa = 0;
	isa_calls = 0;
	pci_irq_init(&irq, &cfg);
	return 0;
}

/* As the _PRT of the DSDT says, and SeaBIOS and OVMF assume. */
static void pins_rotate_over_the_lines(void **state)
{
	(void)state;
	for (unsigned device = 0; device < 32; device++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			unsigned line = device <= 24 ? (device + pin) % 8 : pin;

			pci_irq_set(&irq, device, pin, true);
			assert_int_equal(gsis, BIT32(16 + line));
			pci_irq_set(&irq, device, pin, false);
			assert_int_equal(gsis, 0);
		}
	}
	assert_int_equal(isa_calls, 0); /* nothing is routed at first */
}

static void a_shared_line_stays_up_for_the_last(void **state)
{
	(void)state;
	pci_irq_set(&irq, 2, 0, true);
	pci_irq_set(&irq, 10, 0, true); /* the same line */
	pci_irq_set(&irq, 2, 0, true);
	assert_int_equal(gsi_calls, 1);
	pci_irq_set(&irq, 2, 0, false);
	assert_int_equal(gsis, BIT32(18));
	pci_irq_set(&irq, 10, 0, false);
	assert_int_equal(gsis, 0);
	pci_irq_set(&irq, 10, 0, false);
	assert_int_equal(gsi_calls, 2);
}

static void routed_lines_reach_the_8259(void **state)
{
	(void)state;
	pci_irq_route(&irq, 2, 11);
	pci_irq_route(&irq, 3, 11);
	pci_irq_route(&irq, 4, 5);
	pci_irq_set(&irq, 2, 0, true);
	assert_int_equal(isa, BIT32(11));
	assert_int_equal(gsis, BIT32(18)); /* the IOAPIC as well */
	pci_irq_set(&irq, 3, 0, true);
	pci_irq_set(&irq, 4, 0, true);
	assert_int_equal(isa, BIT32(11) | BIT32(5));
	pci_irq_set(&irq, 2, 0, false);
	assert_int_equal(isa, BIT32(11) | BIT32(5));
	pci_irq_set(&irq, 3, 0, false);
	assert_int_equal(isa, BIT32(5));
}

static void a_line_that_is_up_is_rerouted(void **state)
{
	(void)state;
	pci_irq_set(&irq, 2, 0, true);
	pci_irq_route(&irq, 2, 10);
	assert_int_equal(isa, BIT32(10));
	pci_irq_route(&irq, 2, 15);
	assert_int_equal(isa, BIT32(15));
	pci_irq_route(&irq, 2, PCI_IRQ_ROUTE_OFF | 15);
	assert_int_equal(isa, 0);
	assert_int_equal(gsi_calls, 1);
}

static void inputs_of_the_chipset_are_not_given_away(void **state)
{
	const unsigned routable[] = {3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15};
	uint32_t reached = 0;

	(void)state;
	pci_irq_set(&irq, 2, 0, true);
	for (unsigned i = 0; i < 16; i++) {
		pci_irq_route(&irq, 2, (uint8_t)i);
		reached |= isa;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(routable); i++) {
		reached &= ~BIT32(routable[i]);
	}
	assert_int_equal(reached, 0);
	pci_irq_route(&irq, 2, 7);
	assert_int_equal(isa, BIT32(7));
}

static void nobody_need_listen(void **state)
{
	const struct pci_irq_config cfg = {0};

	(void)state;
	pci_irq_init(&irq, &cfg);
	pci_irq_route(&irq, 2, 10);
	pci_irq_set(&irq, 2, 0, true);
	assert_int_equal(gsi_calls + isa_calls, 0);
}

static void loading_tells_nobody(void **state)
{
	uint32_t pulled[PCI_IRQ_LINES] = {0};
	uint8_t route[PCI_IRQ_LINES] = {0};

	(void)state;
	for (unsigned i = 0; i < PCI_IRQ_LINES; i++) {
		route[i] = PCI_IRQ_ROUTE_OFF;
	}
	pulled[3] = BIT32(2);
	route[3] = 10;
	pci_irq_load(&irq, pulled, route);
	assert_int_equal(gsi_calls + isa_calls, 0);
	assert_int_equal(irq.isa, BIT32(10));
	/* Another device on the line changes nothing, the release by both does. */
	gsis = BIT32(19);
	isa = BIT32(10);
	pci_irq_set(&irq, 3, 0, true);
	pci_irq_set(&irq, 2, 1, false);
	assert_int_equal(gsi_calls + isa_calls, 0);
	pci_irq_set(&irq, 3, 0, false);
	assert_int_equal(gsis, 0);
	assert_int_equal(isa, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pins_rotate_over_the_lines, setup),
		cmocka_unit_test_setup(a_shared_line_stays_up_for_the_last, setup),
		cmocka_unit_test_setup(routed_lines_reach_the_8259, setup),
		cmocka_unit_test_setup(a_line_that_is_up_is_rerouted, setup),
		cmocka_unit_test_setup(inputs_of_the_chipset_are_not_given_away, setup),
		cmocka_unit_test_setup(nobody_need_listen, setup),
		cmocka_unit_test_setup(loading_tells_nobody, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
