/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio balloon: pages that a driver names, released a bounded number at a time. */
#include "guests/devices/virtio_balloon.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CLASS_OTHER 0x00ff00u
#define PFN_CHUNK 32u
/* No guest has memory there, and nothing below it overflows. */
#define ADDRESS_END BIT(52)
#define PAGE_BYTES BIT(VIRTIO_BALLOON_PAGE_SHIFT)
#define STATS_CHUNK_BYTES (16u * VIRTIO_BALLOON_STAT_BYTES)

static struct virtio_balloon *to_balloon(struct virtio_pci *d)
{
	return container_of(d, struct virtio_balloon, transport);
}

/* ---- giving back ---- */

enum outcome {
	OUTCOME_DONE,	/* the chain is finished */
	OUTCOME_AGAIN,	/* the run is over, there is more */
	OUTCOME_WAITS,	/* for virtio_balloon_room */
	OUTCOME_BROKEN, /* the queue */
};

static void count(_Atomic uint64_t *what, uint64_t n)
{
	atomic_fetch_add_explicit(what, n, memory_order_relaxed);
}

/*
 * Releases [base, base + size); false: it has to wait, and *done says how far it came. What is not
 * RAM, or cannot be released, stays with the driver.
 */
static bool release(struct virtio_balloon *b, uint64_t base, uint64_t size, uint64_t *done)
{
	uint64_t more = 0;
	enum hv_status status = b->release(b->ctx, base, size, done);

	if (status == HV_E_BUSY && !atomic_exchange(&b->waiting, true)) {
		/* There may have been room before anybody knew that this waits. */
		base += *done;
		status = b->release(b->ctx, base, size - *done, &more);
		*done += more;
	}
	if (status == HV_E_BUSY) {
		return false;
	}
	if (status != HV_OK) {
		count(&b->refused, 1);
	}
	return true;
}

/* Page numbers that were read; *used is how many of them are done. */
static bool release_pages(struct virtio_balloon *b, const uint32_t *pfn, uint32_t n, uint32_t *used)
{
	for (*used = 0; *used < n; ++*used) {
		uint64_t done;

		if (!release(b, (uint64_t)pfn[*used] << VIRTIO_BALLOON_PAGE_SHIFT, PAGE_BYTES,
			     &done)) {
			return false;
		}
		count(&b->inflated, done);
	}
	return true;
}

static enum outcome inflate(struct virtio_balloon *b, unsigned index, uint32_t *budget)
{
	struct virtio_balloon_queue *q = &b->queues[index];
	const uint32_t pages = q->chain.readable / sizeof(uint32_t);
	uint32_t pfn[PFN_CHUNK];

	while (q->next < pages) {
		uint32_t n = (uint32_t)min_u64(min_u64(pages - q->next, PFN_CHUNK), *budget);
		uint32_t used;
		bool all;

		if (n == 0) {
			return OUTCOME_AGAIN;
		}
		if (!virtqueue_read(virtio_ring(&b->transport, index), &q->chain,
				    q->next * (uint32_t)sizeof(*pfn), pfn,
				    n * (uint32_t)sizeof(*pfn))) {
			return OUTCOME_BROKEN;
		}
		all = release_pages(b, pfn, n, &used);
		q->next += used;
		*budget -= used;
		if (!all) {
			return OUTCOME_WAITS;
		}
	}
	return OUTCOME_DONE;
}

/* The driver takes pages back: there is memory for them when they are touched. */
static enum outcome deflate(struct virtio_balloon *b, unsigned index, uint32_t *budget)
{
	(void)b;
	(void)index;
	(void)budget;
	return OUTCOME_DONE;
}

/*
 * The whole pages of a buffer, from the first `offset` bytes on. False: the run is over, and q says
 * how far it came.
 */
