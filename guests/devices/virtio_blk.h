/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio block device (VIRTIO 1.2, "Block Device") on any struct blk_device, with one queue per
 * vCPU up to eight, flush, discard and write-zeroes.
 *
 *	queue --pop--> request --cut--> pieces, each with a buffer --blk_submit--> disk
 *	  ^               |                                                         |
 *	  |               +--blk_copy, where the disk is memory: no piece, no buffer
 *	  |                                                                         |
 *	  +--push, status-- request <--all done-- pieces <--data to the guest-- done, or vwork
 *
 * A piece that the disk completes at once (RAM) is finished on the spot. One that completes later,
 * on any CPU, waits in `finished` for a vCPU of the guest. What a queue may have open is bounded by
 * its requests, pieces and buffers; when one of them is used up the queue waits for a completion.
 *
 * A reset does not wait for what is open: its requests belong to an old generation and never touch
 * the guest again, but keep their buffers until the disk is done with them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/bounce.h"
#include "guests/devices/virtio_pci.h"
#include "hv/api/blk.h"
#include "hv/api/vwork.h"

#define VIRTIO_BLK_QUEUES_MAX 8u
#define VIRTIO_BLK_QUEUE_SIZE 128u
/* Open at once, per queue. */
#define VIRTIO_BLK_REQUESTS 32u
#define VIRTIO_BLK_PIECES 64u

/* Sectors of one discard or write-zeroes request: bounds the time that a disk in RAM takes. */
#define VIRTIO_BLK_RANGE_MAX 16384u

struct virtio_blk_queue;

/* What a driver asked for. */
struct virtio_blk_request {
	uint64_t sector;
	uint32_t bytes;	     /* of data to transfer */
	uint32_t sent;	     /* how many of them went to the disk */
	uint32_t count;	     /* sectors of a discard or write-zeroes */
	uint32_t filled;     /* bytes for the driver, from the first writable one on */
	uint32_t generation; /* of the queue */
	uint16_t open;	     /* pieces at the disk, and one while it is not all sent */
	bool bare;	     /* a piece without data is still to be sent */
	bool flush_after;    /* the driver knows no flush: what it wrote must be on the medium */
	enum blk_op op;
	enum hv_status status; /* the first error */
	struct virtqueue_chain chain;
};

/* The part of a request that the disk takes in one go. */
struct virtio_blk_piece {
	struct blk_request r;
	struct virtio_blk_queue *queue;
	struct virtio_blk_request *request;
	struct virtio_blk_piece *next; /* in `finished` */
	uint32_t offset;	       /* in the request's data */
	struct bounce_run buffer;
	_Atomic uint32_t state;
};

/* Covered by the lock of the transport's queue, but for what is atomic. */
struct virtio_blk_queue {
	struct virtio_blk *disk;
	unsigned index;
	struct vwork work;
	struct bounce bounce;
	uint64_t free_pieces; /* a bit each */
	uint32_t free_requests;
	uint32_t generation;
	bool stalled;			    /* goes on when `work` runs */
	struct virtio_blk_request *current; /* not all of it is sent; NULL: none */
	/* Pieces that were done, by whom they were. */
	struct virtio_blk_piece *_Atomic finished;
	uint64_t opened;	 /* pieces that were not done at once */
	_Atomic uint64_t closed; /* of these, done, and left alone by the disk */
	struct virtio_blk_request requests[VIRTIO_BLK_REQUESTS];
	struct virtio_blk_piece pieces[VIRTIO_BLK_PIECES];
};

struct virtio_blk {
	struct virtio_pci transport;
	struct blk_device *device;
	unsigned vcpu_count;
	uint32_t piece_bytes; /* the most that the disk is given at once */
	struct virtio_blk_space space;
	struct virtio_blk_queue *queues[VIRTIO_BLK_QUEUES_MAX];
};

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
/* Idle, and about to be freed. */
void virtio_blk_fini(struct virtio_blk *b);
