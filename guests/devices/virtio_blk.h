/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio block device (VIRTIO 1.2, "Block Device") on any struct blk_device, with one queue per
 * vCPU up to eight, flush, discard and write-zeroes.
 *
 *	queue --pop--> request --transfer----> disk
 *	  ^                                     |
 *	  +--push, status-- request <-- done, or vwork
 *
 * What a queue may have open is bounded by its requests, pieces and buffers; when one of them is
 * used up the queue waits for a completion.
 *
 * A reset does not wait for what is open: its requests belong to an old generation and never touch
 * the guest again, but keep their buffers until the disk is done with them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/blk_transfer.h"
#include "guests/devices/virtio_pci.h"
#include "hv/api/blk.h"
#include "hv/api/vwork.h"

#define VIRTIO_BLK_QUEUES_MAX 8u
#define VIRTIO_BLK_QUEUE_SIZE 128u
/* Open at once, per queue. */
#define VIRTIO_BLK_REQUESTS 32u

/* Sectors of one discard or write-zeroes request. */
#define VIRTIO_BLK_RANGE_MAX BLK_PIECES_RANGE_MAX

struct virtio_blk_queue;

/* What a driver asked for. */
struct virtio_blk_request {
	struct blk_transfer transfer;
	struct virtio_blk_queue *queue;
	uint32_t filled;       /* bytes for the driver, from the first writable one on */
	enum hv_status status; /* found before the disk was asked */
	struct virtqueue_chain chain;
	struct virtqueue_cursor cursor; /* stands at `cursor_at` of the data */
	uint64_t cursor_at;
};

/* Covered by the lock of the transport's queue. */
struct virtio_blk_queue {
	struct virtio_blk *disk;
	unsigned index;
	struct vwork work;
	uint32_t free_requests;		    /* a bit each */
	bool stalled;			    /* goes on when `work` runs */
	_Atomic bool waits_for_master;	    /* what is back: master_on asks for `work` */
	uint32_t budget;		    /* of the next run */
	struct virtio_blk_request *current; /* not all of it is sent; NULL: none */
	struct blk_transfers transfers;
	struct virtio_blk_request requests[VIRTIO_BLK_REQUESTS];
};

struct virtio_blk {
	struct virtio_pci transport;
	struct blk_device *device;
	unsigned vcpu_count;
	struct virtio_blk_space space;
	struct virtio_blk_queue *queues[VIRTIO_BLK_QUEUES_MAX];
	struct saved_device saved;
};

/* Saved state: when it is quiet nothing of a request is left in the device. */
#define VIRTIO_BLK_SAVED_VERSION 1u
struct virtio_blk_saved {
	struct virtio_pci_saved transport;
	uint64_t sectors; /* of the disk: only one like it will do */
	uint32_t block_size;
	uint32_t queue_count;
};
_Static_assert(sizeof(struct virtio_blk_saved) == 2136 + 16, "no padding");

struct virtio_blk_config {
	struct virtio_pci_wiring wiring;
	struct vwork_queue *work; /* of the VM */
	struct blk_device *device;
	unsigned vcpu_count;
	unsigned queue_count; /* virtio_blk_queue_count(vcpu_count) */
	/* Memory per queue: sizeof(struct virtio_blk_queue), and BOUNCE_BYTES of pool pages. */
	struct virtio_blk_queue *queues[VIRTIO_BLK_QUEUES_MAX];
	void *buffers[VIRTIO_BLK_QUEUES_MAX];
};

static inline unsigned virtio_blk_queue_count(unsigned vcpu_count)
{
	return vcpu_count < VIRTIO_BLK_QUEUES_MAX ? vcpu_count : VIRTIO_BLK_QUEUES_MAX;
}

/*
 * HV_E_UNSUPPORTED: the disk's blocks are larger than a page, or it takes less than a block at
 * once; else as virtio_pci_init. Memory stays the caller's.
 */
enum hv_status virtio_blk_init(struct virtio_blk *b,
			       const struct virtio_blk_config *cfg) HV_MUST_CHECK;
/* No vCPU runs any more: whether the disk is done with all that was open. To be waited for. */
bool virtio_blk_is_idle(const struct virtio_blk *b);
