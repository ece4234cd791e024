/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses to what the functions of bus 0 decode. BARs move while the guest runs and the VM's buses
 * do not: the windows that BARs can lie in are registered for good, and this device finds the BAR
 * of each access.
 *
 *	bus range (window) -> pci_window -> host's lock: which BAR -> bar_read, without the lock
 *
 * Under firmware ECAM moves in the windows too, and goes before all BARs.
 *
 * Of BARs that overlap, the one of the lower device and function number answers, then the lower
 * BAR, the expansion ROM last. An access that no BAR holds to its end reads all-ones. Memory of the
 * guest goes before any BAR: an access to it never comes here.
 */
#pragma once

#include "guests/devices/pci_host.h"
#include "hv/api/vdev.h"

/* A power of two. */
#define PCI_WINDOW_HINTS 8u

/* Where a BAR was found. */
struct pci_window_hint {
	struct pci_function *function; /* NULL: empty */
	unsigned bar;
};

struct pci_window {
	struct vdev dev; /* its lock is not used: all below is under the host's */
	struct pci_host *host;
	uint32_t bars_version; /* of the host, when the hints were right */
	struct pci_window_hint hints[PCI_WINDOW_HINTS];
};

/* The device may be registered for any number of ranges of both spaces. */
void pci_window_init(struct pci_window *w, struct pci_host *host);
