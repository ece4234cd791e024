/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of the 82574L: its pace, its adjustment, moments of packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"
#include "tests/fakes/saved_rig.h"

#include "guests/devices/e1000_internal.h"

/* Linux' pace for this card: 40 for each 40 ns, in units of 2^-18 ns. */
#define PACE (1u << 24 | 40u << 18)
#define TYPE(n) (E1000_TSYNC_EN | (n) << 1)
#define PTP_MESSAGE_AT 14u
#define PTP_UDP_AT 42u

static uint64_t read_time(void)
{
	uint64_t low = card_read(E1000_SYSTIML);

	return low | (uint64_t)card_read(E1000_SYSTIMH) << 32;
}

static void it_stands_until_it_has_a_pace(void **state)
{
	(void)state;
	card_pass(1000);
	assert_int_equal(read_time(), 0);
	card_write(E1000_TIMINCA, PACE);
	assert_int_equal(card_read(E1000_TIMINCA), PACE);
	card_pass(1000);
	assert_int_equal(read_time(), 1000ull << 18);
	/* Twice the period is half the pace, from here on. */
	card_write(E1000_TIMINCA, 2u << 24 | 100);
	card_pass(800);
	assert_int_equal(read_time(), (1000ull << 18) + 1000);
}

static void its_halves_are_of_one_moment(void **state)
{
	(void)state;
	card_write(E1000_SYSTIML, UINT32_MAX);
	card_write(E1000_TIMINCA, 1u << 24 | 1);
	assert_int_equal(card_read(E1000_SYSTIML), UINT32_MAX);
	card_pass(40);
	assert_int_equal(card_read(E1000_SYSTIMH), 0);
	assert_int_equal(read_time(), 1ull << 32);
	card_write(E1000_SYSTIMH, 7);
	assert_int_equal(read_time(), 7ull << 32);
}

static void it_is_adjusted_in_both_directions(void **state)
{
	(void)state;
	card_write(E1000_SYSTIML, 1000);
	card_write(E1000_TIMADJL, 300);
	assert_int_equal(read_time(), 1000);
	card_write(E1000_TIMADJH, 1);
	assert_int_equal(read_time(), (1ull << 32) + 1300);
	card_write(E1000_TIMADJH, 1 | BIT32(31));
	assert_int_equal(read_time(), 1000);
}

static void send(uint32_t high)
{
	card_put(CARD_DATA, 60 | E1000_TXD_TYPE_DATA << 20 |
				    (uint64_t)(E1000_TXD_DEXT | E1000_TXD_EOP) << 24 |
				    (uint64_t)high << 32);
	card_go();
}

static void a_sent_packet_has_a_moment_if_it_is_wanted(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_SYSTIMH, 5);
	send(E1000_TXD_TSTAMP);
	assert_int_equal(card_read(E1000_TSYNCTXCTL), 0);
	card_write(E1000_TSYNCTXCTL, UINT32_MAX);
	assert_int_equal(card_read(E1000_TSYNCTXCTL), E1000_TSYNC_EN);
	send(0);
	assert_int_equal(card_read(E1000_TSYNCTXCTL), E1000_TSYNC_EN);
	send(E1000_TXD_TSTAMP);
	assert_int_equal(card_read(E1000_TSYNCTXCTL), E1000_TSYNC_EN | E1000_TSYNC_VALID);
	/* The next one changes nothing until it is read. */
	card_write(E1000_SYSTIMH, 6);
	card_write(E1000_TXSTMPH, 1);
	send(E1000_TXD_TSTAMP);
	assert_int_equal(card_read(E1000_TXSTMPL), 0);
	assert_int_equal(card_read(E1000_TXSTMPH), 5);
	assert_int_equal(card_read(E1000_TSYNCTXCTL), E1000_TSYNC_EN);
	send(E1000_TXD_TSTAMP);
	assert_int_equal(card_read(E1000_TXSTMPH), 6);
	assert_int_equal(card_sent, 5);
}

