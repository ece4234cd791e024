/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that guests' disks can be made of: the machine's disks, their partitions, images of the boot
 * volume; and who has what. Drivers add disks at the start of the machine; everything else is
 * called at the start, too, or with the baton (hv/run.h).
 *
 * What a guest is given is an extent, a run of sectors of one device. Two extents that share a
 * sector can both be read, but when one guest writes to one, no other guest has the other: a
 * whole disk against its partitions, or partitions that overlap in a broken table, need no rule of
 * their own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"
#include "hv/base/str.h"
#include "hv/blk/gpt.h"
#include "hv/blk/image.h"

#define BLK_DISKS_MAX 32u
#define BLK_OWNER_MAX 32u
/* Text that says why something was refused. */
#define BLK_WHY_MAX 160u

struct blk_disk {
	struct blk_device *dev;
	bool scanned;
	enum hv_status table_status; /* of gpt_read */
	const char *table_problem;   /* may be set beside HV_OK: the backup was used */
	unsigned partition_count;
	struct gpt_partition *partitions; /* their places are in blocks of the device */
};

/* Sectors of a device that a guest is, or could be, given. */
struct blk_extent {
	struct blk_device *dev;
	uint64_t start; /* sectors of BLK_SECTOR */
	uint64_t sectors;
	char name[BLK_NAME_MAX]; /* "nvme0", "nvme0 partition 2", "images/debian.img" */
};

struct blk_claim {
	struct list_node node;
	struct blk_extent extent;
	bool writes;
	char owner[BLK_OWNER_MAX]; /* the guest's name */
};

struct blk_shared_image {
	struct list_node node;
	struct blk_image image;
};

/* Nothing there yet. */
void blk_registry_init(void);

/*
 * A disk of this machine, ready for requests; it stays for ever. For drivers' floors: called once
 * for each disk, before blk_registry_scan. More than BLK_DISKS_MAX are left out, with a log line.
 */
void blk_registry_add(struct blk_device *disk);
/* Reads the partition tables of the disks that were added, by polling, and logs what it finds. */
void blk_registry_scan(void);

unsigned blk_registry_disk_count(void);
/* NULL at the count. */
const struct blk_disk *blk_registry_disk(unsigned index);
/* The extent of a disk's partition; `index` < partition_count. */
void blk_registry_partition(const struct blk_disk *disk, unsigned index, struct blk_extent *out);

/*
 * The one partition whose label or unique GUID is `name`, and the one disk with this serial.
 * HV_E_NOT_FOUND: none has. HV_E_EXISTS: several have. `why` then has the candidates, or what there
 * is.
 */
enum hv_status blk_registry_find_partition(struct span name, struct blk_extent *out,
					   char why[BLK_WHY_MAX]) HV_MUST_CHECK;
enum hv_status blk_registry_find_disk(struct span serial, struct blk_extent *out,
				      char why[BLK_WHY_MAX]) HV_MUST_CHECK;
/*
 * The image that lies at `data`, the same device for all that name it. HV_E_INVALID: its size is
 * no disk's (`why`). HV_E_NO_MEMORY.
 */
enum hv_status blk_registry_image(const char *name, const void *data, uint64_t bytes,
				  struct blk_extent *out, char why[BLK_WHY_MAX]) HV_MUST_CHECK;
/* List of struct blk_shared_image. */
const struct list_node *blk_registry_images(void);

/*
 * Gives the extent to guest `owner`, for reading or for writing as well. HV_E_BUSY: another guest,
 * or another disk of this one, stands against it; `why` names both. HV_E_INVALID: the device cannot
 * be written. HV_E_NO_MEMORY.
 */
enum hv_status blk_registry_claim(const struct blk_extent *extent, bool writes, const char *owner,
				  char why[BLK_WHY_MAX]) HV_MUST_CHECK;
/* Takes back all that the guest has. */
void blk_registry_release(const char *owner);
/* List of struct blk_claim. */
const struct list_node *blk_registry_claims(void);
bool blk_extents_overlap(const struct blk_extent *a, const struct blk_extent *b);
