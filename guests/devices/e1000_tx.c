/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending in the e1000 model: descriptors from TDH to TDT are taken in turn, contexts kept, data
 * put together, and the packet sent at its last one. Sources: 8254x manual, "Packet Transmission",
 * "Transmit Descriptor Ring Structure"; 82574 datasheet, "Transmit Functionality".
 *
 * A packet may begin with one write of the tail and end with another; what there is of it waits in
 * a frame as long as the wire allows, or as its context says when it is to be cut.
 */
#include "guests/devices/e1000_internal.h"

#include "hv/api/gmem.h"
#include "hv/base/str.h"

#define STATUS_AT offsetof(struct e1000_tx_desc, status)
#define OPTIONS MASK(15, 8)
#define LOW_THRESHOLD_UNIT 8u

/* One descriptor, whatever its kind. */
struct taken {
	struct e1000_tx_extended d;
	uint8_t command;
	bool extended;
	bool context;
	uint32_t bytes;
};

static struct e1000_tx_queue *queue_of(struct e1000 *e, unsigned queue)
{
	return &e->state.tx[queue];
}

static uint32_t *tx_reg(struct e1000 *e, unsigned queue, unsigned reg)
{
	return e1000_reg(e, reg + queue * E1000_QUEUE_STRIDE);
}

/* The part of a data descriptor's length that a legacy one has as well. */
static struct taken decode(const struct e1000_tx_extended *d)
{
	struct taken t = {.d = *d, .command = (uint8_t)(d->low >> E1000_TXD_COMMAND_SHIFT)};
	unsigned type = (unsigned)bits_get(d->low, E1000_TXD_TYPE);

	t.extended = (t.command & E1000_TXD_DEXT) != 0;
	t.context = t.extended && type == E1000_TXD_TYPE_CONTEXT;
	t.bytes = t.extended ? (uint32_t)bits_get(d->low, E1000_TXD_LENGTH) : d->low & 0xffff;
	return t;
}

/* --- putting a packet together --- */

static void begin(struct e1000 *e, unsigned queue, const struct taken *t)
{
	struct e1000_tx_queue *q = queue_of(e, queue);
	const struct e1000_tx_context *c = &q->context[1];
	uint64_t bytes = NET_WIRE_MAX;

	q->begun = true;
	q->bad = false;
	q->tagged = false;
	q->legacy_sum = false;
	q->stamp = e->kind == E1000_82574L && t->extended && (t->d.high & E1000_TXD_TSTAMP) != 0;
	q->segment = t->extended && (t->command & E1000_TXD_TSE) != 0;
	q->options = t->extended ? (uint8_t)bits_get(t->d.high, OPTIONS) : 0;
	if (q->segment) {
		bytes = bits_get(c->low, E1000_TXD_LENGTH) + bits_get(c->high, E1000_TXC_HDRLEN) +
			NET_VLAN_BYTES;
	}
	if (bytes <= NET_FRAME_MAX) {
		q->limit = (uint32_t)bytes;
		e->tx_frame[queue] = net_frame_alloc(q->limit);
	}
	q->bad = e->tx_frame[queue] == NULL;
}

static void add_data(struct e1000 *e, unsigned queue, const struct taken *t)
{
	struct e1000_tx_queue *q = queue_of(e, queue);
	struct net_frame *f = e->tx_frame[queue];

	if (q->bad || t->bytes == 0) {
		return;
	}
	if (t->bytes > q->limit - f->len ||
	    guest_mem_read(e->vm, gpa(t->d.address), f->data + f->len, t->bytes) != HV_OK) {
		q->bad = true;
		return;
	}
	f->len += t->bytes;
}

/* Which descriptor of a packet says what: the first when it is cut, else the last. */
static void take_options(struct e1000 *e, struct e1000_tx_queue *q, const struct taken *t,
			 bool first)
{
	bool last = (t->command & E1000_TXD_EOP) != 0;

	if (q->segment ? !first : !last) {
		return;
	}
	q->tagged = (t->command & E1000_TXD_VLE) != 0 &&
		    (e1000_get(e, E1000_CTRL) & E1000_CTRL_VME) != 0;
	q->tag = (uint16_t)bits_get(t->d.high, E1000_TXD_VLAN);
	if (!t->extended && (t->command & E1000_TXD_IC) != 0) {
		q->legacy_sum = true;
		q->checksum_offset = (uint8_t)(t->d.low >> 16);
		q->checksum_start = (uint8_t)(t->d.high >> 8);
	}
}

/* --- sending it --- */

static void drop_packet(struct e1000 *e, struct net_frame *f)
{
	atomic_fetch_add_explicit(&e->tx_malformed, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&e->port.stats.tx_dropped, 1, memory_order_relaxed);
	if (f != NULL) {
		net_frame_put(f);
	}
}

static void send(struct e1000 *e, struct net_frame *f)
{
	if (!e1000_loops(e)) {
		net_port_send(&e->port, f);
		return;
	}
	e1000_receive_own(e, f);
	net_frame_put(f);
}