static enum outcome report_segment(struct virtio_balloon *b, struct virtio_balloon_queue *q,
				   uint32_t *budget)
{
	const struct virtqueue_segment *s = &q->chain.segments[q->next];
	const uint64_t end = align_down(s->addr + s->len, PAGE_BYTES);

	if (q->offset >= s->len) {
		return OUTCOME_DONE;
	}
	if (!range_fits(s->addr, s->len, ADDRESS_END)) {
		count(&b->refused, 1);
		return OUTCOME_DONE;
	}
	for (;;) {
		uint64_t base = align_up(s->addr + q->offset, PAGE_BYTES);
		uint64_t done = 0;
		uint64_t n;
		bool all;

		if (base >= end) {
			return OUTCOME_DONE;
		}
		if (*budget == 0) {
			return OUTCOME_AGAIN;
		}
		--*budget;
		n = min_u64(end, align_down(base, VIRTIO_BALLOON_PIECE) + VIRTIO_BALLOON_PIECE) -
		    base;
		all = release(b, base, n, &done);
		count(&b->reported, done);
		q->offset = base - s->addr + (all ? n : done);
		if (!all) {
			return OUTCOME_WAITS;
		}
	}
}

/*
 * "Free Page Reporting": with PAGE_POISON the driver counts on finding poison_val in a page that
 * was reported, and what it finds is zero.
 */
static bool may_report(const struct virtio_balloon *b)
{
	return virtio_has(&b->transport, VIRTIO_BALLOON_F_PAGE_REPORTING) &&
	       (!virtio_has(&b->transport, VIRTIO_BALLOON_F_PAGE_POISON) ||
		__atomic_load_n(&b->space.poison_val, __ATOMIC_RELAXED) == 0);
}

static enum outcome report(struct virtio_balloon *b, unsigned index, uint32_t *budget)
{
	struct virtio_balloon_queue *q = &b->queues[index];

	if (q->chain.readable != 0) {
		virtqueue_break(virtio_ring(&b->transport, index),
				"a reported buffer is not for the device to write");
		return OUTCOME_BROKEN;
	}
	for (; may_report(b) && q->next < q->chain.count; q->next++, q->offset = 0) {
		enum outcome outcome = report_segment(b, q, budget);

		if (outcome != OUTCOME_DONE) {
			return outcome;
		}
	}
	return OUTCOME_DONE;
}

/* ---- queues of pages ---- */

/* What to do with the chain of queue `index`; the budget bounds one run of the queue. */
struct chain_ops {
	enum outcome (*handle)(struct virtio_balloon *b, unsigned index, uint32_t *budget);
	uint32_t budget;
};

static const struct chain_ops inflate_ops = {inflate, VIRTIO_BALLOON_RUN_PAGES};
static const struct chain_ops deflate_ops = {deflate, VIRTIO_BALLOON_RUN_PAGES};
static const struct chain_ops report_ops = {report, VIRTIO_BALLOON_RUN_PIECES};

static bool take(struct virtio_balloon *b, unsigned index)
{
	struct virtio_balloon_queue *q = &b->queues[index];

	if (!q->busy && virtqueue_pop(virtio_ring(&b->transport, index), &q->chain)) {
		q->busy = true;
	}
	return q->busy;
}

/* The queue has no chain any more. */
static void leave(struct virtio_balloon_queue *q)
{
	q->busy = false;
	q->next = 0;
	q->offset = 0;
}

/* All chains that there were at the last look. */
static enum outcome drain(struct virtio_balloon *b, unsigned index, const struct chain_ops *ops,
			  uint32_t *budget)
{
	struct virtio_balloon_queue *q = &b->queues[index];
	struct virtqueue *ring = virtio_ring(&b->transport, index);

	while (q->busy || virtqueue_waiting(ring) != 0) {
		enum outcome outcome;

		if (*budget == 0) {
			return OUTCOME_AGAIN;
		}
		if (!take(b, index)) {
			return OUTCOME_BROKEN;
		}
		outcome = ops->handle(b, index, budget);
		if (outcome != OUTCOME_DONE) {
			return outcome;
		}
		virtqueue_push(ring, q->chain.head, 0);
		leave(q);
		*budget -= *budget != 0;
	}
	return OUTCOME_DONE;
}

