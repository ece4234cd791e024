/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NVMe controller as bytes, and back. When it is quiet no I/O command is open: what is left is
 * registers, queues, settings, and what was not told yet. Places in completion queues are then
 * reserved for deletions only, and shadow doorbells lie where the two buffers are.
 */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CC_KNOWN \
	(NVME_CC_EN | NVME_CC_CSS | NVME_CC_MPS | NVME_CC_AMS | NVME_CC_SHN | \
	 NVME_CC_IOSQES_MASK | NVME_CC_IOCQES_MASK)
#define EVENTS_KNOWN (BIT32(NVME_EVENT_NO_DOORBELL) | BIT32(NVME_EVENT_BAD_DOORBELL))
#define ADMIN_ENTRIES_MAX 4096u

static uint32_t queue_mask(const struct nvme_ctl *c)
{
	return (uint32_t)MASK(c->queue_count, 0);
}

/* ---- quiet ---- */

/* Of a controller that has failed nothing goes on but what the disk has. */
static bool queue_is_quiet(struct nvme_ctl *c, struct nvme_ctl_queue *q)
{
	bool is_quiet;

	lock_acquire(&q->lock);
	is_quiet = (q->current == NULL || atomic_load(&c->fatal)) &&
		   blk_pieces_all_free(&q->transfers.pieces) && !vwork_is_asked(&q->work);
	lock_release(&q->lock);
	return is_quiet;
}

static bool quiet(void *dev)
{
	struct nvme_ctl *c = dev;
	bool is_quiet = !atomic_load(&c->flushing) && !vwork_is_asked(&c->work);

	for (unsigned i = 0; i < c->queue_count; i++) {
		is_quiet = queue_is_quiet(c, c->queues[i]) && is_quiet;
	}
	return is_quiet;
}

/* ---- saving; controller's lock held ---- */

static struct nvme_ctl_ring_saved saved_ring(const struct nvme_ctl_ring *r)
{
	if (!r->made) {
		return (struct nvme_ctl_ring_saved){0};
	}
	return (struct nvme_ctl_ring_saved){.base = r->base,
					    .entries = r->entries,
					    .head = r->head,
					    .tail = r->tail,
					    .made = true};
}

static void save_queues(struct nvme_ctl *c, struct nvme_ctl_saved *out)
{
	for (unsigned i = 0; i <= c->queue_count; i++) {
		const struct nvme_ctl_sq *sq = &c->state.sq[i];
		const struct nvme_ctl_cq *cq = &c->state.cq[i];

		out->sq[i] = (struct nvme_ctl_sq_saved){.ring = saved_ring(&sq->ring),
							.cq = sq->cq,
							.deleting = sq->deleting,
							.delete_id = sq->delete_id};
		out->cq[i] = (struct nvme_ctl_cq_saved){.ring = saved_ring(&cq->ring),
							.vector = cq->vector,
							.phase = cq->phase,
							.interrupts = cq->interrupts,
							.starving = c->answers[i].starving};
	}
}

static void save_log(struct nvme_ctl *c, struct nvme_ctl_saved *out)
{
	lock_acquire(&c->log_lock);
	memcpy(out->errors, c->state.errors, sizeof(out->errors));
	out->error_count = c->state.error_count;
	lock_release(&c->log_lock);
}

static void save_registers(struct nvme_ctl *c, struct nvme_ctl_saved *out)
{
	const struct nvme_ctl_state *s = &c->state;

	out->asq = s->asq;
	out->acq = s->acq;
	out->shadow = s->shadow;
	out->event = s->event;
	out->cc = s->cc;
	out->aqa = s->aqa;
	out->intms = atomic_load(&s->intms);
	out->coalescing_off = s->coalescing_off;
	out->events = atomic_load(&c->events);
	out->unread = c->unread;
	memcpy(out->features, s->features, sizeof(out->features));
	memcpy(out->held, s->held, s->held_count * sizeof(out->held[0]));
	out->held_count = (uint8_t)s->held_count;
	out->ready = atomic_load(&s->ready);
	out->stopping = s->stopping;
	out->shutdown = (uint8_t)s->shutdown;
	out->shadowed = s->shadowed;
	out->event_told = s->event_told;
	out->fatal = atomic_load(&c->fatal);
}