static void finish(struct e1000 *e, unsigned queue)
{
	struct e1000_tx_queue *q = queue_of(e, queue);
	struct net_frame *f = e->tx_frame[queue];

	e->tx_frame[queue] = NULL;
	q->begun = false;
	if (q->bad || !e1000_offload(q, (uint16_t)e1000_get(e, E1000_VET), f, e1000_loops(e))) {
		drop_packet(e, f);
		return;
	}
	e1000_count_sent(e, f->data, f->len);
	if (q->stamp) {
		e1000_stamp_sent(e);
	}
	if (q->segment) {
		e1000_count(e, E1000_TSCTC, 1);
	}
	send(e, f);
}

static void take(struct e1000 *e, unsigned queue, const struct taken *t)
{
	struct e1000_tx_queue *q = queue_of(e, queue);
	bool first = !q->begun;

	if (t->context) {
		bool cut = (t->command & E1000_TXD_TSE) != 0;

		q->context[cut] = (struct e1000_tx_context){t->d.address, t->d.low, t->d.high};
		return;
	}
	if (first) {
		begin(e, queue, t);
	}
	add_data(e, queue, t);
	take_options(e, q, t, first);
	if ((t->command & E1000_TXD_EOP) != 0) {
		finish(e, queue);
	}
}

/* --- the ring --- */

static bool may_send(struct e1000 *e, unsigned queue)
{
	uint32_t size = *tx_reg(e, queue, E1000_TDLEN) / 16;

	return (e1000_get(e, E1000_TCTL) & E1000_TCTL_EN) != 0 && pci_device_is_master(&e->pci) &&
	       *tx_reg(e, queue, E1000_TDT) < size && *tx_reg(e, queue, E1000_TDH) < size;
}

/* Says so in the descriptor when it is done, if the driver wants to hear of it. */
static bool report(struct e1000 *e, const struct taken *t, uint64_t at)
{
	const uint8_t status = E1000_TXD_DD;

	return (t->command & E1000_TXD_RS) != 0 &&
	       guest_mem_write(e->vm, gpa(at + STATUS_AT), &status, 1) == HV_OK;
}

/* What a turn has to tell of at its end. */
struct report {
	bool any;
	bool may_wait; /* all of it may */
};

/* Takes the descriptor at the head; false: the ring is no memory. */
static bool step(struct e1000 *e, unsigned queue, struct report *r, unsigned *left)
{
	uint32_t *head = tx_reg(e, queue, E1000_TDH);
	uint64_t at = e1000_ring_base(e, E1000_TDBAL + queue * E1000_QUEUE_STRIDE) + *head * 16ull;
	struct e1000_tx_extended d;
	struct taken t;

	if (guest_mem_read(e->vm, gpa(at), &d, sizeof(d)) != HV_OK) {
		return false;
	}
	t = decode(&d);
	take(e, queue, &t);
	*left = e1000_spend(*left, t.context ? 0 : t.bytes);
	if (report(e, &t, at)) {
		r->any = true;
		r->may_wait &= (t.command & E1000_TXD_IDE) != 0;
	}
	*head = (*head + 1) % (*tx_reg(e, queue, E1000_TDLEN) / 16);
	return true;
}

/* TXD_LOW and TXQE, for drivers that ask for them. */
static void tell_of_room(struct e1000 *e, unsigned queue)
{
	uint32_t size = *tx_reg(e, queue, E1000_TDLEN) / 16;
	uint32_t left = (*tx_reg(e, queue, E1000_TDT) + size - *tx_reg(e, queue, E1000_TDH)) % size;
	uint32_t low = (uint32_t)bits_get(*tx_reg(e, queue, E1000_TXDCTL), E1000_TXDCTL_LWTHRESH) *
		       LOW_THRESHOLD_UNIT;

	if (left == 0) {
		e1000_raise(e, E1000_ICR_TXQE | (low != 0 ? E1000_ICR_TXD_LOW : 0));
	}
}

void e1000_transmit(struct e1000 *e, unsigned queue)
{
	struct report r = {.may_wait = true};
	unsigned left = E1000_BATCH;

	if (!may_send(e, queue) || *tx_reg(e, queue, E1000_TDH) == *tx_reg(e, queue, E1000_TDT)) {
		return;
	}
	while (left > 0 && *tx_reg(e, queue, E1000_TDH) != *tx_reg(e, queue, E1000_TDT) &&
	       step(e, queue, &r, &left)) {
	}
	if (r.any) {
		e1000_raise_sent(e, queue, r.may_wait);
	}
	tell_of_room(e, queue);
	if (left == 0) {
		e1000_ask(e);
	}
}

void e1000_reset_transmit(struct e1000 *e)
{
	for (unsigned i = 0; i < E1000_TX_QUEUES; i++) {
		if (e->tx_frame[i] != NULL) {
			net_frame_put(e->tx_frame[i]);
			e->tx_frame[i] = NULL;
		}
	}
	memset(e->state.tx, 0, sizeof(e->state.tx));
}
