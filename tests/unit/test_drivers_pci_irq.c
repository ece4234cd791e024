/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/irq.h"
#include "drivers/pci.h"
#include "hv/cpu/percpu.h"
#include "tests/fakes/fake_pci.h"

static struct fake_pci card;
static struct host_pci *f;
static unsigned seen[8];

static void on_message(void *ctx, unsigned index)
{
	assert_ptr_equal(ctx, &card);
	assert_in_range(index, 0, 7);
	seen[index]++;
}

static int setup(void **state)
{
	(void)state;
	memset(seen, 0, sizeof(seen));
	fake_pci_reset(2);
	fake_pci_add(&card, 0, 0x18, 0x12345678, 0x020000);
	fake_pci_bar(&card, 0, 0xfe000000, 0x4000);
	fake_pci_put(&card, 0x3c, 2, 0x010b);
	return 0;
}

static enum hv_status ask(unsigned *count)
{
	(void)host_pci_scan(&fake_pci_machine.acpi);
	f = host_pci_at(0);
	host_pci_enable(f);
	return host_pci_interrupts(f, count, on_message, &card);
}

static void msix_has_a_message_per_queue(void **state)
{
	unsigned count = 4;

	(void)state;
	fake_pci_msix(&card, 0, 0x2000, 8);
	/* As firmware may have left it. */
	card.msix[2][0] = 0xfee01000;
	card.msix[7][2] = 0x55;
	assert_int_equal(ask(&count), HV_OK);
	assert_int_equal(count, 4);
	assert_true(host_pci_uses_msix(f));
	for (unsigned i = 0; i < 4; i++) {
		assert_true(fake_pci_message(&card, i));
		assert_int_equal(seen[i], 1);
		assert_int_equal(card.msix[i][0], 0xfee00000 | (i % 2) << 12);
	}
	assert_int_equal(fake_pci_machine.eois, 4);
	assert_false(fake_pci_message(&card, 7));
	/* INTx stays off. */
	assert_int_equal(fake_pci_get(&card, 4, 2) & 0x400, 0x400);
}

static void msix_gives_what_there_is(void **state)
{
	unsigned count = 8;

	(void)state;
	fake_pci_msix(&card, 0, 0, 3);
	assert_int_equal(ask(&count), HV_OK);
	assert_int_equal(count, 3);
}

static void msix_table_outside_of_its_bar(void **state)
{
	unsigned count = 4;

	(void)state;
	fake_pci_msix(&card, 0, 0x3ff0, 2);
	fake_pci_capability(&card, 5, 14);
	assert_int_equal(ask(&count), HV_OK);
	/* MSI instead. */
	assert_int_equal(count, 1);
	assert_false(host_pci_uses_msix(f));
	assert_true(fake_pci_message(&card, 0));
	assert_int_equal(seen[0], 1);
}

static void msi_of_both_widths(void **state)
{
	unsigned count = 4;
	unsigned cap = fake_pci_capability(&card, 5, 14);

	(void)state;
	/* Firmware had eight messages on, to somewhere. */
	fake_pci_put(&card, cap + 2, 2, 0x00b7);
	fake_pci_put(&card, cap + 8, 4, 0x1234);
	assert_int_equal(ask(&count), HV_OK);
	assert_int_equal(count, 1);
	assert_int_equal(fake_pci_get(&card, cap + 2, 2), 0x0087);
	assert_true(fake_pci_message(&card, 0));
	setup(NULL);
	cap = fake_pci_capability(&card, 5, 14);
	count = 1;
	assert_int_equal(ask(&count), HV_OK);
	assert_int_equal(fake_pci_get(&card, cap + 2, 2), 1);
	assert_true(fake_pci_message(&card, 0));
	assert_int_equal(seen[0], 1);
}

static void the_line_is_next(void **state)
{
	unsigned count = 2;

	(void)state;
	assert_int_equal(ask(&count), HV_OK);
	assert_int_equal(count, 1);
	assert_int_equal(fake_pci_get(&card, 4, 2) & 0x400, 0);
	assert_true(fake_pci_line(11));
	assert_int_equal(seen[0], 1);
}

static void then_there_is_polling(void **state)
{
	static const uint16_t unusable[] = {0x000b, 0x0100, 0x01ff, 0x0110, 0x050b};
	unsigned count = 2;

	(void)state;
	for (unsigned i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		setup(NULL);
		fake_pci_put(&card, 0x3c, 2, unusable[i]);
		assert_int_equal(ask(&count), HV_OK);
		assert_int_equal(count, 1);
		assert_int_equal(fake_pci_get(&card, 4, 2) & 0x400, 0x400);
		fake_pci_pass(2000000, 250000);
		assert_in_range(seen[0], 1, 2);
	}
}

static void without_vectors_there_is_polling(void **state)
{
	const struct host_irq_handler other = {on_message, &card, 7};
	unsigned count = 4;

	(void)state;
	fake_pci_msix(&card, 0, 0x2000, 8);
	fake_pci_capability(&card, 5, 14);
	while (host_irq_alloc(&other) != 0) {
	}
	assert_int_equal(ask(&count), HV_OK);
	assert_false(fake_pci_message(&card, 0));
	fake_pci_pass(2000000, 250000);
	assert_in_range(seen[0], 1, 2);
	/* All of it used up. */
	count = 1;
	for (unsigned i = 1; i < HOST_IRQ_SHARERS_MAX; i++) {
		assert_int_equal(host_pci_interrupts(f, &count, on_message, &card), HV_OK);
	}
	assert_int_equal(host_pci_interrupts(f, &count, on_message, &card), HV_E_NO_MEMORY);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(msix_has_a_message_per_queue),
		T(msix_gives_what_there_is),
		T(msix_table_outside_of_its_bar),
		T(msi_of_both_widths),
		T(the_line_is_next),
		T(then_there_is_polling),
		T(without_vectors_there_is_polling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
