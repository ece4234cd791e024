/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory for the tests of what lies above drivers. It can hold requests back until the
 * test lets them go, in any order, as a real disk would.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/blk.h"
#include "hv/base/bits.h"

#define DISK_RIG_OPEN_MAX 64u

struct disk_rig {
	struct blk_device dev;
	uint8_t *bytes;
	bool holds;		/* requests wait for disk_rig_finish */
	enum hv_status failure; /* what requests end with instead of HV_OK */
	struct blk_request *open[DISK_RIG_OPEN_MAX];
	unsigned open_count;
	unsigned requests; /* that came this far */
	enum blk_op last_op;
	uint64_t last_sector;
	uint32_t last_count;
};

static inline void disk_rig_carry_out(struct disk_rig *d, struct blk_request *r)
{
	uint8_t *at = d->bytes + r->sector * BLK_SECTOR;
	size_t n = (size_t)r->count * BLK_SECTOR;

	if (d->failure == HV_OK && r->op == BLK_READ) {
		memcpy(r->buffer, at, n);
	} else if (d->failure == HV_OK && r->op == BLK_WRITE) {
		memcpy(at, r->buffer, n);
	} else if (d->failure == HV_OK && r->op == BLK_WRITE_ZEROES) {
		memset(at, 0, n);
	}
	blk_done(&d->dev, r, d->failure);
}

static inline void disk_rig_submit(struct blk_device *dev, struct blk_request *r)
{
	struct disk_rig *d = container_of(dev, struct disk_rig, dev);

	d->requests++;
	d->last_op = r->op;
	d->last_sector = r->sector;
	d->last_count = r->count;
	if (!d->holds) {
		disk_rig_carry_out(d, r);
		return;
	}
	if (d->open_count == DISK_RIG_OPEN_MAX) {
		abort();
	}
	d->open[d->open_count++] = r;
}

/* Carries out the open request at `index`. */
static inline void disk_rig_finish(struct disk_rig *d, unsigned index)
{
	struct blk_request *r = d->open[index];

	d->open[index] = d->open[--d->open_count];
	disk_rig_carry_out(d, r);
}

static inline void disk_rig_poll(struct blk_device *dev)
{
	struct disk_rig *d = container_of(dev, struct disk_rig, dev);

	if (d->open_count > 0) {
		disk_rig_finish(d, 0);
	}
}

/* For tests that set dev.copies. */
static inline enum hv_status disk_rig_copy(struct blk_device *dev, const struct blk_request *r,
					   struct blk_copier *c)
{
	struct disk_rig *d = container_of(dev, struct disk_rig, dev);
	uint8_t *at = d->bytes + r->sector * BLK_SECTOR;
	uint32_t n = r->count * BLK_SECTOR;

	d->requests++;
	d->last_op = r->op;
	d->last_sector = r->sector;
	d->last_count = r->count;
	if (d->failure != HV_OK) {
		return d->failure;
	}
	return (r->op == BLK_READ ? c->from(c, at, n) : c->to(c, at, n)) ? HV_OK : HV_E_IO;
}

static inline const struct blk_ops *disk_rig_ops(void)
{
	static const struct blk_ops ops = {
		.submit = disk_rig_submit, .poll = disk_rig_poll, .copy = disk_rig_copy};

	return &ops;
}

/* A disk of zeros that can do everything. */
static inline void disk_rig_init(struct disk_rig *d, const char *name, uint64_t sectors,
				 uint32_t block_size)
{
	*d = (struct disk_rig){.bytes = calloc(sectors, BLK_SECTOR)};
	d->dev.ops = disk_rig_ops();
	d->dev.sectors = sectors;
	d->dev.block_size = block_size;
	d->dev.max_count = 1024;
	d->dev.discards = true;
	d->dev.write_zeroes = true;
	strncpy(d->dev.name, name, sizeof(d->dev.name) - 1);
}

static inline void disk_rig_fini(struct disk_rig *d)
{
	free(d->bytes);
}

/* A request, and whether it is done. */
struct disk_rig_request {
	struct blk_request r;
	unsigned done;
};

static inline void disk_rig_note(struct blk_request *r)
{
	container_of(r, struct disk_rig_request, r)->done++;
}

static inline void disk_rig_ask(struct blk_device *dev, struct disk_rig_request *q, enum blk_op op,
				uint64_t sector, uint32_t count, void *buffer)
{
	*q = (struct disk_rig_request){.r = {.op = op,
					     .sector = sector,
					     .count = count,
					     .buffer = buffer,
					     .done = disk_rig_note}};
	blk_submit(dev, &q->r);
}

/* Copies between a disk and `at`; can copy no more than `left` bytes. */
struct disk_rig_copier {
	struct blk_copier c;
	uint8_t *at;
	uint32_t left;
	unsigned goes;
};

/* How much of the next `bytes` it can copy. */
static inline uint32_t disk_rig_take(struct disk_rig_copier *c, uint32_t bytes)
{
	uint32_t n = bytes < c->left ? bytes : c->left;

	c->goes++;
	c->left -= n;
	c->at += n;
	return n;
}

static inline bool disk_rig_from(struct blk_copier *copier, const void *memory, uint32_t bytes)
{
	struct disk_rig_copier *c = container_of(copier, struct disk_rig_copier, c);
	uint8_t *to = c->at;
	uint32_t n = disk_rig_take(c, bytes);

	memcpy(to, memory, n);
	return n == bytes;
}

static inline bool disk_rig_to(struct blk_copier *copier, void *memory, uint32_t bytes)
{
	struct disk_rig_copier *c = container_of(copier, struct disk_rig_copier, c);
	const uint8_t *from = c->at;
	uint32_t n = disk_rig_take(c, bytes);

	memcpy(memory, from, n);
	return n == bytes;
}

static inline struct disk_rig_copier disk_rig_copier(void *buffer, uint32_t bytes)
{
	return (struct disk_rig_copier){
		.c = {.from = disk_rig_from, .to = disk_rig_to}, .at = buffer, .left = bytes};
}

static inline enum hv_status disk_rig_try_copy(struct blk_device *dev, enum blk_op op,
					       uint64_t sector, uint32_t count, void *buffer)
{
	struct disk_rig_copier c = disk_rig_copier(buffer, count * BLK_SECTOR);
	struct blk_request r = {.op = op, .sector = sector, .count = count};
	enum hv_status status = blk_copy(dev, &r, &c.c);

	/* All of it, or it was no success. */
	if (status == HV_OK && c.left != 0) {
		abort();
	}
	return status;
}

/* As disk_rig_ask, but first by blk_copy. */
static inline void disk_rig_ask_or_copy(struct blk_device *dev, struct disk_rig_request *q,
					enum blk_op op, uint64_t sector, uint32_t count,
					void *buffer)
{
	enum hv_status status = disk_rig_try_copy(dev, op, sector, count, buffer);

	if (status == HV_E_UNSUPPORTED) {
		disk_rig_ask(dev, q, op, sector, count, buffer);
		return;
	}
	*q = (struct disk_rig_request){
		.r = {.op = op, .sector = sector, .count = count, .status = status}, .done = 1};
}
