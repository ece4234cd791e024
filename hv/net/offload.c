/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums and TCP segmentation in software. */
#include "hv/net/offload.h"

#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/net_sum.h"
#include "hv/base/str.h"

#define ETHERTYPE_AT 12u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define ETHERTYPE_VLAN 0x8100u
#define PROTOCOL_TCP 6u

#define IPV4_HEADER_MIN 20u
#define IPV4_LENGTH 2u
#define IPV4_ID 4u
#define IPV4_FRAGMENT 6u
#define IPV4_FRAGMENT_MASK 0x3fffu /* more fragments, offset */
#define IPV4_PROTOCOL 9u
#define IPV4_CHECKSUM 10u
#define IPV4_ADDRESSES 12u
#define IPV4_ADDRESSES_BYTES 8u

#define IPV6_HEADER 40u
#define IPV6_LENGTH 4u
#define IPV6_NEXT 6u
#define IPV6_ADDRESSES 8u
#define IPV6_ADDRESSES_BYTES 32u

#define TCP_HEADER_MIN 20u
#define TCP_SEQUENCE 4u
#define TCP_DATA_OFFSET 12u
#define TCP_FLAGS 13u
#define TCP_FLAG_FIN 0x01u
#define TCP_FLAG_PSH 0x08u
#define TCP_FLAG_CWR 0x80u
#define TCP_CHECKSUM 16u

/* Where the headers of a frame that is to be cut are, from its first byte. */
struct tcp_layout {
	bool v6;
	uint32_t ip;
	uint32_t tcp;
	uint32_t payload;
};

/* --- judging --- */

static bool ipv4_is_tcp(const struct net_frame *f, struct tcp_layout *l)
{
	const uint8_t *ip = f->data + l->ip;
	uint32_t header;

	if (!range_fits(l->ip, IPV4_HEADER_MIN, f->len) || ip[0] >> 4 != 4) {
		return false;
	}
	header = (ip[0] & 0xfu) * 4;
	l->tcp = l->ip + header;
	return header >= IPV4_HEADER_MIN && ip[IPV4_PROTOCOL] == PROTOCOL_TCP &&
	       (get_be16(ip + IPV4_FRAGMENT) & IPV4_FRAGMENT_MASK) == 0;
}

static bool ipv6_is_tcp(const struct net_frame *f, struct tcp_layout *l)
{
	const uint8_t *ip = f->data + l->ip;

	l->tcp = l->ip + IPV6_HEADER;
	return range_fits(l->ip, IPV6_HEADER, f->len) && ip[0] >> 4 == 6 &&
	       ip[IPV6_NEXT] == PROTOCOL_TCP;
}

/* Finds the headers; false when they are not those of a whole TCP segment. */
static bool find_tcp(const struct net_frame *f, struct tcp_layout *l)
{
	uint32_t at = ETHERTYPE_AT;
	uint32_t type = get_be16(f->data + at);
	uint32_t header;

	if (type == ETHERTYPE_VLAN && f->len >= NET_HEADER_BYTES + NET_VLAN_BYTES) {
		at += NET_VLAN_BYTES;
		type = get_be16(f->data + at);
	}
	l->ip = at + 2;
	l->v6 = type == ETHERTYPE_IPV6;
	if (!(l->v6 ? ipv6_is_tcp(f, l) : type == ETHERTYPE_IPV4 && ipv4_is_tcp(f, l)) ||
	    !range_fits(l->tcp, TCP_HEADER_MIN, f->len)) {
		return false;
	}
	header = (uint32_t)(f->data[l->tcp + TCP_DATA_OFFSET] >> 4) * 4;
	l->payload = l->tcp + header;
	return header >= TCP_HEADER_MIN && l->payload <= f->len;
}

static bool checksum_valid(const struct net_frame *f)
{
	const struct net_offload *o = &f->offload;
	uint64_t at = (uint64_t)o->csum_start + o->csum_offset;

	return o->csum_start >= NET_HEADER_BYTES && range_fits(at, 2, f->len);
}

static bool gso_valid(const struct net_frame *f)
{
	const struct net_offload *o = &f->offload;
	struct tcp_layout l;

	if (!o->needs_checksum || o->gso_size < NET_GSO_SIZE_MIN || !find_tcp(f, &l)) {
		return false;
	}
	return l.v6 == (o->gso == NET_GSO_TCPV6) && o->csum_start == l.tcp &&
	       o->csum_offset == TCP_CHECKSUM && l.payload - l.ip + o->gso_size <= NET_MTU;
}

