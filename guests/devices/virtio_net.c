/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio NIC. */
#include "guests/devices/virtio_net.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

/* "Feature bits" */
#define VIRTIO_NET_F_CSUM 0u
#define VIRTIO_NET_F_GUEST_CSUM 1u
#define VIRTIO_NET_F_MTU 3u
#define VIRTIO_NET_F_MAC 5u
#define VIRTIO_NET_F_GUEST_TSO4 7u
#define VIRTIO_NET_F_GUEST_TSO6 8u
#define VIRTIO_NET_F_HOST_TSO4 11u
#define VIRTIO_NET_F_HOST_TSO6 12u
#define VIRTIO_NET_F_MRG_RXBUF 15u
#define VIRTIO_NET_F_STATUS 16u
#define VIRTIO_NET_F_CTRL_VQ 17u
#define VIRTIO_NET_F_CTRL_RX 18u
#define VIRTIO_NET_F_CTRL_RX_EXTRA 20u
#define VIRTIO_NET_F_CTRL_MAC_ADDR 23u

#define OFFERED \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_MTU) | \
	 BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | \
	 BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))

#define PCI_CLASS_ETHERNET 0x020000u
#define QUEUE_SIZE 256u

/* "Virtqueues" */
#define RX 0u
#define TX 1u
#define CTRL 2u

#define VIRTIO_NET_S_LINK_UP 1u
#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1u
#define VIRTIO_NET_HDR_F_DATA_VALID 2u
#define HDR_BYTES ((uint32_t)sizeof(struct virtio_net_hdr))

/*
 * What one call of a handler does: a frame costs 1, and 1 more for each BATCH_BYTES of it; or as
 * much as it has chains, if that is more.
 */
#define BATCH 64u
#define BATCH_BYTES 4096u

static struct virtio_net *of_virtio(struct virtio_pci *d)
{
	return container_of(d, struct virtio_net, virtio);
}

static struct virtio_net *of_port(struct net_port *p)
{
	return container_of(p, struct virtio_net, port);
}

/* Any vCPU will do. */
static void ask(struct virtio_net *n, unsigned queue)
{
	vwork_ask(&n->work[queue].vwork, 0);
}

/* What is left of a batch after a frame of `bytes` in `chains`. */
static unsigned spend(unsigned left, uint32_t bytes, unsigned chains)
{
	return (unsigned)(left - min_u64(left, max_u64(chains, 1 + bytes / BATCH_BYTES)));
}

