/* SPDX-License-Identifier: Apache-2.0 */
/* PCI bus 0 for payloads, by ECAM. Functions are named by devfn, device << 3 | function. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PCI_FUNCTIONS 256u
#define PCI_CAPABILITY_VENDOR 0x09u
#define PCI_CAPABILITY_POWER 0x01u
#define PCI_CAPABILITY_EXPRESS 0x10u
#define PCI_CAPABILITY_MSIX 0x11u
#define PCI_CAPABILITY_ADVANCED 0x13u
#define PCI_MSIX_TABLE 4u	    /* in the capability: BAR, and offset in it */
#define PCI_MSIX_ENABLE 0x80000000u /* of the capability's first dword */
#define PCI_MSIX_MASK_ALL 0x40000000u
#define PCI_MSIX_ENTRY_BYTES 16u
#define PCI_MSIX_ENTRY_CONTROL 12u
#define PCI_POWER_CONTROL 4u
#define PCI_POWER_D3HOT 3u

/* A dword of configuration space; all-ones where no function is. */
uint32_t pci_config(unsigned devfn, unsigned reg);
void pci_set_config(unsigned devfn, unsigned reg, uint32_t value);
/* Place of the first capability with this number behind `after` (0: of all); 0: there is none. */
unsigned pci_capability(unsigned devfn, uint8_t id, unsigned after);
/* The address in a BAR register, without the format's bits. Upper halves are not looked at. */
uint64_t pci_bar(unsigned devfn, unsigned bar);
/* Starts a function-level reset. False: the function has no such thing. */
bool pci_function_level_reset(unsigned devfn);