bool net_offload_valid(const struct net_frame *f)
{
	const struct net_offload *o = &f->offload;

	if (f->len < NET_FRAME_MIN || f->len > NET_FRAME_MAX) {
		return false;
	}
	if (o->needs_checksum && !checksum_valid(f)) {
		return false;
	}
	if (o->gso == NET_GSO_NONE) {
		return f->len <= NET_WIRE_MAX;
	}
	return (o->gso == NET_GSO_TCPV4 || o->gso == NET_GSO_TCPV6) && gso_valid(f);
}

/* --- doing --- */

static struct net_frame *copy_with_checksum(const struct net_frame *f)
{
	struct net_frame *copy = net_frame_alloc(f->len);
	const struct net_offload *o = &f->offload;
	uint16_t sum;

	if (copy == NULL) {
		return NULL;
	}
	memcpy(copy->data, f->data, f->len);
	copy->len = f->len;
	if (o->needs_checksum) {
		/* The field holds the sum of the pseudo-header already. */
		sum = net_sum_fold(net_sum(f->data + o->csum_start, f->len - o->csum_start, 0));
		/* To UDP a zero would mean "no checksum"; to the others both are the same. */
		put_be16(copy->data + o->csum_start + o->csum_offset, sum != 0 ? sum : 0xffff);
	}
	copy->offload.checksum_good = o->needs_checksum || o->checksum_good;
	return copy;
}

/* The sum of addresses, protocol and length, in the segment whose TCP part has `bytes`. */
static uint64_t pseudo_header(const uint8_t *ip, bool v6, uint32_t bytes)
{
	uint64_t sum = (uint64_t)PROTOCOL_TCP + bytes;

	return v6 ? net_sum(ip + IPV6_ADDRESSES, IPV6_ADDRESSES_BYTES, sum)
		  : net_sum(ip + IPV4_ADDRESSES, IPV4_ADDRESSES_BYTES, sum);
}

/* The IP header of segment `index`, whose TCP part has `bytes`. */
static void fix_ip(uint8_t *ip, const struct tcp_layout *l, uint32_t index, uint32_t bytes)
{
	uint32_t header = l->tcp - l->ip;

	if (l->v6) {
		put_be16(ip + IPV6_LENGTH, bytes);
		return;
	}
	put_be16(ip + IPV4_LENGTH, header + bytes);
	put_be16(ip + IPV4_ID, (get_be16(ip + IPV4_ID) + index) & 0xffff);
	put_be16(ip + IPV4_CHECKSUM, 0);
	put_be16(ip + IPV4_CHECKSUM, net_sum_fold(net_sum(ip, header, 0)));
}

/* The TCP header of a segment `offset` bytes into the payload; the last one ends the frame. */
static void fix_tcp(uint8_t *tcp, uint32_t offset, bool last)
{
	uint8_t drop = (uint8_t)((last ? 0 : TCP_FLAG_FIN | TCP_FLAG_PSH) |
				 (offset != 0 ? TCP_FLAG_CWR : 0));

	put_be32(tcp + TCP_SEQUENCE, get_be32(tcp + TCP_SEQUENCE) + offset);
	tcp[TCP_FLAGS] &= (uint8_t)~drop;
	put_be16(tcp + TCP_CHECKSUM, 0);
}

static struct net_frame *make_segment(const struct net_frame *f, const struct tcp_layout *l,
				      uint32_t index)
{
	uint32_t offset = index * f->offload.gso_size;
	uint32_t left = f->len - l->payload - offset;
	uint32_t n = left < f->offload.gso_size ? left : f->offload.gso_size;
	uint32_t bytes = l->payload - l->tcp + n;
	struct net_frame *s = net_frame_alloc(l->payload + n);
	uint16_t sum;

	if (s == NULL) {
		return NULL;
	}
	memcpy(s->data, f->data, l->payload);
	memcpy(s->data + l->payload, f->data + l->payload + offset, n);
	s->len = l->payload + n;
	s->offload.checksum_good = true;
	fix_ip(s->data + l->ip, l, index, bytes);
	fix_tcp(s->data + l->tcp, offset, n == left);
	sum = net_sum_fold(
		net_sum(s->data + l->tcp, bytes, pseudo_header(s->data + l->ip, l->v6, bytes)));
	put_be16(s->data + l->tcp + TCP_CHECKSUM, sum);
	return s;
}

struct net_frame *net_offload_finish(const struct net_frame *f)
{
	struct net_frame *first = NULL;
	struct net_frame **end = &first;
	struct tcp_layout l;
	uint32_t index = 0;

	if (f->offload.gso == NET_GSO_NONE || !find_tcp(f, &l)) {
		return copy_with_checksum(f);
	}
	do {
		*end = make_segment(f, &l, index);
		if (*end == NULL) {
			net_frame_put_list(first);
			return NULL;
		}
		end = &(*end)->next;
		index++;
	} while (l.payload + index * f->offload.gso_size < f->len);
	return first;
}
