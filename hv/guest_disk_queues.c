/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for a disk's queues. */
#include "hv/guest_disk_queues.h"

#include <assert.h>

#include "guests/devices/bounce.h"
#include "guests/devices/nvme_ctl.h"
#include "guests/devices/virtio_blk.h"
#include "mm/pool.h"

#define BUFFERS_ORDER 7u
static_assert((PAGE_SIZE << BUFFERS_ORDER) == BOUNCE_BYTES, "a queue's buffers are one block");
static_assert(VIRTIO_BLK_QUEUES_MAX <= GUEST_DISK_QUEUES_MAX, "virtio-blk");
static_assert(NVME_CTL_IO_QUEUES_MAX <= GUEST_DISK_QUEUES_MAX, "NVMe");

bool guest_disk_queues_alloc(struct guest_disk_queues *q, unsigned count, size_t size)
{
	*q = (struct guest_disk_queues){.size = size};
	while (q->count < count) {
		unsigned i = q->count++;

		q->queues[i] = pool_alloc(size);
		q->buffers[i] = pool_pages(BUFFERS_ORDER);
		if (q->queues[i] == NULL || q->buffers[i] == NULL) {
			guest_disk_queues_free(q);
			return false;
		}
	}
	return true;
}

void guest_disk_queues_free(struct guest_disk_queues *q)
{
	while (q->count > 0) {
		unsigned i = --q->count;

		pool_free(q->queues[i], q->size);
		if (q->buffers[i] != NULL) {
			pool_pages_free(q->buffers[i], BUFFERS_ORDER);
		}
	}
}
