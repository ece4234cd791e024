/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and the slow way to finish them. */
#include "tests/fakes/net_oracle.h"

#include <stdlib.h>
#include <string.h>

#define TCP 6
#define UDP 17

static uint8_t next_byte(uint32_t *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return (uint8_t)(*seed >> 16);
}

uint16_t oracle_checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
		if (sum > 0xffff) { /* the carry comes in again at the other end */
			sum = sum - 0x10000 + 1;
		}
	}
	return (uint16_t)(0xffff - sum);
}

static unsigned word(const uint8_t *p)
{
	return (unsigned)p[0] * 256 + p[1];
}

static void set_word(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value / 256);
	p[1] = (uint8_t)(value % 256);
}

/* Where things are in a frame that oracle_tcp or oracle_udp made, or one cut from it. */
struct place {
	bool v6;
	size_t ip, l4;
	int protocol;
};

static struct place places(const uint8_t *d)
{
	struct place p = {.ip = word(d + 12) == 0x8100 ? 18 : 14};

	p.v6 = word(d + p.ip - 2) == 0x86dd;
	p.l4 = p.ip + (p.v6 ? 40u : (d[p.ip] % 16u) * 4u);
	p.protocol = p.v6 ? d[p.ip + 6] : d[p.ip + 9];
	return p;
}

/* The pseudo-header (RFC 9293, "Header Format"; RFC 8200, "Upper-Layer Checksums"), then `n` bytes
 * of TCP or UDP. The checksum over both. */
static uint16_t with_pseudo(const uint8_t *d, const struct place *p, size_t n, bool data)
{
	uint8_t *all = calloc(1, 40 + n + 1);
	size_t at;
	uint16_t sum;

	if (p->v6) {
		memcpy(all, d + p->ip + 8, 32);
		set_word(all + 34, (unsigned)n);
		all[39] = (uint8_t)p->protocol;
		at = 40;
	} else {
		memcpy(all, d + p->ip + 12, 8);
		all[9] = (uint8_t)p->protocol;
		set_word(all + 10, (unsigned)n);
		at = 12;
	}
	if (data) {
		memcpy(all + at, d + p->l4, n);
	}
	sum = oracle_checksum(all, data ? at + n : at);
	free(all);
	return sum;
}

static size_t put_link(uint8_t *d, bool vlan, bool v6)
{
	size_t ip = vlan ? 18 : 14;

	d[0] &= 0xfe;
	d[6] = 2;
	if (vlan) {
		set_word(d + 12, 0x8100);
	}
	set_word(d + ip - 2, v6 ? 0x86dd : 0x0800);
	return ip;
}

/* An IP header before `n` bytes of `protocol`; returns where these begin. */
static size_t put_ip(uint8_t *d, size_t ip, bool v6, int protocol, unsigned options, size_t n)
{
	size_t header = v6 ? 40 : 20 + options;

	if (v6) {
		d[ip] = 0x60;
		set_word(d + ip + 4, (unsigned)n);
		d[ip + 6] = (uint8_t)protocol;
		return ip + header;
	}
	d[ip] = (uint8_t)(0x40 + header / 4);
	set_word(d + ip + 2, (unsigned)(header + n));
	set_word(d + ip + 6, 0x4000);
	d[ip + 9] = (uint8_t)protocol;
	set_word(d + ip + 10, 0);
	set_word(d + ip + 10, oracle_checksum(d + ip, header));
	return ip + header;
}

void oracle_tcp(struct net_frame *f, const struct oracle_tcp *t, uint32_t *seed)
{
	unsigned header = 20 + t->tcp_options;
	uint8_t *d = f->data;
	struct place p;
	size_t l4;

	for (uint32_t i = 0; i < f->capacity; i++) {
		d[i] = next_byte(seed);
	}
	l4 = put_ip(d, put_link(d, t->vlan, t->v6), t->v6, TCP, t->ip_options, header + t->payload);
	d[l4 + 12] = (uint8_t)(header / 4 * 16 + d[l4 + 12] % 16);
	f->len = (uint32_t)l4 + header + t->payload;
	p = places(d);
	set_word(d + l4 + 16, 0xffffu - with_pseudo(d, &p, header + t->payload, false));
	f->offload = (struct net_offload){
		.needs_checksum = true,
		.csum_start = (uint16_t)l4,
		.csum_offset = 16,
		.gso = t->v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
		.gso_size = t->gso_size,
	};
}

