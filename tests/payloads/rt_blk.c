/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a virtio disk. Source: VIRTIO 1.2, "Block Device". */
#include "tests/payloads/rt_blk.h"

#include "hv/base/bits.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define STATUS_UNTOUCHED 0xeeu
#define HEADER_BYTES 16u
/* Data is cut into pieces of this size when it goes by an indirect table. */
#define PIECE 0x8000u
/* Descriptors of a slot when there are no indirect ones: header, data, status. */
#define DIRECT 3u

void rt_disk_start(struct rt_disk *d, uint64_t features)
{
	unsigned count = 1;

	rt_virtio_start(&d->device, features);
	d->sectors = mmio_read64(d->device.special);
	if (rt_virtio_has(&d->device, VIRTIO_BLK_F_MQ)) {
		count = mmio_read16(d->device.special +
				    offsetof(struct virtio_blk_space, num_queues));
	}
	d->queue_count = (unsigned)min_u64(count, RT_DISK_QUEUES);
	for (unsigned i = 0; i < d->queue_count; i++) {
		rt_queue_open(&d->queues[i], &d->device, i, &d->rings[i]);
	}
	rt_virtio_ready(&d->device);
}

void rt_disk_open(struct rt_disk *d, unsigned nth, uint64_t features)
{
	EXPECT(rt_virtio_find(&d->device, VIRTIO_TYPE_BLOCK, nth), "there is no disk %u", nth);
	rt_disk_start(d, features);
}

/* Header, data in pieces, status; the number of buffers. */
static unsigned list_buffers(struct rt_disk_slot *s, struct rt_buffer data, uint32_t piece,
			     struct rt_buffer *out)
{
	unsigned n = 0;

	out[n++] = (struct rt_buffer){rt_address(&s->header), HEADER_BYTES, false};
	for (uint32_t done = 0; done < data.bytes; done += piece) {
		EXPECT(n <= RT_DISK_PIECES, "a request of %u bytes", data.bytes);
		out[n++] = (struct rt_buffer){
			data.addr + done, (uint32_t)min_u64(piece, data.bytes - done), data.write};
	}
	out[n++] = (struct rt_buffer){rt_address(&s->status), 1, true};
	return n;
}

void rt_disk_put(struct rt_disk *d, unsigned queue, unsigned slot, uint32_t type, uint64_t sector,
		 struct rt_buffer data)
{
	struct rt_disk_slot *s = &d->slots[queue][slot];
	struct rt_buffer buffers[RT_DISK_PIECES + 2];
	uint16_t head = (uint16_t)(slot * DIRECT);

	s->header.type = type;
	s->header.reserved = 0;
	s->header.sector = sector;
	s->status = STATUS_UNTOUCHED;
	if (rt_virtio_has(&d->device, VIRTIO_F_INDIRECT_DESC)) {
		unsigned n = list_buffers(s, data, PIECE, buffers);

		rt_queue_put_indirect(&d->queues[queue], head, s->table, buffers, n);
	} else {
		unsigned n = list_buffers(s, data, UINT32_MAX, buffers);

		rt_queue_put(&d->queues[queue], head, buffers, n);
	}
}

uint8_t rt_disk_wait(struct rt_disk *d, unsigned queue)
{
	struct virtq_used_elem e = rt_queue_wait(&d->queues[queue]);

	EXPECT(e.id % DIRECT == 0 && e.id / DIRECT < RT_DISK_SLOTS, "chain %u came back", e.id);
	return mmio_read8(rt_address(&d->slots[queue][e.id / DIRECT].status));
}

uint8_t rt_disk_move(struct rt_disk *d, unsigned queue, uint32_t type, uint64_t sector, uint64_t at,
		     uint32_t bytes)
{
	const struct rt_buffer data = {at, bytes, type != VIRTIO_BLK_T_OUT};

	rt_disk_put(d, queue, 0, type, sector, data);
	rt_queue_tell(&d->queues[queue]);
	return rt_disk_wait(d, queue);
}

uint8_t rt_disk_bare(struct rt_disk *d, unsigned queue, uint32_t type,
		     const struct rt_disk_range *range)
{
	const struct rt_buffer data = {rt_address(range), range != NULL ? sizeof(*range) : 0,
				       false};

	rt_disk_put(d, queue, 0, type, 0, data);
	rt_queue_tell(&d->queues[queue]);
	return rt_disk_wait(d, queue);
}
