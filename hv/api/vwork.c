/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's queue of deferred device work. */
#include "hv/api/vwork.h"

void vwork_queue_init(struct vwork_queue *q, void (*ask)(void *ctx, unsigned vcpu), void *ctx)
{
	*q = (struct vwork_queue){.ask = ask, .ctx = ctx};
	list_init(&q->waiting);
	list_init(&q->watching);
}

void vwork_init(struct vwork *w, struct vwork_queue *q, void (*fn)(struct vwork *w))
{
	*w = (struct vwork){.queue = q, .fn = fn};
	list_init(&w->node);
	list_init(&w->watch);
}

void vwork_ask(struct vwork *w, unsigned vcpu)
{
	struct vwork_queue *q = w->queue;
	bool first;

	lock_acquire(&q->lock);
	first = !w->waiting;
	if (first) {
		w->waiting = true;
		list_append(&q->waiting, &w->node);
	}
	lock_release(&q->lock);
	if (first) {
		q->ask(q->ctx, vcpu);
	}
}

bool vwork_is_asked(struct vwork *w)
{
	bool waiting;

	lock_acquire(&w->queue->lock);
	waiting = w->waiting;
	lock_release(&w->queue->lock);
	return waiting;
}

void vwork_cancel(struct vwork *w)
{
	lock_acquire(&w->queue->lock);
	w->waiting = false;
	list_remove(&w->node);
	list_remove(&w->watch);
	atomic_store(&w->queue->watched, !list_empty(&w->queue->watching));
	lock_release(&w->queue->lock);
}

void vwork_watch(struct vwork *w, bool on)
{
	lock_acquire(&w->queue->lock);
	list_remove(&w->watch);
	if (on) {
		list_append(&w->queue->watching, &w->watch);
	}
	atomic_store(&w->queue->watched, !list_empty(&w->queue->watching));
	lock_release(&w->queue->lock);
}

/* Takes the first of `batch`; NULL when none is left. */
static struct vwork *take(struct vwork_queue *q, struct list_node *batch)
{
	struct vwork *w = NULL;

	lock_acquire(&q->lock);
	if (!list_empty(batch)) {
		w = list_entry(batch->next, struct vwork, node);
		w->waiting = false;
		list_remove(&w->node);
	}
	lock_release(&q->lock);
	return w;
}

void vwork_forget(struct vwork_queue *q)
{
	while (take(q, &q->waiting) != NULL) {
	}
}

bool vwork_run(struct vwork_queue *q)
{
	struct list_node batch;
	struct vwork *w;
	bool more;

	/* Only of what waits now: work that asks for itself again must not keep the guest out. */
	list_init(&batch);
	lock_acquire(&q->lock);
	for (unsigned i = 0; i < VWORK_RUN_MAX && !list_empty(&q->waiting); i++) {
		struct list_node *first = q->waiting.next;

		list_remove(first);
		list_append(&batch, first);
	}
	more = !list_empty(&q->waiting);
	lock_release(&q->lock);
	while ((w = take(q, &batch)) != NULL) {
		w->fn(w);
	}
	return more;
}

/* The one that watches at `index`; NULL: there are fewer. *last: none is behind it. */
static struct vwork *watcher(struct vwork_queue *q, unsigned index, bool *last)
{
	struct vwork *found = NULL;

	lock_acquire(&q->lock);
	list_for_each (it, &q->watching) {
		if (index-- == 0) {
			found = list_entry(it, struct vwork, watch);
			*last = it->next == &q->watching;
			break;
		}
	}
	lock_release(&q->lock);
	return found;
}

/* Looked up one by one, as a work may stop to watch; those that are missed have their timers. */
bool vwork_idle(struct vwork_queue *q)
{
	struct vwork *w;
	bool last = false;

	if (!atomic_load_explicit(&q->watched, memory_order_relaxed)) {
		return false;
	}
	for (unsigned i = 0; i < VWORK_RUN_MAX && !last && (w = watcher(q, i, &last)) != NULL;
	     i++) {
		w->idle(w);
	}
	return true;
}
