/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory of a guest (mm/devmem.c): what devices take of it, and where their registers let
 * the guest see it. The views:
 *
 *	0, 1	    enum vga_view
 *	2 .. 9	    the ROM of NIC 0 .. 7
 */
#pragma once

#include "guests/devices/pci_rom.h"
#include "hv/guest.h"

/* The ROM of a NIC in device memory, so that reading it is no exit. */
struct guest_rom {
	struct guest *guest;
	unsigned index;	 /* of the NIC */
	uint64_t offset; /* in the device memory */
	uint64_t size;	 /* of what is there; 0: nothing, all reads are emulated */
};

/*
 * Moves a view; no vCPU sees it any more where it was (guest_flush). Where memory cannot be shown,
 * as it is not among BARs only, accesses stay emulated.
 */
void guest_devmem_show(struct guest *g, unsigned view, const struct gspace_view *wanted);
/*
 * Puts the file's bytes, the first MiB of them, into device memory and makes *out a ROM that says
 * when the guest is to see them. `r` outlives it. As gspace_add_devmem.
 */
enum hv_status guest_rom_create(struct guest *g, unsigned index, const struct guest_file *file,
				struct guest_rom *r, struct pci_rom *out) HV_MUST_CHECK;