static void run_queue(struct virtio_balloon *b, unsigned index, const struct chain_ops *ops)
{
	struct virtqueue *ring = virtio_ring(&b->transport, index);
	uint32_t budget = ops->budget;
	enum outcome outcome;

	virtqueue_quiet(ring);
	(void)virtqueue_poll(ring);
	do {
		outcome = drain(b, index, ops, &budget);
	} while (outcome == OUTCOME_DONE && virtqueue_listen(ring));
	if (outcome == OUTCOME_AGAIN) {
		vwork_ask(&b->work, 0);
	}
}

/* ---- statistics ---- */

/* The driver's last word on each tag counts; unknown ones are for newer devices. */
static bool read_stats(struct virtio_balloon *b, const struct virtqueue_chain *c)
{
	uint8_t bytes[STATS_CHUNK_BYTES];
	uint32_t n = (uint32_t)min_u64(c->readable, sizeof(bytes));

	n -= n % VIRTIO_BALLOON_STAT_BYTES;
	if (n != 0 &&
	    !virtqueue_read(virtio_ring(&b->transport, VIRTIO_BALLOON_STATS), c, 0, bytes, n)) {
		return false;
	}
	b->valid = 0;
	for (uint32_t at = 0; at < n; at += VIRTIO_BALLOON_STAT_BYTES) {
		uint16_t tag;

		memcpy(&tag, bytes + at, sizeof(tag));
		if (tag < VIRTIO_BALLOON_STATS_MAX) {
			memcpy(&b->stats[tag], bytes + at + sizeof(tag), sizeof(b->stats[tag]));
			b->valid |= BIT32(tag);
		}
	}
	b->told = vtime_now(b->time);
	b->asked = false;
	return true;
}

/*
 * "Memory Statistics": the device keeps the driver's buffer, and gives it back to ask for new
 * statistics. A driver that offers a second one has its first back.
 */
static void return_stats(struct virtio_balloon *b)
{
	struct virtio_balloon_queue *q = &b->queues[VIRTIO_BALLOON_STATS];

	if (q->busy) {
		virtqueue_push(virtio_ring(&b->transport, VIRTIO_BALLOON_STATS), q->chain.head, 0);
		leave(q);
	}
}

static void take_stats(struct virtio_balloon *b)
{
	struct virtio_balloon_queue *q = &b->queues[VIRTIO_BALLOON_STATS];
	struct virtqueue *ring = virtio_ring(&b->transport, VIRTIO_BALLOON_STATS);
	unsigned budget = VIRTIO_BALLOON_QUEUE_SIZE;

	(void)virtqueue_poll(ring);
	while (virtqueue_waiting(ring) != 0 || virtqueue_listen(ring)) {
		return_stats(b);
		if (budget-- == 0) {
			vwork_ask(&b->work, 0);
			return;
		}
		if (!take(b, VIRTIO_BALLOON_STATS) || (!b->known && !read_stats(b, &q->chain))) {
			return;
		}
		b->known = false;
	}
	if (q->busy && b->asked) {
		b->asked = false;
		return_stats(b);
	}
}

void virtio_balloon_ask_stats(struct virtio_balloon *b)
{
	struct spinlock *lock = &b->transport.queues[VIRTIO_BALLOON_STATS].lock;

	lock_acquire(lock);
	b->asked = true;
	lock_release(lock);
	vwork_ask(&b->work, 0);
}

/* ---- as a device ---- */

/* Queue's lock held, and it may be worked on. */
static void notify(struct virtio_pci *d, unsigned index)
{
	struct virtio_balloon *b = to_balloon(d);

	if (index == VIRTIO_BALLOON_INFLATE) {
		run_queue(b, index, &inflate_ops);
	} else if (index == VIRTIO_BALLOON_DEFLATE) {
		run_queue(b, index, &deflate_ops);
	} else if (index == VIRTIO_BALLOON_STATS && virtio_has(d, VIRTIO_BALLOON_F_STATS_VQ)) {
		take_stats(b);
	} else {
		run_queue(b, index, &report_ops);
	}
	virtio_queue_publish(d, index);
}

