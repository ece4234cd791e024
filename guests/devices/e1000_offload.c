/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What descriptors ask to be done with a packet before it is sent. Sums that go over the rest of a
 * packet are left to the switch, which knows whether anybody needs them; so is segmentation, for
 * which the headers are made what the switch expects: lengths of the whole, and its pseudo-header's
 * sum in the TCP checksum. Sources: 8254x manual, "TCP/IP Context Transmit Descriptor", "Legacy
 * Transmit Descriptor Format", "TCP Segmentation"; RFC 791, 8200, 9293.
 */
#include "guests/devices/e1000_internal.h"

#include "hv/base/bytes.h"
#include "hv/base/net_sum.h"
#include "hv/base/str.h"

#define IPV4_HEADER_MIN 20u
#define IPV4_LENGTH 2u
#define IPV4_CHECKSUM 10u
#define IPV4_ADDRESSES 12u
#define IPV4_ADDRESSES_BYTES 8u
#define IPV4_TOTAL_MAX 65535u
#define IPV6_HEADER 40u
#define IPV6_LENGTH 4u
#define IPV6_ADDRESSES 8u
#define IPV6_ADDRESSES_BYTES 32u
#define PROTOCOL_TCP 6u
#define TCP_HEADER_MIN 20u
#define TCP_CHECKSUM 16u

#define OPTION_IXSM 1u
#define OPTION_TXSM 2u

/* A checksum to be put in: offsets in the frame; the bytes start .. end - 1 are summed. */
struct sum {
	uint32_t start;
	uint32_t at;
	uint32_t end;
};

/* `last`: of the last byte, 0 for that of the packet. */
static struct sum sum_of(const struct net_frame *f, uint64_t start, uint64_t at, uint64_t last,
			 uint32_t shift)
{
	uint32_t end = (uint32_t)last + 1 + shift;

	return (struct sum){.start = (uint32_t)start + shift,
			    .at = (uint32_t)at + shift,
			    .end = last == 0 || end > f->len ? f->len : end};
}

/* Nothing where it would lie outside, as hardware does. */
static void put_sum(struct net_frame *f, const struct sum *s, bool zero_is_none)
{
	uint16_t sum;

	if (s->start >= s->end || !range_fits(s->at, 2, f->len)) {
		return;
	}
	sum = net_sum_fold(net_sum(f->data + s->start, s->end - s->start, 0));
	put_be16(f->data + s->at, sum == 0 && zero_is_none ? 0xffff : sum);
}

/* To the switch, if it can be told so. */
static void leave_sum(struct net_frame *f, const struct sum *s, bool here)
{
	bool can = s->end == f->len && s->start >= NET_HEADER_BYTES && s->at >= s->start &&
		   range_fits(s->at, 2, f->len);

	if (here || !can) {
		put_sum(f, s, true);
		return;
	}
	f->offload.needs_checksum = true;
	f->offload.csum_start = (uint16_t)s->start;
	f->offload.csum_offset = (uint16_t)(s->at - s->start);
}

static void put_sums(const struct e1000_tx_queue *q, struct net_frame *f, uint32_t shift, bool here)
{
	uint64_t offsets = q->context[0].offsets;
	struct sum s;

	if (q->legacy_sum) {
		s = sum_of(f, q->checksum_start, q->checksum_offset, 0, shift);
		leave_sum(f, &s, here);
	}
	if ((q->options & OPTION_IXSM) != 0) {
		s = sum_of(f, bits_get(offsets, E1000_TXC_IPCSS),
			   bits_get(offsets, E1000_TXC_IPCSO), bits_get(offsets, E1000_TXC_IPCSE),
			   shift);
		put_sum(f, &s, false);
	}
	if ((q->options & OPTION_TXSM) != 0) {
		s = sum_of(f, bits_get(offsets, E1000_TXC_TUCSS),
			   bits_get(offsets, E1000_TXC_TUCSO), bits_get(offsets, E1000_TXC_TUCSE),
			   shift);
		leave_sum(f, &s, here);
	}
}

/* --- segmentation --- */

/* Where the headers of a packet to be cut are, from its first byte. */
struct headers {
	bool v4;
	uint32_t ip;
	uint32_t tcp;
	uint32_t payload;
	uint32_t mss;
};

