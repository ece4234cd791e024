/* SPDX-License-Identifier: Apache-2.0 */
/* Floppy drives of guests: one controller on the ISA bus for all of a guest's. */
#pragma once

#include "guests/devices/fdc.h"
#include "hv/guest_disks.h"

extern const struct guest_disk_bus guest_disk_floppy;
extern const struct guest_disk_media guest_disk_floppy_media;

/* What CMOS and ACPI tables say of the guest's drives: their types, 0 where there is none. After
 * guest_disks_open. */
void guest_disk_floppy_types(const struct guest *g, uint8_t types[FDC_DRIVES]);