static void save(void *dev, void *bytes)
{
	struct nvme_ctl *c = dev;
	struct nvme_ctl_saved *out = bytes;

	lock_acquire(&c->lock);
	out->sectors = c->device->sectors;
	out->block_size = c->device->block_size;
	out->queue_count = c->queue_count;
	save_registers(c, out);
	save_queues(c, out);
	save_log(c, out);
	lock_release(&c->lock);
	pci_device_save(&c->pci, &out->pci);
}

/* ---- checking ---- */

static const char *check_registers(const struct nvme_ctl *c, const struct nvme_ctl_saved *in)
{
	uint64_t places = in->asq | in->acq | in->shadow | in->event;

	if ((in->cc & ~(uint32_t)CC_KNOWN) != 0 ||
	    (in->aqa & ~(uint32_t)(NVME_AQA_ASQS | NVME_AQA_ACQS)) != 0) {
		return "CC or AQA has bits that do not exist";
	}
	if (!is_aligned(places, PAGE_SIZE)) {
		return "a place of queues or doorbells is not at a page";
	}
	if (((in->unread | in->coalescing_off) & ~queue_mask(c)) != 0 ||
	    (in->events & ~EVENTS_KNOWN) != 0) {
		return "a bit is set for a queue or an event that does not exist";
	}
	if (in->held_count > NVME_CTL_HELD_EVENTS || in->shutdown > NVME_CTL_DOWN ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a shutdown or the number of event requests is not possible";
	}
	if (!saved_is_zero(&in->held[in->held_count],
			   (NVME_CTL_HELD_EVENTS - in->held_count) * sizeof(in->held[0]))) {
		return "an event request that is not held has a number";
	}
	if (!saved_is_bool(in->ready) || !saved_is_bool(in->stopping) ||
	    !saved_is_bool(in->shadowed) || !saved_is_bool(in->event_told) ||
	    !saved_is_bool(in->fatal)) {
		return "a flag is neither 0 nor 1";
	}
	return nvme_ctl_features_check(in->features);
}

static const char *check_ring(const struct nvme_ctl_ring_saved *r, uint32_t entries_max)
{
	if (!saved_is_bool(r->made) || !saved_is_zero(r->zero, sizeof(r->zero))) {
		return "a queue exists or does not";
	}
	if (r->made == 0) {
		return saved_is_zero(r, sizeof(*r)) ? NULL
						    : "a queue that does not exist has state";
	}
	if (r->entries < 2 || r->entries > entries_max || r->head >= r->entries ||
	    r->tail >= r->entries || !is_aligned(r->base, PAGE_SIZE)) {
		return "size, place or state of a queue is not possible";
	}
	return NULL;
}

/* A submission queue, or one that is being deleted, has a completion queue of its kind. */
static bool has_answers(const struct nvme_ctl *c, const struct nvme_ctl_saved *in, unsigned id)
{
	const struct nvme_ctl_sq_saved *sq = &in->sq[id];

	if (id == 0) {
		return sq->cq == 0;
	}
	if (sq->ring.made == 0 && sq->deleting == 0) {
		return sq->cq <= c->queue_count;
	}
	return sq->cq >= 1 && sq->cq <= c->queue_count && in->cq[sq->cq].ring.made != 0;
}

