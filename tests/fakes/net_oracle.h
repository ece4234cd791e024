/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames with transport headers, and a second, slow way to say what has to come out when they are
 * finished: by the specifications, byte after byte, with nothing of hv/net/offload.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/net.h"

/* The Internet checksum of `n` bytes (RFC 1071), as the number that goes into the field. */
uint16_t oracle_checksum(const uint8_t *p, size_t n);

struct oracle_tcp {
	bool v6;
	bool vlan;
	uint32_t ip_options;  /* bytes, a multiple of 4; IPv4 only */
	uint32_t tcp_options; /* likewise */
	uint32_t payload;
	uint16_t gso_size;
};

/* Makes *f a TCP frame that is to be cut, filled with bytes from *seed; it has room. */
void oracle_tcp(struct net_frame *f, const struct oracle_tcp *t, uint32_t *seed);
/* A UDP frame whose checksum is to be finished. */
void oracle_udp(struct net_frame *f, uint32_t payload, bool v6, uint32_t *seed);
/* Whether the TCP or UDP checksum of a frame holds, and for IPv4 that of the header. */
bool oracle_transport_good(const struct net_frame *f);
/*
 * Whether `parts` is what a TCP frame that is in order has to be cut into; consumes the parts.
 * Returns what is wrong, or NULL.
 */
const char *oracle_compare(const struct net_frame *f, struct net_frame *parts);
