/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio entropy device: a bucket of bytes that fills with guest time. */
#include "guests/devices/virtio_rng.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CLASS_OTHER 0x00ff00u
#define QUEUE 0u
#define CHUNK_BYTES 256u
/* Buffers that one run fills. */
#define RUN_BUFFERS 64u
/* A guest that finds the bucket empty waits until it holds this much. */
#define REFILL_BYTES VIRTIO_RNG_BUFFER_MAX

/* Ticks in which so many bytes come. */
static uint64_t ticks_for(uint32_t bytes)
{
	return clock_muldiv(clock_hz(), bytes, VIRTIO_RNG_RATE);
}

/* Counts what came since it was counted last. */
static void refill(struct virtio_rng *r)
{
	uint64_t now = vtime_now(r->time);
	uint64_t bytes;

	/* CPUs do not agree to the tick. */
	r->filled = min_u64(r->filled, now);
	bytes = clock_muldiv(now - r->filled, VIRTIO_RNG_RATE, clock_hz());
	if (bytes >= VIRTIO_RNG_BURST - r->left) {
		r->left = VIRTIO_RNG_BURST;
		r->filled = now;
	} else if (bytes != 0) {
		r->left += (uint32_t)bytes;
		/* What is less than a byte stays to be counted. */
		r->filled += ticks_for((uint32_t)bytes);
	}
}

/* Fills the buffers of the chain, as far as there are bytes; there are some. */
static void serve(struct virtio_rng *r)
{
	const struct virtqueue_chain *c = &r->chain;
	struct virtqueue *ring = virtio_ring(&r->transport, QUEUE);
	uint32_t bytes = (uint32_t)min_u64(min_u64(c->writable, VIRTIO_RNG_BUFFER_MAX), r->left);
	uint8_t chunk[CHUNK_BYTES];

	for (uint32_t done = 0; done < bytes;) {
		uint32_t part = (uint32_t)min_u64(bytes - done, sizeof(chunk));

		r->fill(chunk, part);
		if (!virtqueue_write(ring, c, done, chunk, part)) {
			return;
		}
		done += part;
	}
	memset(chunk, 0, sizeof(chunk));
	r->left -= bytes;
	virtqueue_push(ring, c->head, bytes);
}

/* True: a buffer waits, as the bytes are used up or *budget is. */
static bool drain(struct virtio_rng *r, unsigned *budget)
{
	struct virtqueue *ring = virtio_ring(&r->transport, QUEUE);
	struct virtqueue_chain *c = &r->chain;

	while (virtqueue_waiting(ring) != 0) {
		if (r->left == 0 || *budget == 0) {
			return true;
		}
		(*budget)--;
		if (!virtqueue_pop(ring, c)) {
			return false;
		}
		if (c->readable != 0 || c->writable == 0) {
			virtqueue_break(ring, "a buffer is not for the device to write");
			return false;
		}
		serve(r);
	}
	return false;
}

/* When there are bytes again, or if there are, when it was only enough for now. */
static void go_on_later(struct virtio_rng *r)
{
	if (r->left == 0) {
		vtimer_arm(&r->timer, r->filled + ticks_for(REFILL_BYTES));
	} else {
		vwork_ask(&r->work, 0);
	}
}

/* Queue's lock held, and it may be worked on. */
static void notify(struct virtio_pci *d, unsigned index)
{
	struct virtio_rng *r = container_of(d, struct virtio_rng, transport);
	struct virtqueue *ring = virtio_ring(d, index);
	unsigned budget = RUN_BUFFERS;

	refill(r);
	virtqueue_quiet(ring);
	(void)virtqueue_poll(ring);
	do {
		if (drain(r, &budget)) {
			go_on_later(r);
			break;
		}
	} while (virtqueue_listen(ring));
	virtio_queue_publish(d, index);
}

static void timer_fired(struct vtimer *t)
{
	struct virtio_rng *r = container_of(t, struct virtio_rng, timer);

	vwork_ask(&r->work, 0);
}

static void work(struct vwork *w)
{
	struct virtio_rng *r = container_of(w, struct virtio_rng, work);

	virtio_pci_resume(&r->transport, QUEUE);
}

static void queue_reset(struct virtio_pci *d, unsigned index)
{
	struct virtio_rng *r = container_of(d, struct virtio_rng, transport);

	(void)index;
	vtimer_cancel(&r->timer);
}

static const struct virtio_device_ops virtio_rng_ops = {
	.name = "virtio-rng",
	.notify = notify,
	.queue_reset = queue_reset,
};

/* ---- saved state: work that was asked for is, again, by whoever loads ---- */

static void save(void *dev, void *out)
{
	struct virtio_rng *r = dev;
	struct virtio_rng_saved *saved = out;

	virtio_pci_save(&r->transport, &saved->transport);
	saved->filled = r->filled;
	saved->deadline = vtimer_deadline(&r->timer);
	saved->left = r->left;
}

static const char *check(void *dev, const void *in)
{
	const struct virtio_rng *r = dev;
	const struct virtio_rng_saved *saved = in;

	if (saved->left > VIRTIO_RNG_BURST || saved->zero != 0) {
		return "at most 16384 bytes are saved up";
	}
	if (!virtio_pci_saved_rests(&saved->transport, QUEUE)) {
		return "a buffer is never half filled";
	}
	return virtio_pci_check(&r->transport, &saved->transport);
}

static void load(void *dev, const void *in)
{
	struct virtio_rng *r = dev;
	const struct virtio_rng_saved *saved = in;

	virtio_pci_load(&r->transport, &saved->transport);
	r->filled = vtime_of_loaded(r->time, saved->filled);
	r->left = saved->left;
	vtimer_arm(&r->timer, vtime_of_loaded(r->time, saved->deadline));
	vwork_ask(&r->work, 0);
}

static void reset(void *dev)
{
	pci_device_reset(&((struct virtio_rng *)dev)->transport.pci);
}

static const struct saved_ops saved_ops = {
	.name = "virtio-rng",
	.kind = SAVED_KIND('V', 'R', 'N', 'G'),
	.version = VIRTIO_RNG_SAVED_VERSION,
	.bytes = sizeof(struct virtio_rng_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

enum hv_status virtio_rng_init(struct virtio_rng *r, const struct virtio_rng_config *cfg)
{
	const struct virtio_pci_config transport = {
		.ops = &virtio_rng_ops,
		.type = VIRTIO_TYPE_ENTROPY,
		.class_code = CLASS_OTHER,
		.queue_count = 1,
		.queue_size = VIRTIO_RNG_QUEUE_SIZE,
	};

	r->fill = cfg->fill;
	r->time = cfg->time;
	r->left = VIRTIO_RNG_BURST;
	r->filled = vtime_now(cfg->time);
	vtimer_init(&r->timer, cfg->time, timer_fired);
	vwork_init(&r->work, cfg->work, work);
	saved_device_init(&r->saved, &saved_ops, r);
	return virtio_pci_init(&r->transport, &transport, &cfg->wiring);
}

void virtio_rng_fini(struct virtio_rng *r)
{
	vtimer_cancel(&r->timer);
}
