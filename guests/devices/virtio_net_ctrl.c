/* SPDX-License-Identifier: Apache-2.0 */
/* The control queue of a virtio NIC: what it receives. */
#include "guests/devices/virtio_net_internal.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

/* "Control Virtqueue" */
#define VIRTIO_NET_CTRL_RX 0u
#define VIRTIO_NET_CTRL_MAC 1u
#define VIRTIO_NET_CTRL_MAC_TABLE_SET 0u
#define VIRTIO_NET_CTRL_MAC_ADDR_SET 1u
#define VIRTIO_NET_OK 0u
#define VIRTIO_NET_ERR 1u
#define CTRL_HEADER_BYTES 2u

/* Reads one table of addresses at *at and moves *at past it; false: it ends too early. */
static bool read_table(struct virtqueue *ring, const struct virtqueue_chain *c, uint32_t *at,
		       struct net_filter_table *t)
{
	uint32_t entries;

	if (!virtqueue_read(ring, c, *at, &entries, sizeof(entries))) {
		return false;
	}
	*at += (uint32_t)sizeof(entries);
	if (entries > (c->readable - *at) / NET_MAC_BYTES) {
		return false;
	}
	t->overflow = entries > NET_FILTER_MACS_MAX;
	t->count = t->overflow ? 0 : entries;
	if (t->count != 0 &&
	    !virtqueue_read(ring, c, *at, t->macs, t->count * (uint32_t)sizeof(t->macs[0]))) {
		return false;
	}
	*at += entries * NET_MAC_BYTES;
	return true;
}

static bool set_tables(struct virtio_net *n, struct virtqueue *ring,
		       const struct virtqueue_chain *c)
{
	struct net_filter_table unicast;
	struct net_filter_table multicast;
	uint32_t at = CTRL_HEADER_BYTES;

	if (!read_table(ring, c, &at, &unicast) || !read_table(ring, c, &at, &multicast)) {
		return false;
	}
	lock_acquire(&n->rx_lock);
	n->filter.unicast = unicast;
	n->filter.multicast = multicast;
	lock_release(&n->rx_lock);
	return true;
}

static bool set_address(struct virtio_net *n, struct virtqueue *ring,
			const struct virtqueue_chain *c)
{
	struct net_mac mac;

	if (!virtqueue_read(ring, c, CTRL_HEADER_BYTES, &mac, sizeof(mac)) ||
	    (mac.bytes[0] & 1) != 0 ||
	    (n->mac_fixed && memcmp(&mac, &n->port.mac, sizeof(mac)) != 0)) {
		return false;
	}
	lock_acquire(&n->rx_lock);
	n->filter.own = mac;
	lock_release(&n->rx_lock);
	return true;
}

static bool set_mode(struct virtio_net *n, struct virtqueue *ring, const struct virtqueue_chain *c,
		     uint8_t command)
{
	uint8_t on;
	bool known;

	if (!virtqueue_read(ring, c, CTRL_HEADER_BYTES, &on, sizeof(on))) {
		return false;
	}
	lock_acquire(&n->rx_lock);
	known = net_filter_set_mode(&n->filter, command, on != 0);
	lock_release(&n->rx_lock);
	return known;
}

static bool obey(struct virtio_net *n, struct virtqueue *ring, const struct virtqueue_chain *c)
{
	uint8_t header[CTRL_HEADER_BYTES];

	if (!virtqueue_read(ring, c, 0, header, sizeof(header))) {
		return false;
	}
	if (header[0] == VIRTIO_NET_CTRL_RX) {
		return set_mode(n, ring, c, header[1]);
	}
	if (header[0] == VIRTIO_NET_CTRL_MAC && header[1] == VIRTIO_NET_CTRL_MAC_TABLE_SET) {
		return set_tables(n, ring, c);
	}
	return header[0] == VIRTIO_NET_CTRL_MAC && header[1] == VIRTIO_NET_CTRL_MAC_ADDR_SET &&
	       set_address(n, ring, c);
}

uint32_t virtio_net_obey(struct virtio_net *n, struct virtqueue *ring,
			 const struct virtqueue_chain *c)
{
	const uint8_t ack = (uint8_t)(obey(n, ring, c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR);

	return virtqueue_write(ring, c, 0, &ack, sizeof(ack)) ? sizeof(ack) : 0;
}
