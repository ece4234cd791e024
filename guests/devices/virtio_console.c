/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio console: two queues between the guest and its console's bytes. */
#include "guests/devices/virtio_console.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CLASS_OTHER_COMMUNICATION 0x078000u
#define QUEUES 2u
#define CHUNK_BYTES 256u
/*
 * Output of one run; whoever has more goes on when interrupts have had a chance: at the pace of a
 * serial port this is a tenth of a second. A chain counts for some bytes besides its own.
 */
#define RUN_BYTES 1024u
#define COST_CHAIN 16u

static struct virtio_console *to_console(struct virtio_pci *d)
{
	return container_of(d, struct virtio_console, transport);
}

/* ---- output ---- */

/* Sends of the current chain what the budget allows. False: the queue is broken, or it is not all.
 */
static bool send(struct virtio_console *c, uint32_t *budget)
{
	struct virtqueue *ring = virtio_ring(&c->transport, VIRTIO_CONSOLE_TX);
	char chunk[CHUNK_BYTES];

	while (c->tx_offset < c->tx.readable) {
		uint32_t n = (uint32_t)min_u64(c->tx.readable - c->tx_offset, sizeof(chunk));

		if (n > *budget || !virtqueue_read(ring, &c->tx, c->tx_offset, chunk, n)) {
			return false;
		}
		c->transmit(c->ctx, chunk, n);
		c->tx_offset += n;
		*budget -= n;
	}
	virtqueue_push(ring, c->tx.head, 0);
	c->sending = false;
	c->tx_offset = 0;
	return true;
}

/* Makes the next chain the current one. False: the queue is broken, or it was enough for now. */
static bool take_output(struct virtio_console *c, uint32_t *budget)
{
	struct virtqueue *ring = virtio_ring(&c->transport, VIRTIO_CONSOLE_TX);

	if (*budget < COST_CHAIN || !virtqueue_pop(ring, &c->tx)) {
		return false;
	}
	*budget -= COST_CHAIN;
	if (c->tx.readable == 0) {
		virtqueue_break(ring, "a buffer is not for the device to read");
		return false;
	}
	/* What a saved chain has sent; the driver may have made it shorter since. */
	c->tx_offset = (uint32_t)min_u64(c->tx_offset, c->tx.readable);
	c->sending = true;
	return true;
}

/* All output that there was at the last look. False: it could not be finished. */
static bool drain(struct virtio_console *c, uint32_t *budget)
{
	struct virtqueue *ring = virtio_ring(&c->transport, VIRTIO_CONSOLE_TX);

	while (c->sending || virtqueue_waiting(ring) != 0) {
		if ((!c->sending && !take_output(c, budget)) || !send(c, budget)) {
			return false;
		}
	}
	return true;
}

static void transmit_all(struct virtio_console *c)
{
	struct virtqueue *ring = virtio_ring(&c->transport, VIRTIO_CONSOLE_TX);
	uint32_t budget = RUN_BYTES;

	virtqueue_quiet(ring);
	(void)virtqueue_poll(ring);
	do {
		if (!drain(c, &budget)) {
			vwork_ask(&c->work, 0);
			break;
		}
	} while (virtqueue_listen(ring));
}

/* ---- input ---- */

/* Moves bytes from in[] to the chain, up to in[]'s end or its own. False: the queue is broken. */
static bool fill(struct virtio_console *c)
{
	struct virtqueue *ring = virtio_ring(&c->transport, VIRTIO_CONSOLE_RX);
	uint32_t n = (uint32_t)min_u64(c->in_count, VIRTIO_CONSOLE_IN - c->in_first);

	if (c->rx.readable != 0 || c->rx.writable == 0) {
		virtqueue_break(ring, "a buffer is not for the device to write");
		return false;
	}
	n = (uint32_t)min_u64(n, c->rx.writable);
	if (!virtqueue_write(ring, &c->rx, 0, &c->in[c->in_first], n)) {
		return false;
	}
	virtqueue_push(ring, c->rx.head, n);
	c->in_first = (c->in_first + n) % VIRTIO_CONSOLE_IN;
	c->in_count -= n;
	return true;
}

