/* SPDX-License-Identifier: Apache-2.0 */
/* Disks and CD drives of guests on an IDE function, which all of a guest's share. */
#pragma once

#include "hv/guest_disks.h"

extern const struct guest_disk_bus guest_disk_ide;
extern const struct guest_disk_media guest_disk_ide_media;
