/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: rings, packets in pieces, what is dropped, loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

#include "guests/devices/e1000_internal.h"

#define EOP E1000_TXD_EOP
#define RS E1000_TXD_RS
#define DATA (E1000_TXD_DEXT | 0u)
#define TYPE_DATA (1ull << 20)

static void fill(uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		rig_put(CARD_DATA + i, (i * 7 + 1) & 0xff, 1);
	}
}

static uint8_t status(unsigned index)
{
	return (uint8_t)rig_get(CARD_TX + 16ull * index + 12, 1);
}

static void a_frame_goes_out_as_it_is(void **state)
{
	static const uint32_t lengths[] = {14, 60, 1514, 1518};

	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_TXDW);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		fill(lengths[i]);
		card_put(CARD_DATA, card_legacy(lengths[i], EOP | RS));
		card_go();
		assert_int_equal(card_sent, i + 1);
		assert_int_equal(card_last->len, lengths[i]);
		assert_memory_equal(card_last->data, rig_at(CARD_DATA), lengths[i]);
		assert_false(card_last->offload.needs_checksum);
		assert_int_equal(status(i), E1000_TXD_DD);
		assert_int_equal(card_read(E1000_TDH), i + 1);
		assert_true(rig_intx.level);
		assert_int_equal(card_read(E1000_ICR) & E1000_ICR_TXDW, E1000_ICR_TXDW);
	}
	assert_int_equal(card_read(E1000_GPTC), ARRAY_SIZE(lengths));
}

static void a_batch_is_one_exit_and_one_interrupt(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_TXDW);
	for (unsigned i = 0; i < 10; i++) {
		card_put(CARD_DATA, card_legacy(100, EOP | RS));
	}
	card_go();
	assert_int_equal(card_sent, 10);
	assert_int_equal(rig_intx.rises, 1);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_TXQE, E1000_ICR_TXQE);
}

static void without_rs_nothing_is_reported(void **state)
{
	(void)state;
	card_start(0);
	card_put(CARD_DATA, card_legacy(100, EOP));
	card_go();
	assert_int_equal(card_sent, 1);
	assert_int_equal(status(0), 0);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_TXDW, 0);
}

static void a_report_may_wait(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_TIDV, 8);
	card_write(E1000_IMS, E1000_ICR_TXDW);
	card_put(CARD_DATA, card_legacy(100, EOP | RS | E1000_TXD_IDE));
	card_go();
	assert_false(rig_intx.level);
	card_pass(8 * 1024);
	assert_true(rig_intx.level);
}

static void a_packet_may_be_in_pieces_and_writes(void **state)
{
	(void)state;
	card_start(0);
	fill(1000);
	for (unsigned parts = 2; parts < 15; parts++) {
		uint32_t piece = 1000 / parts;

		for (unsigned i = 0; i < parts; i++) {
			bool last = i + 1 == parts;

			card_put(CARD_DATA + i * piece,
				 card_legacy(last ? 1000 - i * piece : piece, last ? EOP : 0));
			if (i % 3 == 0) {
				card_go();
			}
		}
		assert_int_equal(card_sent, parts - 2 + ((parts - 1) % 3 == 0));
		card_go();
		assert_int_equal(card_sent, parts - 1);
		assert_int_equal(card_last->len, 1000);
		assert_memory_equal(card_last->data, rig_at(CARD_DATA), 1000);
	}
}

static void what_is_not_in_order_is_dropped(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t len;
	} cases[] = {{CARD_DATA, 0},	     {CARD_DATA, 13}, {CARD_DATA, 1519},
		     {RIG_RAM_END - 50, 60}, {0, 60},	      {UINT64_MAX - 10, 60}};

	(void)state;
	card_start(0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		card_put(cases[i].address, card_legacy(cases[i].len, EOP | RS));
		card_go();
		assert_int_equal(status(i), E1000_TXD_DD);
		assert_int_equal(atomic_load(&card.tx_malformed), i + 1);
	}
	assert_int_equal(card_sent, 0);
	assert_int_equal(net_frames_bytes(), 0);
	/* And the next is as good as ever. */
	card_put(CARD_DATA, card_legacy(60, EOP));
	card_go();
	assert_int_equal(card_sent, 1);
}