/* Without input the driver need not tell of buffers; without buffers it has to. */
static void receive_all(struct virtio_console *c)
{
	struct virtqueue *ring = virtio_ring(&c->transport, VIRTIO_CONSOLE_RX);

	virtqueue_quiet(ring);
	(void)virtqueue_poll(ring);
	while (c->in_count != 0) {
		if (virtqueue_waiting(ring) == 0 && !virtqueue_listen(ring)) {
			break;
		}
		if (!virtqueue_pop(ring, &c->rx) || !fill(c)) {
			break;
		}
	}
	if (c->refused && c->in_count < VIRTIO_CONSOLE_IN) {
		vwork_ask(&c->work, 0);
	}
}

size_t virtio_console_receive(struct virtio_console *c, const char *data, size_t n)
{
	struct spinlock *lock = &c->transport.queues[VIRTIO_CONSOLE_RX].lock;
	size_t taken = 0;

	lock_acquire(lock);
	while (taken < n && c->in_count < VIRTIO_CONSOLE_IN) {
		c->in[(c->in_first + c->in_count) % VIRTIO_CONSOLE_IN] = data[taken];
		c->in_count++;
		taken++;
	}
	c->refused = taken < n;
	lock_release(lock);
	if (taken != 0) {
		vwork_ask(&c->work, 0);
	}
	return taken;
}

/* ---- as a device ---- */

/* The queue's lock held, and it may be worked on. */
static void notify(struct virtio_pci *d, unsigned index)
{
	if (index == VIRTIO_CONSOLE_TX) {
		transmit_all(to_console(d));
	} else {
		receive_all(to_console(d));
	}
	virtio_queue_publish(d, index);
}

/* Tells who was refused, once, when there is room. */
static void tell_of_room(struct virtio_console *c)
{
	struct spinlock *lock = &c->transport.queues[VIRTIO_CONSOLE_RX].lock;
	bool tell;

	lock_acquire(lock);
	tell = c->refused && c->in_count < VIRTIO_CONSOLE_IN;
	if (tell) {
		c->refused = false;
	}
	lock_release(lock);
	if (tell) {
		c->room(c->ctx);
	}
}

static void work(struct vwork *w)
{
	struct virtio_console *c = container_of(w, struct virtio_console, work);

	virtio_pci_resume(&c->transport, VIRTIO_CONSOLE_RX);
	virtio_pci_resume(&c->transport, VIRTIO_CONSOLE_TX);
	tell_of_room(c);
}

static void queue_reset(struct virtio_pci *d, unsigned index)
{
	if (index == VIRTIO_CONSOLE_TX) {
		to_console(d)->sending = false;
		to_console(d)->tx_offset = 0;
	}
}

/* "Emergency write": a character at once. */
static void config_write(struct virtio_pci *d, unsigned offset, unsigned size, uint64_t value)
{
	struct spinlock *lock = &d->queues[VIRTIO_CONSOLE_TX].lock;
	struct virtio_console *c = to_console(d);
	char character = (char)value;

	(void)size;
	if (offset == offsetof(struct virtio_console_space, emerg_wr)) {
		lock_acquire(lock);
		c->transmit(c->ctx, &character, 1);
		lock_release(lock);
	}
}

static const struct virtio_device_ops virtio_console_ops = {
	.name = "virtio-console",
	.notify = notify,
	.queue_reset = queue_reset,
	.config_write = config_write,
};

/* ---- saved state: work that was asked for is, again, by whoever loads ---- */

