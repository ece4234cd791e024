/* SPDX-License-Identifier: Apache-2.0 */
/* Two buckets, a queue, and a timer for the request in front. */
#include "hv/blk/limit.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define NS_PER_MS 1000000ull

static struct blk_limit *limit_of(struct blk_device *d)
{
	return container_of(d, struct blk_limit, dev);
}

/* --- buckets --- */

/* When `n` more may pass; at or before `now`: now. */
static uint64_t passes_at(const struct blk_bucket *b)
{
	uint64_t slack = clock_ns_to_ticks(BLK_LIMIT_BURST_MS * NS_PER_MS);

	return b->per_second != 0 && b->full_at > slack ? b->full_at - slack : 0;
}

static void charge(struct blk_bucket *b, uint64_t n, uint64_t now)
{
	if (b->per_second != 0) {
		b->full_at = max_u64(b->full_at, now) + clock_muldiv(n, clock_hz(), b->per_second);
	}
}

/* Bytes that the request moves between disk and memory. */
static uint64_t moved_bytes(const struct blk_request *r)
{
	return r->op == BLK_READ || r->op == BLK_WRITE ? (uint64_t)r->count * BLK_SECTOR : 0;
}

/* --- the queue --- */

/* Under the lock: whether the buckets let this one pass now; charges them if so. */
static bool admit(struct blk_limit *l, const struct blk_request *r)
{
	uint64_t now = clock_now();

	if (passes_at(&l->requests) > now || passes_at(&l->bytes) > now) {
		return false;
	}
	charge(&l->requests, 1, now);
	charge(&l->bytes, moved_bytes(r), now);
	return true;
}

/* Under the lock: the request in front if it may pass; else the timer is set for it. */
static struct blk_request *take_front(struct blk_limit *l)
{
	struct blk_request *r;

	if (list_empty(&l->waiting)) {
		return NULL;
	}
	r = list_entry(l->waiting.next, struct blk_request, node);
	if (!admit(l, r)) {
		timer_arm(&l->timer, max_u64(passes_at(&l->requests), passes_at(&l->bytes)));
		return NULL;
	}
	list_remove(&r->node);
	return r;
}

/* Hands on what may pass, without the lock: the device below may be done at once. */
static void drain(struct blk_limit *l)
{
	struct blk_request *r;

	lock_acquire(&l->lock);
	if (l->draining) {
		lock_release(&l->lock);
		return;
	}
	l->draining = true;
	while ((r = take_front(l)) != NULL) {
		lock_release(&l->lock);
		blk_submit(l->below, r);
		lock_acquire(&l->lock);
	}
	l->draining = false;
	lock_release(&l->lock);
}

static void time_has_come(struct timer *t)
{
	drain(container_of(t, struct blk_limit, timer));
}

static void limit_submit(struct blk_device *d, struct blk_request *r)
{
	struct blk_limit *l = limit_of(d);
	bool closed;

	lock_acquire(&l->lock);
	closed = l->closed;
	if (!closed) {
		list_append(&l->waiting, &r->node);
	}
	lock_release(&l->lock);
	if (closed) {
		blk_done(d, r, HV_E_IO);
		return;
	}
	drain(l);
}

static void limit_poll(struct blk_device *d)
{
	struct blk_limit *l = limit_of(d);

	drain(l);
	if (l->below->ops->poll != NULL) {
		l->below->ops->poll(l->below);
	}
}

static const struct blk_ops limit_ops = {.submit = limit_submit, .poll = limit_poll};

/* --- the whole --- */

/* It never copies: a request that has to wait needs a buffer meanwhile. */
void blk_limit_init(struct blk_limit *l, struct blk_device *below, uint64_t iops,
		    uint64_t bandwidth)
{
	*l = (struct blk_limit){
		.dev =
			{
				.ops = &limit_ops,
				.sectors = below->sectors,
				.block_size = below->block_size,
				.max_count = below->max_count,
				.readonly = below->readonly,
				.discards = below->discards,
				.write_zeroes = below->write_zeroes,
			},
		.below = below,
		.requests = {.per_second = iops},
		.bytes = {.per_second = bandwidth},
	};
	list_init(&l->waiting);
	timer_init(&l->timer, NULL, time_has_come);
	(void)str_copy(l->dev.name, sizeof(l->dev.name), span_of(below->name));
	(void)str_copy(l->dev.serial, sizeof(l->dev.serial), span_of(below->serial));
}

/* Under the lock: the one that waits longest, out of the queue. */
static struct blk_request *pop(struct blk_limit *l)
{
	struct blk_request *r;

	if (list_empty(&l->waiting)) {
		return NULL;
	}
	r = list_entry(l->waiting.next, struct blk_request, node);
	list_remove(&r->node);
	return r;
}

void blk_limit_close(struct blk_limit *l)
{
	struct blk_request *r;

	lock_acquire(&l->lock);
	l->closed = true;
	timer_cancel(&l->timer);
	while ((r = pop(l)) != NULL) {
		lock_release(&l->lock);
		blk_done(&l->dev, r, HV_E_IO);
		lock_acquire(&l->lock);
	}
	lock_release(&l->lock);
}

void blk_limit_open(struct blk_limit *l)
{
	lock_acquire(&l->lock);
	l->closed = false;
	lock_release(&l->lock);
}
