/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio network cards. Each receive buffer is one descriptor, header and frame, and is copied out
 * of; what is sent is two, a header that belongs to the slot and the frame where it is:
 *
 *	receive  [ header | frame up to NET_WIRE_MAX ]    send  [ header ] -> [ frame ]
 *
 * Without the control queue a device starts promiscuous and stays it, which is what a switch needs.
 */
#include "drivers/virtio_net.h"

#include <assert.h>

#include "drivers/virtio.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "mm/pool.h"

#define WANTED \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_MAC) | \
	 BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | \
	 BIT(VIRTIO_NET_F_STATUS))

#define QUEUE_RECEIVE 0u
#define QUEUE_SEND 1u

#define RECEIVE_BUFFERS 256u
#define SEND_SLOTS (VIRTIO_QUEUE_SIZE_MAX / 2) /* two descriptors each */
#define BUFFER_BYTES KIB(2)
#define BUFFERS_ORDER 7u
static_assert(RECEIVE_BUFFERS * BUFFER_BYTES == PAGE_SIZE << BUFFERS_ORDER, "all buffers");
static_assert(sizeof(struct virtio_net_hdr) + NET_WIRE_MAX <= BUFFER_BYTES, "a frame fits");

struct send_slot {
	struct virtio_net_hdr header;
	struct net_frame *frame;
	struct send_slot *next; /* while it is free */
};

struct virtio_net {
	struct host_nic nic;
	struct virtio_device device;
	struct virtio_queue receive;
	struct virtio_queue send;
	uint8_t *buffers; /* NULL until the card is used */
	struct send_slot slots[SEND_SLOTS];
	struct send_slot *free_slots;
};

static struct virtio_net *of(struct host_nic *n)
{
	return container_of(n, struct virtio_net, nic);
}

static bool matches(const struct host_pci *f)
{
	return virtio_is(f, VIRTIO_TYPE_NET, VIRTIO_PCI_LEGACY_NET);
}

static bool has(const struct virtio_net *v, uint64_t features)
{
	return (v->device.features & features) == features;
}

/* --- the link, which needs no interrupt of its own --- */

static void look(struct host_nic *n)
{
	struct virtio_net *v = of(n);
	uint64_t status = VIRTIO_NET_S_LINK_UP;

	if (has(v, BIT(VIRTIO_NET_F_STATUS))) {
		status = virtio_config_read(&v->device,
					    offsetof(struct virtio_net_config_space, status), 2);
	}
	host_nic_set_link(n, (status & VIRTIO_NET_S_LINK_UP) != 0, 0);
}

/* --- start and reset --- */

static void offer_buffer(struct virtio_net *v, uint8_t *buffer)
{
	const struct virtio_buffer b = {buffer, BUFFER_BYTES, true};

	/* There are no more buffers than descriptors. */
	(void)virtio_queue_add(&v->receive, &b, 1, buffer);
}

static void offer_all(struct virtio_net *v)
{
	for (unsigned i = 0; i < v->receive.size; i++) {
		offer_buffer(v, v->buffers + i * BUFFER_BYTES);
	}
}

static void free_all_slots(struct virtio_net *v)
{
	v->free_slots = NULL;
	for (unsigned i = 0; i < SEND_SLOTS; i++) {
		v->slots[i].next = v->free_slots;
		v->free_slots = &v->slots[i];
	}
}

static enum hv_status init_queues(struct virtio_net *v)
{
	enum hv_status status =
		virtio_queue_init(&v->device, &v->receive, QUEUE_RECEIVE, RECEIVE_BUFFERS, 0);

	if (status == HV_OK) {
		status = virtio_queue_init(&v->device, &v->send, QUEUE_SEND, VIRTIO_QUEUE_SIZE_MAX,
					   0);
	}
	return status;
}

static enum hv_status start(struct host_nic *n)
{
	struct virtio_net *v = of(n);
	enum hv_status status = virtio_reopen(&v->device);

	if (v->buffers == NULL) {
		v->buffers = pool_pages(BUFFERS_ORDER);
	}
	if (v->buffers == NULL) {
		return HV_E_NO_MEMORY;
	}
	v->device.msix = host_pci_uses_msix(n->pci);
	if (status == HV_OK) {
		status = init_queues(v);
	}
	if (status != HV_OK) {
		return status;
	}
	free_all_slots(v);
	offer_all(v);
	/* What was sent is found when the next frame comes, or by the watch. */
	virtio_queue_interrupts(&v->send, false);
	virtio_queue_interrupts(&v->receive, true);
	virtio_start(&v->device);
	virtio_queue_notify(&v->receive);
	look(n);
	return HV_OK;
}

static void let_go(struct virtio_net *v, struct send_slot *s)
{
	host_nic_release(&v->nic, s->frame);
	s->frame = NULL;
	s->next = v->free_slots;
	v->free_slots = s;
}

static void reset(struct host_nic *n)
{
	struct virtio_net *v = of(n);
	struct send_slot *s;

	if (virtio_reset(&v->device) != HV_OK) {
		/* Then the bus keeps it from memory; `start` will find it as deaf. */
		host_pci_disable(n->pci);
	}
	while ((s = virtio_queue_drain(&v->send)) != NULL) {
		let_go(v, s);
	}
}

