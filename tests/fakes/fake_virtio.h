/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A modern virtio device on the fake PCI bus: BAR 4 has its structures at 0 (common), 0x1000 (ISR),
 * 0x2000 (configuration), 0x3000 (notify) and 0x3800 (MSI-X table). It takes chains when a test
 * says so and completes them in the order that the test wants, so that what a driver sees may be
 * late, out of order, repeated or made up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/fakes/fake_pci.h"

#define FAKE_VIRTIO_QUEUES 4u
#define FAKE_VIRTIO_PARTS 16u
#define FAKE_VIRTIO_BAR 0x800000000ull

struct fake_virtio_queue {
	uint16_t size; /* as offered; then as the driver wants */
	uint16_t vector;
	uint16_t enabled;
	uint64_t desc, avail, used;
	uint16_t avail_seen;
	uint16_t used_index;
	unsigned notifies;
};

struct fake_virtio {
	struct fake_pci pci;
	uint64_t offers; /* feature bits */
	uint64_t accepted;
	uint32_t feature_select, driver_select;
	uint8_t status;
	uint8_t config[64];
	uint16_t queue_select;
	uint8_t isr;
	struct fake_virtio_queue queues[FAKE_VIRTIO_QUEUES];
	unsigned resets;
	/* The queue was notified; NULL: tests look by themselves. */
	void (*on_notify)(struct fake_virtio *v, unsigned queue);
	/* Misbehaviour. */
	bool never_resets;
	bool refuses_features;
	bool refuses_vectors;
};

/* One part of a chain, resolved. */
struct fake_virtio_part {
	void *data;
	uint32_t size;
	bool writable;
};

struct fake_virtio_chain {
	uint16_t head;
	unsigned count;
	struct fake_virtio_part parts[FAKE_VIRTIO_PARTS];
};

/* `type` is VIRTIO_TYPE_*; with `messages` MSI-X messages. Queues of 8. */
void fake_virtio_add(struct fake_virtio *v, unsigned devfn, unsigned type, uint32_t class_code,
		     unsigned messages);
/* The next chain that the driver has made available; false when there is none. Aborts where the
 * chain breaks the rules. */
bool fake_virtio_take(struct fake_virtio *v, unsigned queue, struct fake_virtio_chain *out);
/* Puts an entry into the used ring, whatever it says. */
void fake_virtio_use(struct fake_virtio *v, unsigned queue, uint32_t id, uint32_t written);
/* By message or line; false when it goes nowhere. */
bool fake_virtio_interrupt(struct fake_virtio *v, unsigned queue);
