/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on their way from a network to a guest, oldest first, bounded in number and memory.
 * Whoever delivers holds the user's lock for net_queue_keep; whoever takes them out does so in one
 * place at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/net.h"

#define NET_QUEUE_FRAMES_MAX 256u
#define NET_QUEUE_BYTES_MAX (1u << 20) /* of memory */

/* Zeroed memory is an empty queue. Covered by its user's lock. */
struct net_queue {
	struct net_frame *frames[NET_QUEUE_FRAMES_MAX]; /* a ring */
	unsigned first;
	unsigned count;
	uint64_t bytes; /* of memory */
};

/* Puts the frame, with a reference, behind the others; false: the queue is full. */
bool net_queue_keep(struct net_queue *q, struct net_frame *f);
/* The oldest frame, which stays where it is; NULL: none. */
struct net_frame *net_queue_first(const struct net_queue *q);
/* Takes the oldest frame, which is there, out; its reference is the caller's. */
struct net_frame *net_queue_take(struct net_queue *q);
