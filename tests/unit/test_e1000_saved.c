/* SPDX-License-Identifier: Apache-2.0 */
/* Cards of Intel's saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"
#include "tests/fakes/saved_rig.h"

#define TAKES(field, value) SAVED_TAKES(&card.saved, struct e1000_saved, field, value)
#define EOP E1000_TXD_EOP

static void send(uint8_t command)
{
	card_put(CARD_DATA, card_legacy(60, command));
	card_go();
}

static void frames_go_on_in_both_directions(void **state)
{
	(void)state;
	card_start(E1000_RCTL_BAM);
	send(EOP);
	assert_true(card_deliver(&card_mac, 60, 1));
	(void)vwork_run(&card_work);
	saved_reload(&card.saved);
	(void)vwork_run(&card_work);
	assert_int_equal(card_read(E1000_RDH), 1);
	assert_int_equal(card_read(E1000_TDH), 1);
	send(EOP);
	assert_int_equal(card_sent, 2);
	assert_true(card_deliver(&card_mac, 60, 2));
	(void)vwork_run(&card_work);
	assert_int_equal(card_read(E1000_RDH), 2);
	assert_int_equal(rig_get(CARD_BUFFERS + CARD_BUFFER_BYTES + 6, 1), 2 + 6 * 7);
	assert_int_equal(card_read(E1000_GPRC), 2);
}

/* Both are lost as on a wire: what waited, and what was not whole; the next are not. */
static void frames_on_their_way_are_lost(void **state)
{
	(void)state;
	card_start(E1000_RCTL_BAM);
	card_write(E1000_RDT, 0);
	assert_true(card_deliver(&card_mac, 60, 1));
	(void)vwork_run(&card_work);
	send(0);
	assert_int_equal(card_sent, 0);
	saved_reload(&card.saved);
	assert_int_equal(net_frames_bytes(), 0);
	(void)vwork_run(&card_work);
	send(EOP);
	assert_int_equal(card_sent, 0);
	assert_int_equal(atomic_load(&card.tx_malformed), 1);
	send(EOP);
	assert_int_equal(card_sent, 1);
	card_write(E1000_RDT, CARD_RING - 1);
	assert_int_equal(card_read(E1000_RDH), 0);
	assert_true(card_deliver(&card_mac, 60, 2));
	(void)vwork_run(&card_work);
	assert_int_equal(card_read(E1000_RDH), 1);
}

/* The throttle, and an interrupt that it holds back. */
static void interrupts_come_when_they_would_have(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_ITR, 1000);
	card_write(E1000_IMS, E1000_ICR_TXDW);
	send(EOP | E1000_TXD_RS);
	assert_true(rig_intx.level);
	saved_reload(&card.saved);
	assert_true(rig_intx.level);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_TXDW, E1000_ICR_TXDW);
	assert_false(rig_intx.level);
	send(EOP | E1000_TXD_RS);
	assert_false(rig_intx.level);
	saved_reload(&card.saved);
	(void)vwork_run(&card_work);
	assert_false(rig_intx.level);
	card_pass(1000 * E1000_ITR_NS);
	assert_true(rig_intx.level);
}

/* A word of the EEPROM is half read. */
static void a_command_that_comes_bit_by_bit_goes_on(void **state)
{
	const uint32_t selected = E1000_EECD_CS;
	uint32_t command = 1u << 8 | 2u << 6; /* start bit, read, word 0 */
	uint32_t word = 0;

	(void)state;
	card_write(E1000_EECD, selected);
	for (unsigned i = 0; i < 9; i++) {
		uint32_t bit = (command >> (8 - i) & 1) != 0 ? E1000_EECD_DI : 0;

		card_write(E1000_EECD, selected | bit);
		card_write(E1000_EECD, selected | bit | E1000_EECD_SK);
		if (i == 4) {
			saved_reload(&card.saved);
		}
	}
	for (unsigned i = 0; i < 16; i++) {
		card_write(E1000_EECD, selected);
		card_write(E1000_EECD, selected | E1000_EECD_SK);
		word = word << 1 | ((card_read(E1000_EECD) & E1000_EECD_DO) != 0);
		if (i == 7) {
			saved_reload(&card.saved);
		}
	}
	assert_int_equal(word, card_mac.bytes[0] | card_mac.bytes[1] << 8);
}

