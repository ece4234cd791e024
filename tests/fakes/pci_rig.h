/* SPDX-License-Identifier: Apache-2.0 */
/* A PCI host with one function, for rigs of devices on PCI. */
#pragma once

#include "guests/devices/pci_device.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/fakes/lacks_rig.h"

#define RIG_DEVFN 0x18u

static struct pci_host rig_host;

static inline void rig_host_start(void)
{
	const struct pci_host_config host = {.ecam_base = LAYOUT_ECAM_BASE};

	pci_host_init(&rig_host, &host);
	rig_host.dev.lacks = &lacks_rig;
}

static inline uint32_t rig_config_read(unsigned reg, unsigned size)
{
	const struct vdev_access a = {
		.space = BUS_MMIO, .offset = RIG_DEVFN * 4096 + reg, .size = size};

	return (uint32_t)(rig_host.dev.ops->read(&rig_host.dev, &a) & size_mask(size));
}

static inline void rig_config_write(unsigned reg, unsigned size, uint32_t value)
{
	const struct vdev_access a = {
		.space = BUS_MMIO, .offset = RIG_DEVFN * 4096 + reg, .size = size};

	rig_host.dev.ops->write(&rig_host.dev, &a, value);
}

static inline unsigned rig_capability(uint8_t id)
{
	unsigned at = rig_config_read(PCI_CAPABILITIES, 1);

	while (at != 0 && rig_config_read(at, 1) != id) {
		at = rig_config_read(at + 1, 1);
	}
	return at;
}

static inline void rig_set_master(bool master)
{
	rig_config_write(PCI_COMMAND, 2,
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | (master ? PCI_COMMAND_MASTER : 0));
}
