/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware of a guest: read-only memory that ends at 4 GiB, the devices that tell it about the
 * machine (guests/firmware.h), and where the guest begins.
 *
 *	 0xe0000		     ... UEFI: variables | code		    4 GiB
 *	| the last 128 KiB, in RAM |	 BIOS:		     the image, whose last 16 bytes are
 *								     executed first
 */
#pragma once

#include "hv/guest.h"

/* Whether the guest starts in firmware. Settled by guest_firmware_choose. */
static inline bool guest_has_firmware(const struct guest *g)
{
	return g->firmware_kind != CONFIG_FIRMWARE_NONE;
}

/* Linux probes an HPET with many exits, so that guests without firmware have none unasked. */
static inline bool guest_has_hpet(const struct guest *g)
{
	return g->config->hpet == CONFIG_HPET_ON ||
	       (g->config->hpet == CONFIG_HPET_AUTO && guest_has_firmware(g));
}

/*
 * Decides by the first disk that boots where the configuration leaves it open; once, when the disks are open
 * (hv/guest_disks.h). False: the firmware that it takes is not on the stick, and g->reason says so;
 * the guest must not start.
 */
bool guest_firmware_choose(struct guest *g);

/* Declares the read-only memory; for a guest with firmware, as all that follows. */
enum hv_status guest_firmware_add_memory(struct guest *g) HV_MUST_CHECK;
/* Makes the devices and puts them on the buses, when all PCI devices are in place. */
enum hv_status guest_firmware_create(struct guest *g) HV_MUST_CHECK;
/* Fills the memory, in the VM's space, in steps of a few MiB; *done after the last one. */
enum hv_status guest_firmware_load(struct guest *g, bool *done) HV_MUST_CHECK;
/* Takes the devices away; nothing happens when there are none. */
void guest_firmware_destroy(struct guest *g);
