/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking and reading expansion ROMs. Source: PCI Local Bus Specification, "PCI Expansion ROM
 * Header Format", "PCI Data Structure Format".
 */
#include "guests/devices/pci_rom.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/str.h"

/* Images begin at multiples of it, and their lengths are counted in it. */
#define ROM_UNIT 512u

/* At an image's begin. */
#define HEADER_BYTES 0x1au
#define HEADER_SIGNATURE 0x00u
#define SIGNATURE 0xaa55u
#define HEADER_DATA 0x18u /* offset of the data structure, 16 bits */

/* In the data structure. */
#define DATA_SIGNATURE 0x00u
#define DATA_VENDOR 0x04u
#define DATA_DEVICE 0x06u
#define DATA_IMAGE_LENGTH 0x10u
#define DATA_INDICATOR 0x15u
#define INDICATOR_LAST 0x80u
#define DATA_BYTES 0x18u

/* One image, its fields read out. */
struct image {
	uint64_t size; /* bytes */
	struct pci_rom_card card;
	bool last;
};

/* Reads the image at `at`, below the ROM's end; NULL, or what is wrong with it. */
static const char *read_image(const struct pci_rom *rom, uint64_t at, struct image *out)
{
	const uint8_t *image = rom->data + at;
	uint64_t left = rom->size - at;
	const uint8_t *data;

	if (left < HEADER_BYTES || get_le16(image + HEADER_SIGNATURE) != SIGNATURE) {
		return "has an image that does not begin with the bytes 55 aa";
	}
	if (!range_fits(get_le16(image + HEADER_DATA), DATA_BYTES, left)) {
		return "has an image whose PCI data structure lies outside of it";
	}
	data = image + get_le16(image + HEADER_DATA);
	if (memcmp(data + DATA_SIGNATURE, "PCIR", 4) != 0) {
		return "has an image without a PCI data structure (\"PCIR\")";
	}
	*out = (struct image){
		.size = (uint64_t)get_le16(data + DATA_IMAGE_LENGTH) * ROM_UNIT,
		.card = {get_le16(data + DATA_VENDOR), get_le16(data + DATA_DEVICE)},
		.last = (data[DATA_INDICATOR] & INDICATOR_LAST) != 0,
	};
	if (out->size == 0 || out->size > left) {
		return "has an image of no length, or one that ends behind the file's end";
	}
	return range_fits(get_le16(image + HEADER_DATA), DATA_BYTES, out->size)
		       ? NULL
		       : "has an image whose PCI data structure lies outside of it";
}

const char *pci_rom_problem(const struct pci_rom *rom, const struct pci_rom_card *card)
{
	struct image image = {.last = false};
	bool fits = false;

	if (rom->size == 0 || rom->size > PCI_ROM_BYTES_MAX) {
		return "is empty, or larger than 16 MiB";
	}
	for (uint64_t at = 0; !image.last; at += image.size) {
		const char *problem =
			at == rom->size ? "has no last image" : read_image(rom, at, &image);

		if (problem != NULL) {
			return problem;
		}
		fits |= image.card.vendor == card->vendor && image.card.device == card->device;
	}
	return fits ? NULL : "is for another card";
}

uint64_t pci_rom_space(const struct pci_rom *rom)
{
	uint64_t space = PCI_ROM_BYTES_MIN;

	while (space < rom->size) {
		space *= 2;
	}
	return space;
}

uint64_t pci_rom_read(const struct pci_rom *rom, uint64_t offset, unsigned size)
{
	uint64_t value = UINT64_MAX;

	if (offset < rom->size) {
		memcpy(&value, rom->data + offset, min_u64(size, rom->size - offset));
	}
	return value;
}
