/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split virtqueue. Order of memory accesses: x86 keeps loads in order and stores in order, so
 * all that is needed between the fields of a ring is that the compiler does not move them; only a
 * store that must be seen before a later load (listen, publish) takes a fence of the CPU.
 */
#include "guests/devices/virtqueue.h"

#include <stdatomic.h>

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/virtio_format.h"

/* Offsets in the rings; both begin with 16 bits of flags and the index. */
#define RING_FLAGS 0u
#define RING_INDEX 2u
#define RING_ENTRIES 4u

/* No guest has memory above: what lies higher is refused before sums can wrap. */
#define ADDRESS_LIMIT (1ull << 52)
/* Descriptors of an indirect table that are read at once. */
#define BLOCK_DESCRIPTORS 16u

/* ---- fields of the rings ---- */

static bool read_u16(struct virtqueue *q, uint64_t addr, uint16_t *value)
{
	if (guest_mem_read_u16(q->vm, gpa(addr), value) != HV_OK) {
		virtqueue_break(q, "a ring is not in RAM");
		return false;
	}
	return true;
}

static bool write_u16(struct virtqueue *q, uint64_t addr, uint16_t value)
{
	if (guest_mem_write_u16(q->vm, gpa(addr), value) != HV_OK) {
		virtqueue_break(q, "a ring is not in writable RAM");
		return false;
	}
	return true;
}

static uint64_t avail_entry(const struct virtqueue *q, uint16_t index)
{
	return q->avail + RING_ENTRIES + 2ull * (index & (q->size - 1u));
}

static uint64_t used_entry(const struct virtqueue *q, uint16_t index)
{
	return q->used + RING_ENTRIES + sizeof(struct virtq_used_elem) * (index & (q->size - 1u));
}

/* Where the driver says at which used index it wants the next interrupt: behind the ring. */
static uint64_t used_event(const struct virtqueue *q)
{
	return q->avail + RING_ENTRIES + 2ull * q->size;
}

/* Where the device says at which available index it wants to be told. */
static uint64_t avail_event(const struct virtqueue *q)
{
	return q->used + RING_ENTRIES + sizeof(struct virtq_used_elem) * q->size;
}

/* ---- life ---- */

void virtqueue_init(struct virtqueue *q, struct vm *vm,
		    void (*broke)(struct virtqueue *q, const char *why))
{
	*q = (struct virtqueue){.vm = vm, .broke = broke};
}

void virtqueue_break(struct virtqueue *q, const char *why)
{
	if (!q->broken) {
		q->broken = true;
		q->running = false;
		q->broke(q, why);
	}
}

static bool setup_is_possible(const struct virtqueue_setup *s)
{
	return s->size != 0 && s->size <= VIRTQUEUE_SIZE_MAX && is_aligned(s->size, s->size) &&
	       is_aligned(s->desc, 16) && is_aligned(s->avail, 2) && is_aligned(s->used, 4) &&
	       s->desc < ADDRESS_LIMIT && s->avail < ADDRESS_LIMIT && s->used < ADDRESS_LIMIT;
}

bool virtqueue_start(struct virtqueue *q, const struct virtqueue_setup *s)
{
	virtqueue_init(q, q->vm, q->broke);
	if (!setup_is_possible(s)) {
		virtqueue_break(q, "size or place of a ring is not possible");
		return false;
	}
	q->desc = s->desc;
	q->avail = s->avail;
	q->used = s->used;
	q->size = s->size;
	q->event_idx = s->event_idx;
	q->indirect = s->indirect;
	q->running = true;
	return true;
}

void virtqueue_stop(struct virtqueue *q)
{
	virtqueue_init(q, q->vm, q->broke);
}

/* ---- taking chains ---- */

bool virtqueue_poll(struct virtqueue *q)
{
	uint16_t seen;

	if (!q->running || !read_u16(q, q->avail + RING_INDEX, &seen)) {
		return false;
	}
	/* The entries are read after the index that announces them. */
	atomic_thread_fence(memory_order_acquire);
	/* What is open and what is new together: no more than there are descriptors. */
	if ((uint16_t)(seen - q->used_next) > q->size) {
		virtqueue_break(q, "the available index is too far ahead");
		return false;
	}
	/* Chains that are popped stay popped: an index that goes back reaches behind them. */
	if ((uint16_t)(seen - q->used_next) < (uint16_t)(q->avail_next - q->used_next)) {
		virtqueue_break(q, "the available index goes back");
		return false;
	}
	q->avail_seen = seen;
	return seen != q->avail_next;
}

