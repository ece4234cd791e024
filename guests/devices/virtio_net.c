/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio NIC. */
#include "guests/devices/virtio_net_internal.h"

#include "hv/base/str.h"

#define OFFERED \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_MTU) | \
	 BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | \
	 BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))

#define PCI_CLASS_ETHERNET 0x020000u
#define QUEUE_SIZE 256u

static struct virtio_net *of_virtio(struct virtio_pci *d)
{
	return container_of(d, struct virtio_net, virtio);
}

static struct virtio_net *of_port(struct net_port *p)
{
	return container_of(p, struct virtio_net, port);
}

/* --- control --- */

/* Up to BATCH commands; more is left to deferred work, so that no driver keeps its vCPU in here. */
static void obey(struct virtio_net *n)
{
	struct virtqueue *ring = virtio_ring(&n->virtio, CTRL);
	struct virtqueue_chain *c = &n->ctrl_chain;
	unsigned left = BATCH;

	virtqueue_quiet(ring);
	do {
		while (left > 0 && virtio_net_next(ring, c)) {
			virtqueue_push(ring, c->head, virtio_net_obey(n, ring, c));
			left = virtio_net_spend(left, c->readable, 1);
		}
	} while (left > 0 && virtqueue_listen(ring));
	virtio_queue_publish(&n->virtio, CTRL);
	if (left == 0) {
		virtio_net_ask(n, CTRL);
	}
}

/* --- receiving --- */

/* The oldest frame that waits, which stays where it is; NULL: none. */
static struct net_frame *peek_frame(struct virtio_net *n)
{
	struct net_frame *f;

	lock_acquire(&n->rx_lock);
	f = net_queue_first(&n->queue);
	lock_release(&n->rx_lock);
	return f;
}

/*
 * Lets go of the oldest frame; the one behind it, as peek_frame. RX queue's lock held, which makes
 * us the only one to do so.
 */
static struct net_frame *drop_frame(struct virtio_net *n)
{
	struct net_frame *next;
	struct net_frame *f;

	lock_acquire(&n->rx_lock);
	f = net_queue_take(&n->queue);
	next = net_queue_first(&n->queue);
	lock_release(&n->rx_lock);
	net_frame_put(f);
	return next;
}

static void drop_frames(struct virtio_net *n)
{
	for (const struct net_frame *f = peek_frame(n); f != NULL;) {
		f = drop_frame(n);
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
	return virtio_net_next(ring, c) || (virtqueue_listen(ring) && virtqueue_pop(ring, c));
}

/* All of a frame, and the header before it, to the first buffer. */
static bool write_whole(struct virtio_net *n, struct virtqueue *ring, const struct net_frame *f)
{
	const struct virtio_net_hdr h = header_for(n, f, 1);
	struct virtqueue_cursor cur;

	if (virtqueue_seek_write(ring, &n->rx_first, 0, HDR_BYTES + f->len, &cur) &&
	    virtqueue_write_next(&cur, &h, sizeof(h)) &&
	    virtqueue_write_next(&cur, f->data, f->len)) {
		return true;
	}
	virtqueue_break(ring, "a buffer is not in writable RAM");
	return false;
}

/*
 * Fills buffers with the frame; their number, 0 when it does not end well: see *result. With more
 * than one the header is yet to be written.
 */
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
		if (piece == f->len ? !write_whole(n, ring, f)
				    : !virtqueue_write(ring, c, skip, f->data + done, piece)) {
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
	if (*used > 1) {
		h = header_for(n, f, (uint16_t)*used);
		if (!virtqueue_write(ring, &n->rx_first, 0, &h, sizeof(h))) {
			return PUT_REFUSED;
		}
	}
	for (unsigned i = 0; i < *used; i++) {
		virtqueue_push(ring, n->rx_used[i].head, n->rx_used[i].len);
	}
	return PUT_DONE;
}

static void receive(struct virtio_net *n)
{
	struct virtqueue *ring = virtio_ring(&n->virtio, RX);
	const struct net_frame *f = peek_frame(n);
	unsigned left = BATCH;
	unsigned used;

	virtqueue_quiet(ring);
	while (left > 0 && ring->running && f != NULL) {
		enum put result = put_frame(n, ring, f, &used);

		if (result == PUT_WAIT) {
			break;
		}
		if (result == PUT_REFUSED) {
			atomic_fetch_add_explicit(&n->port.stats.rx_dropped, 1,
						  memory_order_relaxed);
		}
		left = virtio_net_spend(left, f->len, used);
		f = drop_frame(n);
	}
	virtio_queue_publish(&n->virtio, RX);
	if (left == 0) {
		virtio_net_ask(n, RX);
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
		virtio_net_transmit(n);
		break;
	default:
		obey(n);
		break;
	}
}

/* Shows the driver what the network says of the link. */
static void tell_link(struct virtio_net *n)
{
	uint16_t status = atomic_load(&n->cable) ? VIRTIO_NET_S_LINK_UP : 0;

	if (__atomic_load_n(&n->config.status, __ATOMIC_RELAXED) != status) {
		virtio_pci_set_config(&n->virtio, offsetof(struct virtio_net_config_space, status),
				      &status, sizeof(status));
	}
}

static void on_work(struct vwork *w)
{
	const struct virtio_net_work *work = container_of(w, struct virtio_net_work, vwork);

	tell_link(work->nic);
	virtio_pci_resume(&work->nic->virtio, work->queue);
}

void virtio_net_activate(struct virtio_net *n)
{
	const struct virtio_pci *d = &n->virtio;

	atomic_store(&n->port.takes_checksum, virtio_has(d, VIRTIO_NET_F_GUEST_CSUM));
	atomic_store(&n->port.takes_tso4, virtio_has(d, VIRTIO_NET_F_GUEST_TSO4));
	atomic_store(&n->port.takes_tso6, virtio_has(d, VIRTIO_NET_F_GUEST_TSO6));
}

static void on_activate(struct virtio_pci *d)
{
	virtio_net_activate(of_virtio(d));
}

static void on_queue_reset(struct virtio_pci *d, unsigned index)
{
	if (index == RX) {
		drop_frames(of_virtio(d));
	} else if (index == TX) {
		virtio_net_tx_reset(of_virtio(d));
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

static bool port_deliver(struct net_port *p, struct net_frame *f)
{
	struct virtio_net *n = of_port(p);
	bool kept;

	if (!virtio_is_live(&n->virtio)) {
		return false;
	}
	lock_acquire(&n->rx_lock);
	kept = net_queue_keep(&n->queue, f);
	lock_release(&n->rx_lock);
	if (kept) {
		virtio_net_ask(n, RX);
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

	atomic_store(&n->cable, up);
	tell_link(n);
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
	virtio_net_tx_init(n, cfg->time);
	saved_device_init(&n->saved, &virtio_net_saved_ops, n);
	return virtio_pci_init(&n->virtio, &virtio, w);
}

void virtio_net_stop(struct virtio_net *n)
{
	virtio_net_tx_stop(n);
	for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
		vwork_cancel(&n->work[i].vwork);
	}
	drop_frames(n);
}
