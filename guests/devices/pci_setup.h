/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware does with PCI before it starts a system, for guests that have none: each BAR gets
 * an address, the largest first, each interrupt pin an input of the 8259s. A system keeps what it
 * finds so, instead of looking for room itself.
 *
 *	memory	LAYOUT_PCI_MMIO_BASE upwards, 64-bit BARs too: old systems reach them
 *	ports	LAYOUT_PCI_IO_FIRMWARE upwards
 *	lines	PIRQA, B, E, F: input 10; C, D, G, H: input 11
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/pci_host.h"

/*
 * Before the guest runs, with all functions as after power-on. `decode` switches the BARs on, for
 * systems that rely on a BIOS for that; those that do not would only have to switch them off again
 * to ask for the sizes. A function whose BARs did not all find room stays off. Returns the inputs
 * of the 8259s that lines were routed to, a bit each: they are level-triggered then.
 */
uint16_t pci_setup(struct pci_host *h, bool decode);
