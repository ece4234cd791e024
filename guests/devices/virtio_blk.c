/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio block device: requests, the pieces they are cut into, and what happens when those are
 * done. Source: VIRTIO 1.2, "Block Device". */
#include "guests/devices/virtio_blk.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define CLASS_SCSI_STORAGE 0x010000u
#define HEADER_BYTES 16u
#define STATUS_BYTES 1u
#define WRITE_ZEROES_UNMAP 1u
#define PHYSICAL_BLOCK 4096u /* what images, overlays and buffers are made of */

/* What one run handles at most before the guest goes on: about a millisecond in RAM. */
#define RUN_BYTES (1u << 20)
/* What a request counts for besides its data. */
#define COST_REQUEST 4096u
#define COST_BARE 65536u

/* States of a piece. */
#define PIECE_SENDING 0u /* blk_submit has not returned */
#define PIECE_OPEN 1u	 /* it has; who completes the piece sees to the rest */
#define PIECE_DONE 2u

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

static void finish_request(struct virtio_blk_queue *q, struct virtio_blk_request *r);

static struct virtqueue *ring_of(struct virtio_blk_queue *q)
{
	return virtio_ring(&q->disk->transport, q->index);
}

static void ask_for_work(struct virtio_blk_queue *q)
{
	vwork_ask(&q->work, q->index % q->disk->vcpu_count);
}

/* Whether the request may touch the guest. */
static bool is_live(struct virtio_blk_queue *q, const struct virtio_blk_request *r)
{
	return r->generation == q->generation && ring_of(q)->running &&
	       pci_device_is_master(&q->disk->transport.pci);
}

/* ---- pieces ---- */

/* NULL when all are at the disk. */
static struct virtio_blk_piece *take_piece(struct virtio_blk_queue *q, struct virtio_blk_request *r)
{
	struct virtio_blk_piece *p;

	if (q->free_pieces == 0) {
		return NULL;
	}
	p = &q->pieces[__builtin_ctzll(q->free_pieces)];
	q->free_pieces &= q->free_pieces - 1;
	p->request = r;
	p->buffer = (struct bounce_run){0};
	return p;
}

static void give_piece(struct virtio_blk_queue *q, struct virtio_blk_piece *p)
{
	bounce_give(&q->bounce, p->buffer);
	q->free_pieces |= BIT(p - q->pieces);
}

static void drop_request(struct virtio_blk_queue *q, struct virtio_blk_request *r)
{
	r->open--;
	if (r->open == 0) {
		finish_request(q, r);
	}
}

static void finish_piece(struct virtio_blk_queue *q, struct virtio_blk_piece *p)
{
	struct virtio_blk_request *r = p->request;

	if (p->r.status != HV_OK) {
		r->status = r->status == HV_OK ? p->r.status : r->status;
	} else if (p->r.op == BLK_READ && is_live(q, r)) {
		(void)virtqueue_write(ring_of(q), &r->chain, p->offset, p->r.buffer,
				      p->r.count * BLK_SECTOR);
	}
	give_piece(q, p);
	drop_request(q, r);
}

/* From the disk: any CPU, any space, perhaps with this queue's lock held by send. */
static void piece_done(struct blk_request *r)
{
	struct virtio_blk_piece *p = container_of(r, struct virtio_blk_piece, r);
	struct virtio_blk_queue *q = p->queue;
	struct virtio_blk_piece *first;

	if (atomic_exchange(&p->state, PIECE_DONE) == PIECE_SENDING) {
		return;
	}
	first = atomic_load_explicit(&q->finished, memory_order_relaxed);
	do {
		p->next = first;
	} while (!atomic_compare_exchange_weak(&q->finished, &first, p));
	if (first == NULL) {
		ask_for_work(q);
	}
	/* The last that is done with the queue: see virtio_blk_is_idle. */
	atomic_fetch_add(&q->closed, 1);
}