void oracle_udp(struct net_frame *f, uint32_t payload, bool v6, uint32_t *seed)
{
	uint8_t *d = f->data;
	struct place p;
	size_t l4;

	for (uint32_t i = 0; i < f->capacity; i++) {
		d[i] = next_byte(seed);
	}
	l4 = put_ip(d, put_link(d, false, v6), v6, UDP, 0, 8 + payload);
	set_word(d + l4 + 4, 8 + payload);
	f->len = (uint32_t)l4 + 8 + payload;
	p = places(d);
	set_word(d + l4 + 6, 0xffffu - with_pseudo(d, &p, 8 + payload, false));
	f->offload = (struct net_offload){
		.needs_checksum = true, .csum_start = (uint16_t)l4, .csum_offset = 6};
}

bool oracle_transport_good(const struct net_frame *f)
{
	const struct place p = places(f->data);

	if (!p.v6 && oracle_checksum(f->data + p.ip, p.l4 - p.ip) != 0) {
		return false;
	}
	return with_pseudo(f->data, &p, f->len - p.l4, true) == 0;
}

/* The one part: bytes `from` .. `from + n` of the payload. */
static const char *compare_part(const struct net_frame *f, const struct net_frame *part,
				unsigned index, size_t from, size_t n)
{
	const struct place p = places(f->data);
	const size_t payload = p.l4 + f->data[p.l4 + 12] / 16u * 4u;
	const bool last = payload + from + n == f->len;
	uint8_t *e = malloc(payload + n);
	uint32_t sequence = (uint32_t)word(f->data + p.l4 + 4) * 65536u + word(f->data + p.l4 + 6);
	const char *wrong = NULL;

	memcpy(e, f->data, payload);
	memcpy(e + payload, f->data + payload + from, n);
	if (p.v6) {
		set_word(e + p.ip + 4, (unsigned)(payload - p.l4 + n));
	} else {
		set_word(e + p.ip + 2, (unsigned)(payload - p.ip + n));
		set_word(e + p.ip + 4, (word(e + p.ip + 4) + index) % 65536);
		set_word(e + p.ip + 10, 0);
		set_word(e + p.ip + 10, oracle_checksum(e + p.ip, p.l4 - p.ip));
	}
	sequence += (uint32_t)from;
	set_word(e + p.l4 + 4, sequence / 65536);
	set_word(e + p.l4 + 6, sequence % 65536);
	if (!last) {
		e[p.l4 + 13] &= 0xf6; /* FIN and PSH belong to the end */
	}
	if (index != 0) {
		e[p.l4 + 13] &= 0x7f; /* CWR is said once (RFC 3168) */
	}
	set_word(e + p.l4 + 16, 0);
	set_word(e + p.l4 + 16, with_pseudo(e, &p, payload - p.l4 + n, true));
	if (part->len != payload + n) {
		wrong = "length";
	} else if (memcmp(part->data, e, part->len) != 0) {
		wrong = "bytes";
	} else if (!oracle_transport_good(part)) {
		wrong = "checksum";
	}
	free(e);
	return wrong;
}

const char *oracle_compare(const struct net_frame *f, struct net_frame *parts)
{
	const struct place p = places(f->data);
	const size_t payload = p.l4 + f->data[p.l4 + 12] / 16u * 4u;
	const char *wrong = NULL;
	size_t from = 0;
	unsigned index = 0;

	while (parts != NULL) {
		struct net_frame *next = parts->next;
		size_t left = f->len - payload - from;
		size_t n = left < f->offload.gso_size ? left : f->offload.gso_size;

		if (wrong == NULL && n == 0 && index != 0) {
			wrong = "too many";
		} else if (wrong == NULL) {
			wrong = compare_part(f, parts, index, from, n);
		}
		if (parts->offload.needs_checksum || parts->offload.gso != NET_GSO_NONE ||
		    !parts->offload.checksum_good) {
			wrong = "something left to do";
		}
		from += n;
		index++;
		net_frame_put(parts);
		parts = next;
	}
	return wrong != NULL ? wrong : payload + from == f->len ? NULL : "too few";
}