static void work(struct vwork *w)
{
	struct virtio_balloon *b = container_of(w, struct virtio_balloon, work);

	for (unsigned i = 0; i < VIRTIO_BALLOON_QUEUES; i++) {
		virtio_pci_resume(&b->transport, i);
	}
}

static void queue_reset(struct virtio_pci *d, unsigned index)
{
	struct virtio_balloon *b = to_balloon(d);

	leave(&b->queues[index]);
	if (index == VIRTIO_BALLOON_STATS) {
		b->valid = 0;
		b->known = false;
	}
}

static void reset(struct virtio_pci *d)
{
	struct virtio_balloon *b = to_balloon(d);

	b->space.actual = 0;
	__atomic_store_n(&b->space.poison_val, 0, __ATOMIC_RELAXED);
}

static void config_write(struct virtio_pci *d, unsigned offset, unsigned size, uint64_t value)
{
	struct virtio_balloon *b = to_balloon(d);

	if (size != sizeof(uint32_t)) {
		return;
	}
	if (offset == offsetof(struct virtio_balloon_space, actual)) {
		b->space.actual = (uint32_t)value;
	} else if (offset == offsetof(struct virtio_balloon_space, poison_val)) {
		__atomic_store_n(&b->space.poison_val, (uint32_t)value, __ATOMIC_RELAXED);
	}
}

static const struct virtio_device_ops virtio_balloon_ops = {
	.name = "virtio-balloon",
	.notify = notify,
	.queue_reset = queue_reset,
	.reset = reset,
	.config_write = config_write,
};

/* ---- saved state: work that was asked for is, again, by whoever loads ---- */

static void save(void *dev, void *out)
{
	struct virtio_balloon *b = dev;
	struct spinlock *stats = &b->transport.queues[VIRTIO_BALLOON_STATS].lock;
	struct virtio_balloon_saved *saved = out;

	virtio_pci_save(&b->transport, &saved->transport);
	saved->space = b->space;
	for (unsigned i = 0; i < VIRTIO_BALLOON_QUEUES; i++) {
		const struct virtio_balloon_queue *q = &b->queues[i];

		saved->queues[i].next = q->next;
		saved->queues[i].offset = q->offset;
		if (q->busy) {
			virtio_pci_saved_unpop(&saved->transport, i);
		}
	}
	lock_acquire(stats);
	memcpy(saved->stats, b->stats, sizeof(saved->stats));
	saved->told = b->told;
	saved->valid = b->valid;
	saved->asked = b->asked;
	saved->known = b->known || b->queues[VIRTIO_BALLOON_STATS].busy;
	lock_release(stats);
}

static const char *check_balloon_queue(const struct virtio_balloon_saved *in, unsigned i)
{
	const struct virtqueue_saved *ring = &in->transport.queues[i].ring;
	bool begun = in->queues[i].next != 0 || in->queues[i].offset != 0 ||
		     (i == VIRTIO_BALLOON_STATS && in->known != 0);

	if (in->queues[i].zero != 0 || !virtio_pci_saved_rests(&in->transport, i)) {
		return "a buffer is out that it does not know";
	}
	return begun && ring->avail_seen == ring->avail_next
		       ? "a part is done of a buffer that is not there"
		       : NULL;
}

static const char *check(void *dev, const void *in)
{
	const struct virtio_balloon *b = dev;
	const struct virtio_balloon_saved *saved = in;
	const char *wrong = NULL;

	if (saved->valid >> VIRTIO_BALLOON_STATS_MAX != 0 || !saved_is_bool(saved->asked) ||
	    !saved_is_bool(saved->known) || !saved_is_zero(saved->zero, sizeof(saved->zero)) ||
	    saved->space.free_page_hint_cmd_id != 0) {
		return "there are 10 statistics, and no hints";
	}
	for (unsigned i = 0; i < VIRTIO_BALLOON_QUEUES && wrong == NULL; i++) {
		wrong = check_balloon_queue(saved, i);
	}
	return wrong != NULL ? wrong : virtio_pci_check(&b->transport, &saved->transport);
}

