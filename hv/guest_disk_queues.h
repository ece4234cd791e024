/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for the queues of a disk that has several: what a queue knows, and its buffers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/status.h"

#define GUEST_DISK_QUEUES_MAX 8u

struct guest_disk_queues {
	unsigned count;
	size_t size; /* bytes of one of queues[] */
	void *queues[GUEST_DISK_QUEUES_MAX];
	void *buffers[GUEST_DISK_QUEUES_MAX]; /* BOUNCE_BYTES each, physically contiguous */
};

/*
 * Zeroed queues of `size` bytes, up to GUEST_DISK_QUEUES_MAX of them, and their buffers. False: no
 * memory; nothing is kept.
 */
bool guest_disk_queues_alloc(struct guest_disk_queues *q, unsigned count,
			     size_t size) HV_MUST_CHECK;
void guest_disk_queues_free(struct guest_disk_queues *q);