static const char *check_queue(const struct nvme_ctl *c, const struct nvme_ctl_saved *in,
			       unsigned id)
{
	const struct nvme_ctl_sq_saved *sq = &in->sq[id];
	const struct nvme_ctl_cq_saved *cq = &in->cq[id];
	uint32_t entries_max = id == 0 ? ADMIN_ENTRIES_MAX : NVME_CTL_ENTRIES_MAX;
	const char *wrong = check_ring(&sq->ring, entries_max);

	if (wrong == NULL) {
		wrong = check_ring(&cq->ring, entries_max);
	}
	if (wrong != NULL) {
		return wrong;
	}
	if (!has_answers(c, in, id)) {
		return "a submission queue has no completion queue";
	}
	if (!saved_is_bool(sq->deleting) ||
	    (sq->deleting != 0 && (id == 0 || sq->ring.made != 0)) ||
	    !saved_is_zero(sq->zero, sizeof(sq->zero))) {
		return "a queue is deleted that cannot be";
	}
	if (cq->vector > c->queue_count || !saved_is_bool(cq->phase) ||
	    !saved_is_bool(cq->interrupts) || (cq->starving & ~queue_mask(c)) != 0) {
		return "a completion queue has a vector or a submitter that does not exist";
	}
	return cq->ring.made == 0 && !saved_is_zero(cq, sizeof(*cq))
		       ? "a completion queue that does not exist has state"
		       : NULL;
}

/* Which queues there are follows from whether it is on, off, or on the way. */
static const char *check_life(const struct nvme_ctl_saved *in, unsigned id)
{
	bool submits = in->sq[id].ring.made != 0 || in->sq[id].deleting != 0;

	if (in->ready == 0 && (submits || in->cq[id].ring.made != 0)) {
		return "a queue exists while it is not ready";
	}
	if (submits && (in->stopping != 0 || in->shutdown != NVME_CTL_UP)) {
		return "a submission queue exists while it stops";
	}
	return NULL;
}

/* Those that do not exist here are all zeros. */
static const char *check_queues(const struct nvme_ctl *c, const struct nvme_ctl_saved *in)
{
	unsigned missing = NVME_CTL_QUEUES - (c->queue_count + 1);
	const char *wrong = NULL;

	for (unsigned i = 0; i <= c->queue_count && wrong == NULL; i++) {
		wrong = check_queue(c, in, i);
		wrong = wrong != NULL ? wrong : check_life(in, i);
	}
	if (wrong == NULL && missing != 0 &&
	    (!saved_is_zero(&in->sq[c->queue_count + 1], missing * sizeof(in->sq[0])) ||
	     !saved_is_zero(&in->cq[c->queue_count + 1], missing * sizeof(in->cq[0])))) {
		wrong = "it has more queues than this one";
	}
	return wrong;
}

static const char *check(void *dev, const void *bytes)
{
	const struct nvme_ctl *c = dev;
	const struct nvme_ctl_saved *in = bytes;
	const char *wrong = NULL;

	if (in->sectors != c->device->sectors || in->block_size != c->device->block_size) {
		return "the disk has another size";
	}
	if (in->queue_count != c->queue_count) {
		return "it has another number of queues";
	}
	if (in->ready != in->cq[0].ring.made) {
		return "it is ready exactly while it has an admin completion queue";
	}
	if (in->ready != 0 && in->stopping == 0 && (in->cc & NVME_CC_EN) == 0) {
		return "it is ready and not enabled";
	}
	wrong = check_registers(c, in);
	if (wrong == NULL) {
		wrong = check_queues(c, in);
	}
	return wrong != NULL ? wrong : pci_device_check(&c->pci, &in->pci);
}

/* ---- loading; controller's lock held ---- */

static void load_registers(struct nvme_ctl *c, const struct nvme_ctl_saved *in)
{
	struct nvme_ctl_state *s = &c->state;

	s->asq = in->asq;
	s->acq = in->acq;
	s->shadow = in->shadow;
	s->event = in->event;
	s->cc = in->cc;
	s->aqa = in->aqa;
	atomic_store(&s->intms, in->intms);
	s->coalescing_off = in->coalescing_off;
	atomic_store(&c->events, in->events);
	memcpy(s->features, in->features, sizeof(s->features));
	atomic_store(&c->write_through, (in->features[NVME_FEATURE_WRITE_CACHE] & 1) == 0);
	memcpy(s->held, in->held, sizeof(s->held));
	s->held_count = in->held_count;
	atomic_store(&s->ready, in->ready != 0);
	s->stopping = in->stopping != 0;
	s->shutdown = (enum nvme_ctl_shutdown)in->shutdown;
	s->shadowed = in->shadowed != 0;
	s->event_told = in->event_told != 0;
	atomic_store(&c->fatal, in->fatal != 0);
	lock_acquire(&c->log_lock);
	memcpy(s->errors, in->errors, sizeof(s->errors));
	s->error_count = in->error_count;
	lock_release(&c->log_lock);
}