static bool find_headers(const struct e1000_tx_context *c, const struct net_frame *f,
			 uint32_t shift, struct headers *h)
{
	uint32_t command = c->low >> E1000_TXD_COMMAND_SHIFT;
	uint32_t ip_min;

	h->v4 = (command & E1000_TXC_IPV4) != 0;
	h->ip = (uint32_t)bits_get(c->offsets, E1000_TXC_IPCSS) + shift;
	h->tcp = (uint32_t)bits_get(c->offsets, E1000_TXC_TUCSS) + shift;
	h->payload = (uint32_t)bits_get(c->high, E1000_TXC_HDRLEN) + shift;
	h->mss = (uint32_t)bits_get(c->high, E1000_TXC_MSS);
	ip_min = h->v4 ? IPV4_HEADER_MIN : IPV6_HEADER;
	return (command & E1000_TXC_TCP) != 0 && h->mss != 0 && h->ip >= NET_HEADER_BYTES &&
	       h->tcp >= h->ip + ip_min && h->payload >= h->tcp + TCP_HEADER_MIN &&
	       h->payload <= f->len && f->len - h->ip <= IPV4_TOTAL_MAX;
}

/* Length and, for IPv4, checksum of the whole packet. */
static void finish_ip(struct net_frame *f, const struct headers *h)
{
	uint8_t *ip = f->data + h->ip;

	if (!h->v4) {
		put_be16(ip + IPV6_LENGTH, f->len - h->ip - IPV6_HEADER);
		return;
	}
	put_be16(ip + IPV4_LENGTH, f->len - h->ip);
	put_be16(ip + IPV4_CHECKSUM, 0);
	put_be16(ip + IPV4_CHECKSUM, net_sum_fold(net_sum(ip, h->tcp - h->ip, 0)));
}

static uint16_t pseudo_header(const struct net_frame *f, const struct headers *h)
{
	const uint8_t *ip = f->data + h->ip;
	uint64_t sum = (uint64_t)PROTOCOL_TCP + f->len - h->tcp;

	sum = h->v4 ? net_sum(ip + IPV4_ADDRESSES, IPV4_ADDRESSES_BYTES, sum)
		    : net_sum(ip + IPV6_ADDRESSES, IPV6_ADDRESSES_BYTES, sum);
	return (uint16_t)~net_sum_fold(sum);
}

static bool segment(const struct e1000_tx_context *c, struct net_frame *f, uint32_t shift,
		    bool here)
{
	struct headers h;
	struct sum s;

	if (!find_headers(c, f, shift, &h)) {
		return false;
	}
	finish_ip(f, &h);
	put_be16(f->data + h.tcp + TCP_CHECKSUM, pseudo_header(f, &h));
	s = (struct sum){h.tcp, h.tcp + TCP_CHECKSUM, f->len};
	if (f->len - h.payload <= h.mss) {
		leave_sum(f, &s, here);
		return true;
	}
	leave_sum(f, &s, false);
	f->offload.gso = h.v4 ? NET_GSO_TCPV4 : NET_GSO_TCPV6;
	f->offload.gso_size = (uint16_t)h.mss;
	f->offload.header_bytes = (uint16_t)h.payload;
	return !here;
}

/* --- both --- */

static bool insert_tag(const struct e1000_tx_queue *q, uint16_t ethertype, struct net_frame *f)
{
	uint8_t *tag = f->data + E1000_ETHERTYPE_AT;

	if (f->len + NET_VLAN_BYTES > q->limit) {
		return false;
	}
	memmove(tag + NET_VLAN_BYTES, tag, f->len - E1000_ETHERTYPE_AT);
	put_be16(tag, ethertype);
	put_be16(tag + 2, q->tag);
	f->len += NET_VLAN_BYTES;
	return true;
}

bool e1000_offload(const struct e1000_tx_queue *q, uint16_t ethertype, struct net_frame *f,
		   bool here)
{
	uint32_t shift = q->tagged ? NET_VLAN_BYTES : 0;

	if (f->len < NET_FRAME_MIN || (q->tagged && !insert_tag(q, ethertype, f))) {
		return false;
	}
	if (q->segment) {
		return segment(&q->context[1], f, shift, here);
	}
	put_sums(q, f, shift, here);
	return true;
}
