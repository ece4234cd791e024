/* SPDX-License-Identifier: Apache-2.0 */
/* A request is moved by the partition's start and handed on; blk_submit has checked its range. */
#include "hv/blk/partition.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

static struct blk_partition *partition_of(struct blk_device *d)
{
	return container_of(d, struct blk_partition, dev);
}

static void partition_submit(struct blk_device *d, struct blk_request *r)
{
	struct blk_partition *p = partition_of(d);

	/* A flush has no place, and is the whole disk's. */
	r->sector += r->op != BLK_FLUSH ? p->start : 0;
	blk_submit(p->disk, r);
}

static void partition_poll(struct blk_device *d)
{
	struct blk_device *disk = partition_of(d)->disk;

	if (disk->ops->poll != NULL) {
		disk->ops->poll(disk);
	}
}

static enum hv_status partition_copy(struct blk_device *d, const struct blk_request *r,
				     struct blk_copier *c)
{
	struct blk_partition *p = partition_of(d);
	struct blk_request below = {.op = r->op, .sector = p->start + r->sector, .count = r->count};

	return blk_copy(p->disk, &below, c);
}

static const struct blk_ops partition_ops = {
	.submit = partition_submit, .poll = partition_poll, .copy = partition_copy};

enum hv_status blk_partition_init(struct blk_partition *p, struct blk_device *disk, uint64_t start,
				  uint64_t sectors, bool readonly)
{
	uint64_t block = disk->block_size / BLK_SECTOR;

	if (sectors == 0 || !range_fits(start, sectors, disk->sectors)) {
		return HV_E_RANGE;
	}
	if (!is_aligned(start, block) || !is_aligned(sectors, block)) {
		return HV_E_INVALID;
	}
	readonly = readonly || disk->readonly;
	*p = (struct blk_partition){
		.dev =
			{
				.ops = &partition_ops,
				.sectors = sectors,
				.block_size = disk->block_size,
				.max_count = disk->max_count,
				.readonly = readonly,
				.discards = disk->discards && !readonly,
				.write_zeroes = disk->write_zeroes && !readonly,
				.copies = disk->copies,
			},
		.disk = disk,
		.start = start,
	};
	(void)str_copy(p->dev.name, sizeof(p->dev.name), span_of(disk->name));
	(void)str_copy(p->dev.serial, sizeof(p->dev.serial), span_of(disk->serial));
	return HV_OK;
}