/* Hands a piece to the disk, and finishes it if it comes back at once. */
static void send(struct virtio_blk_queue *q, struct virtio_blk_piece *p)
{
	p->request->open++;
	atomic_store_explicit(&p->state, PIECE_SENDING, memory_order_relaxed);
	blk_submit(q->disk->device, &p->r);
	if (atomic_exchange(&p->state, PIECE_OPEN) == PIECE_DONE) {
		finish_piece(q, p);
	} else {
		q->opened++;
	}
}

/* Flush, discard, write-zeroes. False: no piece is left. */
static bool send_bare(struct virtio_blk_queue *q, struct virtio_blk_request *r, enum blk_op op)
{
	struct virtio_blk_piece *p = take_piece(q, r);

	if (p == NULL) {
		return false;
	}
	p->r.op = op;
	p->r.sector = op == BLK_FLUSH ? 0 : r->sector;
	p->r.count = op == BLK_FLUSH ? 0 : r->count;
	p->r.buffer = NULL;
	send(q, p);
	return true;
}

/* Between a chain and the memory of a disk. */
struct copier {
	struct blk_copier c;
	struct virtqueue_cursor cursor;
	bool broken; /* a buffer is not RAM */
};

static bool copy_from(struct blk_copier *c, const void *memory, uint32_t bytes)
{
	struct copier *copier = container_of(c, struct copier, c);

	copier->broken = !virtqueue_write_next(&copier->cursor, memory, bytes);
	return !copier->broken;
}

static bool copy_to(struct blk_copier *c, void *memory, uint32_t bytes)
{
	struct copier *copier = container_of(c, struct copier, c);

	copier->broken = !virtqueue_read_next(&copier->cursor, memory, bytes);
	return !copier->broken;
}

static bool seek(struct virtio_blk_queue *q, const struct virtio_blk_request *r, uint32_t bytes,
		 struct virtqueue_cursor *cursor)
{
	if (r->op == BLK_READ) {
		return virtqueue_seek_write(ring_of(q), &r->chain, r->sent, bytes, cursor);
	}
	return virtqueue_seek_read(ring_of(q), &r->chain, HEADER_BYTES + r->sent, bytes, cursor);
}

/*
 * The next `bytes` of the data without a buffer. False: the disk cannot, or no piece is left for
 * the flush that may have to follow.
 */
static bool copy_data(struct virtio_blk_queue *q, struct virtio_blk_request *r, uint32_t bytes)
{
	struct blk_device *d = q->disk->device;
	struct blk_request part = {.op = r->op,
				   .sector = r->sector + r->sent / BLK_SECTOR,
				   .count = bytes / BLK_SECTOR};
	struct copier copier = {.c = {.from = copy_from, .to = copy_to}};
	enum hv_status status;

	if (!d->copies || q->free_pieces == 0 || !seek(q, r, bytes, &copier.cursor)) {
		return false;
	}
	status = blk_copy(d, &part, &copier.c);
	if (status == HV_E_UNSUPPORTED) {
		return false;
	}
	if (copier.broken) {
		virtqueue_break(ring_of(q), "a buffer is not in RAM");
	}
	r->status = r->status == HV_OK ? status : r->status;
	r->sent += bytes;
	return true;
}

/* The next part of the data; *sent: bytes. False: no piece or no buffer is left. */
static bool send_data(struct virtio_blk_queue *q, struct virtio_blk_request *r, uint32_t *sent)
{
	uint32_t bytes = (uint32_t)min_u64(r->bytes - r->sent, q->disk->piece_bytes);
	struct virtio_blk_piece *p;

	if (copy_data(q, r, bytes)) {
		*sent = bytes;
		return true;
	}
	p = take_piece(q, r);
	if (p == NULL) {
		return false;
	}
	p->buffer = bounce_take(&q->bounce, (unsigned)((bytes + PAGE_SIZE - 1) / PAGE_SIZE));
	if (p->buffer.count == 0) {
		give_piece(q, p);
		return false;
	}
	bytes = (uint32_t)min_u64(bytes, p->buffer.count * PAGE_SIZE);
	p->offset = r->sent;
	p->r.op = r->op;
	p->r.sector = r->sector + r->sent / BLK_SECTOR;
	p->r.count = bytes / BLK_SECTOR;
	p->r.buffer = bounce_memory(&q->bounce, p->buffer);
	r->sent += bytes;
	*sent = bytes;
	if (r->op == BLK_WRITE &&
	    !virtqueue_read(ring_of(q), &r->chain, HEADER_BYTES + p->offset, p->r.buffer, bytes)) {
		give_piece(q, p); /* the queue is broken */
	} else {
		send(q, p);
	}
	return true;
}

