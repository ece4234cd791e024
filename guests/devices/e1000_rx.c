/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving in the e1000 model: frames go into the buffers between RDH and RDT, with legacy or, on
 * an 82574L, extended or packet split descriptors. Sources: 8254x manual, "Packet Reception",
 * "Receive Packet Checksum Offloading", "802.1q VLAN Support"; 82574 datasheet, "Receive
 * Functionality". Packets are not split at their headers: as those whose headers
 * hardware does not know, they fill the four buffers in turn.
 *
 *	         RDH                   RDT
 *	[ filled | empty, the card's   | the driver's ]
 */
#include "guests/devices/e1000_internal.h"

#include "hv/api/gmem.h"
#include "hv/base/bytes.h"
#include "hv/base/net_sum.h"
#include "hv/base/str.h"

#define FCS_BYTES 4u
#define BSIZE_LARGEST 2048u
#define BSEX_SHIFT 4u
#define IPV4_ID_AT 18u /* in an untagged frame */
#define ERROR_DATA BIT32(7)
#define EXTENDED_ERRORS_SHIFT 24u /* of legacy errors in the extended status */

/* The buffers of one descriptor, and where its result goes. */
struct slot {
	uint64_t at; /* of the descriptor */
	uint64_t address[E1000_SPLIT_BUFFERS];
	uint32_t size[E1000_SPLIT_BUFFERS];
	uint32_t done[E1000_SPLIT_BUFFERS];
};

/* A frame as this driver wants it, in e->scratch. */
struct packet {
	uint32_t len;
	uint32_t status; /* without DD and EOP */
	uint16_t tag;
	uint16_t checksum;
	uint16_t ip_id;
	bool timed; /* its moment is wanted */
};

static bool is_extended(const struct e1000 *e)
{
	return e->kind == E1000_82574L && (e1000_get(e, E1000_RFCTL) & E1000_RFCTL_EXSTEN) != 0;
}

static bool is_split(const struct e1000 *e)
{
	return is_extended(e) && (e1000_get(e, E1000_RCTL) & E1000_RCTL_DTYP_PS) != 0;
}

/* Head and tail count 16 bytes, of which a packet split descriptor takes two. */
static uint32_t stride(const struct e1000 *e)
{
	return is_split(e) ? 2 : 1;
}

/* In descriptors. */
static uint32_t ring_size(const struct e1000 *e)
{
	return e1000_ring_size(e, E1000_RDLEN) / stride(e);
}

/* Descriptors that the card has; a tail outside the ring gives it none. */
static uint32_t available(const struct e1000 *e)
{
	uint32_t n = e1000_ring_size(e, E1000_RDLEN);
	uint32_t head = e1000_get(e, E1000_RDH);
	uint32_t tail = e1000_get(e, E1000_RDT);

	return head < n && tail < n ? (tail + n - head) % n / stride(e) : 0;
}

/* --- buffers --- */

static uint32_t buffer_bytes(const struct e1000 *e)
{
	uint32_t rctl = e1000_get(e, E1000_RCTL);
	uint32_t flexible = (uint32_t)bits_get(rctl, E1000_RCTL_FLXBUF);
	uint32_t bytes = BSIZE_LARGEST >> bits_get(rctl, E1000_RCTL_BSIZE);

	if (e->kind == E1000_82574L && flexible != 0) {
		return flexible << 10;
	}
	return (rctl & E1000_RCTL_BSEX) != 0 ? bytes << BSEX_SHIFT : bytes;
}

static void buffer_sizes(const struct e1000 *e, uint32_t *size)
{
	uint32_t psrctl = e1000_get(e, E1000_PSRCTL);

	if (!is_split(e)) {
		size[0] = buffer_bytes(e);
		return;
	}
	size[0] = (psrctl & 0x7f) << 7;
	for (unsigned i = 1; i < E1000_SPLIT_BUFFERS; i++) {
		size[i] = (psrctl >> (i * 8) & 0x3f) << 10;
	}
}

