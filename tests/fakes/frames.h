/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames in place of hv/net/frame.c, without the blocks that it keeps for later: for tests that
 * start with new memory each time. Include once.
 */
#pragma once

#include <assert.h>

#include "hv/api/net.h"
#include "mm/pool.h"

/* How many there are. */
static unsigned frames_alive;

struct net_frame *net_frame_alloc(uint32_t bytes)
{
	struct net_frame *f = pool_alloc(sizeof(*f) + bytes);

	assert(f != NULL);
	f->refs = 1;
	f->capacity = bytes;
	frames_alive++;
	return f;
}

void net_frame_put(struct net_frame *f)
{
	assert(f->refs > 0);
	if (--f->refs == 0) {
		pool_free(f, sizeof(*f) + f->capacity);
		frames_alive--;
	}
}

uint64_t net_frames_bytes(void)
{
	return frames_alive;
}

bool net_frames_allow(uint64_t queued, const struct net_frame *f)
{
	return queued + f->capacity < NET_FRAMES_BYTES_MAX;
}