static void load_ring(struct nvme_ctl *c, struct nvme_ctl_ring *r, unsigned doorbell,
		      const struct nvme_ctl_ring_saved *in)
{
	*r = (struct nvme_ctl_ring){0};
	if (in->made != 0) {
		nvme_ctl_ring_make(c, r, doorbell, in->base, in->entries);
		r->head = in->head;
		r->tail = in->tail;
	}
}

static void load_cq(struct nvme_ctl *c, unsigned id, const struct nvme_ctl_cq_saved *in)
{
	struct nvme_ctl_answers *a = &c->answers[id];
	struct nvme_ctl_cq *cq = &c->state.cq[id];

	lock_acquire(&a->lock);
	load_ring(c, &cq->ring, 2 * id + 1, &in->ring);
	cq->vector = in->vector;
	cq->phase = in->phase != 0;
	cq->interrupts = in->interrupts != 0;
	a->starving = in->starving;
	a->fresh = false;
	a->reserved = 0;
	lock_release(&a->lock);
}

/* What the disk still has of the controller of before comes back to the queue's new place. */
static void load_sq(struct nvme_ctl *c, unsigned id, const struct nvme_ctl_sq_saved *in)
{
	struct nvme_ctl_queue *q = id == 0 ? NULL : c->queues[id - 1];
	struct nvme_ctl_sq *sq = &c->state.sq[id];

	if (q != NULL) {
		lock_acquire(&q->lock);
		for (uint32_t open = ~q->free_commands; open != 0; open &= open - 1) {
			c->answers[in->cq].reserved++;
		}
	}
	load_ring(c, &sq->ring, 2 * id, &in->ring);
	sq->cq = in->cq;
	sq->deleting = in->deleting != 0;
	sq->delete_id = in->delete_id;
	c->answers[0].reserved += sq->deleting;
	if (q != NULL) {
		lock_release(&q->lock);
	}
}

static void load_queues(struct nvme_ctl *c, const struct nvme_ctl_saved *in)
{
	for (unsigned i = 1; i <= c->queue_count; i++) {
		struct nvme_ctl_queue *q = c->queues[i - 1];

		lock_acquire(&q->lock);
		nvme_ctl_queue_stop(q);
		lock_release(&q->lock);
	}
	for (unsigned i = 0; i <= c->queue_count; i++) {
		load_cq(c, i, &in->cq[i]);
	}
	for (unsigned i = 0; i <= c->queue_count; i++) {
		load_sq(c, i, &in->sq[i]);
	}
	lock_acquire(&c->intx_lock);
	c->unread = in->unread;
	lock_release(&c->intx_lock);
}

static void load(void *dev, const void *bytes)
{
	struct nvme_ctl *c = dev;
	const struct nvme_ctl_saved *in = bytes;

	lock_acquire(&c->lock);
	load_registers(c, in);
	load_queues(c, in);
	lock_release(&c->lock);
	pci_device_load(&c->pci, &in->pci);
}

static void reset(void *dev)
{
	pci_device_reset(&((struct nvme_ctl *)dev)->pci);
}

const struct saved_ops nvme_ctl_saved_ops = {
	.name = "NVMe",
	.kind = SAVED_KIND('N', 'V', 'M', 'E'),
	.version = NVME_CTL_SAVED_VERSION,
	.bytes = sizeof(struct nvme_ctl_saved),
	.quiet = quiet,
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};
