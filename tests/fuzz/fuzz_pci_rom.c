/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are offered as a network card's expansion ROM. One that is taken has an image for the
 * card where a slow search for its data structure finds one, and reads as the file does.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guests/devices/pci_rom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int has_card(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 24 <= size; i++) {
		if (memcmp(data + i, "PCIR\x86\x80\x0e\x10", 8) == 0) {
			return 1;
		}
	}
	return 0;
}

static void check_reads(const struct pci_rom *rom)
{
	uint64_t space = pci_rom_space(rom);

	assert(space >= rom->size && space >= 2048 && (space & (space - 1)) == 0);
	for (uint64_t i = 0; i < rom->size + 9; i += 3) {
		uint64_t value = pci_rom_read(rom, i, 8);

		for (unsigned b = 0; b < 8; b++) {
			uint8_t byte = (uint8_t)(value >> (8 * b));

			assert(byte == (i + b < rom->size ? rom->data[i + b] : 0xff));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pci_rom_card card = {0x8086, 0x100e};
	const struct pci_rom rom = {.data = data, .size = size};
	const char *problem = pci_rom_problem(&rom, &card);

	if (problem == NULL) {
		assert(has_card(data, size));
		check_reads(&rom);
	}
	return 0;
}
