/* SPDX-License-Identifier: Apache-2.0 */
/* Receive filters. */
#include "guests/devices/net_filter.h"

#include <stddef.h>

#include "hv/api/saved.h"
#include "hv/base/str.h"

static const struct net_mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static bool same(const struct net_mac *a, const struct net_mac *b)
{
	return __builtin_memcmp(a->bytes, b->bytes, NET_MAC_BYTES) == 0;
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

/* --- saved state --- */

static void save_table(const struct net_filter_table *t, struct net_filter_table_saved *out)
{
	out->count = (uint8_t)t->count;
	out->overflow = t->overflow;
	memcpy(out->macs, t->macs, t->count * sizeof(t->macs[0]));
}

void net_filter_save(const struct net_filter *f, struct net_filter_saved *out)
{
	out->own = f->own;
	out->promiscuous = f->promiscuous;
	out->all_multicast = f->all_multicast;
	out->all_unicast = f->all_unicast;
	out->no_multicast = f->no_multicast;
	out->no_unicast = f->no_unicast;
	out->no_broadcast = f->no_broadcast;
	save_table(&f->unicast, &out->unicast);
	save_table(&f->multicast, &out->multicast);
}

static bool table_is_sound(const struct net_filter_table_saved *in)
{
	return in->count <= NET_FILTER_MACS_MAX && saved_is_bool(in->overflow) &&
	       (in->overflow == 0 || in->count == 0) && saved_is_zero(in->zero, sizeof(in->zero)) &&
	       saved_is_zero(&in->macs[in->count],
			     (NET_FILTER_MACS_MAX - in->count) * sizeof(in->macs[0]));
}

const char *net_filter_check(const struct net_filter_saved *in)
{
	if (!saved_is_bool(in->promiscuous) || !saved_is_bool(in->all_multicast) ||
	    !saved_is_bool(in->all_unicast) || !saved_is_bool(in->no_multicast) ||
	    !saved_is_bool(in->no_unicast) || !saved_is_bool(in->no_broadcast) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a mode of its filter is neither 0 nor 1";
	}
	if ((in->own.bytes[0] & 1) != 0) {
		return "its own address is a group's";
	}
	return table_is_sound(&in->unicast) && table_is_sound(&in->multicast)
		       ? NULL
		       : "a table of its filter has 64 addresses";
}

static void load_table(struct net_filter_table *t, const struct net_filter_table_saved *in)
{
	t->count = in->count;
	t->overflow = in->overflow != 0;
	memcpy(t->macs, in->macs, sizeof(t->macs));
}

void net_filter_load(struct net_filter *f, const struct net_filter_saved *in)
{
	f->own = in->own;
	f->promiscuous = in->promiscuous != 0;
	f->all_multicast = in->all_multicast != 0;
	f->all_unicast = in->all_unicast != 0;
	f->no_multicast = in->no_multicast != 0;
	f->no_unicast = in->no_unicast != 0;
	f->no_broadcast = in->no_broadcast != 0;
	load_table(&f->unicast, &in->unicast);
	load_table(&f->multicast, &in->multicast);
}