/* ---- requests ---- */

/* Tells the driver. */
static void complete(struct virtio_blk_queue *q, struct virtio_blk_request *r)
{
	uint32_t last = r->chain.writable - STATUS_BYTES;
	uint32_t filled = r->status == HV_OK ? r->filled : 0;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (r->status != HV_OK) {
		status = r->status == HV_E_UNSUPPORTED ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	}
	if (virtqueue_write(ring_of(q), &r->chain, last, &status, STATUS_BYTES)) {
		virtqueue_push(ring_of(q), r->chain.head, filled + (filled == last));
	}
}

/* Before a driver is told of a write that it will not ask a flush for. */
static void flush_now(struct virtio_blk_queue *q, struct virtio_blk_request *r)
{
	bool sent;

	r->flush_after = false;
	sent = send_bare(q, r, BLK_FLUSH);
	CHECK(sent); /* the piece that came back last is free, or copy_data saw one */
}

/* All its pieces are back. */
static void finish_request(struct virtio_blk_queue *q, struct virtio_blk_request *r)
{
	if (is_live(q, r)) {
		if (r->flush_after && r->status == HV_OK) {
			flush_now(q, r);
			return;
		}
		complete(q, r);
	}
	q->free_requests |= BIT32(r - q->requests);
}

/* Reads and writes; checked as a whole, so that no piece fails for it after others were done. */
static void begin_transfer(struct virtio_blk_queue *q, struct virtio_blk_request *r, uint64_t bytes)
{
	const struct blk_device *d = q->disk->device;

	if (!is_aligned(bytes, d->block_size) || (d->readonly && r->op == BLK_WRITE) ||
	    !range_fits(r->sector, bytes / BLK_SECTOR, d->sectors)) {
		r->status = HV_E_INVALID;
		return;
	}
	r->bytes = (uint32_t)bytes;
	r->filled = r->op == BLK_READ ? r->bytes : 0;
	r->flush_after = r->op == BLK_WRITE && bytes != 0 &&
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
	    range.count > VIRTIO_BLK_RANGE_MAX) {
		r->status = HV_E_INVALID;
		return;
	}
	if ((range.flags & ~flags) != 0) {
		r->status = HV_E_UNSUPPORTED;
		return;
	}
	r->sector = range.sector;
	r->count = range.count;
	r->bare = true;
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
		r->op = BLK_READ;
		begin_transfer(q, r, r->chain.writable - STATUS_BYTES);
		break;
	case VIRTIO_BLK_T_OUT:
		r->op = BLK_WRITE;
		begin_transfer(q, r, r->chain.readable - HEADER_BYTES);
		break;
	case VIRTIO_BLK_T_FLUSH:
		r->op = BLK_FLUSH;
		r->bare = true;
		break;
	case VIRTIO_BLK_T_GET_ID:
		begin_get_id(q, r);
		break;
	case VIRTIO_BLK_T_DISCARD:
		r->op = BLK_DISCARD;
		begin_range(q, r, VIRTIO_BLK_F_DISCARD, 0);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		r->op = BLK_WRITE_ZEROES;
		begin_range(q, r, VIRTIO_BLK_F_WRITE_ZEROES, WRITE_ZEROES_UNMAP);
		break;
	default:
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
	r->sector = h.sector;
	r->bytes = 0;
	r->sent = 0;
	r->filled = 0;
	r->generation = q->generation;
	r->open = 1;
	r->bare = false;
	r->flush_after = false;
	r->status = HV_OK;
	begin(q, r, &h);
	return true;
}

/* ---- a queue at work ---- */

static void spend(uint32_t *budget, uint32_t cost)
{
	*budget -= (uint32_t)min_u64(*budget, cost);
}

