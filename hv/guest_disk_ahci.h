/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of guests on the SATA ports of one AHCI controller, which exists where there are some. */
#pragma once

#include "hv/guest_disks.h"

extern const struct guest_disk_bus guest_disk_ahci;
extern const struct guest_disk_media guest_disk_ahci_media;