/* What one descriptor takes. */
static uint32_t slot_bytes(const struct e1000 *e)
{
	uint32_t size[E1000_SPLIT_BUFFERS] = {0};

	buffer_sizes(e, size);
	return size[0] + size[1] + size[2] + size[3];
}

/* The descriptor at the head; false: it is in no memory. */
static bool read_slot(struct e1000 *e, struct slot *s)
{
	size_t bytes = is_split(e) ? sizeof(struct e1000_rx_split) : sizeof(s->address[0]);

	*s = (struct slot){0};
	s->at = e1000_ring_base(e, E1000_RDBAL) +
		e1000_get(e, E1000_RDH) * sizeof(struct e1000_rx_desc);
	buffer_sizes(e, s->size);
	return guest_mem_read(e->vm, gpa(s->at), s->address, bytes) == HV_OK;
}

/* Fills the buffers in turn; returns how many bytes they took, *lost when one is in no memory. */
static uint32_t fill_slot(struct e1000 *e, struct slot *s, const uint8_t *data, uint32_t len,
			  bool *lost)
{
	uint32_t total = 0;

	for (unsigned i = 0; i < E1000_SPLIT_BUFFERS && total < len; i++) {
		uint32_t piece = (uint32_t)min_u64(s->size[i], len - total);

		if (piece != 0 &&
		    guest_mem_write(e->vm, gpa(s->address[i]), data + total, piece) != HV_OK) {
			*lost = true;
		}
		s->done[i] = piece;
		total += piece;
	}
	return total;
}

/* --- results --- */

static bool write_legacy(struct e1000 *e, const struct slot *s, const struct packet *p,
			 uint32_t status)
{
	const struct e1000_rx_desc d = {
		.address = s->address[0],
		.length = (uint16_t)s->done[0],
		.checksum = p->checksum,
		.status = (uint8_t)status,
		.errors = (uint8_t)(status >> EXTENDED_ERRORS_SHIFT),
		.special = p->tag,
	};

	return guest_mem_write(e->vm, gpa(s->at), &d, sizeof(d)) == HV_OK;
}

static bool write_extended(struct e1000 *e, const struct slot *s, const struct packet *p,
			   uint32_t status)
{
	const struct e1000_rx_extended d = {
		.ip_id = p->ip_id,
		.checksum = p->checksum,
		.status = status,
		.length = (uint16_t)s->done[0],
		.vlan = p->tag,
	};

	return guest_mem_write(e->vm, gpa(s->at), &d, sizeof(d)) == HV_OK;
}

/* The half with the status goes last. */
static bool write_split(struct e1000 *e, const struct slot *s, const struct packet *p,
			uint32_t status)
{
	const struct e1000_rx_split_done d = {
		.ip_id = p->ip_id,
		.checksum = p->checksum,
		.status = status,
		.length0 = (uint16_t)s->done[0],
		.vlan = p->tag,
		.length = {(uint16_t)s->done[1], (uint16_t)s->done[2], (uint16_t)s->done[3]},
	};
	const uint8_t *bytes = (const uint8_t *)&d;
	const size_t half = sizeof(d) / 2;

	return guest_mem_write(e->vm, gpa(s->at + half), bytes + half, half) == HV_OK &&
	       guest_mem_write(e->vm, gpa(s->at), bytes, half) == HV_OK;
}

static bool write_back(struct e1000 *e, const struct slot *s, const struct packet *p,
		       uint32_t status)
{
	if (is_split(e)) {
		return write_split(e, s, p, status);
	}
	return is_extended(e) ? write_extended(e, s, p, status) : write_legacy(e, s, p, status);
}

/* --- the frame as the driver wants it --- */

/* Takes the tag out if the driver wants that; returns the bytes that are left. */
static uint32_t strip_tag(const struct e1000 *e, uint8_t *data, uint32_t len, struct packet *p)
{
	uint8_t *tag = data + E1000_ETHERTYPE_AT;

	if ((e1000_get(e, E1000_CTRL) & E1000_CTRL_VME) == 0 ||
	    len < NET_HEADER_BYTES + NET_VLAN_BYTES || get_be16(tag) != e1000_get(e, E1000_VET)) {
		return len;
	}
	p->tag = get_be16(tag + 2);
	p->status |= E1000_RXD_VP;
	len -= NET_VLAN_BYTES;
	memmove(tag, tag + NET_VLAN_BYTES, len - E1000_ETHERTYPE_AT);
	return len;
}

