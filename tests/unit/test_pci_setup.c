/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/pci_setup.h"
#include "guests/layout.h"
#include "hv/base/bits.h"

#define FUNCTIONS 40u

static struct pci_host host;
static struct pci_function functions[FUNCTIONS];
static unsigned function_count;

static int setup(void **state)
{
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE};

	(void)state;
	function_count = 0;
	pci_host_init(&host, &cfg);
	return 0;
}

static struct pci_function *add(void)
{
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1042};
	struct pci_function *f = &functions[function_count];

	pci_function_init(f, &id, NULL, NULL);
	assert_int_equal(pci_host_add(&host, 0x10 + function_count, f), HV_OK);
	function_count++;
	return f;
}

static void bar(struct pci_function *f, unsigned index, uint8_t flags, uint64_t size)
{
	assert_int_equal(pci_function_add_bar(f, index, flags, size), HV_OK);
}

static uint64_t get(const struct pci_function *f, unsigned reg, unsigned size)
{
	return pci_function_read(f, reg, size);
}

/* No two overlap, each is aligned and lies where it may. */
static void assert_all_apart(void)
{
	for (unsigned i = 0; i < function_count * PCI_BARS; i++) {
		const struct pci_bar *a = &functions[i / PCI_BARS].bars[i % PCI_BARS];
		bool io = (a->flags & PCI_BAR_IO) != 0;

		if (a->size == 0) {
			continue;
		}
		assert_true(a->mapped);
		assert_true(is_aligned(a->address, a->size));
		assert_true(range_fits(a->address -
					       (io ? LAYOUT_PCI_IO_FIRMWARE : LAYOUT_PCI_MMIO_BASE),
				       a->size, io ? 0x4000 : LAYOUT_PCI_MMIO_SIZE));
		for (unsigned j = 0; j < i; j++) {
			const struct pci_bar *b = &functions[j / PCI_BARS].bars[j % PCI_BARS];

			assert_false((b->flags & PCI_BAR_IO) == (a->flags & PCI_BAR_IO) &&
				     ranges_overlap(a->address, a->size, b->address, b->size));
		}
	}
}

static void bars_get_addresses_by_size(void **state)
{
	struct pci_function *small = add();
	struct pci_function *big = add();
	struct pci_function *no_bar = add();

	(void)state;
	bar(small, 0, PCI_BAR_IO, 32);
	bar(small, 1, 0, 0x1000);
	bar(small, 4, PCI_BAR_64 | PCI_BAR_PREFETCH, 0x4000);
	bar(big, 0, 0, 0x20000);
	bar(big, 2, PCI_BAR_IO, 64);
	bar(big, 3, 0, 16);
	pci_function_add_ports(no_bar);
	assert_int_equal(pci_setup(&host, true), 0);
	assert_all_apart();
	assert_int_equal(big->bars[0].address, 0xc0000000);
	assert_int_equal(small->bars[4].address, 0xc0020000);
	assert_int_equal(small->bars[1].address, 0xc0024000);
	assert_int_equal(big->bars[3].address, 0xc0025000);
	assert_int_equal(big->bars[2].address, 0xc000);
	assert_int_equal(small->bars[0].address, 0xc040);
	assert_int_equal(get(small, PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	assert_int_equal(get(no_bar, PCI_COMMAND, 2), PCI_COMMAND_IO);
}

static void many_functions_stay_apart(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		struct pci_function *f = add();

		bar(f, 0, PCI_BAR_IO, 4u << i % 7);
		bar(f, 1, 0, 0x1000u << i % 11);
		bar(f, 2, PCI_BAR_64, 0x10u << i % 13);
		bar(f, 5, 0, 0x100);
	}
	assert_int_equal(pci_setup(&host, true), 0);
	assert_all_apart();
}

static void decoding_stays_off_where_the_system_does_it(void **state)
{
	struct pci_function *f = add();

	(void)state;
	bar(f, 1, 0, 0x1000);
	(void)pci_setup(&host, false);
	assert_int_equal(get(f, PCI_BAR0 + 4, 4), 0xc0000000);
	assert_int_equal(get(f, PCI_COMMAND, 2), 0);
	assert_false(f->bars[1].mapped);
}

/* The 32-bit window is full: the system may find room elsewhere. */
static void what_finds_no_room_stays_off(void **state)
{
	struct pci_function *full = add();
	struct pci_function *huge = add();
	struct pci_function *more = add();
	struct pci_function *none = add();

	(void)state;
	bar(full, 0, 0, LAYOUT_PCI_MMIO_SIZE);
	bar(huge, 0, PCI_BAR_64, LAYOUT_PCI_MMIO_SIZE * 2);
	bar(more, 0, 0, 0x1000);
	bar(more, 1, PCI_BAR_IO, 32);
	(void)pci_setup(&host, true);
	assert_true(full->bars[0].mapped);
	assert_int_equal(get(huge, PCI_COMMAND, 2), 0);
	assert_int_equal(get(huge, PCI_BAR0, 4), PCI_BAR_64);
	assert_int_equal(get(more, PCI_COMMAND, 2), 0);
	assert_int_equal(get(more, PCI_BAR0, 4), 0);
	assert_int_equal(get(none, PCI_COMMAND, 2), 0);
}

static void pins_get_inputs_of_the_8259s(void **state)
{
	static const uint8_t inputs[8] = {10, 10, 11, 11, 10, 10, 11, 11};
	struct pci_function *a = add(); /* 00:02.0 */
	struct pci_function *b = add(); /* 00:02.1 */

	(void)state;
	pci_function_set_pin(a, 1);
	pci_function_set_pin(b, 4);
	assert_int_equal(pci_setup(&host, false), BIT32(10) | BIT32(11));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(get(&host.lpc, 0x60 + i, 1), inputs[i]);
		assert_int_equal(get(&host.lpc, 0x68 + i, 1), inputs[4 + i]);
	}
	assert_int_equal(get(a, PCI_INTERRUPT_LINE, 1), inputs[2]); /* PIRQC */
	assert_int_equal(get(b, PCI_INTERRUPT_LINE, 1), inputs[5]); /* PIRQF */
}

/* Then inputs 10 and 11 stay edge-triggered, for whoever else has them. */
static void without_pins_nothing_is_routed(void **state)
{
	struct pci_function *f = add();

	(void)state;
	bar(f, 1, 0, 0x1000);
	assert_int_equal(pci_setup(&host, true), 0);
	assert_int_equal(get(&host.lpc, 0x60, 1), 0x80);
	assert_int_equal(get(&host.lpc, 0x6b, 1), 0x80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bars_get_addresses_by_size, setup),
		cmocka_unit_test_setup(many_functions_stay_apart, setup),
		cmocka_unit_test_setup(decoding_stays_off_where_the_system_does_it, setup),
		cmocka_unit_test_setup(what_finds_no_room_stays_off, setup),
		cmocka_unit_test_setup(pins_get_inputs_of_the_8259s, setup),
		cmocka_unit_test_setup(without_pins_nothing_is_routed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
