/* SPDX-License-Identifier: Apache-2.0 */
/* The card as a PCI function, as a port, and its life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

static const struct net_mac everybody = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static void what_a_system_finds(uint32_t id, uint32_t subsystem, bool messages)
{
	assert_int_equal(rig_config_read(PCI_VENDOR_ID, 4), id);
	assert_int_equal(rig_config_read(PCI_SUBSYSTEM_VENDOR, 4), subsystem);
	assert_int_equal(rig_config_read(PCI_CLASS + 1, 2), 0x0200);
	assert_int_equal(rig_config_read(PCI_INTERRUPT_PIN, 1), 1);
	rig_config_write(PCI_BAR0, 4, UINT32_MAX);
	assert_int_equal(rig_config_read(PCI_BAR0, 4), 0xfffe0000);
	rig_config_write(PCI_BAR0 + 8, 4, UINT32_MAX);
	assert_int_equal(rig_config_read(PCI_BAR0 + 8, 4), messages ? 0xffffffe1 : 0xffffffc1);
	assert_int_equal(rig_capability(PCI_CAP_MSI) != 0, messages);
	assert_int_equal(rig_capability(PCI_CAP_MSIX) != 0, messages);
	assert_int_equal(rig_capability(PCI_CAP_EXPRESS) != 0, messages);
}

static void an_82540em_is_found(void **state)
{
	(void)state;
	what_a_system_finds(0x100e8086, 0x001e8086, false);
}

static void an_82574l_is_found(void **state)
{
	(void)state;
	what_a_system_finds(0x10d38086, 0xa01f8086, true);
	assert_int_equal(rig_config_read(rig_capability(PCI_CAP_MSIX) + 2, 2), 4);
}

static void registers_are_reached_by_ports(void **state)
{
	(void)state;
	card_bar_write(E1000_BAR_PORTS, 0, 4, E1000_TIPG);
	assert_int_equal(card_bar_read(E1000_BAR_PORTS, 0, 4), E1000_TIPG);
	card_bar_write(E1000_BAR_PORTS, 4, 4, 0x123456);
	assert_int_equal(card_read(E1000_TIPG), 0x123456);
	assert_int_equal(card_bar_read(E1000_BAR_PORTS, 4, 4), 0x123456);
	/* Neither an address that is no register's nor another port does anything. */
	card_bar_write(E1000_BAR_PORTS, 0, 4, 0xffffffff);
	card_bar_write(E1000_BAR_PORTS, 4, 4, 1);
	assert_int_equal(card_bar_read(E1000_BAR_PORTS, 4, 4), 0);
	card_bar_write(E1000_BAR_PORTS, 0, 4, 2);
	assert_int_equal(card_bar_read(E1000_BAR_PORTS, 4, 4), 0);
	assert_int_equal(card_bar_read(E1000_BAR_PORTS, 0x10, 4), 0);
}

static void registers_are_written_whole(void **state)
{
	(void)state;
	card_write(E1000_FCAL, 0x11223344);
	card_bar_write(E1000_BAR_REGISTERS, E1000_FCAL, 1, 0xff);
	card_bar_write(E1000_BAR_REGISTERS, E1000_FCAL, 2, 0xffff);
	card_bar_write(E1000_BAR_REGISTERS, E1000_FCAL + 2, 4, 0xffff);
	assert_int_equal(card_read(E1000_FCAL), 0x11223344);
	assert_int_equal(card_bar_read(E1000_BAR_REGISTERS, E1000_FCAL + 1, 1), 0x33);
	assert_int_equal(card_bar_read(E1000_BAR_REGISTERS, E1000_FCAL + 2, 2), 0x1122);
	card_bar_write(E1000_BAR_REGISTERS, E1000_FCAL, 8, 0x0000998866554433);
	assert_int_equal(card_read(E1000_FCAH), 0x9988);
	assert_int_equal(card_bar_read(E1000_BAR_REGISTERS, E1000_FCAL, 8), 0x0000998866554433);
}

static void the_last_register_is_no_end(void **state)
{
	(void)state;
	card_bar_write(E1000_BAR_REGISTERS, E1000_BAR_SIZE - 8, 8, UINT64_MAX);
	assert_int_equal(card_bar_read(E1000_BAR_REGISTERS, E1000_BAR_SIZE - 8, 8), 0);
}

static void a_cable_that_is_pulled_interrupts(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_LSC);
	assert_int_equal(card_read(E1000_STATUS) & E1000_STATUS_LU, E1000_STATUS_LU);
	card.port.ops->link_changed(&card.port, false);
	vwork_run(&card_work);
	assert_true(rig_intx.level);
	assert_int_equal(card_read(E1000_STATUS) & E1000_STATUS_LU, 0);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_LSC, E1000_ICR_LSC);
	assert_false(rig_intx.level);
	assert_false(card_deliver(&card_mac, 60, 1));
	card.port.ops->link_changed(&card.port, true);
	vwork_run(&card_work);
	assert_true(rig_intx.level);
	assert_true(card_deliver(&card_mac, 60, 1));
}

