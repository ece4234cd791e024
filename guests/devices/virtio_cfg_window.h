/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device's registers by way of configuration space, for drivers in firmware that cannot
 * reach its BARs: a capability names a place in a BAR, and its last four bytes stand for what is
 * there. Source: VIRTIO 1.2, "PCI configuration access capability".
 *
 *	capability  | bar | offset | length 1, 2, 4 | pci_cfg_data |
 *	read of pci_cfg_data:	the BAR is read, then the register
 *	write of pci_cfg_data:	the register is written, then the BAR
 */
#pragma once

#include <stdbool.h>

#include "guests/devices/pci_device.h"
#include "hv/base/status.h"

/* Appends the capability; before the guest runs. HV_E_RANGE: there is no room for it. */
enum hv_status virtio_cfg_window_add(struct pci_function *f) HV_MUST_CHECK;
/* For pci_device_ops.window. */
void virtio_cfg_window_access(struct pci_device *d, bool write);