static void a_tail_outside_the_ring_sends_nothing(void **state)
{
	(void)state;
	card_start(0);
	card_put(CARD_DATA, card_legacy(60, EOP));
	card_write(E1000_TDT, CARD_RING);
	card_write(E1000_TDT, 0xffff);
	assert_int_equal(card_sent, 0);
	card_write(E1000_TDLEN, 0);
	card_write(E1000_TDT, 0);
	assert_int_equal(card_sent, 0);
	/* Nor does a ring in no memory. */
	card_write(E1000_TDLEN, 128);
	card_write(E1000_TDBAL, RIG_RAM_END);
	card_write(E1000_TDT, 1);
	assert_int_equal(card_sent, 0);
	assert_int_equal(card_read(E1000_TDH), 0);
}

static void nothing_is_sent_before_it_is_allowed(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_TCTL, 0);
	card_put(CARD_DATA, card_legacy(60, EOP));
	card_go();
	assert_int_equal(card_sent, 0);
	card_write(E1000_TCTL, E1000_TCTL_EN);
	assert_int_equal(card_sent, 1);
}

static void a_turn_is_bounded(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_TDLEN, 256 * 16);
	for (unsigned i = 0; i < 200; i++) {
		rig_put(CARD_TX + 16ull * i, CARD_DATA, 8);
		rig_put(CARD_TX + 16ull * i + 8, card_legacy(60, EOP), 8);
	}
	card_write(E1000_TDT, 200);
	assert_int_equal(card_sent, E1000_BATCH);
	vwork_run(&card_work);
	vwork_run(&card_work);
	vwork_run(&card_work);
	assert_int_equal(card_sent, 200);
}

static void a_tag_goes_in(void **state)
{
	(void)state;
	card_start(0);
	fill(100);
	/* Without CTRL.VME the command is nothing. */
	card_put(CARD_DATA, card_legacy(100, EOP | E1000_TXD_VLE) | 0x2143ull << 48);
	card_go();
	assert_int_equal(card_last->len, 100);
	card_write(E1000_CTRL, card_read(E1000_CTRL) | E1000_CTRL_VME);
	card_put(CARD_DATA, card_legacy(50, 0));
	card_put(CARD_DATA + 50, card_legacy(50, EOP | E1000_TXD_VLE) | 0x2143ull << 48);
	card_go();
	assert_int_equal(card_last->len, 104);
	assert_memory_equal(card_last->data, rig_at(CARD_DATA), 12);
	assert_memory_equal(card_last->data + 12, "\x81\x00\x21\x43", 4);
	assert_memory_equal(card_last->data + 16, rig_at(CARD_DATA + 12), 88);
}

static void data_follows_its_context(void **state)
{
	(void)state;
	card_start(0);
	fill(200);
	/* IP at 14, its sum at 24; TCP at 34, its sum at 50; to the end. */
	card_put(0x0000322200000000 | 0x0021180e, (uint64_t)DATA << 24);
	card_put(CARD_DATA, 200 | TYPE_DATA | (uint64_t)(DATA | EOP) << 24 | 2ull << 40);
	card_go();
	assert_int_equal(card_sent, 1);
	assert_true(card_last->offload.needs_checksum);
	assert_int_equal(card_last->offload.csum_start, 34);
	assert_int_equal(card_last->offload.csum_offset, 16);
	assert_int_equal(card_last->offload.gso, NET_GSO_NONE);
	/* Without the option it is not used. */
	card_put(CARD_DATA, 200 | TYPE_DATA | (uint64_t)(DATA | EOP) << 24);
	card_go();
	assert_false(card_last->offload.needs_checksum);
}

