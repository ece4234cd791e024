/* SPDX-License-Identifier: Apache-2.0 */
/* Floppy drives: formats of media, the heads' way, the change line. */
#include "guests/devices/floppy_drive.h"

#include <stddef.h>

#include "hv/base/bits.h"

static const struct floppy_format formats[] = {
	{320, 40, 1, 8, 2, 1},	 {360, 40, 1, 9, 2, 1},	  {640, 40, 2, 8, 2, 1},
	{720, 40, 2, 9, 2, 1},	 {1440, 80, 2, 9, 2, 3},  {2400, 80, 2, 15, 0, 2},
	{2880, 80, 2, 18, 0, 4}, {3360, 80, 2, 21, 0, 4}, {5760, 80, 2, 36, 3, 5},
};

const struct floppy_format *floppy_format_of(uint64_t bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (bytes == (uint64_t)formats[i].sectors_total * BLK_SECTOR) {
			return &formats[i];
		}
	}
	return NULL;
}

void floppy_drive_init(struct floppy_drive *d, struct blk_device *medium)
{
	*d = (struct floppy_drive){.given = medium, .medium = medium};
	if (medium != NULL) {
		d->format = floppy_format_of(medium->sectors * BLK_SECTOR);
		d->changed = true;
	}
}

void floppy_drive_step(struct floppy_drive *d, bool inwards, unsigned steps)
{
	unsigned room = inwards ? FLOPPY_CYLINDER_LAST - d->cylinder : d->cylinder;
	unsigned moved = steps < room ? steps : room;

	d->cylinder = (uint8_t)(inwards ? d->cylinder + moved : d->cylinder - moved);
	/* A pulse clears it, whether the heads can follow or not. */
	if (steps != 0 && d->medium != NULL) {
		d->changed = false;
	}
}

void floppy_drive_set_medium(struct floppy_drive *d, bool in)
{
	d->medium = in ? d->given : NULL;
	d->changed = true;
}
