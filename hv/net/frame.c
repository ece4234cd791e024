/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of frames (hv/api/net.h). A frame takes a block of one of a few sizes; blocks that
 * come back wait in a list of their size, up to so many, for the next frame: memory of the pool is
 * zeroed each time, and that would cost more than copying an ordinary frame. What a block held
 * before is never seen: nobody reads beyond `len`.
 */
#include "hv/api/net.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/lock.h"
#include "mm/pool.h"

/* Bytes of a block, header included, and how many wait at most. */
struct block_class {
	uint32_t bytes;
	uint32_t keep;
};

/* A short request, a frame of the wire, half a TCP window, what Linux sends at once, anything. */
static const struct block_class classes[] = {
	{512, 512}, {KIB(4), 256}, {KIB(16), 32}, {KIB(64), 16}, {KIB(128), 0},
};
#define CLASS_COUNT ARRAY_SIZE(classes)
static_assert(sizeof(struct net_frame) + NET_FRAME_MAX <= KIB(128), "the last class holds all");

struct free_list {
	struct spinlock lock; /* covers the two below; nothing is taken under it */
	struct net_frame *first;
	uint32_t count;
};

static struct free_list lists[CLASS_COUNT];
static _Atomic uint64_t bytes_used;

static unsigned class_of(size_t bytes)
{
	unsigned c = 0;

	while (classes[c].bytes < bytes) {
		c++;
	}
	return c;
}

/* Counts a block in, unless that is more than frames may take. */
static bool charge(uint64_t bytes)
{
	uint64_t before = atomic_fetch_add_explicit(&bytes_used, bytes, memory_order_relaxed);

	if (before + bytes <= NET_FRAMES_BYTES_MAX) {
		return true;
	}
	atomic_fetch_sub_explicit(&bytes_used, bytes, memory_order_relaxed);
	return false;
}

static struct net_frame *take_kept(struct free_list *l)
{
	struct net_frame *f;

	lock_acquire(&l->lock);
	f = l->first;
	if (f != NULL) {
		l->first = f->next;
		l->count--;
	}
	lock_release(&l->lock);
	return f;
}

struct net_frame *net_frame_alloc(uint32_t bytes)
{
	unsigned c = bytes <= NET_FRAME_MAX ? class_of(sizeof(struct net_frame) + bytes) : 0;
	struct net_frame *f;

	if (bytes > NET_FRAME_MAX || !charge(classes[c].bytes)) {
		return NULL;
	}
	f = take_kept(&lists[c]);
	if (f == NULL) {
		f = pool_alloc(classes[c].bytes);
	}
	if (f == NULL) {
		atomic_fetch_sub_explicit(&bytes_used, classes[c].bytes, memory_order_relaxed);
		return NULL;
	}
	f->next = NULL;
	atomic_init(&f->refs, 1);
	f->capacity = classes[c].bytes - (uint32_t)sizeof(*f);
	f->len = 0;
	f->offload = (struct net_offload){0};
	return f;
}

/* False: enough of them wait already. */
static bool keep(struct free_list *l, uint32_t max, struct net_frame *f)
{
	bool kept;

	lock_acquire(&l->lock);
	kept = l->count < max;
	if (kept) {
		f->next = l->first;
		l->first = f;
		l->count++;
	}
	lock_release(&l->lock);
	return kept;
}

void net_frame_put(struct net_frame *f)
{
	uint32_t bytes = (uint32_t)net_frame_cost(f);
	uint32_t before = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);
	unsigned c;

	CHECK(before > 0);
	if (before > 1) {
		return;
	}
	c = class_of(bytes);
	CHECK(classes[c].bytes == bytes);
	if (!keep(&lists[c], classes[c].keep, f)) {
		pool_free(f, bytes);
	}
	atomic_fetch_sub_explicit(&bytes_used, bytes, memory_order_relaxed);
}

void net_frame_put_list(struct net_frame *f)
{
	while (f != NULL) {
		struct net_frame *next = f->next;

		net_frame_put(f);
		f = next;
	}
}

uint64_t net_frames_bytes(void)
{
	return atomic_load_explicit(&bytes_used, memory_order_relaxed);
}

bool net_frames_allow(uint64_t queued, const struct net_frame *f)
{
	return queued + net_frame_cost(f) + net_frames_bytes() <= NET_FRAMES_BYTES_MAX;
}
