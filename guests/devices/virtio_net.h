/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio NIC (VIRTIO 1.2, "Network Device") at a port of a network.
 *
 *	guest --queue 1--> notify: copied into a frame --net_port_send--> switch
 *	switch --deliver--> net_queue --work--> copied to queue 0
 *
 * The guest's memory is touched by its own vCPUs alone: sending in the notification's exit or, when
 * a driver sends often, a little later; receiving as deferred work. Either handles a bounded number
 * of frames at once and asks for more work when there are more. Long frames (TSO) pass between
 * guests whole; what a receiver does not take the switch cuts. One pair of queues: a second would
 * only share the vCPUs that copy.
 *
 * A frame that is not in order is dropped and counted; a ring that is not breaks the device
 * (virtqueue.h). A driver that posts no buffers loses its own frames when the queue is full.
 *
 * Locks: those of virtio_pci; `rx_lock` comes after them and after the switch's.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/net_filter.h"
#include "guests/devices/net_queue.h"
#include "guests/devices/virtio_pci.h"
#include "hv/api/net.h"
#include "hv/api/vtime.h"
#include "hv/api/vwork.h"

#define VIRTIO_NET_QUEUES 3u

struct virtio_net;

/* A queue's work that was put off. */
struct virtio_net_work {
	struct vwork vwork;
	struct virtio_net *nic;
	unsigned queue;
};

/*
 * Whether and when to look at the transmit queue. A driver that sends often need not notify: the
 * queue is looked at when a vCPU halts, and when a timer says so. Nor is it interrupted for what
 * was sent as long as it may find out by itself.
 */
struct virtio_net_tx {
	struct vtime *time;
	struct vtimer timer; /* armed while `polling` */
	/* Why the next look comes, if not by a notification. */
	_Atomic bool expired;
	_Atomic bool idle;
	/* Under the queue's lock. */
	bool more;	      /* deferred work was asked for, and is no notification */
	bool polling;	      /* the driver was told not to notify */
	unsigned empty_looks; /* in a row that found nothing */
	uint64_t notified;    /* guest ticks of the last notification */
	uint64_t owed_since;  /* guest ticks since when an interrupt may be waited for */
};

/* A buffer that a received frame fills. */
struct virtio_net_used {
	uint16_t head;
	uint32_t len;
};

struct virtio_net {
	struct virtio_pci virtio;
	struct net_port port;
	struct virtio_net_config_space config;
	bool mac_fixed; /* const: the driver may not take another address */
	struct virtio_net_work work[VIRTIO_NET_QUEUES];
	struct virtio_net_tx tx;
	/* Each under its queue's lock. */
	struct virtqueue_chain rx_first, rx_more, tx_chain, ctrl_chain;
	struct virtio_net_used rx_used[VIRTQUEUE_SIZE_MAX];
	/* Frames on their way to the guest, oldest first, and what it wants of them. */
	struct spinlock rx_lock;
	struct net_filter filter;
	struct net_queue queue;
	_Atomic bool cable; /* what the network says of the link; the driver is told soon */
	/* Frames of the guest that were not in order. */
	_Atomic uint64_t tx_malformed;
	struct saved_device saved;
};

/*
 * Frames on their way to the guest are not in it: they are lost, as on a wire. What was looked for
 * in the transmit queue, by work or a timer, is looked for again.
 */
#define VIRTIO_NET_SAVED_VERSION 1u
struct virtio_net_saved {
	struct virtio_pci_saved transport;
	struct net_filter_saved filter;
	/* Of struct virtio_net_tx. */
	uint64_t deadline; /* of the timer, guest ticks */
	uint64_t notified;
	uint64_t owed_since;
	uint32_t empty_looks;
	uint8_t polling;
	uint8_t zero;
	uint16_t link;	    /* status of the configuration, as the driver knows it */
	struct net_mac mac; /* of the port: only one with the same will do */
	uint8_t zeros[2];
};
_Static_assert(sizeof(struct virtio_net_saved) == 2136 + 800 + 24 + 8 + 8, "no padding");

struct virtio_net_config {
	struct net_mac mac;
	bool mac_fixed;
	struct vwork_queue *work; /* of the VM */
	struct vtime *time;	  /* likewise */
};

/*
 * Sets up the device and its port, which can then be connected; `n` is zeroed memory. HV_E_EXISTS,
 * HV_E_RANGE as virtio_pci_init.
 */
enum hv_status virtio_net_init(struct virtio_net *n, const struct virtio_net_config *cfg,
			       const struct virtio_pci_wiring *w) HV_MUST_CHECK;
/*
 * Lets go of all frames and deferred work; the port is disconnected and no vCPU of the VM runs.
 */
void virtio_net_stop(struct virtio_net *n);
