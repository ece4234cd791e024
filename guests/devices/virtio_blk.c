/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio block device: its requests become transfers (blk_transfer.h). Source: VIRTIO 1.2,
 * "Block Device". */
#include "guests/devices/virtio_blk.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CLASS_SCSI_STORAGE 0x010000u
#define HEADER_BYTES 16u
#define STATUS_BYTES 1u
#define WRITE_ZEROES_UNMAP 1u
#define NOWHERE UINT64_MAX   /* where a cursor that was not set stands */
#define PHYSICAL_BLOCK 4096u /* what images, overlays and buffers are made of */

struct request_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
_Static_assert(sizeof(struct request_header) == HEADER_BYTES, "Device Operation");

/* "struct virtio_blk_discard_write_zeroes" */
struct request_range {
	uint64_t sector;
	uint32_t count;
	uint32_t flags;
};
_Static_assert(sizeof(struct request_range) == 16, "Device Operation");

static struct virtqueue *ring_of(struct virtio_blk_queue *q)
{
	return virtio_ring(&q->disk->transport, q->index);
}

static void ask_for_work(struct virtio_blk_queue *q)
{
	vwork_ask(&q->work, q->index % q->disk->vcpu_count);
}

/* Whether the request is one of the driver's that is there now. */
static bool is_live(struct virtio_blk_queue *q, const struct virtio_blk_request *r)
{
	return blk_transfer_is_live(&r->transfer) && ring_of(q)->running;
}

/* Whether what comes back has to wait, as a driver that wants it forbids to touch its memory. */
static bool has_to_wait(struct virtio_blk_queue *q)
{
	const struct virtio_pci *d = &q->disk->transport;

	if (pci_device_is_master(&d->pci) || !ring_of(q)->running || !virtio_is_live(d)) {
		return false;
	}
	atomic_store(&q->waits_for_master, true);
	/* Either it is seen here that it is on again, or master_on sees that it is waited for. */
	atomic_thread_fence(memory_order_seq_cst);
	return !pci_device_is_master(&d->pci);
}

/* ---- the data of a request, for blk_transfer ---- */

static struct virtio_blk_request *request_of(struct blk_transfer *t)
{
	return container_of(t, struct virtio_blk_request, transfer);
}

/* Has the cursor stand at `offset` of the data, where it mostly does. */
static bool seek(struct virtio_blk_request *r, uint64_t offset)
{
	struct virtqueue *ring = ring_of(r->queue);
	uint32_t left = (uint32_t)(r->transfer.count * BLK_SECTOR - offset);

	if (r->cursor_at == offset) {
		return true;
	}
	return r->transfer.op == BLK_READ
		       ? virtqueue_seek_write(ring, &r->chain, (uint32_t)offset, left, &r->cursor)
		       : virtqueue_seek_read(ring, &r->chain, HEADER_BYTES + (uint32_t)offset, left,
					     &r->cursor);
}

/* What was read for a driver that is gone goes nowhere. */
static bool copy(struct blk_transfer *t, uint64_t offset, void *memory, uint32_t bytes)
{
	struct virtio_blk_request *r = request_of(t);
	bool copied;

	if (t->op == BLK_READ && !is_live(r->queue, r)) {
		return true;
	}
	copied = seek(r, offset) &&
		 (t->op == BLK_READ ? virtqueue_write_next(&r->cursor, memory, bytes)
				    : virtqueue_read_next(&r->cursor, memory, bytes));
	r->cursor_at = copied ? offset + bytes : NOWHERE;
	return copied;
}

/* Not where the data is copied, as it takes locks that those who copy may have. */
static void break_if_broken(struct virtio_blk_request *r)
{
	if (r->transfer.broken && is_live(r->queue, r)) {
		virtqueue_break(ring_of(r->queue), "a buffer is not in RAM");
	}
}

/* ---- requests ---- */

