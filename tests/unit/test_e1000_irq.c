/* SPDX-License-Identifier: Apache-2.0 */
/* Causes, masks, throttles, delays and messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

#include "guests/devices/e1000_internal.h"

#define CAUSE E1000_ICR_RXDMT0

static void a_cause_that_is_wanted_raises_the_line(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_ICS, CAUSE);
	assert_false(rig_intx.level);
	card_write(E1000_IMS, CAUSE);
	assert_true(rig_intx.level);
	card_write(E1000_IMC, CAUSE);
	assert_false(rig_intx.level);
	assert_int_equal(card_read(E1000_IMS), 0);
	card_write(E1000_IMS, CAUSE);
	assert_int_equal(card_read(E1000_ICS), CAUSE);
	assert_int_equal(card_read(E1000_ICR) & ~E1000_ICR_INT_ASSERTED, CAUSE);
	assert_false(rig_intx.level);
	assert_int_equal(card_read(E1000_ICR), 0);
	/* Writing clears too. */
	card_write(E1000_ICS, CAUSE | E1000_ICR_LSC);
	card_write(E1000_ICR, CAUSE);
	assert_int_equal(card_read(E1000_ICR) & 0xffffff, E1000_ICR_LSC);
}

static void the_throttle_keeps_interrupts_apart(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_ITR, 1000); /* 256 us */
	card_write(E1000_IMS, CAUSE);
	for (unsigned i = 1; i <= 5; i++) {
		card_write(E1000_ICS, CAUSE);
		assert_int_equal(rig_intx.rises, i);
		assert_int_equal(card_read(E1000_ICR), CAUSE);
		card_write(E1000_ICS, CAUSE);
		assert_false(rig_intx.level);
		card_pass(255999);
		assert_false(rig_intx.level);
		card_pass(1);
		assert_true(rig_intx.level);
		assert_int_equal(rig_intx.rises, ++i);
		(void)card_read(E1000_ICR);
		card_pass(256000);
	}
	assert_int_equal(rig_intx.rises, 6);
	assert_false(vtimer_armed(&card.timer));
}

static void a_cause_that_was_polled_needs_no_interrupt(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_ITR, 1000);
	card_write(E1000_IMS, CAUSE);
	card_write(E1000_ICS, CAUSE);
	(void)card_read(E1000_ICR);
	card_write(E1000_ICS, CAUSE);
	assert_true(vtimer_armed(&card.timer));
	assert_int_equal(card_read(E1000_ICR), CAUSE);
	assert_false(vtimer_armed(&card.timer));
	card_pass(1000000);
	assert_int_equal(rig_intx.rises, 1);
}

static void delays_make_one_of_several(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_RXT0);
	card_write(E1000_RDTR, 10);
	card_write(E1000_RADV, 25);
	e1000_raise_received(&card);
	for (unsigned i = 0; i < 3; i++) {
		card_pass(8000);
		assert_false(rig_intx.level);
		e1000_raise_received(&card); /* begins anew, up to RADV */
	}
	card_pass(1599);
	assert_false(rig_intx.level);
	card_pass(1);
	assert_true(rig_intx.level);
	assert_int_equal(card_read(E1000_ICR), E1000_ICR_RXT0);
	e1000_raise_received(&card);
	card_pass(10240);
	assert_true(rig_intx.level);
}

static void a_delay_is_ended_by_the_driver(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_RXT0 | E1000_ICR_TXDW);
	card_write(E1000_RDTR, 0xffff);
	card_write(E1000_TIDV, 0xffff);
	e1000_raise_received(&card);
	e1000_raise_sent(&card, 0, true);
	assert_false(rig_intx.level);
	card_write(E1000_RDTR, E1000_DELAY_FLUSH | 0xffff);
	assert_true(rig_intx.level);
	/* One that may not wait does not. */
	assert_int_equal(card_read(E1000_ICR), E1000_ICR_RXT0 | E1000_ICR_TXDW);
	e1000_raise_sent(&card, 0, false);
	assert_true(rig_intx.level);
}

static void a_delay_that_is_over_is_read_though_no_timer_has_run(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_RDTR, 10);
	e1000_raise_received(&card);
	assert_int_equal(card_read(E1000_ICR), 0);
	fake_cpu.tsc += 10240;
	assert_int_equal(card_read(E1000_ICR), E1000_ICR_RXT0);
}

static void the_older_card_knows_no_queues(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_ICS, UINT32_MAX);
	assert_int_equal(card_read(E1000_ICR), 0x0001ffff);
}

/* --- 82574L --- */

static void reading_takes_nothing_away_from_others(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_LSC);
	card_write(E1000_ICS, CAUSE);
	assert_int_equal(card_read(E1000_ICR), CAUSE);
	assert_int_equal(card_read(E1000_ICR), CAUSE);
	card_write(E1000_IMC, UINT32_MAX);
	assert_int_equal(card_read(E1000_ICR), CAUSE);
	assert_int_equal(card_read(E1000_ICR), 0);
	card_write(E1000_IMS, CAUSE);
	card_write(E1000_ICS, CAUSE);
	assert_int_equal(card_read(E1000_ICR), E1000_ICR_INT_ASSERTED | CAUSE);
	assert_int_equal(card_read(E1000_ICR), 0);
	assert_false(rig_intx.level);
}

static void reading_masks_when_asked(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IAM, CAUSE);
	card_write(E1000_CTRL_EXT, E1000_CTRL_EXT_IAME);
	card_write(E1000_IMS, CAUSE | E1000_ICR_LSC);
	card_write(E1000_ICS, CAUSE);
	(void)card_read(E1000_ICR);
	assert_int_equal(card_read(E1000_IMS), E1000_ICR_LSC);
}

