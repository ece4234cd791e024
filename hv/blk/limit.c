/* SPDX-License-Identifier: Apache-2.0 */
/* Two buckets, a queue, and a timer for the request in front. */
#include "hv/blk/limit.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define MS_PER_SECOND 1000u

static struct blk_limit *limit_of(struct blk_device *d)
{
	return container_of(d, struct blk_limit, dev);
}

/* --- buckets --- */

static void init_bucket(struct token_bucket *b, uint64_t rate)
{
	uint64_t depth = clock_muldiv(rate, BLK_LIMIT_BURST_MS, MS_PER_SECOND);

	token_bucket_init(b, rate, max_u64(depth, 1), clock_now());
}

static bool lets_pass(struct token_bucket *b, uint64_t now)
{
	return b->rate == 0 || token_bucket_ready(b, now);
}

/* When it lets something pass that did not just now, in host ticks; 0: it did. */
static uint64_t passes_at(const struct token_bucket *b)
{
	return b->rate != 0 && b->level <= 0 ? b->updated + token_bucket_wait(b) : 0;
}

static void charge(struct token_bucket *b, uint64_t n)
{
	if (b->rate != 0) {
		token_bucket_take(b, n);
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
	bool requests = lets_pass(&l->requests, now);
	bool bytes = lets_pass(&l->bytes, now);

	if (!requests || !bytes) {
		return false;
	}
	charge(&l->requests, 1);
	charge(&l->bytes, moved_bytes(r));
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
	};
	init_bucket(&l->requests, iops);
	init_bucket(&l->bytes, bandwidth);
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