/* Tells the driver. */
static void complete(struct virtio_blk_queue *q, struct virtio_blk_request *r)
{
	enum hv_status result = r->status != HV_OK ? r->status : r->transfer.status;
	uint32_t last = r->chain.writable - STATUS_BYTES;
	uint32_t filled = result == HV_OK ? r->filled : 0;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (result != HV_OK) {
		status = result == HV_E_UNSUPPORTED ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	}
	if (virtqueue_write(ring_of(q), &r->chain, last, &status, STATUS_BYTES)) {
		virtqueue_push(ring_of(q), r->chain.head, filled + (filled == last));
	}
}

/* All of it is back. */
static void done(struct blk_transfer *t)
{
	struct virtio_blk_request *r = request_of(t);
	struct virtio_blk_queue *q = r->queue;

	break_if_broken(r);
	if (is_live(q, r)) {
		complete(q, r);
	}
	q->free_requests |= BIT32(r - q->requests);
}

static void ask(struct blk_transfers *all)
{
	ask_for_work(container_of(all, struct virtio_blk_queue, transfers));
}

static const struct blk_transfer_ops transfer_ops = {copy, done, ask};

/* Reads and writes; checked as a whole, so that no piece fails for it after others were done. */
static void begin_transfer(struct virtio_blk_queue *q, struct virtio_blk_request *r, uint64_t bytes)
{
	const struct blk_device *d = q->disk->device;
	struct blk_transfer *t = &r->transfer;

	if (!is_aligned(bytes, d->block_size) || (d->readonly && t->op == BLK_WRITE) ||
	    !range_fits(t->sector, bytes / BLK_SECTOR, d->sectors)) {
		r->status = HV_E_INVALID;
		return;
	}
	t->count = bytes / BLK_SECTOR;
	r->filled = t->op == BLK_READ ? (uint32_t)bytes : 0;
	t->flush_after = t->op == BLK_WRITE && bytes != 0 &&
			 !virtio_has(&q->disk->transport, VIRTIO_BLK_F_FLUSH);
}

static void begin_range(struct virtio_blk_queue *q, struct virtio_blk_request *r, unsigned feature,
			uint32_t flags)
{
	struct request_range range;

	if (!virtio_has(&q->disk->transport, feature)) {
		r->status = HV_E_UNSUPPORTED;
		return;
	}
	/* One range, as the configuration says. */
	if (r->chain.readable != HEADER_BYTES + sizeof(range) ||
	    !virtqueue_read(ring_of(q), &r->chain, HEADER_BYTES, &range, sizeof(range)) ||
	    range.count == 0 || range.count > VIRTIO_BLK_RANGE_MAX) {
		r->status = HV_E_INVALID;
		return;
	}
	if ((range.flags & ~flags) != 0) {
		r->status = HV_E_UNSUPPORTED;
		return;
	}
	r->transfer.sector = range.sector;
	r->transfer.count = range.count;
}

static void begin_get_id(struct virtio_blk_queue *q, struct virtio_blk_request *r)
{
	char id[VIRTIO_BLK_ID_BYTES] = {0};
	const char *serial = q->disk->device->serial;

	memcpy(id, serial, min_u64(str_len(serial), sizeof(id)));
	r->filled = (uint32_t)min_u64(r->chain.writable - STATUS_BYTES, sizeof(id));
	(void)virtqueue_write(ring_of(q), &r->chain, 0, id, r->filled);
}

