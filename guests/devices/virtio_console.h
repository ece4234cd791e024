/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio console (VIRTIO 1.2, "Console Device") with one port, for `console=hvc0`: a line costs
 * an exit where a UART takes one per byte.
 *
 *	guest --transmit queue--> transmit callback, in chunks
 *	guest <--receive queue--- in[] <-- virtio_console_receive
 *
 * Also takes single characters by a register (VIRTIO_CONSOLE_F_EMERG_WRITE), which needs no driver.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/devices/virtio_pci.h"
#include "hv/api/vwork.h"

#define VIRTIO_CONSOLE_QUEUE_SIZE 64u
#define VIRTIO_CONSOLE_IN 256u

#define VIRTIO_CONSOLE_F_EMERG_WRITE 2u

#define VIRTIO_CONSOLE_RX 0u
#define VIRTIO_CONSOLE_TX 1u

/* "Device configuration layout" */
struct virtio_console_space {
	uint16_t cols;
	uint16_t rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};
_Static_assert(sizeof(struct virtio_console_space) == 12, "device configuration");

struct virtio_console_config {
	struct virtio_pci_wiring wiring;
	struct vwork_queue *work; /* of the VM */
	/* Takes n >= 1 bytes of output, a queue's lock held: it must not call back. */
	void (*transmit)(void *ctx, const char *data, size_t n);
	/* After virtio_console_receive refused bytes: there is room now. No lock held. */
	void (*room)(void *ctx);
	void *ctx;
};

struct virtio_console {
	struct virtio_pci transport;
	void (*transmit)(void *ctx, const char *data, size_t n);
	void (*room)(void *ctx);
	void *ctx;
	struct vwork work;
	struct virtio_console_space space;
	/* Under the receive queue's lock. */
	char in[VIRTIO_CONSOLE_IN];
	unsigned in_first, in_count;
	bool refused; /* the caller holds bytes that did not fit */
	struct virtqueue_chain rx;
	/* Under the transmit queue's lock. */
	struct virtqueue_chain tx;
	bool sending;	    /* tx is not finished */
	uint32_t tx_offset; /* bytes of it that are out; or of the next, if not 0 */
	struct saved_device saved;
};

/* The chain that is being sent is saved as one that waits, of which some bytes are out. */
#define VIRTIO_CONSOLE_SAVED_VERSION 1u
struct virtio_console_saved {
	struct virtio_pci_saved transport;
	uint32_t tx_offset;
	uint16_t in_count;
	uint8_t refused;
	uint8_t zero;
	uint8_t in[VIRTIO_CONSOLE_IN]; /* the oldest first; 0 behind in_count */
};
_Static_assert(sizeof(struct virtio_console_saved) == 2136 + 8 + 256, "no padding");

/* As virtio_pci_init. */
enum hv_status virtio_console_init(struct virtio_console *c,
				   const struct virtio_console_config *cfg) HV_MUST_CHECK;
/*
 * Bytes for the guest, from any CPU and space. Returns how many fit; the rest stay with the caller,
 * who is told by the room callback when to offer them again.
 */
size_t virtio_console_receive(struct virtio_console *c, const char *data, size_t n);
