/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which frames a NIC receives: what its driver asked for over virtio-net's control queue. Source:
 * VIRTIO 1.2, "Network Device", "Packet Receive Filtering" and "Setting MAC Address Filtering".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/net.h"

/* Addresses of either kind that are kept; with more, all of that kind are received. */
#define NET_FILTER_MACS_MAX 64u

struct net_filter_table {
	unsigned count;
	bool overflow;
	struct net_mac macs[NET_FILTER_MACS_MAX];
};

/* Covered by its user's lock. */
struct net_filter {
	struct net_mac own;
	bool promiscuous;
	bool all_multicast;
	bool all_unicast;
	bool no_multicast;
	bool no_unicast;
	bool no_broadcast;
	struct net_filter_table unicast;
	struct net_filter_table multicast;
};

/* After a reset: its own address and all groups, for drivers without a control queue. */
void net_filter_reset(struct net_filter *f, const struct net_mac *own);
bool net_filter_passes(const struct net_filter *f, const struct net_mac *to);
/* Command `command` of class RX with its one byte; false: there is no such command. */
bool net_filter_set_mode(struct net_filter *f, uint8_t command, bool on);

/* Saved state: a part of the struct of a NIC. */
struct net_filter_table_saved {
	uint8_t count;
	uint8_t overflow;
	uint8_t zero[6];
	struct net_mac macs[NET_FILTER_MACS_MAX]; /* 0 behind count */
};
_Static_assert(sizeof(struct net_filter_table_saved) == 8 + 6 * 64, "no padding");

struct net_filter_saved {
	struct net_mac own;
	uint8_t promiscuous;
	uint8_t all_multicast;
	uint8_t all_unicast;
	uint8_t no_multicast;
	uint8_t no_unicast;
	uint8_t no_broadcast;
	uint8_t zero[4];
	struct net_filter_table_saved unicast;
	struct net_filter_table_saved multicast;
};
_Static_assert(sizeof(struct net_filter_saved) == 16 + 2 * 392, "no padding");

/* As in struct saved_ops (hv/api/saved.h); `out` is zeroed. */
void net_filter_save(const struct net_filter *f, struct net_filter_saved *out);
const char *net_filter_check(const struct net_filter_saved *in);
void net_filter_load(struct net_filter *f, const struct net_filter_saved *in);

#define NET_CTRL_RX_PROMISC 0u
#define NET_CTRL_RX_ALLMULTI 1u
#define NET_CTRL_RX_ALLUNI 2u
#define NET_CTRL_RX_NOMULTI 3u
#define NET_CTRL_RX_NOUNI 4u
#define NET_CTRL_RX_NOBCAST 5u