static void begin(struct virtio_blk_queue *q, struct virtio_blk_request *r,
		  const struct request_header *h)
{
	switch (h->type) {
	case VIRTIO_BLK_T_IN:
		r->transfer.op = BLK_READ;
		begin_transfer(q, r, r->chain.writable - STATUS_BYTES);
		break;
	case VIRTIO_BLK_T_OUT:
		r->transfer.op = BLK_WRITE;
		begin_transfer(q, r, r->chain.readable - HEADER_BYTES);
		break;
	case VIRTIO_BLK_T_FLUSH:
		r->transfer.op = BLK_FLUSH;
		r->transfer.count = 1;
		break;
	case VIRTIO_BLK_T_GET_ID:
		begin_get_id(q, r);
		break;
	case VIRTIO_BLK_T_DISCARD:
		r->transfer.op = BLK_DISCARD;
		begin_range(q, r, VIRTIO_BLK_F_DISCARD, 0);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		r->transfer.op = BLK_WRITE_ZEROES;
		begin_range(q, r, VIRTIO_BLK_F_WRITE_ZEROES, WRITE_ZEROES_UNMAP);
		break;
	default:
		pci_device_lacks(&q->disk->transport.pci, LACKS_COMMAND, h->type);
		r->status = HV_E_UNSUPPORTED;
		break;
	}
}

/* Makes the next chain the current request. False: the queue is broken. */
static bool take_request(struct virtio_blk_queue *q)
{
	struct virtio_blk_request *r = &q->requests[__builtin_ctz(q->free_requests)];
	struct request_header h;

	if (!virtqueue_pop(ring_of(q), &r->chain)) {
		return false;
	}
	if (r->chain.writable < STATUS_BYTES ||
	    !virtqueue_read(ring_of(q), &r->chain, 0, &h, HEADER_BYTES)) {
		virtqueue_break(ring_of(q), "a request has no header or no status");
		return false;
	}
	q->free_requests &= q->free_requests - 1;
	q->current = r;
	r->transfer = (struct blk_transfer){.op = BLK_READ, .sector = h.sector};
	r->filled = 0;
	r->status = HV_OK;
	r->cursor_at = NOWHERE;
	begin(q, r, &h);
	blk_transfer_begin(&q->transfers, &r->transfer);
	return true;
}

/* ---- a queue at work ---- */

/* Sends what is left of the current request. False: it has to wait. */
static bool send_current(struct virtio_blk_queue *q, uint32_t *budget)
{
	struct virtio_blk_request *r = q->current;

	if (ring_of(q)->running && !blk_transfer_send(&r->transfer, budget)) {
		return false;
	}
	break_if_broken(r);
	q->current = NULL;
	blk_transfer_end(&r->transfer);
	return true;
}

/* One request begun, or what was left of one sent. False: it cannot go on now. */
static bool step(struct virtio_blk_queue *q, uint32_t *budget)
{
	if (q->current != NULL) {
		return send_current(q, budget);
	}
	if (*budget == 0 || q->free_requests == 0) {
		return false;
	}
	blk_spend(budget, BLK_COST_REQUEST);
	return take_request(q);
}

/* All that was there at the last look. True: some of it is left. */
static bool drain(struct virtio_blk_queue *q, uint32_t *budget)
{
	while (q->current != NULL || virtqueue_waiting(ring_of(q)) != 0) {
		if (!step(q, budget)) {
			return true;
		}
	}
	return false;
}

/*
 * Takes requests until there are none, something is used up, or it was enough for now. True: it has
 * to go on later, and the driver need not tell of more.
 */
static bool run(struct virtio_blk_queue *q)
{
	uint32_t budget = q->budget;

	virtqueue_quiet(ring_of(q));
	(void)virtqueue_poll(ring_of(q));
	do {
		if (drain(q, &budget)) {
			/* If it is not the budget, something is open, and its completion asks. */
			if (budget == 0) {
				ask_for_work(q);
			}
			return true;
		}
	} while (virtqueue_listen(ring_of(q)));
	return false;
}

/* Queue's lock held, and it may be worked on. */
static void notify(struct virtio_pci *d, unsigned index)
{
	struct virtio_blk *b = container_of(d, struct virtio_blk, transport);
	struct virtio_blk_queue *q = b->queues[index];

	q->stalled = run(q);
	q->budget = BLK_RUN_BYTES;
	virtio_queue_publish(d, index);
}

