/* SPDX-License-Identifier: Apache-2.0 */
/* The EEPROM, a word at a time and bit by bit, as drivers of either card do it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

static uint16_t by_eerd(unsigned address, bool newer)
{
	uint32_t value;

	card_write(E1000_EERD, E1000_EERD_START | address << (newer ? 2 : 8));
	value = card_read(E1000_EERD);
	assert_int_not_equal(value & (newer ? 2 : 0x10), 0);
	return (uint16_t)(value >> 16);
}

static void is_in_order(uint16_t device, bool newer)
{
	uint16_t sum = 0;

	assert_int_equal(by_eerd(0, newer), 0x1102);
	assert_int_equal(by_eerd(1, newer), 0x3322);
	assert_int_equal(by_eerd(2, newer), 0x5544);
	assert_int_equal(by_eerd(0xd, newer), device);
	assert_int_equal(by_eerd(0xe, newer), 0x8086);
	for (unsigned i = 0; i < 64; i++) {
		sum = (uint16_t)(sum + by_eerd(i, newer));
	}
	assert_int_equal(sum, 0xbaba);
	assert_int_equal(by_eerd(64, newer), 0xffff);
	/* Without the start bit nothing is read. */
	card_write(E1000_EERD, 0);
	assert_int_equal(card_read(E1000_EERD), 0);
}

static void words_of_the_older(void **state)
{
	(void)state;
	is_in_order(0x100e, false);
}

static void words_of_the_newer(void **state)
{
	(void)state;
	is_in_order(0x10d3, true);
}

static void the_bus_is_granted(void **state)
{
	(void)state;
	assert_int_equal(card_read(E1000_EECD) & E1000_EECD_GNT, 0);
	assert_int_equal(card_read(E1000_EECD) & E1000_EECD_PRES, E1000_EECD_PRES);
	card_write(E1000_EECD, E1000_EECD_REQ);
	assert_int_equal(card_read(E1000_EECD) & E1000_EECD_GNT, E1000_EECD_GNT);
	card_write(E1000_EECD, 0);
	assert_int_equal(card_read(E1000_EECD) & E1000_EECD_GNT, 0);
}

/* --- bit by bit --- */

static uint32_t pins; /* as they are driven */

static bool clock_bit(bool out)
{
	bool in;

	pins = (pins & ~E1000_EECD_DI) | (out ? E1000_EECD_DI : 0);
	card_write(E1000_EECD, pins);
	card_write(E1000_EECD, pins | E1000_EECD_SK);
	in = (card_read(E1000_EECD) & E1000_EECD_DO) != 0;
	card_write(E1000_EECD, pins);
	return in;
}

static void shift_out(uint32_t value, unsigned bits)
{
	for (unsigned i = bits; i > 0; i--) {
		(void)clock_bit((value >> (i - 1) & 1) != 0);
	}
}

static uint32_t shift_in(unsigned bits)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bits; i++) {
		value = value << 1 | clock_bit(false);
	}
	return value;
}

static void select_chip(bool level)
{
	pins = E1000_EECD_REQ | (level ? 0 : E1000_EECD_CS);
	card_write(E1000_EECD, pins);
	pins ^= E1000_EECD_CS;
	card_write(E1000_EECD, pins);
}

static void microwire_reads(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		select_chip(true);
		shift_out(0, 3); /* before the start bit nothing counts */
		shift_out(6, 3);
		shift_out(i, 6);
		assert_int_equal(shift_in(16), card.state.rom.words[i]);
		/* And goes on with the next. */
		assert_int_equal(shift_in(16), card.state.rom.words[(i + 1) % 64]);
	}
}

static void microwire_does_not_write(void **state)
{
	const struct e1000_rom before = card.state.rom;

	(void)state;
	select_chip(true);
	shift_out(4, 3); /* writes are allowed */
	shift_out(0x30, 6);
	select_chip(true);
	shift_out(5, 3);
	shift_out(0, 6);
	shift_out(0x1234, 16);
	select_chip(true);
	assert_int_equal(card_read(E1000_EECD) & E1000_EECD_DO, E1000_EECD_DO); /* ready */
	shift_out(6, 3);
	shift_out(0, 6);
	assert_int_equal(shift_in(16), 0x1102);
	assert_memory_equal(card.state.rom.words, before.words, sizeof(before.words));
}

static void spi_reads(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		uint16_t word;

		select_chip(false);
		shift_out(3, 8);
		shift_out(i * 2, 16);
		word = (uint16_t)shift_in(8);
		word |= (uint16_t)(shift_in(8) << 8);
		assert_int_equal(word, card.state.rom.words[i]);
	}
	/* An odd address is a byte's. */
	select_chip(false);
	shift_out(3, 8);
	shift_out(1, 16);
	assert_int_equal(shift_in(8), 0x11);
}

static void spi_is_ready_and_does_not_write(void **state)
{
	const struct e1000_rom before = card.state.rom;

	(void)state;
	select_chip(false);
	shift_out(6, 8);
	select_chip(false);
	shift_out(2, 8);
	shift_out(0, 16);
	shift_out(0x1234, 16);
	select_chip(false);
	shift_out(5, 8);
	assert_int_equal(shift_in(8), 0);
	assert_memory_equal(card.state.rom.words, before.words, sizeof(before.words));
	card_write(E1000_EEWR, 0x12340001);
	assert_int_equal(card_read(E1000_EEWR) & 2, 2);
	assert_memory_equal(card.state.rom.words, before.words, sizeof(before.words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(words_of_the_older),
		NEW(words_of_the_newer),
		OLD(the_bus_is_granted),
		OLD(microwire_reads),
		OLD(microwire_does_not_write),
		NEW(spi_reads),
		NEW(spi_is_ready_and_does_not_write),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
