/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of all disk drivers need: requests that note how they ended, and what was found. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/api/blk.h"
#include "mm/pool.h"

#define RIG_DISKS_MAX 8u
#define RIG_REQUESTS 96u
#define RIG_BUFFER_ORDER 9u /* 2 MiB */

static struct blk_device *rig_disks[RIG_DISKS_MAX];
static unsigned rig_disk_count;
static struct rig_request {
	struct blk_request r;
	unsigned done; /* times */
	unsigned order;
} rig_requests[RIG_REQUESTS];
static unsigned rig_done_count;
static uint8_t *rig_buffer;

static inline void rig_found(struct blk_device *d)
{
	assert_true(rig_disk_count < RIG_DISKS_MAX);
	rig_disks[rig_disk_count++] = d;
}

static inline void rig_done(struct blk_request *r)
{
	struct rig_request *own = container_of(r, struct rig_request, r);

	own->done++;
	own->order = ++rig_done_count;
}

static inline void rig_reset(void)
{
	memset(rig_requests, 0, sizeof(rig_requests));
	rig_disk_count = 0;
	rig_done_count = 0;
	rig_buffer = pool_pages(RIG_BUFFER_ORDER);
	assert_non_null(rig_buffer);
}

/* Submits request `i`; `offset` is the place of its data in rig_buffer. */
static inline struct rig_request *rig_submit(unsigned i, enum blk_op op, uint64_t sector,
					     uint32_t count, size_t offset)
{
	struct rig_request *q = &rig_requests[i];

	q->done = 0;
	q->r = (struct blk_request){.op = op,
				    .sector = sector,
				    .count = count,
				    .buffer = rig_buffer + offset,
				    .done = rig_done,
				    .status = HV_STATUS_COUNT};
	blk_submit(rig_disks[0], &q->r);
	return q;
}

static inline void rig_assert_done(unsigned i, enum hv_status status)
{
	assert_int_equal(rig_requests[i].done, 1);
	assert_int_equal(rig_requests[i].r.status, status);
}

/* Bytes that tell sectors and places apart. */
static inline void rig_fill(uint8_t *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = (uint8_t)(seed + i + i / 512 * 7 + i / 4096 * 13);
	}
}
