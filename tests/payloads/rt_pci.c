/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space as the payloads use it. */
#include "tests/payloads/rt_pci.h"

#include "guests/devices/pci_config.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/payloads/hw.h"

#define EXPRESS_CAPABILITIES 4u
#define EXPRESS_CONTROL 8u
#define FLR_CAPABLE BIT32(28)
#define FLR_START BIT32(15)
#define ADVANCED_FLR_CAPABLE BIT32(25) /* of its first dword */
#define ADVANCED_CONTROL 4u
#define ADVANCED_FLR_START BIT32(0)

static uint64_t ecam(unsigned devfn, unsigned reg)
{
	return LAYOUT_ECAM_BASE + (uint64_t)devfn * PCI_EXPRESS_BYTES + reg;
}

uint32_t pci_config(unsigned devfn, unsigned reg)
{
	return mmio_read32(ecam(devfn, reg));
}

void pci_set_config(unsigned devfn, unsigned reg, uint32_t value)
{
	mmio_write32(ecam(devfn, reg), value);
}

unsigned pci_capability(unsigned devfn, uint8_t id, unsigned after)
{
	unsigned at = after == 0 ? pci_config(devfn, PCI_CAPABILITIES) & 0xff
				 : pci_config(devfn, after) >> 8 & 0xff;

	while (at != 0 && (pci_config(devfn, at) & 0xff) != id) {
		at = pci_config(devfn, at) >> 8 & 0xff;
	}
	return at;
}

uint64_t pci_bar(unsigned devfn, unsigned bar)
{
	uint32_t value = pci_config(devfn, PCI_BAR0 + bar * 4);

	return value & ((value & PCI_BAR_IO) != 0 ? ~3u : ~15u);
}

bool pci_function_level_reset(unsigned devfn)
{
	unsigned express = pci_capability(devfn, PCI_CAP_EXPRESS, 0);
	unsigned advanced = pci_capability(devfn, PCI_CAP_ADVANCED, 0);

	if (express != 0 &&
	    (pci_config(devfn, express + EXPRESS_CAPABILITIES) & FLR_CAPABLE) != 0) {
		pci_set_config(devfn, express + EXPRESS_CONTROL, FLR_START);
		return true;
	}
	if (advanced != 0 && (pci_config(devfn, advanced) & ADVANCED_FLR_CAPABLE) != 0) {
		pci_set_config(devfn, advanced + ADVANCED_CONTROL, ADVANCED_FLR_START);
		return true;
	}
	return false;
}
