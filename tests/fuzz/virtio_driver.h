/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver without manners for the fuzz targets of virtqueues: it writes descriptors and rings as
 * the input says, mostly such as make sense, and reckons by itself what the device may write.
 */
#pragma once

#include "tests/fakes/virtio_rig.h"
#include "tests/fuzz/device_input.h"

/* Indirect tables and data lie behind the rings. */
#define DRIVER_TABLES (RIG_RAM_BASE + 0x10000u)
#define DRIVER_TABLE_BYTES 0x200u
#define DRIVER_DATA (RIG_RAM_BASE + 0x20000u)
#define DRIVER_SEGMENTS 160u

/* An address: of data, of a table, of a ring, at the edge of RAM, or any. */
static inline uint64_t driver_address(struct input *in)
{
	uint64_t kind = take(in, 1);
	uint64_t offset = take(in, 2);

	switch (kind & 15) {
	case 0:
		return RIG_RAM_END - offset % 64;
	case 1:
		return RIG_RAM_BASE - 8 + offset % 16;
	case 2:
		return RIG_RAM_BASE + offset;
	case 3:
		return offset << 48 | kind;
	case 4:
	case 5:
		return DRIVER_TABLES + offset % 8 * DRIVER_TABLE_BYTES;
	default:
		return DRIVER_DATA + offset * 4;
	}
}

static inline uint32_t driver_length(struct input *in)
{
	uint32_t value = (uint32_t)take(in, 2);

	switch (value & 15) {
	case 0:
		return value << 16;
	case 1:
		return 0;
	case 2:
	case 3:
		return value & 0xfff0;
	case 4:
		return 1;
	default:
		return (value >> 4) % 9 * 512;
	}
}

/* A descriptor of the queue's table or of an indirect one. */
static inline void driver_write_descriptor(struct input *in, const struct rig_queue *q)
{
	uint8_t where = (uint8_t)take(in, 1);
	uint8_t index = (uint8_t)take(in, 1);
	uint32_t flags = (uint32_t)take(in, 1) & 7;
	uint32_t next = (uint32_t)take(in, 1);
	uint64_t table =
		(where & 1) != 0 ? q->desc : DRIVER_TABLES + (where >> 1) % 8 * DRIVER_TABLE_BYTES;

	if ((where & 1) != 0) {
		index = (uint8_t)(index % q->size);
	} else {
		index %= DRIVER_TABLE_BYTES / 16;
	}
	rig_desc(table, index, driver_address(in), driver_length(in), flags | next << 16);
}

/* Some entries and an index: in order, or any. */
static inline void driver_offer(struct input *in, struct rig_queue *q)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (how == 0xff) {
		rig_put(q->avail + 2, take(in, 2), 2);
		q->avail_index = (uint16_t)rig_get(q->avail + 2, 2);
		return;
	}
	for (unsigned i = 0; i <= how % 4; i++) {
		uint16_t head = (uint16_t)take(in, 1);

		rig_offer(q, how == 0xfe ? head : head % q->size);
	}
}

/* ---- what the device may write, reckoned the slow way ---- */

struct driver_descriptor {
	uint64_t at; /* where it is */
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* Visits the chain at `index` of the table; `left` bounds all of it. */
static inline void driver_walk_chain(uint64_t table, uint32_t index, uint32_t total, unsigned *left,
				     void (*visit)(const struct driver_descriptor *d))
{
	while (*left != 0 && index < total && rig_is_ram(table + 16ull * index, 16)) {
		uint64_t at = table + 16ull * index;
		struct driver_descriptor d = {at, rig_get(at, 8), (uint32_t)rig_get(at + 8, 4),
					      (uint16_t)rig_get(at + 12, 2),
					      (uint16_t)rig_get(at + 14, 2)};

		--*left;
		visit(&d);
		if ((d.flags & RIG_INDIRECT) != 0) {
			table = d.addr;
			total = d.len / 16;
			index = 0;
			continue;
		}
		if ((d.flags & RIG_NEXT) == 0) {
			return;
		}
		index = d.next;
	}
}

static inline void driver_give_buffer(const struct driver_descriptor *d)
{
	if ((d->flags & (RIG_INDIRECT | RIG_WRITE)) == RIG_WRITE) {
		rig_give(d->addr, d->len, true);
	}
}

/* What the device reads next may be what it has written there: nobody foresees that. */
static inline void driver_foresee(uint64_t addr, uint64_t n)
{
	if (memchr(&rig_given[addr - RIG_RAM_BASE], true, n) != NULL) {
		rig_watch = false;
	}
}

static inline void driver_foresee_descriptor(const struct driver_descriptor *d)
{
	driver_foresee(d->at, 16);
}

/* Visits all chains that the device may find in the queue at its next look. */
static inline void driver_walk_available(const struct virtqueue *q,
					 void (*visit)(const struct driver_descriptor *d))
{
	uint16_t index = (uint16_t)rig_get(q->avail + 2, 2);

	for (uint16_t i = q->avail_next; i != index && (uint16_t)(i - q->avail_next) < q->size;
	     i++) {
		uint64_t entry = q->avail + 4 + 2ull * (i % q->size);
		unsigned left = DRIVER_SEGMENTS;

		driver_walk_chain(q->desc, (uint32_t)rig_get(entry, 2), q->size, &left, visit);
	}
}

/*
 * Gives the device what the driver lets it write. A driver that has its own rings written over is
 * not watched any more.
 */
static inline void driver_give_available(const struct virtqueue *q)
{
	if (!q->running) {
		return;
	}
	rig_give(q->used, 4 + 8ull * q->size + 2, true);
	if (!rig_is_ram(q->avail, 4 + 2ull * q->size)) {
		return;
	}
	driver_walk_available(q, driver_give_buffer);
	driver_foresee(q->avail, 4 + 2ull * q->size);
	driver_walk_available(q, driver_foresee_descriptor);
}