static void one_message_stands_for_the_line(void **state)
{
	unsigned at = rig_capability(PCI_CAP_MSI);

	(void)state;
	card_start(0);
	rig_config_write(at + 4, 4, 0xfee00000);
	rig_config_write(at + 12, 2, 7);
	rig_config_write(at + 2, 2, 1);
	card_write(E1000_IMS, CAUSE);
	card_write(E1000_ICS, CAUSE);
	assert_int_equal(rig_messages[7], 1);
	card_write(E1000_ICS, E1000_ICR_LSC);
	assert_int_equal(rig_messages[7], 1);
	(void)card_read(E1000_ICR);
	card_write(E1000_ICS, CAUSE);
	assert_int_equal(rig_messages[7], 2);
	assert_int_equal(rig_intx.rises, 0);
}

/* RXQ0 to 0, TXQ0 to 1, other to 2, as Linux does it. */
static void start_messages(void)
{
	card_start(0);
	card_msix_on();
	card_write(E1000_IVAR, 0x000a0908);
	card_write(E1000_IMS, E1000_ICR_RXQ0 | E1000_ICR_TXQ0 | E1000_ICR_OTHER | E1000_ICR_LSC);
}

static void each_cause_has_its_vector(void **state)
{
	(void)state;
	start_messages();
	e1000_raise_received(&card);
	assert_int_equal(rig_messages[0], 1);
	e1000_raise_sent(&card, 0, false);
	assert_int_equal(rig_messages[1], 1);
	card_write(E1000_ICS, E1000_ICR_LSC);
	assert_int_equal(rig_messages[2], 1);
	/* A cause that stays is told of once. */
	e1000_raise_received(&card);
	card_write(E1000_ICS, E1000_ICR_LSC);
	assert_int_equal(rig_messages[0], 1);
	assert_int_equal(rig_messages[2], 1);
	assert_int_equal(rig_intx.rises, 0);
	card_write(E1000_ICR, UINT32_MAX);
	e1000_raise_received(&card);
	assert_int_equal(rig_messages[0], 2);
}

static void a_message_clears_and_masks_its_cause_when_asked(void **state)
{
	(void)state;
	start_messages();
	card_write(E1000_EIAC, E1000_ICR_RXQ0);
	card_write(E1000_IAM, E1000_ICR_TXQ0);
	card_write(E1000_CTRL_EXT, E1000_CTRL_EXT_EIAME);
	e1000_raise_received(&card);
	e1000_raise_received(&card);
	assert_int_equal(rig_messages[0], 2);
	assert_int_equal(card_read(E1000_ICS) & E1000_ICR_RXQ0, 0);
	e1000_raise_sent(&card, 0, false);
	e1000_raise_sent(&card, 0, false);
	assert_int_equal(rig_messages[1], 1);
	assert_int_equal(card_read(E1000_IMS) & E1000_ICR_TXQ0, 0);
	/* It is there still, and told of when it is wanted again. */
	card_write(E1000_IMS, E1000_ICR_TXQ0);
	assert_int_equal(rig_messages[1], 2);
}

static void vectors_are_throttled_apart(void **state)
{
	(void)state;
	start_messages();
	card_write(E1000_EIAC, E1000_ICR_RXQ0 | E1000_ICR_TXQ0);
	card_write(E1000_EITR0, 1000);
	for (unsigned i = 0; i < 10; i++) {
		e1000_raise_received(&card);
		e1000_raise_sent(&card, 0, false);
	}
	assert_int_equal(rig_messages[0], 1);
	assert_int_equal(rig_messages[1], 10);
	card_pass(256000);
	assert_int_equal(rig_messages[0], 2);
	card_pass(256000);
	assert_int_equal(rig_messages[0], 2);
}

static void causes_of_one_vector_share_a_message(void **state)
{
	(void)state;
	start_messages();
	card_write(E1000_IVAR, 0x00080808);
	card_write(E1000_ICS, E1000_ICR_RXQ0 | E1000_ICR_TXQ0 | E1000_ICR_OTHER);
	assert_int_equal(rig_messages[0], 1);
	/* Without its valid bit, or to a vector that is not there, a cause is not told of. */
	card_write(E1000_ICR, UINT32_MAX);
	card_write(E1000_IVAR, 0x00000f01);
	card_write(E1000_ICS, E1000_ICR_RXQ0 | E1000_ICR_TXQ0 | E1000_ICR_OTHER);
	assert_int_equal(rig_messages[0], 1);
	assert_int_equal(rig_messages[1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(a_cause_that_is_wanted_raises_the_line),
		NEW(a_cause_that_is_wanted_raises_the_line),
		OLD(the_throttle_keeps_interrupts_apart),
		OLD(a_cause_that_was_polled_needs_no_interrupt),
		OLD(delays_make_one_of_several),
		OLD(a_delay_is_ended_by_the_driver),
		OLD(a_delay_that_is_over_is_read_though_no_timer_has_run),
		OLD(the_older_card_knows_no_queues),
		NEW(reading_takes_nothing_away_from_others),
		NEW(reading_masks_when_asked),
		NEW(one_message_stands_for_the_line),
		NEW(each_cause_has_its_vector),
		NEW(a_message_clears_and_masks_its_cause_when_asked),
		NEW(vectors_are_throttled_apart),
		NEW(causes_of_one_vector_share_a_message),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