/* Whether the card takes the moment of this frame. */
static bool stamped(const uint8_t *frame, uint32_t len)
{
	bool is = e1000_stamp_is_wanted(&card, frame, len) && e1000_stamp_received(&card);

	assert_int_equal(card_read(E1000_TSYNCRXCTL) & E1000_TSYNC_VALID, is ? 1 : 0);
	(void)card_read(E1000_RXSTMPH);
	assert_int_equal(card_read(E1000_TSYNCRXCTL) & E1000_TSYNC_VALID, 0);
	return is;
}

static void put_udp(uint8_t *frame, uint8_t first_of_message)
{
	memset(frame, 0, 80);
	frame[12] = 0x08;
	frame[14] = 0x45;
	frame[23] = 17;
	frame[36] = 0x01;
	frame[37] = 0x3f; /* 319 */
	frame[PTP_UDP_AT] = first_of_message;
}

static void types_of_messages_are_told_apart(void **state)
{
	uint8_t l2[80] = {[12] = 0x88, [13] = 0xf7, [PTP_MESSAGE_AT] = 0x01};
	uint8_t udp[80];

	(void)state;
	put_udp(udp, 0x01);
	assert_false(stamped(l2, sizeof(l2)));
	card_write(E1000_RXMTRL, 0x010188f7); /* delay requests of either version */
	card_write(E1000_TSYNCRXCTL, TYPE(0u));
	assert_true(stamped(l2, sizeof(l2)));
	assert_false(stamped(l2, PTP_MESSAGE_AT + 33));
	assert_false(stamped(udp, sizeof(udp)));
	card_write(E1000_TSYNCRXCTL, TYPE(2u));
	assert_true(stamped(l2, sizeof(l2)));
	assert_true(stamped(udp, sizeof(udp)));
	udp[PTP_UDP_AT] = 0;
	assert_false(stamped(udp, sizeof(udp)));
	card_write(E1000_TSYNCRXCTL, TYPE(5u));
	assert_true(stamped(udp, sizeof(udp)));
	udp[PTP_UDP_AT] = 8;
	assert_false(stamped(udp, sizeof(udp)));
	card_write(E1000_TSYNCRXCTL, TYPE(1u));
	assert_false(stamped(l2, sizeof(l2)));
	assert_false(stamped(udp, sizeof(udp)));
	udp[PTP_UDP_AT + 32] = 1;
	assert_true(stamped(udp, sizeof(udp)));
	card_write(E1000_TSYNCRXCTL, TYPE(4u));
	assert_true(stamped(udp, 14));
	card_write(E1000_TSYNCRXCTL, TYPE(3u));
	assert_false(stamped(l2, sizeof(l2)));
}

static void what_is_no_message_in_udp_is_left_alone(void **state)
{
	uint8_t udp[80];

	(void)state;
	card_write(E1000_TSYNCRXCTL, TYPE(5u));
	put_udp(udp, 0);
	assert_true(stamped(udp, sizeof(udp)));
	udp[37] = 0x40;
	assert_false(stamped(udp, sizeof(udp)));
	put_udp(udp, 0);
	udp[23] = 6;
	assert_false(stamped(udp, sizeof(udp)));
	put_udp(udp, 0);
	udp[21] = 1; /* not its first fragment */
	assert_false(stamped(udp, sizeof(udp)));
	put_udp(udp, 0);
	udp[14] = 0x4f; /* options up to the end */
	assert_false(stamped(udp, 14 + 60));
	assert_false(stamped(udp, 20));
}

