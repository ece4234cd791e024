/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio entropy device (VIRTIO 1.2, "Entropy Device"). What a guest gets in a second is bounded,
 * as making random bytes costs everybody's time; a buffer that finds nothing left waits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/virtio_pci.h"
#include "hv/api/vtime.h"
#include "hv/api/vwork.h"

#define VIRTIO_RNG_QUEUE_SIZE 8u
/* Bytes per second, and how many may be saved up. */
#define VIRTIO_RNG_RATE 65536u
#define VIRTIO_RNG_BURST 16384u
/* Bytes that one buffer gets at most. */
#define VIRTIO_RNG_BUFFER_MAX 1024u

/* Covered by the lock of the transport's queue. */
struct virtio_rng {
	struct virtio_pci transport;
	void (*fill)(void *dst, size_t n);
	struct vtime *time;
	struct vtimer timer; /* armed while a buffer waits for bytes */
	struct vwork work;
	uint32_t left;	 /* bytes that may be given now */
	uint64_t filled; /* guest ticks when they were counted */
	struct virtqueue_chain chain;
	struct saved_device saved;
};

#define VIRTIO_RNG_SAVED_VERSION 1u
struct virtio_rng_saved {
	struct virtio_pci_saved transport;
	uint64_t filled;
	uint64_t deadline; /* of the timer, guest ticks */
	uint32_t left;
	uint32_t zero;
};
_Static_assert(sizeof(struct virtio_rng_saved) == 2136 + 24, "no padding");

struct virtio_rng_config {
	struct virtio_pci_wiring wiring;
	struct vwork_queue *work; /* of the VM */
	struct vtime *time;
	void (*fill)(void *dst, size_t n); /* random bytes; with the queue's lock held */
};

/* As virtio_pci_init. */
enum hv_status virtio_rng_init(struct virtio_rng *r,
			       const struct virtio_rng_config *cfg) HV_MUST_CHECK;
/* No vCPU runs any more. When the timers that were on their way are over the device may be freed.
 */
void virtio_rng_fini(struct virtio_rng *r);
