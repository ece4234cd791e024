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

void timer_queue_init(struct timer_queue *q)
{
	*q = (struct timer_queue){0};
}

void timer_init(struct timer *t, struct timer_queue *q, void (*fn)(struct timer *t))
{
	*t = (struct timer){.fn = fn, .queue = q};
}

void timer_arm(struct timer *t, uint64_t deadline)
{
	struct timer_queue *q = t->queue;

	timer_cancel(t);
	t->deadline = deadline;
	t->armed = true;
	if (q->running) {
		q->deferred = meld(q->deferred, t);
	} else {
		q->root = meld(q->root, t);
	}
}

void timer_cancel(struct timer *t)
{
	struct timer *sub;

	if (!t->armed) {
		return;
	}
	sub = meld_siblings(t->child);
	if (t->prev != NULL) {
		replace_child(t, sub);
	} else if (t->queue->root == t) {
		t->queue->root = sub;
	} else {
		CHECK(t->queue->deferred == t);
		t->queue->deferred = sub;
	}
	t->child = NULL;
	t->sibling = NULL;
	t->prev = NULL;
	t->armed = false;
}

uint64_t timer_queue_next(const struct timer_queue *q)
{
	uint64_t next = q->root != NULL ? q->root->deadline : TIMER_NEVER;

	if (q->deferred != NULL && q->deferred->deadline < next) {
		next = q->deferred->deadline;
	}
	return next;
}

void timer_queue_run(struct timer_queue *q, uint64_t now)
{
	CHECK(!q->running);
	q->running = true;
	while (q->root != NULL && q->root->deadline <= now) {
		struct timer *t = q->root;

		timer_cancel(t);
		t->fn(t);
	}
	q->running = false;
	q->root = meld(q->root, q->deferred);
	q->deferred = NULL;
}