static void load(void *dev, const void *in)
{
	struct virtio_balloon *b = dev;
	struct spinlock *stats = &b->transport.queues[VIRTIO_BALLOON_STATS].lock;
	const struct virtio_balloon_saved *saved = in;

	virtio_pci_load(&b->transport, &saved->transport);
	b->space = saved->space;
	for (unsigned i = 0; i < VIRTIO_BALLOON_QUEUES; i++) {
		b->queues[i].next = saved->queues[i].next;
		b->queues[i].offset = saved->queues[i].offset;
	}
	lock_acquire(stats);
	memcpy(b->stats, saved->stats, sizeof(b->stats));
	b->told = vtime_of_loaded(b->time, saved->told);
	b->valid = saved->valid;
	b->asked = saved->asked != 0;
	b->known = saved->known != 0;
	lock_release(stats);
	vwork_ask(&b->work, 0);
}

static void reset_saved(void *dev)
{
	pci_device_reset(&((struct virtio_balloon *)dev)->transport.pci);
}

static const struct saved_ops saved_ops = {
	.name = "virtio-balloon",
	.kind = SAVED_KIND('V', 'B', 'A', 'L'),
	.version = VIRTIO_BALLOON_SAVED_VERSION,
	.bytes = sizeof(struct virtio_balloon_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

enum hv_status virtio_balloon_init(struct virtio_balloon *b,
				   const struct virtio_balloon_config *cfg)
{
	const struct virtio_pci_config transport = {
		.ops = &virtio_balloon_ops,
		.type = VIRTIO_TYPE_BALLOON,
		.class_code = CLASS_OTHER,
		.queue_count = VIRTIO_BALLOON_QUEUES,
		.queue_size = VIRTIO_BALLOON_QUEUE_SIZE,
		.features = BIT(VIRTIO_BALLOON_F_STATS_VQ) | BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
			    BIT(VIRTIO_BALLOON_F_PAGE_POISON) |
			    BIT(VIRTIO_BALLOON_F_PAGE_REPORTING),
		.config = &b->space,
		.config_size = sizeof(b->space),
	};

	*b = (struct virtio_balloon){.release = cfg->release, .ctx = cfg->ctx, .time = cfg->time};
	vwork_init(&b->work, cfg->work, work);
	saved_device_init(&b->saved, &saved_ops, b);
	return virtio_pci_init(&b->transport, &transport, &cfg->wiring);
}

void virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes)
{
	uint32_t pages = (uint32_t)min_u64(bytes >> VIRTIO_BALLOON_PAGE_SHIFT, UINT32_MAX);

	virtio_pci_set_config(&b->transport, offsetof(struct virtio_balloon_space, num_pages),
			      &pages, sizeof(pages));
}

void virtio_balloon_room(struct virtio_balloon *b)
{
	if (b != NULL && atomic_exchange(&b->waiting, false)) {
		vwork_ask(&b->work, 0);
	}
}

void virtio_balloon_info(struct virtio_balloon *b, struct virtio_balloon_info *out)
{
	struct spinlock *stats = &b->transport.queues[VIRTIO_BALLOON_STATS].lock;

	*out = (struct virtio_balloon_info){
		.live = virtio_is_live(&b->transport),
		.inflated = atomic_load(&b->inflated),
		.reported = atomic_load(&b->reported),
		.refused = atomic_load(&b->refused),
	};
	lock_acquire(&b->transport.lock);
	out->target = (uint64_t)b->space.num_pages << VIRTIO_BALLOON_PAGE_SHIFT;
	out->actual = (uint64_t)b->space.actual << VIRTIO_BALLOON_PAGE_SHIFT;
	lock_release(&b->transport.lock);
	lock_acquire(stats);
	out->valid = b->valid;
	memcpy(out->stats, b->stats, sizeof(out->stats));
	out->age = b->valid != 0 ? vtime_now(b->time) - b->told : 0;
	lock_release(stats);
}