static void save(void *dev, void *out)
{
	struct virtio_console *c = dev;
	struct spinlock *lock = &c->transport.queues[VIRTIO_CONSOLE_RX].lock;
	struct virtio_console_saved *saved = out;

	virtio_pci_save(&c->transport, &saved->transport);
	saved->tx_offset = c->tx_offset;
	if (c->sending) {
		virtio_pci_saved_unpop(&saved->transport, VIRTIO_CONSOLE_TX);
	}
	lock_acquire(lock);
	saved->in_count = (uint16_t)c->in_count;
	saved->refused = c->refused;
	for (unsigned i = 0; i < c->in_count; i++) {
		saved->in[i] = (uint8_t)c->in[(c->in_first + i) % VIRTIO_CONSOLE_IN];
	}
	lock_release(lock);
}

static const char *check(void *dev, const void *in)
{
	const struct virtio_console *c = dev;
	const struct virtio_console_saved *saved = in;
	const struct virtqueue_saved *tx = &saved->transport.queues[VIRTIO_CONSOLE_TX].ring;

	if (saved->in_count > VIRTIO_CONSOLE_IN || !saved_is_bool(saved->refused) ||
	    saved->zero != 0 ||
	    !saved_is_zero(saved->in + saved->in_count, VIRTIO_CONSOLE_IN - saved->in_count)) {
		return "at most 256 bytes of input wait";
	}
	if (!virtio_pci_saved_rests(&saved->transport, VIRTIO_CONSOLE_RX) ||
	    !virtio_pci_saved_rests(&saved->transport, VIRTIO_CONSOLE_TX)) {
		return "a buffer is out that it does not know";
	}
	if (saved->tx_offset != 0 && tx->avail_seen == tx->avail_next) {
		return "a part is out of a buffer that is not there";
	}
	return virtio_pci_check(&c->transport, &saved->transport);
}

static void load(void *dev, const void *in)
{
	struct virtio_console *c = dev;
	struct spinlock *lock = &c->transport.queues[VIRTIO_CONSOLE_RX].lock;
	const struct virtio_console_saved *saved = in;

	virtio_pci_load(&c->transport, &saved->transport);
	c->tx_offset = saved->tx_offset;
	lock_acquire(lock);
	c->in_first = 0;
	c->in_count = saved->in_count;
	c->refused = saved->refused != 0;
	memcpy(c->in, saved->in, sizeof(c->in));
	lock_release(lock);
	vwork_ask(&c->work, 0);
}

static void reset(void *dev)
{
	struct virtio_console *c = dev;
	struct spinlock *lock = &c->transport.queues[VIRTIO_CONSOLE_RX].lock;

	pci_device_reset(&c->transport.pci);
	lock_acquire(lock);
	c->in_count = 0;
	c->refused = false;
	lock_release(lock);
}

static const struct saved_ops saved_ops = {
	.name = "virtio-console",
	.kind = SAVED_KIND('V', 'C', 'O', 'N'),
	.version = VIRTIO_CONSOLE_SAVED_VERSION,
	.bytes = sizeof(struct virtio_console_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

enum hv_status virtio_console_init(struct virtio_console *c,
				   const struct virtio_console_config *cfg)
{
	const struct virtio_pci_config transport = {
		.ops = &virtio_console_ops,
		.type = VIRTIO_TYPE_CONSOLE,
		.class_code = CLASS_OTHER_COMMUNICATION,
		.queue_count = QUEUES,
		.queue_size = VIRTIO_CONSOLE_QUEUE_SIZE,
		.features = BIT(VIRTIO_CONSOLE_F_EMERG_WRITE),
		.config = &c->space,
		.config_size = sizeof(c->space),
	};

	c->transmit = cfg->transmit;
	c->room = cfg->room;
	c->ctx = cfg->ctx;
	c->space = (struct virtio_console_space){0};
	c->in_first = 0;
	c->in_count = 0;
	c->refused = false;
	c->sending = false;
	c->tx_offset = 0;
	vwork_init(&c->work, cfg->work, work);
	saved_device_init(&c->saved, &saved_ops, c);
	return virtio_pci_init(&c->transport, &transport, &cfg->wiring);
}