static void the_driver_has_to_set_the_link_up(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_CTRL, 0);
	assert_int_equal(card_read(E1000_STATUS) & E1000_STATUS_LU, 0);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_LSC, E1000_ICR_LSC);
	assert_false(card_deliver(&card_mac, 60, 1));
}

static void nothing_is_received_before_it_is_wanted(void **state)
{
	(void)state;
	assert_false(card_deliver(&card_mac, 60, 1));
	card_start(0);
	assert_true(card_deliver(&card_mac, 60, 1));
	card_write(E1000_RCTL, 0);
	assert_false(card_deliver(&card_mac, 60, 1));
	assert_int_equal(net_frames_bytes(), 0);
}

static void what_it_wants_is_what_its_filter_says(void **state)
{
	static const struct net_mac other = {{0x02, 0, 0, 0, 0, 9}};

	(void)state;
	card_start(0);
	assert_true(card.port.ops->wants(&card.port, &card_mac));
	assert_false(card.port.ops->wants(&card.port, &everybody));
	assert_false(card.port.ops->wants(&card.port, &other));
	card_write(E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_BAM);
	assert_true(card.port.ops->wants(&card.port, &everybody));
}

static void a_reset_leaves_nothing(void **state)
{
	(void)state;
	card_start(E1000_RCTL_BAM);
	card_write(E1000_IMS, UINT32_MAX);
	card_write(E1000_RAL0, 0);
	card_write(E1000_MTA, 1);
	assert_true(card_deliver(&everybody, 60, 1));
	card_write(E1000_RDH, 15); /* no buffer: it waits */
	vwork_run(&card_work);
	card_put(CARD_DATA, card_legacy(60, 0)); /* begins a packet */
	card_go();
	card_write(E1000_CTRL, E1000_CTRL_RST);
	assert_int_equal(card_read(E1000_CTRL) & E1000_CTRL_RST, 0);
	assert_false(rig_intx.level);
	assert_int_equal(card_read(E1000_IMS), 0);
	assert_int_equal(card_read(E1000_RCTL), 0);
	assert_int_equal(card_read(E1000_TDT), 0);
	assert_int_equal(card_read(E1000_MTA), 0);
	assert_int_equal(card_read(E1000_RAL0), 0x33221102);
	assert_int_equal(card_read(E1000_RAH0), 0x80005544);
	assert_int_equal(net_frames_bytes(), 0);
	/* What a driver hears first is that there is a link. */
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_LSC, E1000_ICR_LSC);
}

static void function_level_reset_is_one(void **state)
{
	unsigned at = rig_capability(PCI_CAP_ADVANCED);

	(void)state;
	card_start(0);
	card_write(E1000_ITR, 100);
	card_bar_write(E1000_BAR_PORTS, 0, 4, E1000_TIPG);
	rig_config_write(at + 4, 1, 1);
	assert_int_equal(card_read(E1000_ITR), 0);
	assert_int_equal(card_bar_read(E1000_BAR_PORTS, 0, 4), 0);
	assert_int_equal(rig_config_read(PCI_COMMAND, 2), 0);
}

static void without_bus_mastering_nothing_moves(void **state)
{
	(void)state;
	card_start(0);
	rig_set_master(false);
	card_put(CARD_DATA, card_legacy(60, E1000_TXD_EOP));
	card_go();
	assert_true(card_deliver(&card_mac, 60, 1));
	vwork_run(&card_work);
	assert_int_equal(card_sent, 0);
	assert_int_equal(card_read(E1000_RDH), 0);
	rig_set_master(true);
	vwork_run(&card_work);
	assert_int_equal(card_sent, 1);
	assert_int_equal(card_read(E1000_RDH), 1);
}

static void a_timer_that_was_on_its_way_does_nothing_after_the_end(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, UINT32_MAX);
	e1000_stop(&card);
	card.timer.fn(&card.timer);
	assert_false(vtimer_armed(&card.timer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(an_82540em_is_found),
		NEW(an_82574l_is_found),
		OLD(registers_are_reached_by_ports),
		OLD(registers_are_written_whole),
		OLD(the_last_register_is_no_end),
		OLD(a_cable_that_is_pulled_interrupts),
		OLD(the_driver_has_to_set_the_link_up),
		NEW(nothing_is_received_before_it_is_wanted),
		OLD(what_it_wants_is_what_its_filter_says),
		OLD(a_reset_leaves_nothing),
		OLD(function_level_reset_is_one),
		OLD(without_bus_mastering_nothing_moves),
		OLD(a_timer_that_was_on_its_way_does_nothing_after_the_end),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