/* Whether checksums are right somebody else has found out, for TCP and UDP and all below. */
static void note_checksums(const struct e1000 *e, const struct net_frame *f, struct packet *p)
{
	uint32_t rxcsum = e1000_get(e, E1000_RXCSUM);
	uint32_t start = rxcsum & (uint32_t)E1000_RXCSUM_PCSS;
	const uint8_t *data = e->scratch;
	bool v4 = p->len >= E1000_FRAME_MIN && data[E1000_ETHERTYPE_AT] == 0x08 &&
		  data[E1000_ETHERTYPE_AT + 1] == 0x00;

	if (start < p->len) {
		p->checksum = (uint16_t)~net_sum_fold(net_sum(data + start, p->len - start, 0));
	}
	if (v4) {
		p->ip_id = get_be16(data + IPV4_ID_AT);
	}
	if (!f->offload.checksum_good) {
		p->status |= E1000_RXD_IXSM;
	} else if ((rxcsum & E1000_RXCSUM_TUOFL) != 0) {
		p->status |= E1000_RXD_TCPCS;
	}
	if (e->kind == E1000_82574L && (rxcsum & E1000_RXCSUM_PCSD) != 0) {
		/* In their place is the RSS hash, of type "none". */
		p->checksum = 0;
		p->ip_id = 0;
	}
}

/* Puts the frame into e->scratch; false: it is not for this driver. */
static bool prepare(struct e1000 *e, const struct net_frame *f, struct packet *p)
{
	enum e1000_pass pass;
	uint32_t len = f->len;

	*p = (struct packet){0};
	if (len > NET_WIRE_MAX) {
		return false;
	}
	memcpy(e->scratch, f->data, len);
	pass = e1000_filter(&e->filter, (const struct net_mac *)e->scratch);
	if (pass == E1000_PASS_NOT || !e1000_vlan_passes(e, e->scratch, len)) {
		return false;
	}
	p->status = pass == E1000_PASS_INEXACT ? E1000_RXD_PIF : 0;
	p->timed = e1000_stamp_is_wanted(e, e->scratch, len);
	len = strip_tag(e, e->scratch, len, p);
	if (len < E1000_FRAME_MIN) {
		memset(e->scratch + len, 0, E1000_FRAME_MIN - len);
		len = E1000_FRAME_MIN;
	}
	p->len = len;
	note_checksums(e, f, p);
	if ((e1000_get(e, E1000_RCTL) & E1000_RCTL_SECRC) == 0) {
		memset(e->scratch + len, 0, FCS_BYTES);
		p->len += FCS_BYTES;
	}
	return true;
}

/* --- receiving --- */

/* The descriptor at the head takes what it can of the rest; false: its ring is no memory. */
static bool fill_next(struct e1000 *e, const struct packet *p, uint32_t *done, bool *lost)
{
	struct slot s;
	uint32_t status = p->status | E1000_RXD_DD;

	if (!read_slot(e, &s)) {
		return false;
	}
	*done += fill_slot(e, &s, e->scratch + *done, p->len - *done, lost);
	if (*done == p->len) {
		status |= E1000_RXD_EOP | (*lost ? ERROR_DATA << EXTENDED_ERRORS_SHIFT : 0);
	}
	*e1000_reg(e, E1000_RDH) =
		(e1000_get(e, E1000_RDH) + stride(e)) % e1000_ring_size(e, E1000_RDLEN);
	return write_back(e, &s, p, status);
}