/* --- sending --- */

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
	if (!virtqueue_read(ring, c, 0, &h, sizeof(h)) ||
	    !virtqueue_read(ring, c, HDR_BYTES, f->data, len)) {
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

/* Whether there is a next chain, which is then in *c. */
static bool next_chain(struct virtqueue *ring, struct virtqueue_chain *c)
{
	return (virtqueue_waiting(ring) != 0 || virtqueue_poll(ring)) && virtqueue_pop(ring, c);
}

/*
 * Hands up to BATCH chains of a queue to `handle`, which tells how many bytes it wrote; more is
 * left to deferred work, so that no driver keeps its vCPU in here.
 */
static void for_each_chain(struct virtio_net *n, unsigned index, struct virtqueue_chain *c,
			   uint32_t (*handle)(struct virtio_net *n, struct virtqueue *ring,
					      const struct virtqueue_chain *c))
{
	struct virtqueue *ring = virtio_ring(&n->virtio, index);
	unsigned left = BATCH;

	virtqueue_quiet(ring);
	do {
		while (left > 0 && next_chain(ring, c)) {
			uint32_t written = handle(n, ring, c);

			virtqueue_push(ring, c->head, written);
			left = spend(left, c->readable, 1);
		}
	} while (left > 0 && virtqueue_listen(ring));
	virtio_queue_publish(&n->virtio, index);
	if (left == 0) {
		ask(n, index);
	}
}

static uint32_t handle_tx(struct virtio_net *n, struct virtqueue *ring,
			  const struct virtqueue_chain *c)
{
	send_chain(n, ring, c);
	return 0;
}

/* --- receiving --- */

/* The oldest frame that waits, which stays where it is; NULL: none. */
static struct net_frame *peek_frame(struct virtio_net *n)
{
	struct net_frame *f;

	lock_acquire(&n->rx_lock);
	f = n->count != 0 ? n->frames[n->first] : NULL;
	lock_release(&n->rx_lock);
	return f;
}

/* Lets go of the oldest frame. RX queue's lock held, which makes us the only one to do so. */
static void drop_frame(struct virtio_net *n)
{
	struct net_frame *f;

	lock_acquire(&n->rx_lock);
	f = n->frames[n->first];
	n->first = (n->first + 1) % VIRTIO_NET_FRAMES_MAX;
	n->count--;
	n->bytes -= net_frame_cost(f);
	lock_release(&n->rx_lock);
	net_frame_put(f);
}

static void drop_frames(struct virtio_net *n)
{
	while (peek_frame(n) != NULL) {
		drop_frame(n);
	}
}

static struct virtio_net_hdr header_for(const struct virtio_net *n, const struct net_frame *f,
					uint16_t buffers)
{
	const struct net_offload *o = &f->offload;
	struct virtio_net_hdr h = {.num_buffers = buffers};

	if (o->needs_checksum) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = o->csum_start;
		h.csum_offset = o->csum_offset;
	} else if (o->checksum_good && virtio_has(&n->virtio, VIRTIO_NET_F_GUEST_CSUM)) {
		h.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	if (o->gso != NET_GSO_NONE) {
		h.gso_type = o->gso;
		h.gso_size = o->gso_size;
		/* The switch has found a TCP header at csum_start; this is its data offset. */
		h.hdr_len = (uint16_t)(o->csum_start + (f->data[o->csum_start + 12u] >> 4) * 4);
	}
	return h;
}

/* Whether the driver that is there now takes the frame as it is: it may be another than when the
 * frame came. */
static bool is_understood(const struct virtio_net *n, const struct net_offload *o)
{
	const struct virtio_pci *d = &n->virtio;

	return (!o->needs_checksum || virtio_has(d, VIRTIO_NET_F_GUEST_CSUM)) &&
	       (o->gso != NET_GSO_TCPV4 || virtio_has(d, VIRTIO_NET_F_GUEST_TSO4)) &&
	       (o->gso != NET_GSO_TCPV6 || virtio_has(d, VIRTIO_NET_F_GUEST_TSO6));
}

enum put {
	PUT_DONE,    /* the guest has the frame */
	PUT_WAIT,    /* too few buffers: the driver will tell of more */
	PUT_REFUSED, /* it fits no buffer of this driver, or the ring broke */
};

/* One more buffer, looked for until the driver is known to tell of the next. */
static bool next_buffer(struct virtqueue *ring, struct virtqueue_chain *c)
{
	return next_chain(ring, c) || (virtqueue_listen(ring) && virtqueue_pop(ring, c));
}

/* Fills buffers with the frame; their number, 0 when it does not end well: see *result. */
static unsigned fill_buffers(struct virtio_net *n, struct virtqueue *ring,
			     const struct net_frame *f, enum put *result)
{
	uint32_t done = 0;
	unsigned used = 0;

	*result = PUT_REFUSED;
	while (done < f->len) {
		struct virtqueue_chain *c = used == 0 ? &n->rx_first : &n->rx_more;
		uint32_t skip = used == 0 ? HDR_BYTES : 0;
		uint32_t piece;

		*result = PUT_WAIT;
		if (!next_buffer(ring, c)) {
			break;
		}
		*result = PUT_REFUSED;
		if (c->writable <= skip) {
			virtqueue_break(ring, "a receive buffer is too small");
			break;
		}
		piece = (uint32_t)min_u64(f->len - done, c->writable - skip);
		if (!virtqueue_write(ring, c, skip, f->data + done, piece)) {
			break;
		}
		n->rx_used[used++] = (struct virtio_net_used){c->head, skip + piece};
		done += piece;
		if (done < f->len && !virtio_has(&n->virtio, VIRTIO_NET_F_MRG_RXBUF)) {
			break;
		}
	}
	if (done == f->len) {
		return used;
	}
	virtqueue_unpop(ring, used);
	return 0;
}

/* *used: how many buffers the frame filled. */
static enum put put_frame(struct virtio_net *n, struct virtqueue *ring, const struct net_frame *f,
			  unsigned *used)
{
	struct virtio_net_hdr h;
	enum put result;

	*used = 0;
	if (!is_understood(n, &f->offload)) {
		return PUT_REFUSED;
	}
	*used = fill_buffers(n, ring, f, &result);
	if (*used == 0) {
		return result;
	}
	h = header_for(n, f, (uint16_t)*used);
	if (!virtqueue_write(ring, &n->rx_first, 0, &h, sizeof(h))) {
		return PUT_REFUSED;
	}
	for (unsigned i = 0; i < *used; i++) {
		virtqueue_push(ring, n->rx_used[i].head, n->rx_used[i].len);
	}
	return PUT_DONE;
}

static void receive(struct virtio_net *n)
{
	struct virtqueue *ring = virtio_ring(&n->virtio, RX);
	const struct net_frame *f = NULL;
	unsigned left = BATCH;
	unsigned used;

	virtqueue_quiet(ring);
	while (left > 0 && ring->running && (f = peek_frame(n)) != NULL) {
		enum put result = put_frame(n, ring, f, &used);

		if (result == PUT_WAIT) {
			break;
		}
		if (result == PUT_REFUSED) {
			atomic_fetch_add_explicit(&n->port.stats.rx_dropped, 1,
						  memory_order_relaxed);
		}
		left = spend(left, f->len, used);
		drop_frame(n);
	}
	virtio_queue_publish(&n->virtio, RX);
	if (left == 0) {
		ask(n, RX);
	}
}

/* --- the device --- */

static void on_notify(struct virtio_pci *d, unsigned index)
{
	struct virtio_net *n = of_virtio(d);

	switch (index) {
	case RX:
		receive(n);
		break;
	case TX:
		for_each_chain(n, TX, &n->tx_chain, handle_tx);
		break;
	default:
		for_each_chain(n, CTRL, &n->ctrl_chain, virtio_net_obey);
		break;
	}
}

static void on_work(struct vwork *w)
{
	const struct virtio_net_work *work = container_of(w, struct virtio_net_work, vwork);

	virtio_pci_resume(&work->nic->virtio, work->queue);
}

static void on_activate(struct virtio_pci *d)
{
	struct virtio_net *n = of_virtio(d);

	atomic_store(&n->port.takes_checksum, virtio_has(d, VIRTIO_NET_F_GUEST_CSUM));
	atomic_store(&n->port.takes_tso4, virtio_has(d, VIRTIO_NET_F_GUEST_TSO4));
	atomic_store(&n->port.takes_tso6, virtio_has(d, VIRTIO_NET_F_GUEST_TSO6));
}

static void on_queue_reset(struct virtio_pci *d, unsigned index)
{
	if (index == RX) {
		drop_frames(of_virtio(d));
	}
}

static void on_reset(struct virtio_pci *d)
{
	struct virtio_net *n = of_virtio(d);

	atomic_store(&n->port.takes_checksum, false);
	atomic_store(&n->port.takes_tso4, false);
	atomic_store(&n->port.takes_tso6, false);
	lock_acquire(&n->rx_lock);
	net_filter_reset(&n->filter, &n->port.mac);
	lock_release(&n->rx_lock);
}

static const struct virtio_device_ops device_ops = {
	.name = "virtio-net",
	.notify = on_notify,
	.activate = on_activate,
	.queue_reset = on_queue_reset,
	.reset = on_reset,
};

/* --- the port --- */

/* Puts the frame behind the others; false: the queue is full. rx_lock held. */
static bool keep_frame(struct virtio_net *n, struct net_frame *f)
{
	uint64_t bytes = n->bytes + net_frame_cost(f);

	if (n->count == VIRTIO_NET_FRAMES_MAX || bytes > VIRTIO_NET_FRAMES_BYTES_MAX ||
	    !net_frames_allow(n->bytes, f)) {
		return false;
	}
	n->frames[(n->first + n->count) % VIRTIO_NET_FRAMES_MAX] = net_frame_get(f);
	n->count++;
	n->bytes = bytes;
	return true;
}

static bool port_deliver(struct net_port *p, struct net_frame *f)
{
	struct virtio_net *n = of_port(p);
	bool kept;

	if (!virtio_is_live(&n->virtio)) {
		return false;
	}
	lock_acquire(&n->rx_lock);
	kept = keep_frame(n, f);
	lock_release(&n->rx_lock);
	if (kept) {
		ask(n, RX);
	}
	return kept;
}

static bool port_wants(struct net_port *p, const struct net_mac *to)
{
	struct virtio_net *n = of_port(p);
	bool wants;

	lock_acquire(&n->rx_lock);
	wants = net_filter_passes(&n->filter, to);
	lock_release(&n->rx_lock);
	return wants;
}

static void port_link(struct net_port *p, bool up)
{
	struct virtio_net *n = of_port(p);
	uint16_t status = up ? VIRTIO_NET_S_LINK_UP : 0;

	virtio_pci_set_config(&n->virtio, offsetof(struct virtio_net_config_space, status), &status,
			      sizeof(status));
}

static const struct net_port_ops port_ops = {
	.deliver = port_deliver,
	.wants = port_wants,
	.link_changed = port_link,
};

enum hv_status virtio_net_init(struct virtio_net *n, const struct virtio_net_config *cfg,
			       const struct virtio_pci_wiring *w)
{
	const struct virtio_pci_config virtio = {
		.ops = &device_ops,
		.type = VIRTIO_TYPE_NET,
		.class_code = PCI_CLASS_ETHERNET,
		.queue_count = VIRTIO_NET_QUEUES,
		.queue_size = QUEUE_SIZE,
		.features = OFFERED,
		.config = &n->config,
		.config_size = sizeof(n->config),
	};

	n->config = (struct virtio_net_config_space){.max_virtqueue_pairs = 1, .mtu = NET_MTU};
	memcpy(n->config.mac, cfg->mac.bytes, NET_MAC_BYTES);
	n->mac_fixed = cfg->mac_fixed;
	n->port.ops = &port_ops;
	n->port.mac = cfg->mac;
	net_filter_reset(&n->filter, &cfg->mac);
	for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
		n->work[i].nic = n;
		n->work[i].queue = i;
		vwork_init(&n->work[i].vwork, cfg->work, on_work);
	}
	return virtio_pci_init(&n->virtio, &virtio, w);
}

void virtio_net_stop(struct virtio_net *n)
{
	for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
		vwork_cancel(&n->work[i].vwork);
	}
	drop_frames(n);
}
