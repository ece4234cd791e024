/* SPDX-License-Identifier: Apache-2.0 */
/* EFI system partitions by their types, and boot records. */
#include "hv/blk/boot_kind.h"

#include "hv/base/str.h"
#include "hv/blk/el_torito.h"

/* c12a7328-f81f-11d2-ba4b-00a0c93ec93b, as it lies on the disk. */
static const uint8_t esp_type[GPT_GUID_SIZE] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
						0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};

/* 21686148-6449-6e6f-744e-656564454649: GRUB's, for disks with a GPT. */
static const uint8_t bios_type[GPT_GUID_SIZE] = {0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6f, 0x6e,
						 0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49};

#define MBR_TYPE_ESP 0xefu

static enum boot_kind mbr_kind(const uint8_t *mbr)
{
	if (!gpt_is_mbr(mbr)) {
		return BOOT_NOTHING;
	}
	return gpt_mbr_has(mbr, MBR_TYPE_ESP) ? BOOT_UEFI : BOOT_BIOS;
}

static bool gpt_has(const struct gpt_table *table, const uint8_t type[GPT_GUID_SIZE])
{
	for (unsigned i = 0; i < table->count; i++) {
		if (memcmp(table->partitions[i].type, type, GPT_GUID_SIZE) == 0) {
			return true;
		}
	}
	return false;
}

static enum boot_kind gpt_kind(const struct gpt_table *table)
{
	if (!gpt_has(table, esp_type)) {
		return BOOT_BIOS;
	}
	return gpt_has(table, bios_type) ? BOOT_EITHER : BOOT_UEFI;
}

static enum boot_kind disk_kind(const struct gpt_source *source, void *scratch,
				struct gpt_table *table)
{
	if (gpt_read(source, scratch, table) == HV_OK) {
		return gpt_kind(table);
	}
	return source->read(source->ctx, 0, 1, scratch) == HV_OK ? mbr_kind(scratch) : BOOT_NOTHING;
}

static enum boot_kind cd_kind(const struct gpt_source *source, void *scratch)
{
	struct el_torito found = el_torito_read(source, scratch);

	if (found.uefi) {
		return found.bios ? BOOT_EITHER : BOOT_UEFI;
	}
	return found.bios ? BOOT_BIOS : BOOT_NOTHING;
}

/* A CD image made to be written to a stick as well has both tables. */
enum boot_kind boot_kind_of(const struct gpt_source *source, void *scratch, struct gpt_table *table)
{
	enum boot_kind disk;
	enum boot_kind cd;

	/* Blocks that gpt_read has refused may not fit scratch. */
	if (source->blocks == 0 || source->block_size < GPT_BLOCK_MIN ||
	    source->block_size > GPT_BLOCK_MAX) {
		return BOOT_NOTHING;
	}
	disk = disk_kind(source, scratch, table);
	if (disk == BOOT_EITHER) {
		return disk;
	}
	cd = cd_kind(source, scratch);
	if (disk == BOOT_UEFI) {
		return cd == BOOT_BIOS || cd == BOOT_EITHER ? BOOT_EITHER : BOOT_UEFI;
	}
	return cd != BOOT_NOTHING ? cd : disk;
}
