/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI bus 0 of a q35: the host bridge (00:00.0), the LPC bridge (00:1f.0), and the two ways to
 * configuration space, ports 0xcf8-0xcff and ECAM. Functions that are not there, and all other
 * buses, read all-ones.
 *
 *	0xcf8 dword: address   0xcf9 byte: reset register, another device   0xcfc: data
 */
#pragma once

#include "guests/devices/pci_config.h"
#include "guests/devices/pci_irq.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"

#define PCI_HOST_PORTS 8u
#define PCI_HOST_FUNCTIONS 256u

struct pci_host_config {
	uint64_t ecam_base; /* 64 MiB aligned; the window is LAYOUT_ECAM_SIZE bytes */
	/*
	 * The guest has firmware, which programs the bridges: ECAM is off until PCIEXBAR is
	 * written, and then where that says, of the size that it says; ecam_base counts for
	 * nothing.
	 */
	bool firmware;
	/* Receives byte accesses to port 0xcf9 as if registered there; NULL: nobody. */
	struct vdev *reset_port;
	struct pci_irq_config irq; /* where interrupt pins end; the host's lock is held */
};

struct pci_host {
	struct vdev dev; /* its lock covers all below, functions included, but cfg */
	struct pci_host_config cfg;
	uint64_t ecam_base;				    /* where ECAM is now */
	uint64_t ecam_size;				    /* 0: nowhere */
	uint32_t address;				    /* of 0xcf8 */
	uint32_t bars_version;				    /* changes whenever a BAR may have */
	struct pci_function *functions[PCI_HOST_FUNCTIONS]; /* by devfn; NULL: absent */
	struct pci_function bridge;
	struct pci_function lpc;
	struct pci_irq irq;
	struct saved_device saved;
};

#define PCI_HOST_SAVED_VERSION 1u
/* Routes of interrupts and the place of ECAM follow from the bridges. */
struct pci_host_saved {
	uint32_t address;
	uint32_t pulled[PCI_IRQ_LINES];
	uint32_t zero;
	struct pci_function_saved bridge;
	struct pci_function_saved lpc;
};
_Static_assert(sizeof(struct pci_host_saved) == 552, "no padding");

/*
 * Power-on state with both bridges in place. The device serves two ranges: PCI_HOST_PORTS ports at
 * LAYOUT_PCI_CONFIG_ADDRESS, and LAYOUT_ECAM_SIZE bytes of MMIO at cfg->ecam_base. With firmware
 * the second one is served by pci_host_ecam for the device whose range ECAM moves in.
 */
void pci_host_init(struct pci_host *h, const struct pci_host_config *cfg);
/* Whether ECAM is at this address at present, and where in it. Lock held. */
bool pci_host_ecam(const struct pci_host *h, uint64_t address, uint64_t *offset);
/* Where ECAM is at present; 0: nowhere. Takes the host's lock. */
uint64_t pci_host_ecam_base(struct pci_host *h);
/* Adds a function that stays in place for good. HV_E_RANGE: devfn > 255; HV_E_EXISTS: taken. */
enum hv_status pci_host_add(struct pci_host *h, unsigned devfn,
			    struct pci_function *f) HV_MUST_CHECK;
/* The line that pin 0 .. 3 (INTA .. INTD) of a function pulls, with the host's lock held. */
struct irq_line pci_host_intx(struct pci_host *h, unsigned devfn, unsigned pin);
/* Resets one function's registers, as function-level reset does. Takes the host's lock. */
void pci_host_reset_function(struct pci_host *h, struct pci_function *f);
