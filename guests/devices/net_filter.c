/* SPDX-License-Identifier: Apache-2.0 */
/* Receive filters. */
#include "guests/devices/net_filter.h"

#include "hv/base/str.h"

static const struct net_mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static bool same(const struct net_mac *a, const struct net_mac *b)
{
	return memcmp(a->bytes, b->bytes, NET_MAC_BYTES) == 0;
}

static bool in_table(const struct net_filter_table *t, const struct net_mac *mac)
{
	if (t->overflow) {
		return true;
	}
	for (unsigned i = 0; i < t->count; i++) {
		if (same(&t->macs[i], mac)) {
			return true;
		}
	}
	return false;
}

void net_filter_reset(struct net_filter *f, const struct net_mac *own)
{
	*f = (struct net_filter){.own = *own, .all_multicast = true};
}

bool net_filter_passes(const struct net_filter *f, const struct net_mac *to)
{
	if (f->promiscuous) {
		return true;
	}
	if (same(to, &broadcast)) {
		return !f->no_broadcast;
	}
	if ((to->bytes[0] & 1) != 0) {
		return f->all_multicast || (!f->no_multicast && in_table(&f->multicast, to));
	}
	if (f->all_unicast) {
		return true;
	}
	return !f->no_unicast && (same(to, &f->own) || in_table(&f->unicast, to));
}

bool net_filter_set_mode(struct net_filter *f, uint8_t command, bool on)
{
	switch (command) {
	case NET_CTRL_RX_PROMISC:
		f->promiscuous = on;
		return true;
	case NET_CTRL_RX_ALLMULTI:
		f->all_multicast = on;
		return true;
	case NET_CTRL_RX_ALLUNI:
		f->all_unicast = on;
		return true;
	case NET_CTRL_RX_NOMULTI:
		f->no_multicast = on;
		return true;
	case NET_CTRL_RX_NOUNI:
		f->no_unicast = on;
		return true;
	case NET_CTRL_RX_NOBCAST:
		f->no_broadcast = on;
		return true;
	default:
		return false;
	}
}
