/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space of PCI functions. Source: PCI Local Bus Specification, "Configuration Space".
 */
#pragma once

#include "hv/base/bits.h"

#define PCI_VENDOR 0x00u
#define PCI_DEVICE 0x02u
#define PCI_COMMAND 0x04u
#define PCI_STATUS 0x06u
#define PCI_REVISION 0x08u
#define PCI_CLASS 0x08u /* 32 bits: base class, sub-class, interface, revision */
#define PCI_HEADER_TYPE 0x0eu
#define PCI_BAR0 0x10u
#define PCI_SECONDARY_BUS 0x19u
#define PCI_SUBSYSTEM_VENDOR 0x2cu
#define PCI_SUBSYSTEM 0x2eu
#define PCI_CAPABILITIES 0x34u
#define PCI_INTERRUPT_LINE 0x3cu
#define PCI_INTERRUPT_PIN 0x3du
#define PCI_HEADER_END 0x40u
#define PCI_CONFIG_SIZE 256u
#define PCIE_CONFIG_SIZE 4096u

#define PCI_COMMAND_IO BIT32(0)
#define PCI_COMMAND_MEMORY BIT32(1)
#define PCI_COMMAND_MASTER BIT32(2)
#define PCI_COMMAND_INTX_OFF BIT32(10)
#define PCI_STATUS_CAPABILITIES BIT32(4)

#define PCI_HEADER_MULTIFUNCTION 0x80u
#define PCI_HEADER_LAYOUT 0x7fu
#define PCI_HEADER_NORMAL 0u
#define PCI_HEADER_BRIDGE 1u
#define PCI_NO_VENDOR 0xffffu
#define PCI_BASE_CLASS_BRIDGE 0x06u

#define PCI_BAR_IO BIT32(0)
#define PCI_BAR_TYPE 6u
#define PCI_BAR_TYPE_64 4u
#define PCI_BAR_PREFETCH BIT32(3)
#define PCI_BAR_IO_FLAGS 3u
#define PCI_BAR_MEMORY_FLAGS 15u

#define PCI_CAP_MSI 0x05u
#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX 0x11u

/* MSI, offsets in the capability. */
#define PCI_MSI_CONTROL 2u
#define PCI_MSI_ADDRESS 4u
#define PCI_MSI_DATA_32 8u
#define PCI_MSI_ADDRESS_HIGH 8u
#define PCI_MSI_DATA_64 12u
#define PCI_MSI_ENABLE BIT32(0)
#define PCI_MSI_MULTIPLE MASK(6, 4)
#define PCI_MSI_64 BIT32(7)

/* MSI-X. */
#define PCI_MSIX_CONTROL 2u
#define PCI_MSIX_TABLE 4u
#define PCI_MSIX_SIZE MASK(10, 0) /* entries, less one */
#define PCI_MSIX_MASK BIT32(14)
#define PCI_MSIX_ENABLE BIT32(15)
#define PCI_MSIX_BIR 7u
#define PCI_MSIX_ENTRY 16ull /* bytes: address, address high, data, control */
#define PCI_MSIX_ENTRY_MASKED BIT32(0)

/* Where the local APICs take messages: Intel SDM volume 3, "Message Signalled Interrupts". */
#define MSI_ADDRESS_BASE 0xfee00000u
#define MSI_ADDRESS_ID_SHIFT 12u