static void a_length_that_its_context_denies_is_dropped(void **state)
{
	const uint64_t tse = (uint64_t)(DATA | E1000_TXD_TSE | 3) << 24;

	(void)state;
	card_start(0);
	/* 100 bytes behind a header of 54. */
	card_put(0x0000322200000000 | 0x0021180e, tse | 100 | 54ull << 40 | 1000ull << 48);
	card_put(CARD_DATA, 400 | TYPE_DATA | (uint64_t)(DATA | E1000_TXD_TSE | EOP) << 24);
	card_go();
	assert_int_equal(card_sent, 0);
	assert_int_equal(atomic_load(&card.tx_malformed), 1);
	/* Nor is there room for a megabyte. */
	card_put(0x0000322200000000 | 0x0021180e, tse | 0xfffff | 54ull << 40 | 1000ull << 48);
	card_put(CARD_DATA, 400 | TYPE_DATA | (uint64_t)(DATA | E1000_TXD_TSE | EOP) << 24);
	card_go();
	assert_int_equal(atomic_load(&card.tx_malformed), 2);
	assert_int_equal(net_frames_bytes(), 0);
}

static void what_loops_comes_back(void **state)
{
	(void)state;
	card_start(1u << 6);
	fill(100);
	memcpy(rig_at(CARD_DATA), &card_mac, 6);
	card_put(CARD_DATA, card_legacy(100, EOP));
	card_go();
	assert_int_equal(card_sent, 0);
	assert_int_equal(card_read(E1000_RDH), 1);
	assert_memory_equal(rig_at(CARD_BUFFERS), rig_at(CARD_DATA), 100);
	/* Nothing of the network comes in then, and the cable is no matter. */
	assert_false(card_deliver(&card_mac, 60, 1));
	card.port.ops->link_changed(&card.port, false);
	assert_int_equal(card_read(E1000_STATUS) & E1000_STATUS_LU, E1000_STATUS_LU);
	/* The PHY can do it too. */
	card_write(E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_SECRC);
	card_write(E1000_MDIC, 0x4140 | 1u << 21 | 1u << 26);
	card_put(CARD_DATA, card_legacy(100, EOP));
	card_go();
	assert_int_equal(card_sent, 0);
	assert_int_equal(card_read(E1000_RDH), 2);
}

static void the_newer_card_has_a_second_queue(void **state)
{
	(void)state;
	card_start(0);
	fill(100);
	card_write(E1000_TDBAL + 0x100, CARD_TX);
	card_write(E1000_TDLEN + 0x100, CARD_RING * 16);
	card_put(CARD_DATA, card_legacy(100, EOP | RS));
	card_write(E1000_TDT + 0x100, 1);
	assert_int_equal(card_sent, 1);
	assert_int_equal(card_read(E1000_TDH + 0x100), 1);
	assert_int_equal(card_read(E1000_TDH), 0);
	assert_int_equal(card_read(E1000_ICR) & (E1000_ICR_TXQ0 | E1000_ICR_TXQ1), E1000_ICR_TXQ1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(a_frame_goes_out_as_it_is),
		NEW(a_frame_goes_out_as_it_is),
		OLD(a_batch_is_one_exit_and_one_interrupt),
		OLD(without_rs_nothing_is_reported),
		OLD(a_report_may_wait),
		OLD(a_packet_may_be_in_pieces_and_writes),
		OLD(what_is_not_in_order_is_dropped),
		OLD(a_tail_outside_the_ring_sends_nothing),
		OLD(nothing_is_sent_before_it_is_allowed),
		OLD(a_turn_is_bounded),
		OLD(a_tag_goes_in),
		OLD(data_follows_its_context),
		OLD(a_length_that_its_context_denies_is_dropped),
		OLD(what_loops_comes_back),
		NEW(the_newer_card_has_a_second_queue),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