static void the_filter_is_as_it_was(void **state)
{
	static const struct net_mac all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	static const struct net_mac other = {{2, 9, 9, 9, 9, 9}};

	(void)state;
	card_start(E1000_RCTL_BAM);
	saved_reload(&card.saved);
	assert_true(card.port.ops->wants(&card.port, &all));
	assert_true(card.port.ops->wants(&card.port, &card_mac));
	assert_false(card.port.ops->wants(&card.port, &other));
	assert_true(card_deliver(&all, 60, 1));
}

/* The driver knew of a link that is not there any more. */
static void a_link_that_differs_is_told(void **state)
{
	void *bytes;

	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_LSC);
	bytes = saved_bytes(&card.saved);
	card.port.ops->link_changed(&card.port, false);
	card.saved.ops->reset(&card);
	card.saved.ops->load(&card, bytes);
	free(bytes);
	assert_false(rig_intx.level);
	(void)vwork_run(&card_work);
	assert_true(rig_intx.level);
	assert_int_equal(card_read(E1000_STATUS) & E1000_STATUS_LU, 0);
	assert_false(card_deliver(&card_mac, 60, 1));
}

static void every_field_is_checked(void **state)
{
	(void)state;
	card_start(0);
	assert_true(TAKES(io_address, UINT32_MAX));
	assert_true(TAKES(reg[E1000_RDBAL / 4], 0x1000));
	assert_false(TAKES(reg[E1000_RDBAL / 4], 0x1008));
	assert_false(TAKES(reg[E1000_RDLEN / 4], 0x100000));
	assert_false(TAKES(reg[E1000_IMS / 4], UINT32_MAX));
	assert_false(TAKES(reg[1], 1)); /* there is none */
	assert_false(TAKES(phy[E1000_PHY_ID1], 0));
	assert_false(TAKES(phy[E1000_PHY_ID2], 0));
	assert_true(TAKES(phy[E1000_PHY_PAGE], 7));
	assert_false(TAKES(rom.position, 1024));
	assert_false(TAKES(rom.in_count, 33));
	assert_false(TAKES(rom.reading, 2));
	assert_false(TAKES(rom.zero[6], 1));
	assert_false(TAKES(irq.line, 1));
	assert_false(TAKES(irq.rx.waits, 2));
	assert_false(TAKES(tx[1].begun, 2));
	assert_false(TAKES(tx[1].zero[0], 1));
	assert_false(TAKES(mac.bytes[0], 4));
	assert_false(TAKES(kind, 2));
	assert_false(TAKES(link, 2));
	assert_false(TAKES(zero[3], 1));
	assert_false(TAKES(pci.function.value[0], 1));
}

/* Registers that only the other card has. */
static void the_kinds_are_told_apart(void **state)
{
	bool newer = card.kind == E1000_82574L;

	(void)state;
	card_start(0);
	assert_int_equal(TAKES(reg[E1000_RFCTL / 4], 1), newer);
	assert_int_equal(TAKES(kind, 0), !newer);
	if (newer) {
		card_msix_on();
		card_write(E1000_IVAR, E1000_IVAR_VALID | 1);
		card_write(E1000_IMS, E1000_ICR_RXQ0);
	}
	saved_reload(&card.saved);
	assert_true(card_deliver(&card_mac, 60, 1));
	(void)vwork_run(&card_work);
	assert_int_equal(rig_messages[1], newer);
}

int main(void)
{
#define OLD(name) cmocka_unit_test_setup_teardown(name, setup_82540em, teardown)
#define NEW(name) cmocka_unit_test_setup_teardown(name, setup_82574l, teardown)
	const struct CMUnitTest tests[] = {
		OLD(frames_go_on_in_both_directions),
		NEW(frames_go_on_in_both_directions),
		OLD(frames_on_their_way_are_lost),
		OLD(interrupts_come_when_they_would_have),
		OLD(a_command_that_comes_bit_by_bit_goes_on),
		OLD(the_filter_is_as_it_was),
		OLD(a_link_that_differs_is_told),
		OLD(every_field_is_checked),
		OLD(the_kinds_are_told_apart),
		NEW(the_kinds_are_told_apart),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
