/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of physical regions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/ahci_internal.h"
#include "tests/fakes/ahci_rig.h"

#define TABLE (RIG_RAM_BASE + 0x8000u)

static uint8_t memory[64];

static int setup(void **state)
{
	struct ahci_config cfg = rig_config(1);

	(void)state;
	memset(rig_ram, 0, sizeof(rig_ram));
	rig_disk_init();
	rig_ahci_init(&cfg);
	for (unsigned i = 0; i < sizeof(memory); i++) {
		memory[i] = (uint8_t)(i + 1);
	}
	return 0;
}

static void region(unsigned index, uint64_t address, uint32_t size)
{
	rig_put(TABLE + index * 16, address, 8);
	rig_put(TABLE + index * 16 + 8, (uint64_t)size << 32, 8);
}

static struct ahci_cursor start(uint32_t count)
{
	struct ahci_cursor cur;

	ahci_cursor_init(&cur, TABLE, count);
	return cur;
}

static void goes_on_where_it_was(void **state)
{
	struct ahci_cursor cur = start(3);
	uint32_t moved;

	(void)state;
	region(0, RIG_DATA, 3);	      /* 4 bytes */
	region(1, RIG_DATA + 100, 1); /* 2 */
	region(2, RIG_DATA + 200, 31);
	assert_true(ahci_cursor_write(rig_units, &cur, memory, 5, &moved));
	assert_int_equal(moved, 5);
	assert_true(ahci_cursor_skip(rig_units, &cur, 3, &moved));
	assert_true(ahci_cursor_write(rig_units, &cur, memory + 8, 2, &moved));
	assert_int_equal(rig_get(RIG_DATA, 8), 0x04030201);
	assert_int_equal(rig_get(RIG_DATA + 100, 2), 5);
	assert_int_equal(rig_get(RIG_DATA + 200, 6), 0x0a090000);
	assert_int_equal(cur.entries, 0);
	/* Both ways. */
	cur = start(3);
	memset(memory, 0, sizeof(memory));
	assert_true(ahci_cursor_read(rig_units, &cur, memory, 5, &moved));
	assert_int_equal(memory[3], 4);
	assert_int_equal(memory[4], 5);
	assert_int_equal(memory[5], 0);
}

static void ends_with_the_table(void **state)
{
	struct ahci_cursor cur = start(1);
	uint32_t moved;

	(void)state;
	region(0, RIG_DATA, 7);
	region(1, RIG_DATA + 8, 7);
	assert_true(ahci_cursor_write(rig_units, &cur, memory, 20, &moved));
	assert_int_equal(moved, 8);
	assert_int_equal(rig_get(RIG_DATA + 8, 1), 0);
	assert_true(ahci_cursor_write(rig_units, &cur, memory, 20, &moved));
	assert_int_equal(moved, 0);
	cur = start(0);
	assert_true(ahci_cursor_read(rig_units, &cur, memory, 20, &moved));
	assert_int_equal(moved, 0);
}

/* Bit 0 of address and length is not there; the reserved bits of the length mean nothing. */
static void odd_entries(void **state)
{
	struct ahci_cursor cur = start(1);
	uint32_t moved;

	(void)state;
	region(0, RIG_DATA + 1, 0x7fc00000u | 2);
	assert_true(ahci_cursor_write(rig_units, &cur, memory, 64, &moved));
	assert_int_equal(moved, 4);
	assert_int_equal(rig_get(RIG_DATA, 4), 0x04030201);
	assert_false(cur.marked);
}

static void remembers_interrupt_bits(void **state)
{
	struct ahci_cursor cur = start(2);
	uint32_t moved;

	(void)state;
	region(0, RIG_DATA, 7);
	region(1, RIG_DATA, 0x80000007u);
	assert_true(ahci_cursor_skip(rig_units, &cur, 8, &moved));
	assert_false(cur.marked);
	assert_true(ahci_cursor_skip(rig_units, &cur, 2, &moved));
	assert_true(cur.marked);
}

static void measures(void **state)
{
	struct ahci_cursor cur = start(4);
	bool ok;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		region(i, RIG_DATA, 9);
	}
	assert_int_equal(ahci_cursor_measure(rig_units, &cur, 15, 9, &ok), 15);
	assert_int_equal(ahci_cursor_measure(rig_units, &cur, 100, 9, &ok), 40);
	assert_int_equal(ahci_cursor_measure(rig_units, &cur, 100, 2, &ok), 20);
	assert_true(ok);
	assert_int_equal(cur.entries, 4);
	ahci_cursor_init(&cur, RIG_RAM_END - 16, 2);
	rig_put(RIG_RAM_END - 16, RIG_DATA, 8);
	assert_int_equal(ahci_cursor_measure(rig_units, &cur, 100, 9, &ok), 2);
	assert_false(ok);
}

static void what_is_not_ram(void **state)
{
	struct ahci_cursor cur = start(1);
	uint32_t moved;

	(void)state;
	region(0, RIG_RAM_END - 2, 7);
	assert_false(ahci_cursor_write(rig_units, &cur, memory, 8, &moved));
	cur = start(1);
	assert_false(ahci_cursor_read(rig_units, &cur, memory, 8, &moved));
	ahci_cursor_init(&cur, RIG_RAM_END - 8, 1);
	assert_false(ahci_cursor_skip(rig_units, &cur, 8, &moved));
	/* No master, no memory. */
	region(0, RIG_DATA, 7);
	rig_set_master(false);
	cur = start(1);
	assert_false(ahci_cursor_write(rig_units, &cur, memory, 8, &moved));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(goes_on_where_it_was, setup),
		cmocka_unit_test_setup(ends_with_the_table, setup),
		cmocka_unit_test_setup(odd_entries, setup),
		cmocka_unit_test_setup(remembers_interrupt_bits, setup),
		cmocka_unit_test_setup(measures, setup),
		cmocka_unit_test_setup(what_is_not_ram, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
