/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk image that lies in hypervisor memory, as the loader read it from the boot volume: a block
 * device that can only be read. Guests that use the same image share the one copy.
 */
#pragma once

#include <stdint.h>

#include "hv/api/blk.h"

struct blk_image {
	struct blk_device dev;
	const uint8_t *data; /* dev.sectors of them */
};

/*
 * `data` outlives the image. HV_E_INVALID when `bytes` is 0 or no multiple of BLK_SECTOR: then it
 * is no disk, but something that was cut off.
 */
enum hv_status blk_image_init(struct blk_image *image, const char *name, const void *data,
			      uint64_t bytes) HV_MUST_CHECK;