/* Finishes what is back. Whether the queue can go on where it had to stop. */
static bool collect(struct virtio_blk_queue *q)
{
	bool collected;

	q->budget = BLK_RUN_BYTES;
	collected = blk_pieces_collect(&q->transfers.pieces, &q->budget);
	virtio_queue_publish(&q->disk->transport, q->index);
	if (!collected) {
		ask_for_work(q);
	}
	return q->stalled && collected;
}

/*
 * Pieces have come back, the last run had done enough, or bus mastering is on again. What is
 * collected counts for the run that follows.
 */
static void work(struct vwork *w)
{
	struct virtio_blk_queue *q = container_of(w, struct virtio_blk_queue, work);
	struct virtio_pci *d = &q->disk->transport;
	bool go_on;

	lock_acquire(&d->queues[q->index].lock);
	go_on = !has_to_wait(q) && collect(q);
	lock_release(&d->queues[q->index].lock);
	if (go_on) {
		virtio_pci_resume(d, q->index);
	}
}

static void master_on(struct virtio_pci *d)
{
	struct virtio_blk *b = container_of(d, struct virtio_blk, transport);

	for (unsigned i = 0; i < d->queue_count; i++) {
		if (atomic_exchange(&b->queues[i]->waits_for_master, false)) {
			ask_for_work(b->queues[i]);
		}
	}
}

/* What is open is of an old generation from now on. */
static void queue_reset(struct virtio_pci *d, unsigned index)
{
	struct virtio_blk *b = container_of(d, struct virtio_blk, transport);
	struct virtio_blk_queue *q = b->queues[index];
	struct virtio_blk_request *r = q->current;

	blk_transfers_give_up(&q->transfers);
	q->stalled = false;
	q->current = NULL;
	if (r != NULL) {
		blk_transfer_end(&r->transfer);
	}
	/* What waited for bus mastering does not any more. */
	if (blk_pieces_are_open(&q->transfers.pieces)) {
		ask_for_work(q);
	}
}

/* ---- saved state ---- */

/* What was begun for a driver that is gone is lost, as it is when it comes back (is_live). */
static bool queue_is_quiet(struct virtio_blk_queue *q)
{
	struct virtio_pci *d = &q->disk->transport;
	bool goes_on;
	bool is_quiet;

	lock_acquire(&d->queues[q->index].lock);
	goes_on = q->current != NULL && ring_of(q)->running && virtio_is_live(d);
	is_quiet =
		!goes_on && blk_pieces_all_free(&q->transfers.pieces) && !vwork_is_asked(&q->work);
	lock_release(&d->queues[q->index].lock);
	return is_quiet;
}

static bool quiet(void *dev)
{
	struct virtio_blk *b = dev;
	bool is_quiet = true;

	for (unsigned i = 0; i < b->transport.queue_count; i++) {
		is_quiet = queue_is_quiet(b->queues[i]) && is_quiet;
	}
	return is_quiet;
}

static void save(void *dev, void *out)
{
	struct virtio_blk *b = dev;
	struct virtio_blk_saved *saved = out;

	virtio_pci_save(&b->transport, &saved->transport);
	saved->sectors = b->device->sectors;
	saved->block_size = b->device->block_size;
	saved->queue_count = b->transport.queue_count;
}

static const char *check(void *dev, const void *in)
{
	const struct virtio_blk *b = dev;
	const struct virtio_blk_saved *saved = in;

	if (saved->sectors != b->device->sectors || saved->block_size != b->device->block_size) {
		return "the disk has another size";
	}
	if (saved->queue_count != b->transport.queue_count) {
		return "it has another number of queues";
	}
	return virtio_pci_check(&b->transport, &saved->transport);
}

static void load(void *dev, const void *in)
{
	const struct virtio_blk_saved *saved = in;

	virtio_pci_load(&((struct virtio_blk *)dev)->transport, &saved->transport);
}

static void reset(void *dev)
{
	pci_device_reset(&((struct virtio_blk *)dev)->transport.pci);
}

