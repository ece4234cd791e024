/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport of virtio devices on PCI, modern only: registers found by capabilities, feature
 * negotiation, split virtqueues in pool memory. Source: Virtual I/O Device (VIRTIO) Version 1.2,
 * "Virtio Over PCI Bus", "Split Virtqueues".
 *
 * In order: virtio_open, virtio_interrupts, virtio_queue_init for each queue, virtio_start.
 * A queue belongs to its user, whose lock covers all calls for it. The device is not trusted: what
 * it says of queues is compared with what was asked.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/pci.h"
#include "hv/base/status.h"
#include "hv/base/virtio_format.h"

/* The numbers of transitional devices, which may be modern as well. */
#define VIRTIO_PCI_LEGACY_NET 0x1000u
#define VIRTIO_PCI_LEGACY_BLOCK 0x1001u

#define VIRTIO_QUEUE_SIZE_MAX 256u

/* A stretch of device registers. */
struct virtio_window {
	char *base; /* NULL: not there */
	uint32_t size;
};

struct virtio_device {
	struct host_pci *pci;
	struct virtio_window common;
	struct virtio_window notify;
	struct virtio_window isr;
	struct virtio_window config; /* of the device's type */
	uint32_t notify_multiplier;
	uint64_t features; /* negotiated */
	bool msix;
};

/* Whether a function is a device of a type, by its own number or a transitional device's. */
static inline bool virtio_is(const struct host_pci *f, unsigned type, uint16_t transitional)
{
	return f->vendor == VIRTIO_VENDOR &&
	       (f->device == VIRTIO_DEVICE_BASE + type || f->device == transitional);
}

struct virtq_desc;
struct virtio_avail;
struct virtio_used;

/* A chain that the device has, at the number of its first descriptor. */
struct virtio_slot {
	void *token;	   /* NULL: free */
	uint32_t writable; /* bytes of the chain that the device may write */
	uint16_t count;
	uint16_t next; /* in the free list or the chain; the device cannot change it here */
};

struct virtio_queue {
	struct virtio_device *device;
	uint16_t index;
	uint16_t size; /* descriptors, a power of two */
	uint16_t free_count;
	uint16_t free_head;
	uint16_t avail_next;
	uint16_t used_next;
	bool broken; /* the device has claimed what it cannot have done */
	char *doorbell;
	struct virtq_desc *desc;
	struct virtio_avail *avail;
	struct virtio_used *used;
	struct virtio_slot slots[VIRTIO_QUEUE_SIZE_MAX];
};

/* A part of a chain: pool memory, physically contiguous. */
struct virtio_buffer {
	void *data;
	uint32_t size;
	bool device_writes;
};

/*
 * Enables the function, resets the device and negotiates those of the `wanted` features that it
 * has. HV_E_UNSUPPORTED: not modern, or it refuses these; HV_E_IO: it does not answer.
 */
enum hv_status virtio_open(struct virtio_device *d, struct host_pci *f,
			   uint64_t wanted) HV_MUST_CHECK;
/* As host_pci_interrupts. The handler calls virtio_ack first. */
enum hv_status virtio_interrupts(struct virtio_device *d, unsigned *count,
				 void (*fn)(void *ctx, unsigned index), void *ctx) HV_MUST_CHECK;
/*
 * Sets up queue `index`, of at most `max_size` descriptors, with message `message` as its
 * interrupt. Called again after a reset it reuses the memory. HV_E_NOT_FOUND: the device has no
 * such queue; HV_E_IO; HV_E_NO_MEMORY.
 */
enum hv_status virtio_queue_init(struct virtio_device *d, struct virtio_queue *q, unsigned index,
				 unsigned max_size, unsigned message) HV_MUST_CHECK;
/* The device may use its queues from here on. */
void virtio_start(struct virtio_device *d);
/*
 * Back to before virtio_open, waiting up to 100 ms: the device uses no queue and no buffer any more
 * when this returns HV_OK. HV_E_IO: it does not say so.
 */
enum hv_status virtio_reset(struct virtio_device *d) HV_MUST_CHECK;
/* The same without waiting: begins, and whether it is over. */
void virtio_begin_reset(struct virtio_device *d);
bool virtio_is_reset(const struct virtio_device *d);
/* Resets and negotiates again, the same features; then come the queues. */
enum hv_status virtio_reopen(struct virtio_device *d) HV_MUST_CHECK;
/* Ends an interrupt by line; nothing to do for messages. */
void virtio_ack(struct virtio_device *d);

/* The type's own configuration, `size` 1, 2, 4 or 8; zero beyond its end. */
uint64_t virtio_config_read(const struct virtio_device *d, unsigned offset, unsigned size);

/*
 * Hands a chain to the device, at the latest when virtio_queue_notify is called. Buffers that the
 * device reads come first. False: not enough free descriptors.
 */
bool virtio_queue_add(struct virtio_queue *q, const struct virtio_buffer *buffers, unsigned count,
		      void *token);
void virtio_queue_notify(struct virtio_queue *q);
/*
 * Whether the device had better interrupt when it is done with a chain of this queue; at first it
 * had. A look at the queue behind `true` sees whatever will not interrupt any more.
 */
void virtio_queue_interrupts(struct virtio_queue *q, bool on);
/*
 * The token of a chain that the device is done with, and how many bytes it says it has written, no
 * more than the chain has; NULL when there is none. What makes no sense is the queue's end
 * (`broken`), with a line in the log: a device that goes on and on must not keep a CPU busy.
 */
void *virtio_queue_take(struct virtio_queue *q, uint32_t *written);
/* After a reset: any chain that was not taken, as if it were done; NULL: none is left. */
void *virtio_queue_drain(struct virtio_queue *q);
