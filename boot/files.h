/* SPDX-License-Identifier: Apache-2.0 */
/* Reads \bulkhead\ of the volume the loader came from into memory. */
#pragma once

#include <efi.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"

struct files {
	struct handoff_module *list; /* in claimed pages; a folder stands before its files */
	size_t count;
	size_t capacity;
	uint64_t bytes; /* read in all */
};

/*
 * Lists and reads every file in \bulkhead\ and in the folders right below it; names that begin with
 * a dot are passed over. What cannot be read is listed with its error. A volume without \bulkhead\,
 * or a loader that came from no volume, gives an empty list. `image` is the loader's own handle.
 */
void files_read(EFI_HANDLE image, struct files *files);
