/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio network cards, modern, one queue each way. Checksums and the cutting of long TCP frames
 * are left to the device where it offers that. Source: Virtual I/O Device (VIRTIO) Version 1.2,
 * "Network Device".
 */
#pragma once

#include "drivers/nic.h"

extern const struct nic_driver virtio_net_driver;
