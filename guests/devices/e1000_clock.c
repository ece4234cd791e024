/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 82574L's clock for IEEE 1588 and 802.1AS: a counter that software sets the pace of, and the
 * moments of packets by it. Source: 82574 datasheet, "Time SYNC (IEEE1588 and 802.1AS)" and "Time
 * Sync Register Descriptions".
 *
 *	SYSTIM = time + TIMINCA.incvalue for each TIMINCA.incperiod of 40 ns since then
 *
 * A moment stays until it is read: packets meanwhile get none. Where a packet was received is when
 * it is given to the guest. Received packets' sources and sequence numbers are not kept: RXSATR
 * reads 0.
 */
#include "guests/devices/e1000_internal.h"

#include "hv/base/bytes.h"

#define PERIOD_NS 40u /* the clock's 25 MHz */
#define INCVALUE MASK(23, 0)
#define INCPERIOD MASK(31, 24)
#define TIMADJH_MINUS BIT32(31)

#define TYPE_ALL 4u

#define ETHERTYPE_IPV4 0x0800u
#define IP_AT NET_HEADER_BYTES
#define IP_FRAGMENT 0x3fffu /* more of them follow, or this is not the first */
#define PROTOCOL_UDP 17u
#define UDP_BYTES 8u
/* Of a PTP message. */
#define PTP_BYTES 34u
#define PTP_V1_CONTROL 32u
#define PTP_V2_EVENTS 8u /* message types below are events */

static uint32_t *clock_reg(struct e1000 *e, unsigned offset)
{
	return &e->state.clock.reg[(offset - E1000_TIME_SYNC) / 4];
}

bool e1000_clock_has(const struct e1000 *e, unsigned offset)
{
	return e->kind == E1000_82574L && offset >= E1000_TIME_SYNC &&
	       offset <= E1000_TIME_SYNC_LAST;
}

/* --- the counter --- */

static uint64_t now(struct e1000 *e)
{
	const struct e1000_clock *c = &e->state.clock;
	uint32_t pace = *clock_reg(e, E1000_TIMINCA);
	uint64_t period = bits_get(pace, INCPERIOD) * PERIOD_NS;

	if (period == 0) {
		return c->time;
	}
	return c->time + (vtime_now_ns(e->time) - c->since) / period * bits_get(pace, INCVALUE);
}

static void set_time(struct e1000 *e, uint64_t time)
{
	e->state.clock.time = time;
	e->state.clock.since = vtime_now_ns(e->time);
}

/* TIMADJL was written before. */
static void adjust(struct e1000 *e, uint32_t high)
{
	uint64_t by = *clock_reg(e, E1000_TIMADJL) | (uint64_t)(high & ~TIMADJH_MINUS) << 32;

	set_time(e, (high & TIMADJH_MINUS) != 0 ? now(e) - by : now(e) + by);
}

/* --- registers --- */

/* The upper half is of the moment at which the lower was read. */
static uint32_t read_time(struct e1000 *e)
{
	uint64_t time = now(e);

	e->state.clock.high = (uint32_t)(time >> 32);
	return (uint32_t)time;
}

uint32_t e1000_clock_read(struct e1000 *e, unsigned offset)
{
	uint32_t value = *clock_reg(e, offset);

	switch (offset) {
	case E1000_SYSTIML:
		return read_time(e);
	case E1000_SYSTIMH:
		return e->state.clock.high;
	case E1000_TXSTMPH:
		*clock_reg(e, E1000_TSYNCTXCTL) &= ~E1000_TSYNC_VALID;
		return value;
	case E1000_RXSTMPH:
		*clock_reg(e, E1000_TSYNCRXCTL) &= ~E1000_TSYNC_VALID;
		return value;
	default:
		return value;
	}
}

void e1000_clock_write(struct e1000 *e, unsigned offset, uint32_t value)
{
	uint32_t *stored = clock_reg(e, offset);

	switch (offset) {
	case E1000_SYSTIML:
		set_time(e, (now(e) & ~(uint64_t)UINT32_MAX) | value);
		break;
	case E1000_SYSTIMH:
		set_time(e, (now(e) & UINT32_MAX) | (uint64_t)value << 32);
		break;
	case E1000_TIMINCA:
		set_time(e, now(e));
		*stored = value;
		break;
	case E1000_TIMADJH:
		adjust(e, value);
		*stored = value;
		break;
	case E1000_TSYNCTXCTL:
		*stored = (*stored & E1000_TSYNC_VALID) | (value & E1000_TSYNC_EN);
		break;
	case E1000_TSYNCRXCTL:
		*stored = (*stored & E1000_TSYNC_VALID) |
			  (value & (E1000_TSYNC_EN | (uint32_t)E1000_TSYNCRXCTL_TYPE));
		break;
	case E1000_TIMADJL:
	case E1000_RXMTRL:
	case E1000_RXUDP:
		*stored = value;
		break;
	default:
		break; /* moments, which are read-only */
	}
}

