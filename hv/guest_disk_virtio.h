/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of guests as virtio block devices. */
#pragma once

#include "hv/guest_disks.h"

extern const struct guest_disk_bus guest_disk_virtio;
