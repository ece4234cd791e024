/* SPDX-License-Identifier: Apache-2.0 */
/* Every request is done before blk_submit returns: the sectors are memory. */
#include "hv/blk/image.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

/* Keeps what one request copies, and so the time it takes, small. */
#define IMAGE_COUNT_MAX 2048u

static const uint8_t *data_of(struct blk_device *d, const struct blk_request *r)
{
	return container_of(d, struct blk_image, dev)->data + r->sector * BLK_SECTOR;
}

static void image_submit(struct blk_device *d, struct blk_request *r)
{
	if (r->op == BLK_READ) {
		memcpy(r->buffer, data_of(d, r), (size_t)r->count * BLK_SECTOR);
	}
	blk_done(d, r, HV_OK);
}

/* Only reads come this far. */
static enum hv_status image_copy(struct blk_device *d, const struct blk_request *r,
				 struct blk_copier *c)
{
	return c->from(c, data_of(d, r), r->count * BLK_SECTOR) ? HV_OK : HV_E_IO;
}

static const struct blk_ops image_ops = {.submit = image_submit, .copy = image_copy};

enum hv_status blk_image_init(struct blk_image *image, const char *name, const void *data,
			      uint64_t bytes)
{
	if (bytes == 0 || !is_aligned(bytes, BLK_SECTOR)) {
		return HV_E_INVALID;
	}
	*image = (struct blk_image){
		.dev =
			{
				.ops = &image_ops,
				.sectors = bytes / BLK_SECTOR,
				.block_size = BLK_SECTOR,
				.max_count = IMAGE_COUNT_MAX,
				.readonly = true,
				.copies = true,
			},
		.data = data,
	};
	(void)str_copy(image->dev.name, sizeof(image->dev.name), span_of(name));
	return HV_OK;
}