static const struct saved_ops saved_ops = {
	.name = "virtio-blk",
	.kind = SAVED_KIND('V', 'B', 'L', 'K'),
	.version = VIRTIO_BLK_SAVED_VERSION,
	.bytes = sizeof(struct virtio_blk_saved),
	.quiet = quiet,
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

/* ---- set-up ---- */

static void fill_space(struct virtio_blk *b, unsigned queue_count)
{
	const struct blk_device *d = b->device;
	uint32_t blocks = PHYSICAL_BLOCK / d->block_size; /* a power of two */

	b->space = (struct virtio_blk_space){
		.capacity = d->sectors,
		.seg_max = VIRTQUEUE_SEGMENTS_MAX - 2, /* header and status */
		.blk_size = d->block_size,
		.physical_block_exp = (uint8_t)__builtin_ctz(blocks),
		.min_io_size = (uint16_t)blocks,
		.num_queues = (uint16_t)queue_count,
		.max_discard_sectors = VIRTIO_BLK_RANGE_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = PHYSICAL_BLOCK / BLK_SECTOR,
		.max_write_zeroes_sectors = VIRTIO_BLK_RANGE_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
}

static uint64_t features_of(const struct blk_device *d, unsigned queue_count)
{
	uint64_t features = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY);

	if (queue_count > 1) {
		features |= BIT(VIRTIO_BLK_F_MQ);
	}
	if (d->readonly) {
		return features | BIT(VIRTIO_BLK_F_RO);
	}
	if (d->discards) {
		features |= BIT(VIRTIO_BLK_F_DISCARD);
	}
	if (d->write_zeroes) {
		features |= BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	}
	return features;
}

static enum hv_status init_queue(struct virtio_blk *b, unsigned index,
				 const struct virtio_blk_config *cfg)
{
	struct virtio_blk_queue *q = cfg->queues[index];

	b->queues[index] = q;
	memset(q, 0, sizeof(*q));
	q->disk = b;
	q->index = index;
	vwork_init(&q->work, cfg->work, work);
	q->budget = BLK_RUN_BYTES;
	q->free_requests = (uint32_t)MASK(VIRTIO_BLK_REQUESTS - 1, 0);
	for (unsigned i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		q->requests[i].queue = q;
	}
	return blk_transfers_init(&q->transfers, &transfer_ops, b->device, cfg->buffers[index]);
}

static const struct virtio_device_ops virtio_blk_ops = {
	.name = "virtio-blk",
	.notify = notify,
	.queue_reset = queue_reset,
	.master_on = master_on,
};

enum hv_status virtio_blk_init(struct virtio_blk *b, const struct virtio_blk_config *cfg)
{
	const struct blk_device *d = cfg->device;
	const struct virtio_pci_config transport = {
		.ops = &virtio_blk_ops,
		.type = VIRTIO_TYPE_BLOCK,
		.class_code = CLASS_SCSI_STORAGE,
		.queue_count = cfg->queue_count,
		.queue_size = VIRTIO_BLK_QUEUE_SIZE,
		.features = features_of(d, cfg->queue_count),
		.config = &b->space,
		.config_size = sizeof(b->space),
	};
	enum hv_status status = HV_OK;

	b->device = cfg->device;
	saved_device_init(&b->saved, &saved_ops, b);
	b->vcpu_count = cfg->vcpu_count;
	for (unsigned i = 0; status == HV_OK && i < cfg->queue_count; i++) {
		status = init_queue(b, i, cfg);
	}
	if (status != HV_OK) {
		return status;
	}
	fill_space(b, cfg->queue_count);
	return virtio_pci_init(&b->transport, &transport, &cfg->wiring);
}

bool virtio_blk_is_idle(const struct virtio_blk *b)
{
	for (unsigned i = 0; i < b->transport.queue_count; i++) {
		if (!blk_pieces_are_idle(&b->queues[i]->transfers.pieces)) {
			return false;
		}
	}
	return true;
}
