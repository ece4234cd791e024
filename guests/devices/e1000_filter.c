/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which frames the e1000 model receives. Sources: 8254x manual, "Packet Address Filtering",
 * "Receive Address", "Multicast Table Array", "VLAN Filter Table Array".
 */
#include "guests/devices/e1000_internal.h"

#include "hv/base/bytes.h"
#include "hv/base/str.h"

#define VLAN_ID MASK(11, 0)
#define VLAN_CFI BIT32(12)

void e1000_update_filter(struct e1000 *e)
{
	struct e1000_filter *f = &e->filter;

	lock_acquire(&e->rx_lock);
	f->rctl = e1000_get(e, E1000_RCTL);
	memcpy(f->addresses, e1000_reg(e, E1000_RAL0), sizeof(f->addresses));
	memcpy(f->mta, e1000_reg(e, E1000_MTA), sizeof(f->mta));
	lock_release(&e->rx_lock);
}

/* Addresses that are compared with sources (address select) match nothing here. */
static bool in_addresses(const struct e1000_filter *f, const struct net_mac *to)
{
	uint32_t low;
	uint32_t high;

	memcpy(&low, to->bytes, 4);
	high = (uint32_t)to->bytes[4] | (uint32_t)to->bytes[5] << 8;
	for (size_t i = 0; i < E1000_ADDRESSES; i++) {
		if (f->addresses[2 * i] == low &&
		    (f->addresses[2 * i + 1] & ~MASK(30, 18)) == (high | E1000_RAH_AV)) {
			return true;
		}
	}
	return false;
}

/* Twelve bits of the address, which of them RCTL says, choose a bit of the table. */
static bool in_table(const struct e1000_filter *f, const struct net_mac *to)
{
	unsigned offset = (unsigned)bits_get(f->rctl, E1000_RCTL_MO);
	unsigned top = (unsigned)to->bytes[4] | (unsigned)to->bytes[5] << 8;
	unsigned hash = top >> (offset == 3 ? 0 : 4 - offset) & 0xfff;

	return (f->mta[hash / 32] >> hash % 32 & 1) != 0;
}

enum e1000_pass e1000_filter(const struct e1000_filter *f, const struct net_mac *to)
{
	static const uint8_t broadcast[NET_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	bool group = (to->bytes[0] & 1) != 0;

	if (in_addresses(f, to)) {
		return E1000_PASS_EXACT;
	}
	if ((f->rctl & E1000_RCTL_BAM) != 0 && memcmp(to, broadcast, NET_MAC_BYTES) == 0) {
		return E1000_PASS_EXACT;
	}
	if ((f->rctl & (group ? E1000_RCTL_MPE : E1000_RCTL_UPE)) != 0) {
		return E1000_PASS_INEXACT;
	}
	return group && in_table(f, to) ? E1000_PASS_INEXACT : E1000_PASS_NOT;
}

bool e1000_vlan_passes(const struct e1000 *e, const uint8_t *frame, uint32_t len)
{
	uint32_t rctl = e1000_get(e, E1000_RCTL);
	const uint8_t *tag = frame + E1000_ETHERTYPE_AT;
	unsigned tci;
	unsigned id;

	if ((rctl & E1000_RCTL_VFE) == 0 || len < NET_HEADER_BYTES + NET_VLAN_BYTES ||
	    get_be16(tag) != e1000_get(e, E1000_VET)) {
		return true;
	}
	tci = get_be16(tag + 2);
	id = tci & VLAN_ID;
	if ((rctl & E1000_RCTL_CFIEN) != 0 &&
	    ((tci & VLAN_CFI) != 0) != ((rctl & E1000_RCTL_CFI) != 0)) {
		return false;
	}
	return (e1000_get(e, E1000_VFTA + id / 32 * 4) >> id % 32 & 1) != 0;
}
