/* SPDX-License-Identifier: Apache-2.0 */
/* Registers: which bits stick, what reads back, which model has which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"
#include "tests/fakes/lacks_rig.h"

struct pattern {
	unsigned reg;
	uint32_t sticks; /* of all-ones written */
};

static void check(const struct pattern *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		card_write(p[i].reg, UINT32_MAX);
		assert_int_equal(card_read(p[i].reg), p[i].sticks);
		card_write(p[i].reg, 0);
		assert_int_equal(card_read(p[i].reg), 0);
	}
}

static void bits_stick_as_the_manual_says(void **state)
{
	static const struct pattern patterns[] = {
		{E1000_FCAL, 0xffffffff},	   {E1000_FCAH, 0x0000ffff},
		{E1000_FCT, 0x0000ffff},	   {E1000_VET, 0x0000ffff},
		{E1000_RDTR, 0x0000ffff},	   {E1000_RDBAL, 0xfffffff0},
		{E1000_RDBAH, 0xffffffff},	   {E1000_RDLEN, 0x000fff80},
		{E1000_RDH, 0x0000ffff},	   {E1000_RDT, 0x0000ffff},
		{E1000_FCTTV, 0x0000ffff},	   {E1000_TIPG, 0x3fffffff},
		{E1000_TDBAL, 0xfffffff0},	   {E1000_TDBAH, 0xffffffff},
		{E1000_TDLEN, 0x000fff80},	   {E1000_TIDV, 0x0000ffff},
		{E1000_RAL0 + 8, 0xffffffff},	   {E1000_RAH0 + 8, 0x8003ffff},
		{E1000_RAL0 + 120, 0xffffffff},	   {E1000_RAH0 + 120, 0x8003ffff},
		{E1000_MTA + 4 * 127, 0xffffffff}, {E1000_VFTA + 4 * 127, 0xffffffff},
		{E1000_ITR, 0x0000ffff},	   {E1000_WUFC, 0xffffffff},
	};

	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	check(patterns, ARRAY_SIZE(patterns));
	assert_int_equal(lacks_rig.total, 0);
}

static void the_newer_card_has_more(void **state)
{
	static const struct pattern patterns[] = {
		{E1000_IVAR, 0x800fffff},	   {E1000_EITR0, 0x0000ffff},
		{E1000_EITR0 + 16, 0x0000ffff},	   {E1000_EIAC, 0x01f00000},
		{E1000_RFCTL, 0xffffffff},	   {E1000_MRQC, 0xffffffff},
		{E1000_RETA + 124, 0xffffffff},	   {E1000_RSSRK + 36, 0xffffffff},
		{E1000_TDBAL + 0x100, 0xfffffff0}, {E1000_EXTCNF_CTRL, 0xffffffff},
	};

	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	check(patterns, ARRAY_SIZE(patterns));
	assert_int_equal(lacks_rig.total, 0);
}

static void the_older_card_has_none_of_that(void **state)
{
	static const unsigned absent[] = {E1000_IVAR,  E1000_EITR0, E1000_EIAC,
					  E1000_RFCTL, E1000_MRQC,  E1000_RETA,
					  E1000_GCR,   E1000_FWSM,  E1000_TDBAL + 0x100};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		card_write(absent[i], UINT32_MAX);
		assert_int_equal(lacks_told("e1000", LACKS_WRITE, absent[i]), 1);
		assert_int_equal(card_read(absent[i]), 0);
		assert_int_equal(lacks_told("e1000", LACKS_READ, absent[i]), 1);
	}
}

static void what_is_no_register_reads_zero(void **state)
{
	static const unsigned absent[] = {0xc, 0x3c, 0xcc, 0x3004, 0x4128, 0x5004, 0x6000, 0x1fffc};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		card_write(absent[i], UINT32_MAX);
		assert_int_equal(lacks_told("e1000e", LACKS_WRITE, absent[i]), 1);
		assert_int_equal(card_read(absent[i]), 0);
		assert_int_equal(lacks_told("e1000e", LACKS_READ, absent[i]), 1);
	}
}

static void old_places_are_the_same_registers(void **state)
{
	static const struct {
		unsigned old;
		unsigned reg;
	} pairs[] = {{0x0004, E1000_CTRL},	{0x0040, E1000_RAL0},  {0x00bc, E1000_RAL0 + 124},
		     {0x0108, E1000_RDTR},	{0x0110, E1000_RDBAL}, {0x0118, E1000_RDLEN},
		     {0x0120, E1000_RDH},	{0x0128, E1000_RDT},   {0x0200, E1000_MTA},
		     {0x03fc, E1000_MTA + 508}, {0x0420, E1000_TDBAL}, {0x0430, E1000_TDH},
		     {0x0440, E1000_TIDV},	{0x0600, E1000_VFTA}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		card_write(pairs[i].old, 0x80);
		assert_int_equal(card_read(pairs[i].reg), 0x80);
		assert_int_equal(card_read(pairs[i].old), 0x80);
	}
}

static void the_address_is_there_at_once(void **state)
{
	(void)state;
	assert_int_equal(card_read(E1000_RAL0), 0x33221102);
	assert_int_equal(card_read(E1000_RAH0), 0x80005544);
}

static void packet_memory_is_shared(uint32_t initial, uint32_t all)
{
	assert_int_equal(card_read(E1000_PBA), initial);
	card_write(E1000_PBA, 10);
	assert_int_equal(card_read(E1000_PBA), 10 | (all - 10) << 16);
	card_write(E1000_PBA, 0xffff);
	assert_int_equal(card_read(E1000_PBA), all);
}

static void packet_memory_of_the_older(void **state)
{
	(void)state;
	packet_memory_is_shared(0x00100030, 64);
}

static void packet_memory_of_the_newer(void **state)
{
	(void)state;
	packet_memory_is_shared(0x00140014, 40);
}

static void the_semaphore_is_taken_by_reading(void **state)
{
	(void)state;
	assert_int_equal(card_read(E1000_SWSM) & E1000_SWSM_SMBI, 0);
	assert_int_equal(card_read(E1000_SWSM) & E1000_SWSM_SMBI, E1000_SWSM_SMBI);
	card_write(E1000_SWSM, 0);
	assert_int_equal(card_read(E1000_SWSM) & E1000_SWSM_SMBI, 0);
}

static void mastering_ends_when_the_driver_asks(void **state)
{
	(void)state;
	assert_int_equal(card_read(E1000_STATUS), 0x00080283);
	card_write(E1000_CTRL, card_read(E1000_CTRL) | E1000_CTRL_GIO_MASTER_DISABLE);
	assert_int_equal(card_read(E1000_STATUS), 0x00000283);
}

static void wake_up_status_is_cleared_by_ones(void **state)
{
	(void)state;
	card.state.reg[E1000_WUS / 4] = 7;
	card_write(E1000_WUS, 2);
	assert_int_equal(card_read(E1000_WUS), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(bits_stick_as_the_manual_says),	NEW(bits_stick_as_the_manual_says),
		NEW(the_newer_card_has_more),		OLD(the_older_card_has_none_of_that),
		NEW(what_is_no_register_reads_zero),	OLD(old_places_are_the_same_registers),
		OLD(the_address_is_there_at_once),	OLD(packet_memory_of_the_older),
		NEW(packet_memory_of_the_newer),	NEW(the_semaphore_is_taken_by_reading),
		OLD(the_semaphore_is_taken_by_reading), NEW(mastering_ends_when_the_driver_asks),
		OLD(wake_up_status_is_cleared_by_ones),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
