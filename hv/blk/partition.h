/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of another device's sectors as a device of its own. Each guest that uses a partition, a
 * whole disk or an image has one of these over it, with its own counters and its own rights.
 *
 *	disk       |  ...  |####################|  ...  |
 *	partition          |0 ........ sectors-1|
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"

struct blk_partition {
	struct blk_device dev;
	struct blk_device *disk;
	uint64_t start; /* the disk's sector that is sector 0 here */
};

/*
 * `readonly`: nothing is written through this partition, whatever the disk allows.
 * HV_E_RANGE: empty, or beyond the disk's end. HV_E_INVALID: does not begin and end at the disk's
 * blocks.
 */
enum hv_status blk_partition_init(struct blk_partition *p, struct blk_device *disk, uint64_t start,
				  uint64_t sectors, bool readonly) HV_MUST_CHECK;
