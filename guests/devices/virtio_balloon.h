/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio balloon (VIRTIO 1.2, "Traditional Memory Balloon Device"): the driver names pages that
 * it can do without, because it was asked to (inflate) or because they are free (reporting), and
 * the VM's RAM gives them back. A page that the driver takes into use again, with or without saying
 * so, has memory when it is touched.
 *
 *	monitor --num_pages, interrupt--> driver --inflate queue: page numbers--> release callback
 *	                                         --reporting queue: buffers-----> release callback
 *	                                         --deflate queue: page numbers--> nothing to do
 *	virtio_balloon_info <--------------------- statistics queue
 *
 * All of this is the driver's word: the callback refuses what is not the guest's RAM.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/virtio_pci.h"
#include "hv/api/vtime.h"
#include "hv/api/vwork.h"

#define VIRTIO_BALLOON_QUEUE_SIZE 128u
#define VIRTIO_BALLOON_QUEUES 5u

#define VIRTIO_BALLOON_F_MUST_TELL_HOST 0u
#define VIRTIO_BALLOON_F_STATS_VQ 1u
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM 2u
#define VIRTIO_BALLOON_F_FREE_PAGE_HINT 3u
#define VIRTIO_BALLOON_F_PAGE_POISON 4u
#define VIRTIO_BALLOON_F_PAGE_REPORTING 5u

/*
 * Numbers of queues. Those of features that were not negotiated do not exist; the specification
 * leaves gaps there, Linux' driver does not: without free page hints it reports on queue 3, without
 * statistics on 2.
 */
#define VIRTIO_BALLOON_INFLATE 0u
#define VIRTIO_BALLOON_DEFLATE 1u
#define VIRTIO_BALLOON_STATS 2u
#define VIRTIO_BALLOON_REPORTING 4u

/* Of a page number and of num_pages, whatever the guest's page size is. */
#define VIRTIO_BALLOON_PAGE_SHIFT 12u

/* "Device configuration layout" */
struct virtio_balloon_space {
	uint32_t num_pages; /* what the device wants */
	uint32_t actual;    /* what the driver has given */
	uint32_t free_page_hint_cmd_id;
	uint32_t poison_val;
};
_Static_assert(sizeof(struct virtio_balloon_space) == 16, "device configuration");

/* "Memory Statistics Tags": those up to VIRTIO_BALLOON_S_HTLB_PGFAIL. */
#define VIRTIO_BALLOON_STATS_MAX 10u
/* A statistic is a 16-bit tag and a 64-bit value without padding. */
#define VIRTIO_BALLOON_STAT_BYTES 10u

/* Bounds of one run of a queue; what is left is done as deferred work. */
#define VIRTIO_BALLOON_RUN_PAGES 1024u /* of page numbers */
#define VIRTIO_BALLOON_RUN_PIECES 4u   /* of reported buffers */
#define VIRTIO_BALLOON_PIECE 0x200000u /* bytes, aligned like this: what is released in one go */

/* A queue that takes pages; under its lock. */
struct virtio_balloon_queue {
	bool busy; /* `chain` is not finished */
	/* Where the chain goes on, or if there is none, the next one begins: 0, unless loaded. */
	uint32_t next;		      /* page number in the chain, or segment of it */
	uint64_t offset;	      /* bytes of the segment that are done */
	struct virtqueue_chain chain; /* while busy */
};

struct virtio_balloon_config {
	struct virtio_pci_wiring wiring;
	struct vwork_queue *work; /* of the VM */
	struct vtime *time;
	/*
	 * Gives [base, base + size) back; both are multiples of the page size, the rest is the
	 * driver's word. As gspace_release; HV_E_BUSY: virtio_balloon_room will be called. A
	 * queue's lock is held.
	 */
	enum hv_status (*release)(void *ctx, uint64_t base, uint64_t size, uint64_t *done);
	void *ctx;
};

/* What the device knows; sizes in bytes. */
struct virtio_balloon_info {
	bool live;	   /* there is a driver */
	uint64_t target;   /* what the balloon is to take */
	uint64_t actual;   /* what it has, by the driver's word */
	uint64_t inflated; /* ever released for the inflate queue */
	uint64_t reported; /* ever released for the reporting queue */
	uint64_t refused;  /* pages and pieces that could not be released */
	uint32_t valid;	   /* bit per entry of stats[] that the driver has told */
	uint64_t stats[VIRTIO_BALLOON_STATS_MAX]; /* by tag, in the specification's units */
	uint64_t age;				  /* guest ticks since they were told */
};

struct virtio_balloon {
	struct virtio_pci transport;
	enum hv_status (*release)(void *ctx, uint64_t base, uint64_t size, uint64_t *done);
	void *ctx;
	struct vtime *time;
	struct vwork work;
	struct virtio_balloon_space space;
	struct virtio_balloon_queue queues[VIRTIO_BALLOON_QUEUES];
	_Atomic bool waiting; /* for virtio_balloon_room */
	_Atomic uint64_t inflated;
	_Atomic uint64_t reported;
	_Atomic uint64_t refused;
	/* Under the lock of the statistics queue. */
	bool asked; /* for new statistics */
	uint32_t valid;
	uint64_t stats[VIRTIO_BALLOON_STATS_MAX];
	uint64_t told; /* guest ticks */
	bool known;    /* the next buffer was read before the state was saved */
	struct saved_device saved;
};

/*
 * A chain that is not finished is saved as one that waits, and where it goes on. What was released
 * is the memory's to save, the sums of it are not saved.
 */
#define VIRTIO_BALLOON_SAVED_VERSION 1u
struct virtio_balloon_queue_saved {
	uint64_t offset;
	uint32_t next;
	uint32_t zero;
};
struct virtio_balloon_saved {
	struct virtio_pci_saved transport;
	struct virtio_balloon_space space;
	struct virtio_balloon_queue_saved queues[VIRTIO_BALLOON_QUEUES];
	uint64_t stats[VIRTIO_BALLOON_STATS_MAX];
	uint64_t told;
	uint32_t valid;
	uint8_t asked;
	uint8_t known;
	uint8_t zero[2];
};
_Static_assert(sizeof(struct virtio_balloon_saved) == 2136 + 16 + 5 * 16 + 10 * 8 + 16,
	       "no padding");

/* As virtio_pci_init. */
enum hv_status virtio_balloon_init(struct virtio_balloon *b,
				   const struct virtio_balloon_config *cfg) HV_MUST_CHECK;
/* Asks the driver to inflate, or deflate, to `bytes`, rounded down to pages. From anywhere. */
void virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes);
/* Something can be released again, perhaps after HV_E_BUSY; `b` may be NULL. From anywhere. */
void virtio_balloon_room(struct virtio_balloon *b);
/* Asks the driver for new statistics, which come later. From anywhere. */
void virtio_balloon_ask_stats(struct virtio_balloon *b);
/* What is known now. From anywhere. */
void virtio_balloon_info(struct virtio_balloon *b, struct virtio_balloon_info *out);
