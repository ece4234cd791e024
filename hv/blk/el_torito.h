/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a CD boots by: the boot catalog of the "El Torito" Bootable CD-ROM Format Specification 1.0,
 * with the platform of UEFI, "ISO-9660 and El Torito". A pure reader of bytes that anybody may have
 * written.
 *
 *	sector 16   17                     L
 *	| volume   | boot record: L | .. | catalog: validation, initial entry, sections .. |
 */
#pragma once

#include <stdbool.h>

#include "hv/blk/gpt.h"

struct el_torito {
	bool bios; /* an entry that boots a PC by its BIOS */
	bool uefi; /* an EFI system partition as an image */
};

/*
 * Reads the catalog; `scratch` as for gpt_read. Of a disk that has none, or cannot be read, nothing
 * boots. Only the catalog's first sector is looked at: 64 entries.
 */
struct el_torito el_torito_read(const struct gpt_source *source, void *scratch);