/* Adds the buffer of a descriptor that is not indirect. */
static bool add_segment(struct virtqueue *q, struct virtqueue_chain *c, const struct virtq_desc *d)
{
	bool write = (d->flags & VIRTQ_DESC_F_WRITE) != 0;
	uint32_t *sum = write ? &c->writable : &c->readable;

	if (d->len == 0 || d->len > UINT32_MAX - *sum) {
		virtqueue_break(q, "the length of a descriptor is not possible");
		return false;
	}
	if (d->addr >= ADDRESS_LIMIT) {
		virtqueue_break(q, "a buffer is not in RAM");
		return false;
	}
	if (c->count == VIRTQUEUE_SEGMENTS_MAX) {
		virtqueue_break(q, "a chain has too many descriptors, or is a loop");
		return false;
	}
	if (!write && c->writable != 0) {
		virtqueue_break(q, "a chain has a readable descriptor behind a writable one");
		return false;
	}
	c->segments[c->count] = (struct virtqueue_segment){.addr = d->addr, .len = d->len};
	c->count++;
	c->readable_count = (uint16_t)(c->readable_count + !write);
	*sum += d->len;
	return true;
}

/* Part of an indirect table. */
struct desc_block {
	uint32_t first;
	uint32_t count;
	struct virtq_desc desc[BLOCK_DESCRIPTORS];
};

/* Makes the block hold descriptor `index` of the table of `total` at `table`. */
static bool load_block(struct virtqueue *q, struct desc_block *b, uint64_t table, uint32_t index,
		       uint32_t total)
{
	if (index - b->first < b->count) {
		return true;
	}
	b->first = index;
	b->count = (uint32_t)min_u64(total - index, BLOCK_DESCRIPTORS);
	if (guest_mem_read(q->vm, gpa(table + sizeof(b->desc[0]) * index), b->desc,
			   sizeof(b->desc[0]) * b->count) != HV_OK) {
		virtqueue_break(q, "an indirect table is not in RAM");
		return false;
	}
	return true;
}

/* Follows the chain in the table that `d` names; it begins with the table's first descriptor. */
static bool collect_indirect(struct virtqueue *q, struct virtqueue_chain *c,
			     const struct virtq_desc *d)
{
	uint32_t total = d->len / (uint32_t)sizeof(*d);
	uint32_t index = 0;
	struct desc_block block;
	const struct virtq_desc *at;

	if (!q->indirect || (d->flags & VIRTQ_DESC_F_NEXT) != 0 || total == 0 ||
	    d->len % sizeof(*d) != 0 || d->addr >= ADDRESS_LIMIT) {
		virtqueue_break(q, "an indirect descriptor is not in order");
		return false;
	}
	block.first = 0;
	block.count = 0;
	do {
		if (index >= total) {
			virtqueue_break(q, "an indirect chain leaves its table");
			return false;
		}
		if (!load_block(q, &block, d->addr, index, total)) {
			return false;
		}
		at = &block.desc[index - block.first];
		if ((at->flags & VIRTQ_DESC_F_INDIRECT) != 0) {
			virtqueue_break(q, "an indirect descriptor is in an indirect table");
			return false;
		}
		if (!add_segment(q, c, at)) {
			return false;
		}
		index = at->next;
	} while ((at->flags & VIRTQ_DESC_F_NEXT) != 0);
	return true;
}

/* Follows the chain from descriptor `index` on. Bounded, as add_segment takes only so many. */
static bool collect(struct virtqueue *q, struct virtqueue_chain *c, uint16_t index)
{
	struct virtq_desc d;

	do {
		if (index >= q->size) {
			virtqueue_break(q, "a descriptor's number is too high");
			return false;
		}
		if (guest_mem_read(q->vm, gpa(q->desc + sizeof(d) * index), &d, sizeof(d)) !=
		    HV_OK) {
			virtqueue_break(q, "the descriptor table is not in RAM");
			return false;
		}
		if ((d.flags & VIRTQ_DESC_F_INDIRECT) != 0) {
			return collect_indirect(q, c, &d);
		}
		if (!add_segment(q, c, &d)) {
			return false;
		}
		index = d.next;
	} while ((d.flags & VIRTQ_DESC_F_NEXT) != 0);
	return true;
}

