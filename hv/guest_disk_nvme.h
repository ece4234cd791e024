/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of guests as NVMe controllers, each with one namespace. */
#pragma once

#include "hv/guest_disks.h"

extern const struct guest_disk_bus guest_disk_nvme;
