/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of the key `disk` (hv/config.h), a disk of the guest each time it is given:
 *
 *	disk = FILE | partition:LABEL | partition:UUID | disk:SERIAL [, OPTION]...
 *
 *	FILE		  raw disk image in the folder, or /path below \bulkhead\; always gets an
 *			  overlay if it is not readonly
 *	overlay[=SIZE]	  what the guest writes stays in memory, SIZE at most (64K .. 1T)
 *	readonly	  the guest cannot write
 *	bus=BUS		  virtio (default), nvme, ahci, ide
 *	cdrom		  a CD drive with the image in it, on bus=ide or bus=ahci; what an
 *			  image whose name ends in .iso is there anyway
 *	iops=N		  requests a second, 1 .. 10000000; default no limit
 *	bandwidth=SIZE	  bytes a second, 64K .. 100G; default no limit
 *	serial=TEXT	  what the guest sees, 1 to 20 of A-Z a-z 0-9 . _ -; default disk0, ..
 *
 * And of the key `floppy`, which is a disk, too, and counted among them:
 *
 *	floppy = FILE [, readonly] [, overlay=SIZE]
 *
 *	FILE		  an image of the size of a floppy (guests/devices/floppy_drive.h)
 *
 * Names cannot hold a comma; a partition with one in its label has its UUID.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/str.h"

struct config_parser;

/* Disks of one guest. */
#define CONFIG_DISKS_MAX 8u
#define CONFIG_AHCI_DISKS_MAX 6u /* of them */
#define CONFIG_IDE_DISKS_MAX 4u
#define CONFIG_FLOPPIES_MAX 2u
#define CONFIG_DISK_NAME_MAX 128u
#define CONFIG_DISK_SERIAL_MAX 21u /* with terminator; virtio has room for 20 */

enum config_disk_source { CONFIG_DISK_IMAGE, CONFIG_DISK_PARTITION, CONFIG_DISK_WHOLE };
enum config_disk_bus {
	CONFIG_DISK_VIRTIO,
	CONFIG_DISK_NVME,
	CONFIG_DISK_AHCI,
	CONFIG_DISK_IDE,
	CONFIG_DISK_FLOPPY /* of the key `floppy` */
};

struct config_disk {
	enum config_disk_source source;
	unsigned file; /* of an image: index into the tree's entries */
	/* Label or UUID of a partition, serial number of a disk; an image's path, to be shown. */
	char name[CONFIG_DISK_NAME_MAX];
	bool overlay;
	uint64_t overlay_limit; /* bytes; 0: none */
	bool readonly;
	enum config_disk_bus bus;
	bool cdrom;	    /* then readonly */
	uint64_t iops;	    /* 0: no limit */
	uint64_t bandwidth; /* bytes a second; 0: no limit */
	char serial[CONFIG_DISK_SERIAL_MAX];
};

/* Whether its medium comes and goes while the guest runs. */
static inline bool config_disk_is_removable(const struct config_disk *d)
{
	return d->cdrom || d->bus == CONFIG_DISK_FLOPPY;
}

/* What the keys' table calls. */
void config_set_disk(struct config_parser *p, struct span value);
void config_set_floppy(struct config_parser *p, struct span value);
