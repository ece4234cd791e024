/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the virtio NIC share. */
#pragma once

#include "guests/devices/virtio_net.h"
#include "hv/base/bits.h"

/* "Virtqueues" */
#define RX 0u
#define TX 1u
#define CTRL 2u

#define HDR_BYTES ((uint32_t)sizeof(struct virtio_net_hdr))

/*
 * What one call of a handler does: a frame costs 1, and 1 more for each BATCH_BYTES of it; or as
 * much as it has chains, if that is more.
 */
#define BATCH 64u
#define BATCH_BYTES 4096u

/* Deferred work for a queue. Any vCPU will do. */
static inline void virtio_net_ask(struct virtio_net *n, unsigned queue)
{
	vwork_ask(&n->work[queue].vwork, 0);
}

/* What is left of a batch after a frame of `bytes` in `chains`. */
static inline unsigned virtio_net_spend(unsigned left, uint32_t bytes, unsigned chains)
{
	return (unsigned)(left - min_u64(left, max_u64(chains, 1 + bytes / BATCH_BYTES)));
}

/* Whether there is a next chain, which is then in *c. */
static inline bool virtio_net_next(struct virtqueue *ring, struct virtqueue_chain *c)
{
	return (virtqueue_waiting(ring) != 0 || virtqueue_poll(ring)) && virtqueue_pop(ring, c);
}

/* --- virtio_net_tx.c; but for the first and the last the queue's lock is held --- */

void virtio_net_tx_init(struct virtio_net *n, struct vtime *time);
/* The driver has notified, or the time of a look has come. */
void virtio_net_transmit(struct virtio_net *n);
/* The queue is void. */
void virtio_net_tx_reset(struct virtio_net *n);
/* No vCPU runs any more. */
void virtio_net_tx_stop(struct virtio_net *n);
/* What of the queue is saved beside the ring; the queue's lock is not held. */
void virtio_net_tx_save(struct virtio_net *n, struct virtio_net_saved *out);
const char *virtio_net_tx_check(const struct virtio_net_saved *in);
void virtio_net_tx_load(struct virtio_net *n, const struct virtio_net_saved *in);

/* --- virtio_net_saved.c --- */

extern const struct saved_ops virtio_net_saved_ops;

/* --- virtio_net.c --- */

/* The port carries what the driver has agreed to take. Registers' lock held. */
void virtio_net_activate(struct virtio_net *n);

/* --- virtio_net_ctrl.c --- */

/*
 * Carries out one command of the control queue and answers it; returns the bytes written. Control
 * queue's lock held.
 */
uint32_t virtio_net_obey(struct virtio_net *n, struct virtqueue *ring,
			 const struct virtqueue_chain *c);
