/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A floppy drive behind a controller: what its medium looks like, where its heads stand, and the
 * line that tells of a change. Media are plain images, cylinder by cylinder, head by head, with
 * sectors of 512 bytes; how many bytes there are says which of the usual formats it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"

#define FLOPPY_CYLINDER_LAST 83u /* where a drive's heads can get to */
#define FLOPPY_SECTOR_CODE 2u	 /* of 512 bytes: 128 << 2 */

struct floppy_format {
	uint32_t sectors_total;
	uint8_t cylinders;
	uint8_t heads;
	uint8_t sectors; /* of a track, from 1 on */
	uint8_t rate;	 /* as the data rate registers have it: 0: 500, 2: 250, 3: 1000 kb/s */
	uint8_t type;	 /* of the drive for it, as CMOS has it */
};

/* The format of a medium of that many bytes; NULL: it is none of the usual. */
const struct floppy_format *floppy_format_of(uint64_t bytes);
/* Those formats, for messages. */
#define FLOPPY_SIZES "160K 180K 320K 360K 720K 1200K 1440K 1680K 2880K"

/* Covered by the controller's lock. */
struct floppy_drive {
	struct blk_device *given;	    /* what is its own; NULL: there is no drive */
	const struct floppy_format *format; /* of that; NULL likewise */
	struct blk_device *medium;	    /* what is in; NULL: nothing */
	uint8_t cylinder;
	bool changed; /* since the heads were stepped with a medium in */
};

/* `medium`, of a size that is one of the formats', is in; NULL: there is no drive. */
void floppy_drive_init(struct floppy_drive *d, struct blk_device *medium);
/* `steps` pulses, towards the inner cylinders if `inwards`. */
void floppy_drive_step(struct floppy_drive *d, bool inwards, unsigned steps);
/* Puts its medium in, or takes it out. */
void floppy_drive_set_medium(struct floppy_drive *d, bool in);
