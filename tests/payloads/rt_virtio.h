/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of virtio devices on PCI (VIRTIO 1.2), for payloads. It does what a driver
 * should; a case that wants to do wrong has the rings' memory and the registers' addresses.
 *
 *	find -> start (reset, features) -> open queues -> ready -> put, tell, wait ... -> reset
 *
 * The driver chooses the descriptors: whoever puts a chain at `head` has head .. head + count - 1
 * until the chain has come back. Completions are polled for; interrupts are only counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/virtio_pci.h"

#define RT_QUEUE_SIZE 256u
#define RT_QUEUES_MAX 16u

/* Memory of a split queue; with fewer than RT_QUEUE_SIZE descriptors the events lie earlier. */
struct rt_rings {
	struct virtq_desc desc[RT_QUEUE_SIZE];
	struct {
		uint16_t flags, index, ring[RT_QUEUE_SIZE + 1];
	} avail;
	struct {
		uint16_t flags, index;
		struct virtq_used_elem ring[RT_QUEUE_SIZE];
		uint16_t event;
	} used __attribute__((aligned(4)));
} __attribute__((aligned(4096)));

struct rt_virtio {
	unsigned devfn;
	unsigned type;	   /* VIRTIO_TYPE_* */
	uint16_t notify;   /* port */
	uint16_t isr;	   /* port */
	uint64_t common;   /* address of struct virtio_pci_common */
	uint64_t special;  /* of the device's own configuration, 0: none */
	uint64_t table;	   /* of MSI-X */
	uint64_t features; /* agreed on */
};

struct rt_queue {
	const struct rt_virtio *device;
	struct rt_rings *rings;
	unsigned index;
	uint16_t size;
	bool event_idx;
	uint16_t avail; /* put so far */
	uint16_t told;	/* of these, shown to the device */
	uint16_t used;	/* taken back */
	uint64_t notifications;
};

struct rt_buffer {
	uint64_t addr;
	uint32_t bytes;
	bool write; /* by the device */
};

/* The nth virtio function of a type on the bus, BARs decoded and bus mastering on; false: none. */
bool rt_virtio_find(struct rt_virtio *d, unsigned type, unsigned nth);
/* Reads places again and switches decoding and bus mastering on, as after a function's reset. */
void rt_virtio_map(struct rt_virtio *d);
/* Resets the device and agrees on what is wanted and offered, VERSION_1 always. */
void rt_virtio_start(struct rt_virtio *d, uint64_t wanted);
/* Empties the rings and gives them to the device. Queue `index` must be there. */
void rt_queue_open(struct rt_queue *q, const struct rt_virtio *d, unsigned index,
		   struct rt_rings *rings);
void rt_virtio_ready(const struct rt_virtio *d);
void rt_virtio_reset(const struct rt_virtio *d);
uint8_t rt_virtio_status(const struct rt_virtio *d);
static inline bool rt_virtio_has(const struct rt_virtio *d, unsigned feature)
{
	return (d->features >> feature & 1) != 0;
}

/*
 * Counts the MSI-X interrupts of a queue or, for index VIRTIO_NO_VECTOR, of configuration changes,
 * for rt_virtio_interrupts; one vector of the CPU each, 0x70 .. 0x7f. Before rt_virtio_ready.
 */
void rt_virtio_count_interrupts(const struct rt_virtio *d, unsigned index, uint8_t vector);
uint64_t rt_virtio_interrupts(uint8_t vector);

/* Puts a chain that begins with descriptor `head`; the device sees it after rt_queue_tell. */
void rt_queue_put(struct rt_queue *q, uint16_t head, const struct rt_buffer *b, unsigned count);
/* The same with the descriptors in `table`: head alone is used. */
void rt_queue_put_indirect(struct rt_queue *q, uint16_t head, struct virtq_desc *table,
			   const struct rt_buffer *b, unsigned count);
/* Shows what was put; notifies the device if it wants that. */
void rt_queue_tell(struct rt_queue *q);
void rt_queue_notify(const struct rt_queue *q);
/* The next chain that has come back; false: none has. */
bool rt_queue_take(struct rt_queue *q, struct virtq_used_elem *e);
/* Waits for it, ten seconds of guest time at most; then the case has failed. */
struct virtq_used_elem rt_queue_wait(struct rt_queue *q);

static inline uint64_t rt_address(const volatile void *p)
{
	return (uint64_t)(uintptr_t)p;
}
