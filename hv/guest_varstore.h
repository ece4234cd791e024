/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the variables of a guest with UEFI firmware are: in flash, as the guest sees it; in memory,
 * as long as the machine runs; on a partition, if the configuration names one.
 *
 *	guest	read-only memory -- writes --> flash model -- put, sync --> store --> partition
 *		   ^   hidden while a command is going on   |		 (hv/blk/varstore.h)
 *		   +----------------------------------------+
 *
 * What the guest changes is on its way to the partition when the flash shows its contents again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/pflash.h"
#include "hv/base/status.h"
#include "hv/blk/partition.h"
#include "hv/blk/registry.h"
#include "hv/blk/varstore.h"
#include "hv/guest_disks.h"

struct guest;

struct guest_varstore {
	struct varstore store;
	struct guest_file file; /* the contents, as what the flash is filled with */
	uint8_t *contents;
	uint8_t *staging; /* NULL without a partition */
	struct blk_extent extent;
	struct blk_partition partition;
	char owner[BLK_OVERLAY_OWNER_MAX]; /* for the log: "guest web" */
	/* While there is a VM. */
	struct pflash flash;
	uint64_t base; /* guest-physical */
};

/*
 * Makes the store and reads the partition, which it claims; once, for a guest whose firmware is
 * UEFI, when its disks are open. False: it must not start, and g->reason says why. With the baton,
 * as all that follows.
 */
bool guest_varstore_open(struct guest *g);
/*
 * Puts the flash on the bus of a new VM, over the read-only memory that begins at `base` and is
 * filled with `file`. HV_E_EXISTS, HV_E_RANGE.
 */
enum hv_status guest_varstore_attach(struct guest *g, uint64_t base) HV_MUST_CHECK;
/* No vCPU runs any more: whether all that it wrote is on the partition. If not, ask again. */
bool guest_varstore_settled(struct guest *g);
