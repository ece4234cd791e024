/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk or CD is made to boot by. Sources: UEFI, "GUID Partition Table (GPT) Disk Layout",
 * "Legacy Master Boot Record (MBR)"; of a CD el_torito.h.
 */
#pragma once

#include "hv/blk/gpt.h"

enum boot_kind {
	BOOT_NOTHING, /* blank, or it cannot be read */
	BOOT_BIOS,
	BOOT_UEFI,   /* it has an EFI system partition */
	BOOT_EITHER, /* it has one, and says that a BIOS can boot it, too */
};

/*
 * Looks for a partition of that type in the disk's GPT or, where it has none, its MBR, and for an
 * image of one in a CD's boot catalog; then for a BIOS boot partition or a BIOS' entry in the
 * catalog. `scratch` as for gpt_read; `table` is room for its result.
 */
enum boot_kind boot_kind_of(const struct gpt_source *source, void *scratch,
			    struct gpt_table *table);