void e1000_reset_clock(struct e1000 *e)
{
	e->state.clock = (struct e1000_clock){0};
	*clock_reg(e, E1000_RXMTRL) = E1000_RXMTRL_RESET;
	*clock_reg(e, E1000_RXUDP) = E1000_RXUDP_RESET;
}

/* --- moments of packets --- */

/* False: not wanted, or the last one was not read yet. */
static bool stamp(struct e1000 *e, unsigned control, unsigned low)
{
	uint64_t time = now(e);

	if ((*clock_reg(e, control) & (E1000_TSYNC_EN | E1000_TSYNC_VALID)) != E1000_TSYNC_EN) {
		return false;
	}
	*clock_reg(e, low) = (uint32_t)time;
	*clock_reg(e, low + 4) = (uint32_t)(time >> 32);
	*clock_reg(e, control) |= E1000_TSYNC_VALID;
	return true;
}

void e1000_stamp_sent(struct e1000 *e)
{
	(void)stamp(e, E1000_TSYNCTXCTL, E1000_TXSTMPL);
}

/* Where the message of a UDP packet to the port of RXUDP begins; `len`: it is none. */
static uint32_t message_in_udp(struct e1000 *e, const uint8_t *frame, uint32_t len)
{
	uint32_t port = *clock_reg(e, E1000_RXUDP);
	uint32_t udp;

	if (len < IP_AT + 20 + UDP_BYTES ||
	    get_be16(frame + E1000_ETHERTYPE_AT) != ETHERTYPE_IPV4 ||
	    frame[IP_AT + 9] != PROTOCOL_UDP || (get_be16(frame + IP_AT + 6) & IP_FRAGMENT) != 0) {
		return len;
	}
	udp = IP_AT + (frame[IP_AT] & 0xfu) * 4;
	if (udp + UDP_BYTES > len || frame[udp + 2] != (port & 0xff) ||
	    frame[udp + 3] != (port >> 8 & 0xff)) {
		return len;
	}
	return udp + UDP_BYTES;
}

/* Whether a message of version 1 or 2 is of the type that RXMTRL names. */
static bool is_message(struct e1000 *e, const uint8_t *message, bool old)
{
	uint32_t wanted = *clock_reg(e, E1000_RXMTRL);

	return old ? message[PTP_V1_CONTROL] == (uint8_t)(wanted >> 16)
		   : (message[0] & 0xf) == (wanted >> 24 & 0xf);
}

/* By TSYNCRXCTL's type: 0 version 2 in frames, 1 version 1, 2 version 2, 5 events of version 2. */
static bool is_wanted(struct e1000 *e, const uint8_t *frame, uint32_t len)
{
	unsigned type = (unsigned)bits_get(*clock_reg(e, E1000_TSYNCRXCTL), E1000_TSYNCRXCTL_TYPE);
	uint32_t at = len;

	if (type == TYPE_ALL) {
		return true;
	}
	if (type != 1 && get_be16(frame + E1000_ETHERTYPE_AT) ==
				 (*clock_reg(e, E1000_RXMTRL) & E1000_RXMTRL_ETHERTYPE)) {
		at = NET_HEADER_BYTES;
	} else if (type == 1 || type == 2 || type == 5) {
		at = message_in_udp(e, frame, len);
	}
	if (at + PTP_BYTES > len || type == 3 || type > 5) {
		return false;
	}
	return type == 5 ? (frame[at] & 0xf) < PTP_V2_EVENTS : is_message(e, frame + at, type == 1);
}

bool e1000_stamp_is_wanted(struct e1000 *e, const uint8_t *frame, uint32_t len)
{
	return e->kind == E1000_82574L && (*clock_reg(e, E1000_TSYNCRXCTL) & E1000_TSYNC_EN) != 0 &&
	       is_wanted(e, frame, len);
}

bool e1000_stamp_received(struct e1000 *e)
{
	return stamp(e, E1000_TSYNCRXCTL, E1000_RXSTMPL);
}
