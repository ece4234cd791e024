/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of a disk: waiting, with the hardware, done. */
#include "drivers/disk_queue.h"

#include <stddef.h>

#include "hv/api/clock.h"
#include "hv/base/addr.h"
#include "hv/base/check.h"

void disk_queue_init(struct disk_queue *q, unsigned slots, uint64_t limit_ns)
{
	CHECK(slots >= 1 && slots <= DISK_SLOTS_MAX);
	*q = (struct disk_queue){.slot_count = slots, .limit = clock_ns_to_ticks(limit_ns)};
	list_init(&q->waiting);
}

static struct blk_device *device_of(const struct blk_request *r)
{
	return hva_ptr(hva(r->cookie));
}

/* The status waits in the request until its owner is told. */
static void add_done(struct list_node *done, struct blk_request *r, enum hv_status status)
{
	r->status = status;
	list_append(done, &r->node);
}

void disk_queue_put(struct disk_queue *q, struct blk_device *d, struct blk_request *r,
		    struct list_node *done)
{
	r->cookie = hva_of_ptr(d).v;
	r->status = HV_OK;
	if (q->failed) {
		add_done(done, r, HV_E_IO);
	} else {
		list_append(&q->waiting, &r->node);
	}
}

/* One that waits with an error is tried again. */
static bool is_alone(const struct disk_queue *q, const struct blk_request *r)
{
	return r->status != HV_OK || (q->alone != NULL && q->alone(device_of(r), r));
}

static unsigned free_slot(const struct disk_queue *q)
{
	unsigned slot = 0;

	while (slot < q->slot_count && q->slots[slot].request != NULL) {
		slot++;
	}
	return slot;
}

bool disk_queue_start(struct disk_queue *q, unsigned *slot)
{
	struct blk_request *r;
	struct disk_slot *s;

	if (list_empty(&q->waiting) || q->open_count == q->slot_count || q->alone_now) {
		return false;
	}
	r = list_entry(q->waiting.next, struct blk_request, node);
	if (is_alone(q, r)) {
		if (q->open_count != 0) {
			return false;
		}
		q->alone_now = true;
	}
	list_remove(&r->node);
	*slot = free_slot(q);
	s = &q->slots[*slot];
	s->request = r;
	s->device = device_of(r);
	s->deadline = clock_now() + q->limit;
	s->progress = 0;
	s->generation++;
	q->open_count++;
	return true;
}

bool disk_queue_is_open(const struct disk_queue *q, unsigned slot, unsigned generation)
{
	return slot < q->slot_count && q->slots[slot].request != NULL &&
	       q->slots[slot].generation == generation;
}

static struct blk_request *leave_slot(struct disk_queue *q, unsigned slot)
{
	struct disk_slot *s = &q->slots[slot];
	struct blk_request *r;

	CHECK(slot < q->slot_count && s->request != NULL);
	r = s->request;
	s->request = NULL;
	q->open_count--;
	q->alone_now = false;
	return r;
}

void disk_queue_end(struct disk_queue *q, unsigned slot, enum hv_status status,
		    struct list_node *done)
{
	add_done(done, leave_slot(q, slot), status);
}

void disk_queue_end_open(struct disk_queue *q, struct list_node *done)
{
	for (unsigned i = 0; i < q->slot_count; i++) {
		if (q->slots[i].request != NULL) {
			disk_queue_end(q, i, HV_E_IO, done);
		}
	}
}

void disk_queue_retry_open(struct disk_queue *q)
{
	struct list_node *first = q->waiting.next;

	for (unsigned i = 0; i < q->slot_count; i++) {
		if (q->slots[i].request != NULL) {
			struct blk_request *r = leave_slot(q, i);

			r->status = HV_E_IO;
			list_insert_before(first, &r->node);
		}
	}
}

void disk_queue_fail(struct disk_queue *q, struct list_node *done)
{
	q->failed = true;
	disk_queue_end_open(q, done);
	list_for_each_safe (it, &q->waiting) {
		struct blk_request *r = list_entry(it, struct blk_request, node);

		list_remove(it);
		add_done(done, r, HV_E_IO);
	}
}

bool disk_queue_is_overdue(const struct disk_queue *q, uint64_t now)
{
	for (unsigned i = 0; i < q->slot_count; i++) {
		if (q->slots[i].request != NULL && now > q->slots[i].deadline) {
			return true;
		}
	}
	return false;
}

bool disk_queue_complain(struct disk_queue *q)
{
	if (q->complaints == DISK_COMPLAINTS_MAX) {
		return false;
	}
	q->complaints++;
	return true;
}

/* The owner may do with the request what it likes, so it is out of the list before. */
void disk_finish(struct list_node *done)
{
	while (!list_empty(done)) {
		struct blk_request *r = list_entry(done->next, struct blk_request, node);

		list_remove(&r->node);
		blk_done(device_of(r), r, r->status);
	}
}

void disk_text(const char *text, unsigned n, char *out, unsigned size)
{
	unsigned count = 0;
	unsigned start = 0;

	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\0')) {
		n--;
	}
	while (start < n && text[start] == ' ') {
		start++;
	}
	for (unsigned i = start; i < n && count + 1 < size; i++) {
		bool printable = text[i] >= ' ' && text[i] <= '~';

		out[count] = '?';
		if (printable) {
			out[count] = text[i];
		}
		count++;
	}
	out[count] = '\0';
}
