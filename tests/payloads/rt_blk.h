/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio disk for payloads. A queue has RT_DISK_SLOTS places for requests; those of one queue are
 * waited for one by one, in the order in which they come back.
 */
#pragma once

#include "guests/devices/virtio_blk.h"
#include "tests/payloads/rt_virtio.h"

#define RT_SECTOR 512u
#define RT_DISK_SLOTS 32u
#define RT_DISK_PIECES 64u /* descriptors of data of one request */
#define RT_DISK_QUEUES 2u  /* more of them are not opened */
#define RT_DISK_FEATURES \
	(1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_MQ | 1ull << VIRTIO_BLK_F_DISCARD | \
	 1ull << VIRTIO_BLK_F_WRITE_ZEROES | 1ull << VIRTIO_BLK_F_RO)

/* "struct virtio_blk_discard_write_zeroes" */
struct rt_disk_range {
	uint64_t sector;
	uint32_t count;
	uint32_t flags;
};

/* "struct virtio_blk_req" without its data, and the request's indirect table. */
struct rt_disk_slot {
	struct virtq_desc table[RT_DISK_PIECES + 2];
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	uint8_t status;
} __attribute__((aligned(16)));

struct rt_disk {
	struct rt_virtio device;
	uint64_t sectors;
	unsigned queue_count; /* opened */
	struct rt_queue queues[RT_DISK_QUEUES];
	struct rt_rings rings[RT_DISK_QUEUES];
	struct rt_disk_slot slots[RT_DISK_QUEUES][RT_DISK_SLOTS];
};

/* Finds the nth disk, and starts it; fails the case if there is none. */
void rt_disk_open(struct rt_disk *d, unsigned nth, uint64_t features);
/* The same without looking for it again: d->device is there. */
void rt_disk_start(struct rt_disk *d, uint64_t features);
/* Puts a request in a slot; the data may be empty. Not shown to the device yet. */
void rt_disk_put(struct rt_disk *d, unsigned queue, unsigned slot, uint32_t type, uint64_t sector,
		 struct rt_buffer data);
/* The status of the next request that comes back. */
uint8_t rt_disk_wait(struct rt_disk *d, unsigned queue);

/* One request from begin to end; returns its status. */
uint8_t rt_disk_move(struct rt_disk *d, unsigned queue, uint32_t type, uint64_t sector, uint64_t at,
		     uint32_t bytes);
uint8_t rt_disk_bare(struct rt_disk *d, unsigned queue, uint32_t type,
		     const struct rt_disk_range *range);
