/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of 4 MiB for tests of those who use disks: it does a request at once, or when the test
 * says so, in any order, with any status. With rig_disk.copies it copies; if requests wait, only
 * those that begin at an even sector.
 */
#pragma once

#include <assert.h>
#include <string.h>

#include "hv/api/blk.h"

#define RIG_DISK_BYTES (4u << 20)
#define RIG_DISK_SECTORS (RIG_DISK_BYTES / BLK_SECTOR)
#define RIG_DISK_OPEN_MAX 4096u

static uint8_t rig_disk_data[RIG_DISK_BYTES];
static struct blk_request *rig_disk_open[RIG_DISK_OPEN_MAX];
static unsigned rig_disk_open_count;
static bool rig_disk_holds; /* requests wait for rig_disk_finish */
/* What came, by op, and the longest transfer in sectors. */
static unsigned rig_disk_seen[BLK_OP_COUNT];
static uint32_t rig_disk_longest;
static unsigned rig_disk_copied;
static struct blk_device rig_disk;

static inline void rig_disk_do(struct blk_request *r, enum hv_status status)
{
	/* A test may say that the disk is larger, and then only discards there. */
	size_t at = r->sector * BLK_SECTOR;
	size_t bytes = (size_t)r->count * BLK_SECTOR;

	if (status == HV_OK && r->op == BLK_READ) {
		memcpy(r->buffer, rig_disk_data + at, bytes);
	} else if (status == HV_OK && r->op == BLK_WRITE) {
		memcpy(rig_disk_data + at, r->buffer, bytes);
	} else if (status == HV_OK && r->op == BLK_WRITE_ZEROES) {
		memset(rig_disk_data + at, 0, bytes);
	}
	blk_done(&rig_disk, r, status);
}

static inline void rig_disk_submit(struct blk_device *d, struct blk_request *r)
{
	assert(d == &rig_disk);
	rig_disk_seen[r->op]++;
	if (r->op <= BLK_WRITE && r->count > rig_disk_longest) {
		rig_disk_longest = r->count;
	}
	if (!rig_disk_holds) {
		rig_disk_do(r, HV_OK);
		return;
	}
	assert(rig_disk_open_count < RIG_DISK_OPEN_MAX);
	rig_disk_open[rig_disk_open_count++] = r;
}

/* Does the open request `index`, counted from the oldest. */
static inline void rig_disk_finish(unsigned index, enum hv_status status)
{
	struct blk_request *r = rig_disk_open[index];

	assert(index < rig_disk_open_count);
	rig_disk_open_count--;
	memmove(&rig_disk_open[index], &rig_disk_open[index + 1],
		(rig_disk_open_count - index) * sizeof(rig_disk_open[0]));
	rig_disk_do(r, status);
}

#define RIG_DISK_GO 4096u /* bytes of one go */

static inline enum hv_status rig_disk_copy(struct blk_device *d, const struct blk_request *r,
					   struct blk_copier *c)
{
	uint8_t *at = rig_disk_data + r->sector * BLK_SECTOR;
	uint8_t *end = at + (size_t)r->count * BLK_SECTOR;

	assert(d == &rig_disk && r->op <= BLK_WRITE && r->buffer == NULL);
	if (rig_disk_holds && r->sector % 2 != 0) {
		return HV_E_UNSUPPORTED;
	}
	rig_disk_copied++;
	while (at != end) {
		uint32_t n = (uint32_t)(end - at < RIG_DISK_GO ? end - at : RIG_DISK_GO);

		if (!(r->op == BLK_READ ? c->from(c, at, n) : c->to(c, at, n))) {
			return HV_E_IO;
		}
		at += n;
	}
	return HV_OK;
}

static const struct blk_ops rig_disk_ops = {.submit = rig_disk_submit, .copy = rig_disk_copy};

/* Each sector begins with its number. */
static inline void rig_disk_init(void)
{
	rig_disk = (struct blk_device){
		.ops = &rig_disk_ops,
		.serial = "RIG-0123456789",
		.sectors = RIG_DISK_SECTORS,
		.block_size = BLK_SECTOR,
		.max_count = 2048,
		.discards = true,
		.write_zeroes = true,
	};
	memset(rig_disk_data, 0x5a, sizeof(rig_disk_data));
	for (uint32_t i = 0; i < RIG_DISK_SECTORS; i++) {
		memcpy(rig_disk_data + i * BLK_SECTOR, &i, sizeof(i));
	}
	memset(rig_disk_seen, 0, sizeof(rig_disk_seen));
	rig_disk_open_count = 0;
	rig_disk_holds = false;
	rig_disk_longest = 0;
	rig_disk_copied = 0;
}
