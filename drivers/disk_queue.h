/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all drivers of disks have in common: requests that wait, requests that the hardware has
 * (each in a slot, with a time limit), and those that are done and whose owners are to be told.
 *
 *	put --> waiting --start--> slot --end--> done --finish--> owner
 *
 * The user's lock covers a queue; disk_finish is called without it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"
#include "hv/base/list.h"
#include "hv/base/status.h"

#define DISK_SLOTS_MAX 64u
#define DISK_COMPLAINTS_MAX 32u

struct disk_slot {
	struct blk_request *request; /* NULL: free */
	struct blk_device *device;
	uint64_t deadline;
	uint32_t progress;  /* sectors done, of a request that takes several commands */
	uint8_t generation; /* counts the slot's requests: tells late completions apart */
};

struct disk_queue {
	struct list_node waiting; /* of blk_request.node; cookie: the device */
	struct disk_slot slots[DISK_SLOTS_MAX];
	unsigned slot_count;
	unsigned open_count;
	uint64_t limit;	     /* ticks */
	bool failed;	     /* takes nothing any more */
	bool alone_now;	     /* the open request suffers none beside it */
	unsigned complaints; /* in the log about this disk */
	/* Whether the hardware can have nothing else meanwhile; NULL: it always can. */
	bool (*alone)(struct blk_device *d, const struct blk_request *r);
};

/* `slots`: 1 .. DISK_SLOTS_MAX; `limit_ns` of time for each request that the hardware has. */
void disk_queue_init(struct disk_queue *q, unsigned slots, uint64_t limit_ns);
/* Lets the request wait. One that comes when the queue has failed goes to `done`. */
void disk_queue_put(struct disk_queue *q, struct blk_device *d, struct blk_request *r,
		    struct list_node *done);
/* Gives the next waiting request a slot, in order; false when none waits or fits. */
bool disk_queue_start(struct disk_queue *q, unsigned *slot);
/* Whether a slot with this number and generation is in use. */
bool disk_queue_is_open(const struct disk_queue *q, unsigned slot, unsigned generation);
/* Takes the request out of its slot to the end of `done`. */
void disk_queue_end(struct disk_queue *q, unsigned slot, enum hv_status status,
		    struct list_node *done);
/* All that have a slot, with HV_E_IO: the hardware has forgotten them. */
void disk_queue_end_open(struct disk_queue *q, struct list_node *done);
/* They wait once more, before the others, and each will be alone: one of them went wrong. */
void disk_queue_retry_open(struct disk_queue *q);
/* Those that have a slot, those that wait, and all that will come. */
void disk_queue_fail(struct disk_queue *q, struct list_node *done);
/* Whether a request has had a slot for longer than the limit. */
bool disk_queue_is_overdue(const struct disk_queue *q, uint64_t now);

/* Whether there is room in the log for another complaint: a broken disk must not flood it. */
bool disk_queue_complain(struct disk_queue *q);

/* Tells the owners; empties the list. */
void disk_finish(struct list_node *done);

/*
 * Text of a device as it stands in identify data, `n` characters padded with blanks: without the
 * padding, and '?' for what is not printable, into `out` of `size` bytes.
 */
void disk_text(const char *text, unsigned n, char *out, unsigned size);
