/* SPDX-License-Identifier: Apache-2.0 */
/* The receive queue of NICs. */
#include "guests/devices/net_queue.h"

bool net_queue_keep(struct net_queue *q, struct net_frame *f)
{
	uint64_t bytes = q->bytes + net_frame_cost(f);

	if (q->count == NET_QUEUE_FRAMES_MAX || bytes > NET_QUEUE_BYTES_MAX ||
	    !net_frames_allow(q->bytes, f)) {
		return false;
	}
	q->frames[(q->first + q->count) % NET_QUEUE_FRAMES_MAX] = net_frame_get(f);
	q->count++;
	q->bytes = bytes;
	return true;
}

struct net_frame *net_queue_first(const struct net_queue *q)
{
	return q->count != 0 ? q->frames[q->first] : NULL;
}

struct net_frame *net_queue_take(struct net_queue *q)
{
	struct net_frame *f = q->frames[q->first];

	q->first = (q->first + 1) % NET_QUEUE_FRAMES_MAX;
	q->count--;
	q->bytes -= net_frame_cost(f);
	return f;
}