static void a_received_packet_says_so_in_its_descriptor(void **state)
{
	(void)state;
	card_start(E1000_RCTL_BAM);
	card_write(E1000_RFCTL, E1000_RFCTL_EXSTEN);
	card_write(E1000_SYSTIMH, 9);
	card_write(E1000_TSYNCRXCTL, TYPE(4u));
	assert_true(card_deliver(&card_mac, 60, 1));
	assert_true(card_deliver(&card_mac, 60, 1));
	(void)vwork_run(&card_work);
	assert_int_equal(rig_get(CARD_RX + 8, 4) & E1000_RXD_TST, E1000_RXD_TST);
	assert_int_equal(rig_get(CARD_RX + 16 + 8, 4) & E1000_RXD_TST, 0);
	assert_int_equal(card_read(E1000_RXSTMPH), 9);
}

/* It comes to the driver later: with its moment, which nobody would read otherwise. */
static void a_packet_that_waits_has_its_moment(void **state)
{
	(void)state;
	card_start(E1000_RCTL_BAM);
	card_write(E1000_RFCTL, E1000_RFCTL_EXSTEN);
	card_write(E1000_TSYNCRXCTL, TYPE(4u));
	card_write(E1000_RDT, 0); /* no descriptor is left */
	assert_true(card_deliver(&card_mac, 60, 1));
	(void)vwork_run(&card_work);
	assert_int_equal(card_read(E1000_TSYNCRXCTL) & E1000_TSYNC_VALID, 0);
	card_write(E1000_SYSTIMH, 9);
	card_write(E1000_RDT, 1);
	(void)vwork_run(&card_work);
	assert_int_equal(rig_get(CARD_RX + 8, 4) & E1000_RXD_TST, E1000_RXD_TST);
	assert_int_equal(card_read(E1000_RXSTMPH), 9);
}

static void it_is_saved(void **state)
{
	(void)state;
	card_write(E1000_TIMINCA, PACE);
	card_pass(400);
	assert_int_equal(card_read(E1000_SYSTIML), 400u << 18);
	saved_reload(&card.saved);
	card_pass(400);
	assert_int_equal(read_time(), 800ull << 18);
}

static void a_saved_one_that_begins_later_begins_now(void **state)
{
	struct e1000_saved saved = {0};

	(void)state;
	card_write(E1000_TIMINCA, PACE);
	card_write(E1000_SYSTIML, 1000);
	card.saved.ops->save(&card, &saved);
	saved.clock.since++;
	assert_null(card.saved.ops->check(&card, &saved));
	card.saved.ops->load(&card, &saved);
	assert_int_equal(read_time(), 1000);
}

static void a_reset_stops_it(void **state)
{
	(void)state;
	card_write(E1000_TIMINCA, PACE);
	card_write(E1000_TSYNCRXCTL, TYPE(4u));
	card_pass(400);
	card_write(E1000_CTRL, E1000_CTRL_RST);
	assert_int_equal(read_time(), 0);
	assert_int_equal(card_read(E1000_TSYNCRXCTL), 0);
	assert_int_equal(card_read(E1000_RXMTRL), 0x88f7);
	assert_int_equal(card_read(E1000_RXUDP), 0x3f01);
}

static void the_older_card_has_none(void **state)
{
	(void)state;
	card_write(E1000_TIMINCA, PACE);
	card_write(E1000_RXMTRL, 1);
	card_pass(400);
	assert_int_equal(read_time(), 0);
	assert_int_equal(card_read(E1000_RXMTRL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NEW(it_stands_until_it_has_a_pace),
		NEW(its_halves_are_of_one_moment),
		NEW(it_is_adjusted_in_both_directions),
		NEW(a_sent_packet_has_a_moment_if_it_is_wanted),
		NEW(types_of_messages_are_told_apart),
		NEW(what_is_no_message_in_udp_is_left_alone),
		NEW(a_received_packet_says_so_in_its_descriptor),
		NEW(a_packet_that_waits_has_its_moment),
		NEW(it_is_saved),
		NEW(a_saved_one_that_begins_later_begins_now),
		NEW(a_reset_stops_it),
		OLD(the_older_card_has_none),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