bool virtqueue_pop(struct virtqueue *q, struct virtqueue_chain *c)
{
	if (!q->running || q->avail_next == q->avail_seen ||
	    !read_u16(q, avail_entry(q, q->avail_next), &c->head)) {
		return false;
	}
	c->count = 0;
	c->readable_count = 0;
	c->readable = 0;
	c->writable = 0;
	if (!collect(q, c, c->head)) {
		return false;
	}
	q->avail_next++;
	return true;
}

void virtqueue_unpop(struct virtqueue *q, unsigned count)
{
	CHECK(!q->running || count <= (uint16_t)(q->avail_next - q->used_next));
	q->avail_next = (uint16_t)(q->avail_next - count);
}

/* ---- data ---- */

/* The part of a segment that a copy takes next. */
struct part {
	uint64_t addr;
	uint32_t len;
};

/* `total`: bytes from `first` on. */
static bool seek(const struct virtqueue *q, const struct virtqueue_segment *first, uint32_t total,
		 uint32_t offset, uint32_t n, struct virtqueue_cursor *cur)
{
	if (!range_fits(offset, n, total)) {
		return false;
	}
	*cur = (struct virtqueue_cursor){.vm = q->vm, .at = first, .skip = offset, .left = n};
	while (n != 0 && cur->skip >= cur->at->len) {
		cur->skip -= cur->at->len;
		cur->at++;
	}
	return true;
}

bool virtqueue_seek_read(const struct virtqueue *q, const struct virtqueue_chain *c,
			 uint32_t offset, uint32_t n, struct virtqueue_cursor *cur)
{
	return seek(q, c->segments, c->readable, offset, n, cur);
}

bool virtqueue_seek_write(const struct virtqueue *q, const struct virtqueue_chain *c,
			  uint32_t offset, uint32_t n, struct virtqueue_cursor *cur)
{
	return seek(q, &c->segments[c->readable_count], c->writable, offset, n, cur);
}

/* Up to `n` bytes in one piece; the cursor moves on. */
static struct part take(struct virtqueue_cursor *cur, uint32_t n)
{
	struct part p = {cur->at->addr + cur->skip, cur->at->len - cur->skip};

	if (n < p.len) {
		p.len = n;
		cur->skip += n;
	} else {
		cur->at++;
		cur->skip = 0;
	}
	cur->left -= p.len;
	return p;
}

bool virtqueue_read_next(struct virtqueue_cursor *cur, void *dst, uint32_t n)
{
	uint8_t *to = dst;

	if (n > cur->left) {
		return false;
	}
	while (n != 0) {
		struct part p = take(cur, n);

		if (guest_mem_read(cur->vm, gpa(p.addr), to, p.len) != HV_OK) {
			return false;
		}
		to += p.len;
		n -= p.len;
	}
	return true;
}

bool virtqueue_write_next(struct virtqueue_cursor *cur, const void *src, uint32_t n)
{
	const uint8_t *from = src;

	if (n > cur->left) {
		return false;
	}
	while (n != 0) {
		struct part p = take(cur, n);

		if (guest_mem_write(cur->vm, gpa(p.addr), from, p.len) != HV_OK) {
			return false;
		}
		from += p.len;
		n -= p.len;
	}
	return true;
}

bool virtqueue_read(struct virtqueue *q, const struct virtqueue_chain *c, uint32_t offset,
		    void *dst, uint32_t n)
{
	struct virtqueue_cursor cur;

	if (!virtqueue_seek_read(q, c, offset, n, &cur)) {
		return false;
	}
	if (!virtqueue_read_next(&cur, dst, n)) {
		virtqueue_break(q, "a buffer is not in RAM");
		return false;
	}
	return true;
}

bool virtqueue_write(struct virtqueue *q, const struct virtqueue_chain *c, uint32_t offset,
		     const void *src, uint32_t n)
{
	struct virtqueue_cursor cur;

	if (!virtqueue_seek_write(q, c, offset, n, &cur)) {
		return false;
	}
	if (!virtqueue_write_next(&cur, src, n)) {
		virtqueue_break(q, "a buffer is not in writable RAM");
		return false;
	}
	return true;
}

/* ---- giving chains back ---- */

void virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t written)
{
	struct virtq_used_elem e = {.id = head, .len = written};

	if (!q->running) {
		return;
	}
	CHECK(q->used_next != q->avail_next);
	if (guest_mem_write(q->vm, gpa(used_entry(q, q->used_next)), &e, sizeof(e)) != HV_OK) {
		virtqueue_break(q, "the used ring is not in writable RAM");
		return;
	}
	q->used_next++;
}

