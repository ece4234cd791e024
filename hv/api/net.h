/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames and ports: the one interface between whoever sends and receives Ethernet frames (guests'
 * NIC models, drivers of real NICs) and the switch that connects them (hv/net/).
 *
 *	virtio-net --port->send--> switch --port->ops->deliver--> virtio-net of another guest
 *						   \------------> driver of a real NIC
 *
 * A frame is in hypervisor memory and bounded; it is what crosses from one VM to another. After it
 * was sent nobody changes it: a broadcast is one frame with several references.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/status.h"

#define NET_MAC_BYTES 6u
#define NET_HEADER_BYTES 14u /* destination, source, type */
#define NET_FRAME_MIN 14u    /* shorter ones are no frames; padding to 60 is the real NIC's work */
#define NET_MTU 1500u
#define NET_VLAN_BYTES 4u
/* A frame on the wire, without the checksum at its end. */
#define NET_WIRE_MAX (NET_HEADER_BYTES + NET_VLAN_BYTES + NET_MTU)
/* One that still has to be cut into TCP segments. */
#define NET_FRAME_MAX (NET_HEADER_BYTES + NET_VLAN_BYTES + 65535u)

struct net_mac {
	uint8_t bytes[NET_MAC_BYTES];
};

enum net_gso {
	NET_GSO_NONE = 0,
	NET_GSO_TCPV4 = 1, /* as virtio_net_hdr.gso_type numbers them */
	NET_GSO_TCPV6 = 4,
};

/* What the sender left to do; all zero: nothing. Offsets are from the frame's first byte. */
struct net_offload {
	bool needs_checksum; /* one's complement sum from csum_start on goes to csum_start + offset
			      */
	bool checksum_good;  /* somebody has verified it already */
	uint16_t csum_start;
	uint16_t csum_offset;
	uint8_t gso; /* enum net_gso */
	bool ecn;
	uint16_t gso_size;     /* payload bytes of a segment */
	uint16_t header_bytes; /* a hint, not to be believed */
};

/*
 * Made by net_frame_alloc; read-only once it was sent. Pool memory, physically contiguous: a real
 * NIC reads it where it is.
 */
struct net_frame {
	struct net_frame *next; /* of whoever holds the frame alone (a queue) */
	_Atomic uint32_t refs;
	uint32_t capacity; /* bytes of data[] */
	uint32_t len;	   /* used */
	struct net_offload offload;
	uint8_t data[];
};

/*
 * A frame with room for `bytes` (up to NET_FRAME_MAX), one reference, len 0, no offload. NULL when
 * the memory that frames may take (NET_FRAMES_BYTES_MAX) is used up: then the frame is to be
 * dropped and counted.
 */
struct net_frame *net_frame_alloc(uint32_t bytes);
static inline struct net_frame *net_frame_get(struct net_frame *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}
void net_frame_put(struct net_frame *f);
/* Each frame of a list that `next` links, which may be empty. */
void net_frame_put_list(struct net_frame *f);
/* All frames together, so that a flood cannot take the machine's memory. */
#define NET_FRAMES_BYTES_MAX (64u << 20)
/* Bytes that frames take at present. */
uint64_t net_frames_bytes(void);
/* What this frame takes of them. */
static inline uint64_t net_frame_cost(const struct net_frame *f)
{
	return sizeof(*f) + f->capacity;
}
/*
 * Whether a queue that holds frames for `queued` bytes may keep this one too: it gets no more than
 * what is free, so that queues which nobody empties leave room for the others.
 */
bool net_frames_allow(uint64_t queued, const struct net_frame *f);

struct net_port;

/* What the owner of a port (a NIC model, a driver) provides. */
struct net_port_ops {
	/*
	 * A frame for this port. The callee takes a reference if it keeps it. Whether it took it;
	 * false: no room, the switch counts a drop. From any CPU, in any space, no guest memory.
	 */
	bool (*deliver)(struct net_port *p, struct net_frame *f);
	/*
	 * Whether the owner wants frames for this destination: its own address, groups that it has
	 * joined, or all when it is promiscuous. NULL: all. As deliver; before it, for each frame.
	 */
	bool (*wants)(struct net_port *p, const struct net_mac *to);
	/* The other side's state: whether frames go anywhere at present (a cable). May be NULL. */
	void (*link_changed)(struct net_port *p, bool up);
};

struct net_port_stats {
	_Atomic uint64_t rx_frames, rx_bytes, rx_dropped; /* delivered to the owner */
	_Atomic uint64_t tx_frames, tx_bytes, tx_dropped; /* sent by the owner */
};

struct net_port {
	/* Set by the owner before it is connected. */
	const struct net_port_ops *ops;
	struct net_mac mac;
	/* The port takes frames with work left to do (struct net_offload); else the switch does
	 * that work before it delivers. The owner may change its mind. */
	_Atomic bool takes_checksum;
	_Atomic bool takes_tso4;
	_Atomic bool takes_tso6;
	/* Set by the switch. Sends a frame: consumes the caller's reference. NULL: not connected.
	 */
	void (*send)(struct net_port *p, struct net_frame *f);
	void *sw; /* the switch's */
	struct net_port_stats stats;
};

/* Hands a frame in, or drops it when nothing is connected. Consumes the reference. */
static inline void net_port_send(struct net_port *p, struct net_frame *f)
{
	if (p->send != NULL) {
		p->send(p, f);
	} else {
		net_frame_put(f);
	}
}
