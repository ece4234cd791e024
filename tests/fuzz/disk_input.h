/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a disk from a fuzz input. Each has to end once, and no more than once. */
#pragma once

#include <stdlib.h>

#include "hv/api/blk.h"
#include "mm/pool.h"
#include "tests/fuzz/device_input.h"

#define FUZZ_REQUESTS 80u

static struct fuzz_request {
	struct blk_request r;
	bool open;
} fuzz_requests[FUZZ_REQUESTS];
static struct blk_device *fuzz_disk;
static uint8_t *fuzz_buffer;

static inline void fuzz_done(struct blk_request *r)
{
	struct fuzz_request *own = container_of(r, struct fuzz_request, r);

	if (!own->open) {
		abort();
	}
	own->open = false;
}

static inline void fuzz_found(struct blk_device *d)
{
	fuzz_disk = fuzz_disk == NULL ? d : fuzz_disk;
}

static inline void fuzz_disk_reset(void)
{
	for (unsigned i = 0; i < FUZZ_REQUESTS; i++) {
		fuzz_requests[i].open = false;
	}
	fuzz_disk = NULL;
	fuzz_buffer = pool_pages(9);
}

static inline void fuzz_submit(struct input *in)
{
	struct fuzz_request *q = &fuzz_requests[take(in, 1) % FUZZ_REQUESTS];

	if (q->open) {
		return;
	}
	q->open = true;
	q->r = (struct blk_request){
		.op = (enum blk_op)(take(in, 1) % BLK_OP_COUNT),
		.sector = take(in, 2),
		.buffer = fuzz_buffer + take(in, 1) * 512,
		.done = fuzz_done,
	};
	q->r.count = q->r.op == BLK_FLUSH  ? 0
		     : q->r.op < BLK_FLUSH ? (uint32_t)take(in, 2) % 1100
					   : (uint32_t)take(in, 4);
	blk_submit(fuzz_disk, &q->r);
}

/* Whether all have ended. */
static inline bool fuzz_all_done(void)
{
	for (unsigned i = 0; i < FUZZ_REQUESTS; i++) {
		if (fuzz_requests[i].open) {
			return false;
		}
	}
	return true;
}
