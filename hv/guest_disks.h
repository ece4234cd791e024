/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of a guest: found when the machine starts, given to one guest for as long as it runs,
 * and shown to the VM by a device model while there is one.
 *
 *	virtio, NVMe, AHCI --> [limit] --> [overlay] --> partition --> image, or disk of the machine
 *	of the VM              of the guest: from the start of the machine to its end
 *
 * So what an overlay holds survives stop, reset and start of the guest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/status.h"
#include "hv/blk/limit.h"
#include "hv/blk/overlay.h"
#include "hv/blk/partition.h"
#include "hv/blk/registry.h"
#include "hv/config_disk.h"

struct guest;

/* A file of the boot volume, in hypervisor memory. */
struct guest_file {
	const void *data;
	uint64_t size;
};

struct guest_disk {
	const struct config_disk *config;
	struct blk_extent extent;
	struct blk_partition partition;
	struct blk_overlay overlay; /* if config->overlay */
	struct blk_limit limit;	    /* if config->iops or config->bandwidth */
	struct blk_device *top;	    /* what the model talks to */
	void *model;		    /* while there is a VM: its bus knows of what type */
};

/* How disks are shown to a guest; each bus has its files. */
struct guest_disk_bus {
	/* Puts a device for the disk on the board, and sets `model`, if one for several disks did
	 * not do that before; its owner's release call clears it. As guest_disks_attach. */
	enum hv_status (*attach)(struct guest *g, struct guest_disk *d);
	/* No vCPU runs any more: whether nothing of the model is open. */
	bool (*is_idle)(void *model);
	/* The disk's name in firmware's boot order, as Open Firmware has it; it has a model. */
	void (*boot_path)(const struct guest_disk *d, char *out, size_t cap);
};

/* Of a bus with drives for media that come and go; `d` is one, of a guest that runs. */
struct guest_disk_media {
	/* As guest_disks_eject and guest_disks_insert. */
	enum hv_status (*eject)(struct guest_disk *d, bool force);
	enum hv_status (*insert)(struct guest_disk *d);
};

/*
 * Finds what the guest's configuration names, claims it and builds the layers; once, after
 * blk_registry_scan. If any of it is missing or refused the guest has no disk at all and must not
 * start: false, and g->reason says why. With the baton, as all that follows.
 */
bool guest_disks_open(struct guest *g);
/*
 * Puts a device for each disk on the board, which is new. HV_E_NO_MEMORY, HV_E_RANGE;
 * HV_E_UNSUPPORTED: the bus has no such disks.
 */
enum hv_status guest_disks_attach(struct guest *g) HV_MUST_CHECK;
/*
 * Where the disk's device is, as a path of Open Firmware without the root, which firmware knows it
 * by. False: there is none.
 */
bool guest_disks_boot_path(const struct guest *g, unsigned index, char *out, size_t cap);
/*
 * No vCPU runs any more: whether no request of the guest is open. Those that wait for a limit are
 * given up; for the others, which the machine's disks have, it is asked again.
 */
bool guest_disks_settled(struct guest *g);
/*
 * Takes the medium out of a CD or floppy drive while the guest runs. HV_E_BUSY: the guest has
 * locked it, and was told that somebody wants it; `force` asks nobody. HV_E_NOT_FOUND: there is
 * none. HV_E_UNSUPPORTED: disk `index` is no such drive, or the guest does not run.
 */
enum hv_status guest_disks_eject(struct guest *g, unsigned index, bool force) HV_MUST_CHECK;
/* Puts it back. HV_E_UNSUPPORTED as above. */
enum hv_status guest_disks_insert(struct guest *g, unsigned index) HV_MUST_CHECK;
/* Bytes of hypervisor memory that the guest's overlays take. */
uint64_t guest_disks_overlay_bytes(struct guest *g);
