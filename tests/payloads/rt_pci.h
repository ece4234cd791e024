/* SPDX-License-Identifier: Apache-2.0 */
/* PCI bus 0 for payloads, by ECAM. Functions are named by devfn, device << 3 | function. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/pci_format.h"

#define PCI_FUNCTIONS 256u
/* MSI-X' control (PCI_MSIX_*), as it lies in the capability's first dword. */
#define PCI_MSIX_DWORD(control) ((uint32_t)(control) << 16)

/* A dword of configuration space; all-ones where no function is. */
uint32_t pci_config(unsigned devfn, unsigned reg);
void pci_set_config(unsigned devfn, unsigned reg, uint32_t value);
/* Place of the first capability with this number behind `after` (0: of all); 0: there is none. */
unsigned pci_capability(unsigned devfn, uint8_t id, unsigned after);
/* The address in a BAR register, without the format's bits. Upper halves are not looked at. */
uint64_t pci_bar(unsigned devfn, unsigned bar);
/* Starts a function-level reset. False: the function has no such thing. */
bool pci_function_level_reset(unsigned devfn);
