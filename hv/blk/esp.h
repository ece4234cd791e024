/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a disk is made to boot by UEFI: it has an EFI system partition. Sources: UEFI, "GUID
 * Partition Table (GPT) Disk Layout", "Legacy Master Boot Record (MBR)".
 */
#pragma once

#include <stdbool.h>

#include "hv/blk/gpt.h"

/*
 * Looks for a partition of that type in the disk's GPT or, where it has none, its MBR. `scratch` as
 * for gpt_read; `table` is room for its result. A disk that cannot be read has none.
 */
bool esp_found(const struct gpt_source *source, void *scratch, struct gpt_table *table);
