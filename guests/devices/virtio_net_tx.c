/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmit queue of a virtio NIC. An exit for each frame is what sending costs most, and an
 * interrupt for each that was sent comes next; both can be put together under load:
 *
 *	notification --within OFTEN_NS of the last--> polling: no notifications, no interrupts
 *	polling --a vCPU halts, or LOOK_NS have passed--> look: send what is there
 *		--a look by the timer, or EMPTY_LOOKS halts in a row, find nothing-->
 *		notifications again
 *
 * A driver that frees what was sent when it next sends or receives (Linux does) never needs the
 * interrupt; one that waits for it has it after OWED_NS at the latest. A frame waits for LOOK_NS
 * while the guest runs on, and up to OWED_NS if it has halted in between.
 */
#include "guests/devices/virtio_net_internal.h"

#include "hv/api/clock.h"

#define OFTEN_NS 200000u
#define LOOK_NS 25000u
#define OWED_NS 100000u
#define EMPTY_LOOKS 2u

/* --- one frame --- */

static void drop_malformed(struct virtio_net *n)
{
	atomic_fetch_add_explicit(&n->tx_malformed, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&n->port.stats.tx_dropped, 1, memory_order_relaxed);
}

static bool may_be_cut(const struct virtio_net *n, uint8_t gso)
{
	switch (gso) {
	case NET_GSO_NONE:
		return true;
	case NET_GSO_TCPV4:
		return virtio_has(&n->virtio, VIRTIO_NET_F_HOST_TSO4);
	case NET_GSO_TCPV6:
		return virtio_has(&n->virtio, VIRTIO_NET_F_HOST_TSO6);
	default:
		return false;
	}
}

/*
 * What the driver leaves to do; false: something that it did not negotiate. Whether it makes sense
 * for this frame the switch finds out.
 */
static bool read_offload(const struct virtio_net *n, const struct virtio_net_hdr *h,
			 struct net_offload *out)
{
	bool sum = (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;

	*out = (struct net_offload){0};
	if (!may_be_cut(n, h->gso_type) || (sum && !virtio_has(&n->virtio, VIRTIO_NET_F_CSUM))) {
		return false;
	}
	if (sum) {
		out->needs_checksum = true;
		out->csum_start = h->csum_start;
		out->csum_offset = h->csum_offset;
	}
	if (h->gso_type != NET_GSO_NONE) {
		out->gso = h->gso_type;
		out->gso_size = h->gso_size;
		out->header_bytes = h->hdr_len;
	}
	return true;
}

/* The header and the `len` bytes of the frame behind it; false: the queue is broken now. */
static bool read_chain(struct virtqueue *ring, const struct virtqueue_chain *c,
		       struct virtio_net_hdr *h, uint8_t *data, uint32_t len)
{
	struct virtqueue_cursor cur;