void virtqueue_show(struct virtqueue *q)
{
	if (!q->running || q->used_next == q->used_published) {
		return;
	}
	atomic_thread_fence(memory_order_release);
	if (write_u16(q, q->used + RING_INDEX, q->used_next)) {
		q->used_published = q->used_next;
		/* A driver that asks for interrupts looks at the index afterwards, or is seen here.
		 */
		atomic_thread_fence(memory_order_seq_cst);
	}
}

/* "Used Buffer Notification Suppression" */
bool virtqueue_waits_for_interrupt(struct virtqueue *q)
{
	uint16_t old = q->used_signalled;
	uint16_t now = q->used_published;
	uint16_t said;
	bool waits;

	if (!q->running || now == old ||
	    !read_u16(q, q->event_idx ? used_event(q) : q->avail + RING_FLAGS, &said)) {
		return false;
	}
	if (q->event_idx) {
		/* The index that it waits for is one of old .. now - 1. */
		waits = (uint16_t)(now - said - 1) < (uint16_t)(now - old);
	} else {
		waits = (said & VIRTQ_AVAIL_F_NO_INTERRUPT) == 0;
	}
	if (!waits) {
		q->used_signalled = now;
	}
	return waits;
}

bool virtqueue_wants_interrupt(struct virtqueue *q)
{
	bool wants = virtqueue_waits_for_interrupt(q);

	q->used_signalled = q->used_published;
	return wants;
}

bool virtqueue_publish(struct virtqueue *q)
{
	virtqueue_show(q);
	return virtqueue_wants_interrupt(q);
}

void virtqueue_quiet(struct virtqueue *q)
{
	if (q->running && !q->event_idx && !q->quiet) {
		q->quiet = write_u16(q, q->used + RING_FLAGS, VIRTQ_USED_F_NO_NOTIFY);
	}
}

bool virtqueue_listen(struct virtqueue *q)
{
	if (!q->running) {
		return false;
	}
	if (q->event_idx) {
		if (!write_u16(q, avail_event(q), q->avail_next)) {
			return false;
		}
	} else if (q->quiet) {
		if (!write_u16(q, q->used + RING_FLAGS, 0)) {
			return false;
		}
		q->quiet = false;
	}
	atomic_thread_fence(memory_order_seq_cst);
	return virtqueue_poll(q);
}

/* ---- saved state ---- */

void virtqueue_save(const struct virtqueue *q, struct virtqueue_saved *out)
{
	*out = (struct virtqueue_saved){
		.avail_seen = q->avail_seen,
		.avail_next = q->avail_next,
		.used_next = q->used_next,
		.used_published = q->used_published,
		.used_signalled = q->used_signalled,
		.state = q->broken    ? VIRTQUEUE_BROKEN
			 : q->running ? VIRTQUEUE_RUNNING
				      : VIRTQUEUE_STOPPED,
		.quiet = q->quiet,
	};
}

/* What is open, and what is open and new together: no more than there are descriptors. */
static bool counters_are_possible(const struct virtqueue_saved *in, uint16_t size)
{
	uint16_t open = (uint16_t)(in->avail_next - in->used_next);
	uint16_t seen = (uint16_t)(in->avail_seen - in->used_next);

	return open <= seen && seen <= size &&
	       (uint16_t)(in->used_next - in->used_published) <= size;
}

const char *virtqueue_check(const struct virtqueue_setup *s, const struct virtqueue_saved *in)
{
	if (in->state > VIRTQUEUE_BROKEN || !saved_is_bool(in->quiet) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag of a queue is not possible";
	}
	if (in->state == VIRTQUEUE_RUNNING && !setup_is_possible(s)) {
		return "a queue runs whose size or place is not possible";
	}
	if (!counters_are_possible(in, in->state == VIRTQUEUE_STOPPED ? 0 : s->size)) {
		return "more of a queue is open than it has descriptors";
	}
	return NULL;
}

void virtqueue_load(struct virtqueue *q, const struct virtqueue_setup *s,
		    const struct virtqueue_saved *in)
{
	virtqueue_stop(q);
	if (in->state == VIRTQUEUE_RUNNING) {
		CHECK(virtqueue_start(q, s));
	}
	q->broken = in->state == VIRTQUEUE_BROKEN;
	q->quiet = in->quiet != 0;
	q->avail_seen = in->avail_seen;
	q->avail_next = in->avail_next;
	q->used_next = in->used_next;
	q->used_published = in->used_published;
	q->used_signalled = in->used_signalled;
}
