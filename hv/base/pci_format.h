/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space of PCI functions: registers, bits, capabilities. Shared by what drives the
 * machine's functions (drivers/pci.c) and what guests find (guests/devices/pci_config.h). Source:
 * PCI Local Bus Specification, "Configuration Space", "Message Signaled Interrupts".
 */
#pragma once

#include "hv/base/bits.h"

#define PCI_CONFIG_BYTES 256u
#define PCI_EXPRESS_BYTES 4096u

/* Registers of header type 0. */
#define PCI_VENDOR_ID 0x00u
#define PCI_DEVICE_ID 0x02u
#define PCI_COMMAND 0x04u
#define PCI_STATUS 0x06u
#define PCI_REVISION 0x08u /* as 32 bits: the class above it */
#define PCI_CLASS 0x09u	   /* three bytes */
#define PCI_CACHE_LINE 0x0cu
#define PCI_LATENCY 0x0du
#define PCI_HEADER_TYPE 0x0eu
#define PCI_BAR0 0x10u
#define PCI_SUBSYSTEM_VENDOR 0x2cu
#define PCI_SUBSYSTEM 0x2eu
#define PCI_ROM_BASE 0x30u
#define PCI_CAPABILITIES 0x34u
#define PCI_INTERRUPT_LINE 0x3cu
#define PCI_INTERRUPT_PIN 0x3du
#define PCI_FIRST_FREE 0x40u
/* Of a bridge. */
#define PCI_SECONDARY_BUS 0x19u

#define PCI_NO_VENDOR 0xffffu
#define PCI_BASE_CLASS_BRIDGE 0x06u

#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_INTX_OFF 0x0400u
#define PCI_STATUS_INTX 0x0008u
#define PCI_STATUS_CAP_LIST 0x0010u

#define PCI_HEADER_MULTI 0x80u
#define PCI_HEADER_LAYOUT 0x7fu
#define PCI_HEADER_NORMAL 0u
#define PCI_HEADER_BRIDGE 1u

#define PCI_BAR_IO 0x1u
#define PCI_BAR_TYPE 0x6u
#define PCI_BAR_64 0x4u
#define PCI_BAR_PREFETCH 0x8u
#define PCI_ROM_ENABLE 0x1u
#define PCI_ROM_ADDRESS 0xfffff800u
#define PCI_ROM_BYTES_MIN 0x800u
#define PCI_ROM_BYTES_MAX 0x1000000u
#define PCI_BAR_IO_FLAGS 0x3u
#define PCI_BAR_MEMORY_FLAGS 0xfu

#define PCI_CAP_POWER 0x01u
#define PCI_CAP_MSI 0x05u
#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_EXPRESS 0x10u
#define PCI_CAP_MSIX 0x11u
#define PCI_CAP_ADVANCED 0x13u

/* MSI, offsets in the capability. */
#define PCI_MSI_CONTROL 2u
#define PCI_MSI_ADDRESS 4u
#define PCI_MSI_DATA_32 8u
#define PCI_MSI_ADDRESS_HIGH 8u
#define PCI_MSI_DATA_64 12u
#define PCI_MSI_SIZE_64 14u
#define PCI_MSI_ENABLE 0x0001u
#define PCI_MSI_MULTIPLE MASK(6, 4)
#define PCI_MSI_64 0x0080u

/* Power management: offsets in the capability, and its state ("PCI Bus Power Management", PMCSR).
 */
#define PCI_POWER_CAPABILITIES 2u
#define PCI_POWER_CONTROL 4u
#define PCI_POWER_BYTES 8u
#define PCI_POWER_STATE 0x0003u
#define PCI_POWER_D3HOT 3u
#define PCI_POWER_NO_SOFT_RESET 0x0008u

/* MSI-X. */
#define PCI_MSIX_BYTES 12u
#define PCI_MSIX_CONTROL 2u
#define PCI_MSIX_TABLE 4u
#define PCI_MSIX_PBA 8u
#define PCI_MSIX_SIZE MASK(10, 0) /* entries, less one */
#define PCI_MSIX_MASK 0x4000u
#define PCI_MSIX_ENABLE 0x8000u
#define PCI_MSIX_BIR 7u
#define PCI_MSIX_ENTRY 16ull /* bytes: address, address high, data, control */
#define PCI_MSIX_ENTRY_CONTROL 12u
#define PCI_MSIX_ENTRY_MASKED 0x1u