/* RXDMT0 comes when the share of free descriptors that RCTL.RDMTS says is reached. */
static void check_threshold(struct e1000 *e, uint32_t before)
{
	unsigned shift = (unsigned)bits_get(e1000_get(e, E1000_RCTL), E1000_RCTL_RDMTS) + 1;
	uint32_t threshold = ring_size(e) >> shift;

	if (before > threshold && available(e) <= threshold) {
		e1000_raise(e, E1000_ICR_RXDMT0);
	}
}

enum put {
	PUT_DONE,
	PUT_WAIT,    /* too few descriptors */
	PUT_REFUSED, /* it will never fit, or there is no ring */
};

static enum put put_packet(struct e1000 *e, struct packet *p)
{
	uint32_t each = slot_bytes(e);
	uint32_t before = available(e);
	uint32_t needed = each != 0 ? (p->len + each - 1) / each : 0;
	uint32_t done = 0;
	bool lost = false;

	if (needed == 0 || needed >= ring_size(e)) {
		return PUT_REFUSED;
	}
	if (needed > before) {
		return PUT_WAIT;
	}
	if (p->timed && e1000_stamp_received(e)) {
		p->status |= E1000_RXD_TST;
	}
	while (done < p->len) {
		if (!fill_next(e, p, &done, &lost)) {
			return PUT_REFUSED;
		}
	}
	check_threshold(e, before);
	return PUT_DONE;
}

/* A small packet is told of at once. */
static void tell(struct e1000 *e, uint32_t len)
{
	if (len <= e1000_get(e, E1000_RSRPD)) {
		e1000_raise(e, E1000_ICR_SRPD);
	}
	e1000_raise_received(e);
}

static enum put receive_one(struct e1000 *e, const struct net_frame *f)
{
	struct packet p;
	enum put result;

	if (!prepare(e, f, &p)) {
		return PUT_REFUSED;
	}
	result = put_packet(e, &p);
	if (result == PUT_DONE) {
		e1000_count_received(e, f->data, f->len);
	}
	return result;
}

static struct net_frame *peek(struct e1000 *e)
{
	struct net_frame *f;

	lock_acquire(&e->rx_lock);
	f = net_queue_first(&e->queue);
	lock_release(&e->rx_lock);
	return f;
}

static void drop_first(struct e1000 *e)
{
	struct net_frame *f;

	lock_acquire(&e->rx_lock);
	f = net_queue_take(&e->queue);
	lock_release(&e->rx_lock);
	net_frame_put(f);
}

void e1000_drop_received(struct e1000 *e)
{
	while (peek(e) != NULL) {
		drop_first(e);
	}
}

/* What did not fit the queue. */
static void note_missed(struct e1000 *e)
{
	uint32_t missed = atomic_exchange(&e->missed, 0);

	if (missed != 0) {
		e1000_count(e, E1000_MPC, missed);
		e1000_raise(e, E1000_ICR_RXO);
	}
}

void e1000_receive(struct e1000 *e)
{
	const struct net_frame *f = NULL;
	unsigned left = E1000_BATCH;
	uint32_t received = 0;
	uint32_t shortest = UINT32_MAX;

	note_missed(e);
	if (!atomic_load(&e->open)) {
		e1000_drop_received(e);
		return;
	}
	while (left > 0 && pci_device_is_master(&e->pci) && (f = peek(e)) != NULL) {
		enum put result = receive_one(e, f);

		if (result == PUT_WAIT) {
			e1000_count(e, E1000_RNBC, 1);
			break;
		}
		if (result == PUT_DONE) {
			received++;
			shortest = (uint32_t)min_u64(shortest, f->len);
		} else {
			atomic_fetch_add_explicit(&e->port.stats.rx_dropped, 1,
						  memory_order_relaxed);
		}
		left = e1000_spend(left, f->len);
		drop_first(e);
	}
	if (received != 0) {
		tell(e, shortest);
	}
	if (left == 0) {
		e1000_ask(e);
	}
}

void e1000_receive_own(struct e1000 *e, const struct net_frame *f)
{
	if ((e1000_get(e, E1000_RCTL) & E1000_RCTL_EN) != 0 && receive_one(e, f) == PUT_DONE) {
		tell(e, f->len);
	}
}