/* --- at work --- */

static void interrupts(struct host_nic *n, bool on)
{
	virtio_queue_interrupts(&of(n)->receive, on);
}

static bool acknowledge(struct host_nic *n)
{
	struct virtio_net *v = of(n);

	virtio_ack(&v->device);
	return !v->receive.broken && !v->send.broken;
}

static struct net_frame *take_frame(struct virtio_net *v, const uint8_t *buffer, uint32_t written)
{
	struct virtio_net_hdr h;
	struct net_frame *f;

	memcpy(&h, buffer, sizeof(h));
	/* The header counts as short, too: then no length is left. */
	if (written < sizeof(h) || h.gso_type != NET_GSO_NONE) {
		written = sizeof(h);
	}
	f = host_nic_copy(&v->nic, buffer + sizeof(h), written - (uint32_t)sizeof(h));
	if (f != NULL && has(v, BIT(VIRTIO_NET_F_GUEST_CSUM))) {
		f->offload.needs_checksum = (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
		f->offload.checksum_good = (h.flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0;
		f->offload.csum_start = h.csum_start;
		f->offload.csum_offset = h.csum_offset;
	}
	return f;
}

static bool receive(struct host_nic *n, struct net_frame **f)
{
	struct virtio_net *v = of(n);
	uint32_t written;
	uint8_t *buffer = virtio_queue_take(&v->receive, &written);

	if (buffer == NULL) {
		return false;
	}
	*f = take_frame(v, buffer, written);
	offer_buffer(v, buffer);
	return true;
}

static void refill(struct host_nic *n)
{
	virtio_queue_notify(&of(n)->receive);
}

static void fill_header(struct virtio_net_hdr *h, const struct net_offload *o)
{
	*h = (struct virtio_net_hdr){0};
	if (o->needs_checksum) {
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = o->csum_start;
		h->csum_offset = o->csum_offset;
	}
	if (o->gso != NET_GSO_NONE) {
		h->gso_type = (uint8_t)(o->gso | (o->ecn ? VIRTIO_NET_HDR_GSO_ECN : 0));
		h->gso_size = o->gso_size;
		h->hdr_len = o->header_bytes;
	}
}

static bool transmit(struct host_nic *n, struct net_frame *f)
{
	struct virtio_net *v = of(n);
	struct send_slot *s = v->free_slots;
	struct virtio_buffer parts[2];

	if (s == NULL) {
		return false;
	}
	fill_header(&s->header, &f->offload);
	parts[0] = (struct virtio_buffer){&s->header, sizeof(s->header), false};
	parts[1] = (struct virtio_buffer){f->data, f->len, false};
	if (!virtio_queue_add(&v->send, parts, 2, s)) {
		return false;
	}
	v->free_slots = s->next;
	s->frame = f;
	host_nic_hold(n, f);
	virtio_queue_notify(&v->send);
	return true;
}

static void reap(struct host_nic *n)
{
	struct virtio_net *v = of(n);
	struct send_slot *s;
	uint32_t written;

	while ((s = virtio_queue_take(&v->send, &written)) != NULL) {
		let_go(v, s);
	}
}

/* --- at start --- */

static bool read_facts(struct virtio_net *v)
{
	struct net_port *p = &v->nic.port;

	for (unsigned i = 0; i < NET_MAC_BYTES; i++) {
		p->mac.bytes[i] = (uint8_t)virtio_config_read(
			&v->device, offsetof(struct virtio_net_config_space, mac) + i, 1);
	}
	p->takes_checksum = has(v, BIT(VIRTIO_NET_F_CSUM));
	p->takes_tso4 = has(v, BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
				       BIT(VIRTIO_NET_F_HOST_ECN));
	p->takes_tso6 = has(v, BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO6) |
				       BIT(VIRTIO_NET_F_HOST_ECN));
	return has(v, BIT(VIRTIO_NET_F_MAC)) && host_nic_mac_valid(&p->mac);
}

static bool bring_up(struct virtio_net *v)
{
	enum hv_status status = virtio_open(&v->device, v->nic.pci, WANTED);

	if (status != HV_OK) {
		log_warn("virtio-net: cannot be used: %s", hv_status_name(status));
		return false;
	}
	if (!read_facts(v)) {
		log_warn("virtio-net: no address in it");
		return false;
	}
	return virtio_reset(&v->device) == HV_OK;
}

static struct host_nic *probe(struct host_pci *f)
{
	struct virtio_net *v = pool_alloc(sizeof(*v));

	if (v == NULL) {
		log_warn("network card: no memory for it");
		return NULL;
	}
	v->nic.pci = f;
	v->nic.model = "virtio 1.x";
	if (!bring_up(v)) {
		host_pci_disable(f);
		pool_free(v, sizeof(*v));
		return NULL;
	}
	return &v->nic;
}

const struct nic_driver virtio_net_driver = {
	.name = "virtio-net",
	.matches = matches,
	.probe = probe,
	.start = start,
	.reset = reset,
	.interrupts = interrupts,
	.acknowledge = acknowledge,
	.look = look,
	.receive = receive,
	.refill = refill,
	.transmit = transmit,
	.reap = reap,
};
