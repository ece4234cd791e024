/* SPDX-License-Identifier: Apache-2.0 */
/* The walk through a catalog of a CD's boot images. */
#include "hv/blk/el_torito.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CD_SECTOR 2048u
#define BOOT_RECORD_SECTOR 17u
#define BOOT_RECORD_CATALOG 0x47u

#define ENTRY_SIZE 32u
#define ENTRY_COUNT (CD_SECTOR / ENTRY_SIZE)

#define VALIDATION_ID 1u
#define VALIDATION_WORDS (ENTRY_SIZE / 2)
#define PLATFORM_80X86 0x00u
#define PLATFORM_EFI 0xefu

/* The first byte of the entries behind it. */
#define SECTION_MORE 0x90u
#define SECTION_LAST 0x91u
#define BOOTABLE 0x88u

static bool read_sector(const struct gpt_source *source, uint64_t sector, void *scratch)
{
	uint32_t blocks = CD_SECTOR / source->block_size;

	return range_fits(sector * blocks, blocks, source->blocks) &&
	       source->read(source->ctx, sector * blocks, blocks, scratch) == HV_OK;
}

static bool is_boot_record(const uint8_t *sector)
{
	static const char id[] = "\0CD001\1EL TORITO SPECIFICATION";

	return memcmp(sector, id, sizeof(id)) == 0;
}

/* All words of it give zero, the checksum among them. */
static bool is_validation(const uint8_t *entry)
{
	uint16_t words[VALIDATION_WORDS];
	uint16_t sum = 0;

	memcpy(words, entry, sizeof(words));
	for (unsigned i = 0; i < VALIDATION_WORDS; i++) {
		sum = (uint16_t)(sum + words[i]);
	}
	return entry[0] == VALIDATION_ID && entry[30] == 0x55 && entry[31] == 0xaa && sum == 0;
}

static void take(struct el_torito *found, uint8_t platform, const uint8_t *entry)
{
	bool bootable = entry[0] == BOOTABLE;

	found->bios |= bootable && platform == PLATFORM_80X86;
	found->uefi |= bootable && platform == PLATFORM_EFI;
}

/* A section's header stands before its entries. Extensions of entries begin with neither of these
 * bytes. */
static struct el_torito walk(const uint8_t *catalog)
{
	struct el_torito found = {false};
	uint8_t platform = catalog[1];

	take(&found, platform, catalog + ENTRY_SIZE);
	for (unsigned i = 2; i < ENTRY_COUNT; i++) {
		const uint8_t *entry = catalog + (size_t)i * ENTRY_SIZE;

		if (entry[0] == SECTION_MORE || entry[0] == SECTION_LAST) {
			platform = entry[1];
		} else {
			take(&found, platform, entry);
		}
	}
	return found;
}

struct el_torito el_torito_read(const struct gpt_source *source, void *scratch)
{
	uint8_t *sector = scratch;
	uint32_t catalog;

	if (source->block_size > CD_SECTOR || source->block_size < GPT_BLOCK_MIN ||
	    !read_sector(source, BOOT_RECORD_SECTOR, sector) || !is_boot_record(sector)) {
		return (struct el_torito){false};
	}
	memcpy(&catalog, sector + BOOT_RECORD_CATALOG, sizeof(catalog));
	if (!read_sector(source, catalog, sector) || !is_validation(sector)) {
		return (struct el_torito){false};
	}
	return walk(sector);
}
