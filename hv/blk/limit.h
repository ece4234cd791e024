/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on what a guest asks of a disk: requests and bytes in a second. What comes too fast waits
 * here, in order, and goes down when its time has come; nothing is refused or lost.
 *
 * Each of the two is a bucket. A disk that was idle takes a burst of BLK_LIMIT_BURST_MS worth at
 * once, and one request that is larger than the bucket still passes, with the next ones paying for
 * it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"
#include "hv/api/timer.h"
#include "hv/api/token_bucket.h"
#include "hv/base/lock.h"

#define BLK_LIMIT_BURST_MS 100u

struct blk_limit {
	struct blk_device dev;
	struct blk_device *below;
	/* Covers what follows; the timer's queue is taken under it, nothing else. */
	struct spinlock lock;
	struct list_node waiting;
	struct token_bucket requests; /* of rate 0: no limit, and so with the bytes */
	struct token_bucket bytes;
	struct timer timer;
	bool draining; /* a CPU hands on what waits: others queue behind */
	bool closed;
};

/* `iops` requests and `bandwidth` bytes in a second; 0: no limit. `below` outlives the limit. */
void blk_limit_init(struct blk_limit *l, struct blk_device *below, uint64_t iops,
		    uint64_t bandwidth);
/*
 * What waits, and what comes from now on, ends in HV_E_IO: nobody wants it any more. A timer
 * function may still run on another CPU and finds nothing (timer_queue_settle).
 */
void blk_limit_close(struct blk_limit *l);
/* Takes requests again. */
void blk_limit_open(struct blk_limit *l);
