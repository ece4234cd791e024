/* SPDX-License-Identifier: Apache-2.0 */
/* Expansion ROMs: which are taken, what is said of the others, and what is read of them. */
#include "guests/devices/pci_rom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNIT 512u
#define DATA_AT 0x1cu

static const struct pci_rom_card card = {0x8086, 0x100e};
static uint8_t bytes[8 * UNIT];

/* An image of `units` at unit `at`, with its data structure right behind the header. */
static uint8_t *image(unsigned at, unsigned units, uint16_t device, bool last)
{
	uint8_t *p = bytes + (size_t)at * UNIT;
	uint8_t *data = p + DATA_AT;

	p[0] = 0x55;
	p[1] = 0xaa;
	p[0x18] = DATA_AT;
	memcpy(data, "PCIR\x86\x80", 6);
	data[6] = (uint8_t)device;
	data[7] = (uint8_t)(device >> 8);
	data[0x10] = (uint8_t)units;
	data[0x15] = last ? 0x80 : 0;
	return p;
}

static int clear(void **state)
{
	(void)state;
	memset(bytes, 0, sizeof(bytes));
	return 0;
}

/* Judged in memory of just that size, so that no byte behind it is read unseen. */
static const char *judge(size_t size)
{
	uint8_t *copy = malloc(size);
	const struct pci_rom rom = {.data = copy, .size = size};
	const char *problem;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	problem = pci_rom_problem(&rom, &card);
	free(copy);
	return problem;
}

static void whole_chains_are_taken(void **state)
{
	(void)state;
	image(0, 2, 0x100e, true);
	assert_null(judge(2 * UNIT));
	/* What follows the last image does not matter. */
	assert_null(judge(3 * UNIT + 7));
	/* Any of the images may be the card's. */
	image(0, 2, 0x10d3, false);
	image(2, 3, 0x100e, true);
	assert_null(judge(5 * UNIT));
}

static void others_are_told_why(void **state)
{
	static const struct pci_rom none = {.size = 0};
	static const struct pci_rom large = {.data = bytes, .size = PCI_ROM_BYTES_MAX + 1};

	(void)state;
	assert_string_equal(pci_rom_problem(&none, &card), "is empty, or larger than 16 MiB");
	assert_string_equal(pci_rom_problem(&large, &card), "is empty, or larger than 16 MiB");
	image(0, 2, 0x10d3, true);
	assert_string_equal(judge(2 * UNIT), "is for another card");
	image(0, 2, 0x100e, false);
	assert_string_equal(judge(2 * UNIT), "has no last image");
	assert_string_equal(judge(3 * UNIT),
			    "has an image that does not begin with the bytes 55 aa");
	assert_string_equal(judge(2 * UNIT - 1),
			    "has an image of no length, or one that ends behind the file's end");
	image(0, 0, 0x100e, true);
	assert_string_equal(judge(2 * UNIT),
			    "has an image of no length, or one that ends behind the file's end");
	image(0, 1, 0x100e, true)[DATA_AT] = 'p';
	assert_string_equal(judge(UNIT), "has an image without a PCI data structure (\"PCIR\")");
	/* The vendor counts, too. */
	image(0, 1, 0x100e, true)[DATA_AT + 4] = 0x87;
	assert_string_equal(judge(UNIT), "is for another card");
}

/* The pointer to the data structure leads nowhere outside of the image, at any size of the file. */
static void the_data_structure_is_inside(void **state)
{
	static const char outside[] = "has an image whose PCI data structure lies outside of it";
	uint8_t *p = image(0, 1, 0x100e, true);

	(void)state;
	for (unsigned at = UNIT - 0x17; at <= 0xffff; at += 7) {
		p[0x18] = (uint8_t)at;
		p[0x19] = (uint8_t)(at >> 8);
		assert_string_equal(judge(UNIT), outside);
	}
	p[0x18] = DATA_AT;
	p[0x19] = 0;
	for (size_t size = 1; size < UNIT; size++) {
		assert_non_null(judge(size));
	}
	/* In the file, but behind its own image. */
	p = image(0, 1, 0x100e, true);
	memcpy(bytes + UNIT, p + DATA_AT, 0x18);
	p[0x18] = 0;
	p[0x19] = 2;
	assert_string_equal(judge(2 * UNIT), outside);
}

static void space_is_a_power_of_two(void **state)
{
	struct pci_rom rom = {.data = bytes, .size = 1};

	(void)state;
	assert_int_equal(pci_rom_space(&rom), 2048);
	rom.size = 2049;
	assert_int_equal(pci_rom_space(&rom), 4096);
	rom.size = 249856;
	assert_int_equal(pci_rom_space(&rom), 262144);
	rom.size = PCI_ROM_BYTES_MAX;
	assert_int_equal(pci_rom_space(&rom), PCI_ROM_BYTES_MAX);
}

static void reads_end_with_the_file(void **state)
{
	const struct pci_rom rom = {.data = bytes, .size = 6};

	(void)state;
	memcpy(bytes, "\x01\x02\x03\x04\x05\x06\x07", 7);
	assert_true(pci_rom_read(&rom, 0, 4) << 32 == 0x0403020100000000ull);
	assert_int_equal(pci_rom_read(&rom, 1, 1) & 0xff, 2);
	assert_true(pci_rom_read(&rom, 4, 8) == 0xffffffffffff0605ull);
	assert_true(pci_rom_read(&rom, 6, 4) == UINT64_MAX);
	assert_true(pci_rom_read(&rom, PCI_ROM_BYTES_MAX - 1, 1) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whole_chains_are_taken, clear),
		cmocka_unit_test_setup(others_are_told_why, clear),
		cmocka_unit_test_setup(the_data_structure_is_inside, clear),
		cmocka_unit_test_setup(space_is_a_power_of_two, clear),
		cmocka_unit_test_setup(reads_end_with_the_file, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