/* Sends what is left of the current request. False: it has to wait. */
static bool send_current(struct virtio_blk_queue *q, uint32_t *budget)
{
	struct virtio_blk_request *r = q->current;
	uint32_t sent;

	while (r->sent < r->bytes && ring_of(q)->running) {
		if (*budget == 0 || !send_data(q, r, &sent)) {
			return false;
		}
		spend(budget, sent);
	}
	if (r->bare && ring_of(q)->running) {
		if (!send_bare(q, r, r->op)) {
			return false;
		}
		r->bare = false;
		spend(budget, COST_BARE);
	}
	q->current = NULL;
	drop_request(q, r);
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
	spend(budget, COST_REQUEST);
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
	uint32_t budget = RUN_BYTES;

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
	virtio_queue_publish(d, index);
}

/* Pieces have come back, or the last run had done enough. */
static void work(struct vwork *w)
{
	struct virtio_blk_queue *q = container_of(w, struct virtio_blk_queue, work);
	struct virtio_pci *d = &q->disk->transport;
	struct virtio_blk_piece *p;
	bool go_on;

	lock_acquire(&d->queues[q->index].lock);
	p = atomic_exchange(&q->finished, NULL);
	while (p != NULL) {
		struct virtio_blk_piece *next = p->next;

		finish_piece(q, p);
		p = next;
	}
	virtio_queue_publish(d, q->index);
	go_on = q->stalled;
	lock_release(&d->queues[q->index].lock);
	if (go_on) {
		virtio_pci_resume(d, q->index);
	}
}

/* What is open is of an old generation from now on. */
static void queue_reset(struct virtio_pci *d, unsigned index)
{
	struct virtio_blk *b = container_of(d, struct virtio_blk, transport);
	struct virtio_blk_queue *q = b->queues[index];
	struct virtio_blk_request *r = q->current;

	q->generation++;
	q->stalled = false;
	q->current = NULL;
	if (r != NULL) {
		drop_request(q, r);
	}
}

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

static void init_queue(struct virtio_blk *b, unsigned index, const struct virtio_blk_config *cfg)
{
	struct virtio_blk_queue *q = cfg->queues[index];

	b->queues[index] = q;
	memset(q, 0, sizeof(*q));
	q->disk = b;
	q->index = index;
	vwork_init(&q->work, cfg->work, work);
	bounce_init(&q->bounce, cfg->buffers[index]);
	q->free_requests = (uint32_t)MASK(VIRTIO_BLK_REQUESTS - 1, 0);
	q->free_pieces = MASK(VIRTIO_BLK_PIECES - 1, 0);
	for (unsigned i = 0; i < VIRTIO_BLK_PIECES; i++) {
		q->pieces[i].queue = q;
		q->pieces[i].r.done = piece_done;
	}
}

static const struct virtio_device_ops virtio_blk_ops = {
	.name = "virtio-blk",
	.notify = notify,
	.queue_reset = queue_reset,
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
	uint64_t most = min_u64(BOUNCE_RUN_MAX * PAGE_SIZE, (uint64_t)d->max_count * BLK_SECTOR);

	if (d->block_size > PAGE_SIZE || most < d->block_size) {
		return HV_E_UNSUPPORTED;
	}
	b->device = cfg->device;
	b->vcpu_count = cfg->vcpu_count;
	b->piece_bytes = (uint32_t)align_down(most, most < PAGE_SIZE ? d->block_size : PAGE_SIZE);
	fill_space(b, cfg->queue_count);
	for (unsigned i = 0; i < cfg->queue_count; i++) {
		init_queue(b, i, cfg);
	}
	return virtio_pci_init(&b->transport, &transport, &cfg->wiring);
}

bool virtio_blk_is_idle(const struct virtio_blk *b)
{
	for (unsigned i = 0; i < b->transport.queue_count; i++) {
		if (b->queues[i]->opened != atomic_load(&b->queues[i]->closed)) {
			return false;
		}
	}
	return true;
}

void virtio_blk_fini(struct virtio_blk *b)
{
	for (unsigned i = 0; i < b->transport.queue_count; i++) {
		vwork_cancel(&b->queues[i]->work);
	}
}
