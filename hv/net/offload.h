/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sender left to do (struct net_offload), judged and done in software: checksums, and
 * cutting a long TCP frame into segments that fit the wire. Pure. Sources: RFC 9293 (TCP), RFC 791
 * and 8200 (IP); virtio 1.2, "Packet Transmission", for what the fields mean.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/net.h"

/* Smaller segments are refused: a frame would become thousands. Linux goes no lower either. */
#define NET_GSO_SIZE_MIN 48u

/*
 * Whether the frame is one that the rest of the hypervisor may rely on: long enough, no longer than
 * the wire allows unless it is to be cut, checksum inside the frame, and for a frame to be cut TCP
 * headers where they have to be, over IPv4 without fragments or IPv6 without extension headers, and
 * segments that fit the wire. Frames come from guests: everything is doubted.
 */
bool net_offload_valid(const struct net_frame *f);

/*
 * The frame as frames without anything left to do, linked by `next` in their order, each with one
 * reference; `f`, which is valid, stays as it is. NULL: no memory.
 */
struct net_frame *net_offload_finish(const struct net_frame *f);
