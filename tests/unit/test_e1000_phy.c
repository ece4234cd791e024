/* SPDX-License-Identifier: Apache-2.0 */
/* The PHY by MDIC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

static uint32_t command(unsigned op, unsigned phy, unsigned reg, uint16_t data)
{
	card_write(E1000_MDIC, data | reg << 16 | phy << 21 | op << 26);
	assert_int_equal(card_read(E1000_MDIC) & E1000_MDIC_READY, E1000_MDIC_READY);
	return card_read(E1000_MDIC);
}

static uint16_t get(unsigned reg)
{
	uint32_t value = command(2, 1, reg, 0);

	assert_int_equal(value & E1000_MDIC_ERROR, 0);
	return (uint16_t)value;
}

static void put(unsigned reg, uint16_t data)
{
	assert_int_equal(command(1, 1, reg, data) & E1000_MDIC_ERROR, 0);
}

static void it_has_agreed_on_a_gigabit(void **state)
{
	(void)state;
	assert_int_equal(get(E1000_PHY_STATUS), 0x796d);
	assert_int_equal(get(E1000_PHY_1000_STATUS) & 0x0800, 0x0800);
	assert_int_equal(get(E1000_PHY_SPECIFIC_STATUS), 0xac00);
	card.port.ops->link_changed(&card.port, false);
	assert_int_equal(get(E1000_PHY_STATUS), 0x7949);
	assert_int_equal(get(E1000_PHY_SPECIFIC_STATUS), 0);
	assert_int_equal(get(E1000_PHY_PARTNER), 0);
}

static void ids_are_those_of_the_cards(uint32_t id)
{
	assert_int_equal((uint32_t)get(E1000_PHY_ID1) << 16 | get(E1000_PHY_ID2), id);
	put(E1000_PHY_ID1, 0);
	assert_int_equal(get(E1000_PHY_ID1), id >> 16);
}

static void id_of_the_older(void **state)
{
	(void)state;
	ids_are_those_of_the_cards(0x01410c20);
}

static void id_of_the_newer(void **state)
{
	(void)state;
	ids_are_those_of_the_cards(0x01410cb1);
}

static void nobody_answers_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(command(2, 2, 1, 0) & E1000_MDIC_ERROR, E1000_MDIC_ERROR);
	assert_int_equal(command(1, 0, 1, 0) & E1000_MDIC_ERROR, E1000_MDIC_ERROR);
	assert_int_equal(command(0, 1, 1, 0) & E1000_MDIC_ERROR, E1000_MDIC_ERROR);
	assert_int_equal(command(3, 1, 1, 0) & E1000_MDIC_ERROR, E1000_MDIC_ERROR);
}

static void resets_and_restarts_clear_themselves(void **state)
{
	(void)state;
	put(E1000_PHY_ADVERTISE, 0x0001);
	assert_int_equal(get(E1000_PHY_ADVERTISE), 0x0001);
	(void)card_read(E1000_ICR);
	put(E1000_PHY_CONTROL, 0x1340);
	assert_int_equal(get(E1000_PHY_CONTROL), 0x1140);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_LSC, E1000_ICR_LSC);
	put(E1000_PHY_CONTROL, 0x9140);
	assert_int_equal(get(E1000_PHY_CONTROL), 0x1140);
	assert_int_equal(get(E1000_PHY_ADVERTISE), 0x0de1);
	put(E1000_PHY_ADVERTISE, 0x0001);
	card_write(E1000_CTRL, card_read(E1000_CTRL) | E1000_CTRL_PHY_RST);
	assert_int_equal(get(E1000_PHY_ADVERTISE), 0x0de1);
}

static void power_down_takes_the_link(void **state)
{
	(void)state;
	put(E1000_PHY_CONTROL, 0x1940);
	assert_int_equal(card_read(E1000_STATUS) & E1000_STATUS_LU, 0);
	put(E1000_PHY_CONTROL, 0x1140);
	assert_int_equal(card_read(E1000_STATUS) & E1000_STATUS_LU, E1000_STATUS_LU);
}

/* Linux' self-test asks for loopback while page 769 is chosen. */
static void other_pages_have_the_standards_registers_alone(void **state)
{
	(void)state;
	put(E1000_PHY_PAGE, 769);
	assert_int_equal(get(E1000_PHY_SPECIFIC_CONTROL), 0);
	put(E1000_PHY_SPECIFIC_CONTROL, 0xffff);
	assert_int_equal(get(E1000_PHY_ID1), 0x0141);
	put(E1000_PHY_CONTROL, 0x4140);
	assert_int_equal(get(E1000_PHY_PAGE), 769);
	put(E1000_PHY_PAGE, 0);
	assert_int_equal(get(E1000_PHY_CONTROL), 0x4140);
	assert_int_equal(get(E1000_PHY_SPECIFIC_CONTROL), 0x0068);
}

static void it_interrupts_when_asked(void **state)
{
	(void)state;
	(void)card_read(E1000_ICR);
	(void)get(1);
	assert_int_equal(card_read(E1000_ICR), 0);
	card_write(E1000_MDIC, 1u << 29 | 2u << 26 | 1u << 21 | 1u << 16);
	assert_int_equal(card_read(E1000_ICR), E1000_ICR_MDAC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(it_has_agreed_on_a_gigabit),
		OLD(id_of_the_older),
		NEW(id_of_the_newer),
		OLD(nobody_answers_elsewhere),
		OLD(resets_and_restarts_clear_themselves),
		NEW(power_down_takes_the_link),
		NEW(other_pages_have_the_standards_registers_alone),
		OLD(it_interrupts_when_asked),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