	if (virtqueue_seek_read(ring, c, 0, HDR_BYTES + len, &cur) &&
	    virtqueue_read_next(&cur, h, sizeof(*h)) && virtqueue_read_next(&cur, data, len)) {
		return true;
	}
	virtqueue_break(ring, "a buffer is not in RAM");
	return false;
}

/* Sends what a chain holds, or drops it. The queue may be broken afterwards. */
static void send_chain(struct virtio_net *n, struct virtqueue *ring,
		       const struct virtqueue_chain *c)
{
	uint32_t len = c->readable - HDR_BYTES; /* meaningful when the header is there */
	struct virtio_net_hdr h;
	struct net_frame *f;

	if (c->readable < HDR_BYTES + NET_FRAME_MIN || len > NET_FRAME_MAX) {
		drop_malformed(n);
		return;
	}
	f = net_frame_alloc(len);
	if (f == NULL) {
		atomic_fetch_add_explicit(&n->port.stats.tx_dropped, 1, memory_order_relaxed);
		return;
	}
	if (!read_chain(ring, c, &h, f->data, len)) {
		net_frame_put(f);
		return;
	}
	f->len = len;
	if (!read_offload(n, &h, &f->offload)) {
		drop_malformed(n);
		net_frame_put(f);
		return;
	}
	net_port_send(&n->port, f);
}

/* --- the queue --- */

/*
 * Looks once and sends of the frames that are there what is left of a batch. Whether these were
 * all; the rest is left to deferred work.
 */
static bool send_frames(struct virtio_net *n, struct virtqueue *ring, unsigned *left)
{
	if (virtqueue_waiting(ring) == 0) {
		(void)virtqueue_poll(ring);
	}
	while (*left > 0 && virtqueue_pop(ring, &n->tx_chain)) {
		send_chain(n, ring, &n->tx_chain);
		virtqueue_push(ring, n->tx_chain.head, 0);
		*left = virtio_net_spend(*left, n->tx_chain.readable, 1);
	}
	n->tx.more = *left == 0;
	if (n->tx.more) {
		virtio_net_ask(n, TX);
	}
	return !n->tx.more;
}

static void set_polling(struct virtio_net *n, bool polling)
{
	n->tx.polling = polling;
	n->tx.empty_looks = 0;
	vwork_watch(&n->work[TX].vwork, polling);
	if (!polling) {
		vtimer_cancel(&n->tx.timer);
	}
}

/*
 * Sends with the driver notifying, and interrupted when it wants that. One batch for all looks: a
 * driver on another CPU may always have put one more in.
 */
static void send_at_once(struct virtio_net *n, struct virtqueue *ring)
{
	unsigned left = BATCH;

	virtqueue_quiet(ring);
	while (send_frames(n, ring, &left) && virtqueue_listen(ring)) {
	}
	virtio_queue_publish(&n->virtio, TX);
}

/* Shows what was sent; from when on an interrupt may be waited for. */
static void show_sent(struct virtio_net *n, struct virtqueue *ring, uint64_t now)
{
	bool owed = virtqueue_waits_for_interrupt(ring);

	virtqueue_show(ring);
	if (!owed) {
		n->tx.owed_since = now;
	}
}

static void look(struct virtio_net *n, struct virtqueue *ring, bool idle, bool expired)
{
	uint64_t now = vtime_now(n->tx.time);
	unsigned left = BATCH;
	bool empty;

	(void)send_frames(n, ring, &left);
	empty = left == BATCH;
	n->tx.empty_looks = empty ? n->tx.empty_looks + 1 : 0;
	if (n->tx.empty_looks == EMPTY_LOOKS) {
		set_polling(n, false);
		send_at_once(n, ring);
		return;
	}
	if (expired) {
		virtio_queue_publish(&n->virtio, TX);
		n->tx.owed_since = now;
	} else {
		show_sent(n, ring, now);
	}
	vtimer_arm(&n->tx.timer, idle || empty ? n->tx.owed_since + clock_ns_to_ticks(OWED_NS)
					       : now + clock_ns_to_ticks(LOOK_NS));
}

void virtio_net_transmit(struct virtio_net *n)
{
	struct virtqueue *ring = virtio_ring(&n->virtio, TX);
	bool expired = atomic_exchange(&n->tx.expired, false);
	bool idle = atomic_exchange(&n->tx.idle, false);

	if (!n->tx.polling && !expired && !idle && !n->tx.more) {
		uint64_t now = vtime_now(n->tx.time);
		bool often = now - n->tx.notified < clock_ns_to_ticks(OFTEN_NS);

		n->tx.notified = now;
		if (often) {
			virtqueue_quiet(ring);
			set_polling(n, true);
		}
	}
	if (n->tx.polling) {
		look(n, ring, idle, expired);
	} else {
		send_at_once(n, ring);
	}
}

/* --- when to look --- */

static void on_timer(struct vtimer *t)
{
	struct virtio_net *n = container_of(t, struct virtio_net, tx.timer);

	atomic_store(&n->tx.expired, true);
	virtio_net_ask(n, TX);
}

static void on_idle(struct vwork *w)
{
	const struct virtio_net_work *work = container_of(w, struct virtio_net_work, vwork);

	atomic_store(&work->nic->tx.idle, true);
	virtio_pci_resume(&work->nic->virtio, TX);
}

void virtio_net_tx_init(struct virtio_net *n, struct vtime *time)
{
	n->tx.time = time;
	n->work[TX].vwork.idle = on_idle;
	vtimer_init(&n->tx.timer, time, on_timer);
}

void virtio_net_tx_reset(struct virtio_net *n)
{
	set_polling(n, false);
	atomic_store(&n->tx.expired, false);
	atomic_store(&n->tx.idle, false);
	n->tx.notified = 0;
	n->tx.more = false;
}

/* --- saved state --- */

void virtio_net_tx_save(struct virtio_net *n, struct virtio_net_saved *out)
{
	struct spinlock *lock = &n->virtio.queues[TX].lock;

	lock_acquire(lock);
	out->deadline = vtimer_deadline(&n->tx.timer);
	out->notified = n->tx.notified;
	out->owed_since = n->tx.owed_since;
	out->empty_looks = n->tx.empty_looks;
	out->polling = n->tx.polling;
	lock_release(lock);
}

const char *virtio_net_tx_check(const struct virtio_net_saved *in)
{
	if (!saved_is_bool(in->polling) || in->empty_looks >= EMPTY_LOOKS) {
		return "its transmit queue has been looked at more often than it is";
	}
	return in->polling == 0 && in->deadline != TIMER_NEVER
		       ? "its timer runs only while it need not be notified"
		       : NULL;
}

/* The next look is no notification. */
void virtio_net_tx_load(struct virtio_net *n, const struct virtio_net_saved *in)
{
	struct spinlock *lock = &n->virtio.queues[TX].lock;

	lock_acquire(lock);
	set_polling(n, in->polling != 0);
	n->tx.notified = vtime_of_loaded(n->tx.time, in->notified);
	n->tx.owed_since = vtime_of_loaded(n->tx.time, in->owed_since);
	n->tx.empty_looks = in->empty_looks;
	n->tx.more = true;
	vtimer_arm(&n->tx.timer, vtime_of_loaded(n->tx.time, in->deadline));
	lock_release(lock);
}

void virtio_net_tx_stop(struct virtio_net *n)
{
	vtimer_cancel(&n->tx.timer);
}
