/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer queue as a pairing heap. A timer's `child` is the first of its children, which are
 * linked by `sibling`; `prev` is the left sibling, or the parent for a first child, or NULL for a
 * root:
 *
 *      root
 *       |child
 *       a --sibling--> b --sibling--> c
 *
 * Arming is O(1), taking the earliest is O(log n) amortised.
 */
#include "hv/api/timer.h"

#include <stddef.h>

#include "hv/base/check.h"
#include "hv/cpu/insn.h"

/* Joins two heaps, either of which may be empty; the later root becomes a child of the earlier. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	struct timer *first = a;
	struct timer *second = b;

	if (a == NULL || b == NULL) {
		return a == NULL ? b : a;
	}
	if (b->deadline < a->deadline) {
		first = b;
		second = a;
	}
	second->sibling = first->child;
	second->prev = first;
	if (first->child != NULL) {
		first->child->prev = second;
	}
	first->child = second;
	return first;
}

/* Makes one heap of a list of siblings: pairs from left to right, then all from right to left. */
static struct timer *meld_siblings(struct timer *list)
{
	struct timer *pairs = NULL;
	struct timer *root = NULL;

	while (list != NULL) {
		struct timer *a = list;
		struct timer *b = a->sibling;
		struct timer *pair;

		list = b != NULL ? b->sibling : NULL;
		a->sibling = NULL;
		if (b != NULL) {
			b->sibling = NULL;
		}
		pair = meld(a, b);
		pair->sibling = pairs;
		pairs = pair;
	}
	while (pairs != NULL) {
		struct timer *pair = pairs;

		pairs = pair->sibling;
		pair->sibling = NULL;
		root = meld(root, pair);
	}
	if (root != NULL) {
		root->prev = NULL;
	}
	return root;
}

/* Puts `sub` (may be empty) where `t` hung below another timer; its deadlines are no earlier. */
static void replace_child(struct timer *t, struct timer *sub)
{
	struct timer *next = t->sibling;
	struct timer *here = next;

	if (sub != NULL) {
		sub->prev = t->prev;
		sub->sibling = next;
		here = sub;
	}
	if (next != NULL) {
		next->prev = sub != NULL ? sub : t->prev;
	}
	if (t->prev->child == t) {
		t->prev->child = here;
	} else {
		t->prev->sibling = here;
	}
}

static struct timer_queue *(*local_queue)(void);

void timer_set_local_queue(struct timer_queue *(*local)(void))
{
	local_queue = local;
}

void timer_queue_init(struct timer_queue *q)
{
	*q = (struct timer_queue){.next = TIMER_NEVER};
}

void timer_init(struct timer *t, struct timer_queue *q, void (*fn)(struct timer *t))
{
	*t = (struct timer){.fn = fn, .queue = q};
}

/* Under the queue's lock, after each change. */
static void publish_next(struct timer_queue *q)
{
	uint64_t next = q->root != NULL ? q->root->deadline : TIMER_NEVER;

	if (q->deferred != NULL && q->deferred->deadline < next) {
		next = q->deferred->deadline;
	}
	atomic_store_explicit(&q->next, next, memory_order_relaxed);
}

/* Under the queue's lock: takes an armed timer out of its heap. */
static void unlink(struct timer_queue *q, struct timer *t)
{
	struct timer *sub = meld_siblings(t->child);

	if (t->prev != NULL) {
		replace_child(t, sub);
	} else if (q->root == t) {
		q->root = sub;
	} else {
		CHECK(q->deferred == t);
		q->deferred = sub;
	}
	t->child = NULL;
	t->sibling = NULL;
	t->prev = NULL;
	t->armed = false;
	publish_next(q);
}

void timer_cancel(struct timer *t)
{
	struct timer_queue *q;

	/* Its user alone arms it, so what is not armed stays so. Ordered for timer_queue_settle. */
	if (!atomic_load_explicit(&t->armed, memory_order_acquire)) {
		return;
	}
	q = atomic_load_explicit(&t->queue, memory_order_acquire);
	lock_acquire(&q->lock);
	if (t->armed) {
		unlink(q, t);
	}
	lock_release(&q->lock);
}

void timer_arm(struct timer *t, uint64_t deadline)
{
	struct timer_queue *q = local_queue != NULL
					? local_queue()
					: atomic_load_explicit(&t->queue, memory_order_relaxed);

	timer_cancel(t);
	lock_acquire(&q->lock);
	atomic_store_explicit(&t->queue, q, memory_order_release);
	t->deadline = deadline;
	t->armed = true;
	if (q->running) {
		q->deferred = meld(q->deferred, t);
	} else {
		q->root = meld(q->root, t);
	}
	publish_next(q);
	lock_release(&q->lock);
}

void timer_queue_run(struct timer_queue *q, uint64_t now)
{
	lock_acquire(&q->lock);
	CHECK(!q->running);
	q->running = true;
	while (q->root != NULL && q->root->deadline <= now) {
		struct timer *t = q->root;

		/* Before the timer looks cancelled to anybody: see timer_queue_settle. */
		atomic_store_explicit(&q->firing, true, memory_order_release);
		unlink(q, t);
		lock_release(&q->lock);
		t->fn(t);
		lock_acquire(&q->lock);
		atomic_store_explicit(&q->firing, false, memory_order_release);
	}
	q->running = false;
	q->root = meld(q->root, q->deferred);
	q->deferred = NULL;
	publish_next(q);
	lock_release(&q->lock);
}

void timer_queue_settle(const struct timer_queue *q)
{
	while (atomic_load_explicit(&q->firing, memory_order_acquire)) {
		cpu_relax();
	}
}
