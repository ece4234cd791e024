/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio NIC for payloads: one frame out at a time, RT_NIC_SLOTS buffers wait for frames. */
#pragma once

#include "guests/devices/virtio_net.h"
#include "tests/payloads/rt_virtio.h"

#define RT_NIC_SLOTS 32u
#define RT_NIC_SLOT_BYTES 4096u
#define RT_NIC_RX 0u
#define RT_NIC_TX 1u
#define RT_NIC_CTRL 2u

/* "Feature bits" of "Network Device", as masks. */
#define RT_NIC_CSUM (1ull << 0)
#define RT_NIC_GUEST_CSUM (1ull << 1)
#define RT_NIC_GUEST_TSO4 (1ull << 7)
#define RT_NIC_HOST_TSO4 (1ull << 11)
#define RT_NIC_MRG_RXBUF (1ull << 15)
#define RT_NIC_CTRL_VQ (1ull << 17)
#define RT_NIC_CTRL_RX (1ull << 18)

struct rt_nic {
	struct rt_virtio device;
	uint8_t mac[NET_MAC_BYTES];
	struct rt_queue rx, tx, ctrl;
	struct rt_rings rings[VIRTIO_NET_QUEUES];
	uint8_t slots[RT_NIC_SLOTS][RT_NIC_SLOT_BYTES];
	struct virtio_net_hdr out; /* of what is being sent */
	/* What was received last. */
	struct virtio_net_hdr header;
	uint8_t frame[NET_FRAME_MAX];
};

/* Finds the nth NIC, starts it and gives it all buffers; fails the case if there is none. */
void rt_nic_open(struct rt_nic *n, unsigned nth, uint64_t features);
/* The same without looking for it again: n->device is there. */
void rt_nic_start(struct rt_nic *n, uint64_t features);
/* Sends a frame, and waits until the device is done with it. */
void rt_nic_send(struct rt_nic *n, const struct virtio_net_hdr *h, const uint8_t *frame,
		 uint32_t bytes);
/* Whether n->frame holds a new frame, of *bytes. Buffers go back to the device. */
bool rt_nic_receive(struct rt_nic *n, uint32_t *bytes);
/* Waits for one, a second of guest time; false: none came. */
bool rt_nic_await(struct rt_nic *n, uint32_t *bytes);
/* A command with one byte of data on the control queue; whether it was obeyed. */
bool rt_nic_command(struct rt_nic *n, uint8_t class_code, uint8_t command, uint8_t value);
