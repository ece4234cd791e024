/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio disks, one queue each. Source: Virtual I/O Device (VIRTIO) Version 1.2, "Block Device".
 *
 * A request that takes too long has the device reset; nothing is given back before it has said that
 * it is, or, when it does not say so, before it is cut off from memory.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/disk_queue.h"
#include "drivers/virtio.h"
#include "hv/api/blk.h"
#include "hv/api/timer.h"
#include "hv/base/lock.h"

#define VIRTIO_BLK_SLOTS 64u
#define VIRTIO_BLK_TRANSFER_MAX (512u << 10)

/* "Block Device: Device Operation": what the device reads before, and writes behind, the data. */
struct virtio_blk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
static_assert(sizeof(struct virtio_blk_header) == 16, "wire format");

struct virtio_blk_range {
	uint64_t sector;
	uint32_t count;
	uint32_t flags;
};
static_assert(sizeof(struct virtio_blk_range) == 16, "wire format");

/* What each slot's request needs in memory beside its data. */
struct virtio_blk_slot {
	struct virtio_blk_header header;
	struct virtio_blk_range range;
	uint8_t status;
};

struct virtio_blk {
	struct virtio_device transport;
	char name[BLK_NAME_MAX];
	struct blk_device device;
	struct timer timer;
	uint32_t range_max[2]; /* sectors that a discard, a zeroing can have */
	bool flushes;
	/* Under `lock`. */
	struct spinlock lock;
	bool resetting; /* it was told to, and has not said that it is */
	unsigned resets;
	uint64_t reset_limit;
	struct virtio_queue queue;
	struct virtio_blk_slot *slots;
	struct disk_queue requests;
};

/* Whether the function is a virtio disk. */
bool virtio_blk_matches(const struct host_pci *f);
/*
 * Starts the disk and calls `found` for it. At start only: waits for the device. One that cannot be
 * used stays off, with a line in the log.
 */
void virtio_blk_probe(struct host_pci *f, unsigned index, void (*found)(struct blk_device *d));
