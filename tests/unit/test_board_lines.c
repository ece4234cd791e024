/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/board_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fakes/saved_rig.h"

static struct apic_rig r;
static struct pic8259 pic;
static struct ioapic io;
static struct board_lines lines;

static void set_intr(void *ctx, unsigned irq, bool level)
{
	(void)ctx;
	(void)irq;
	(void)level;
}

static int setup(void **state)
{
	const struct irq_line intr = {set_intr, NULL, 0};

	(void)state;
	apic_rig_start(&r);
	pic8259_init(&pic, &intr);
	ioapic_init(&io, &r.bus);
	board_lines_init(&lines, &pic, &io);
	return 0;
}

static unsigned pic_inputs(void)
{
	return pic.chips[0].lines | (unsigned)pic.chips[1].lines << 8;
}

static void isa_lines_go_to_both_controllers(void **state)
{
	(void)state;
	board_lines_isa(&lines, 12, true);
	board_lines_isa(&lines, LAYOUT_IRQ_TIMER, true);
	assert_int_equal(pic_inputs(), BIT(12) | BIT(0));
	assert_int_equal(io.lines, BIT(12) | BIT(LAYOUT_GSI_TIMER));
	board_lines_isa(&lines, LAYOUT_IRQ_TIMER, false);
	assert_int_equal(pic_inputs(), BIT(12));
	assert_int_equal(io.lines, BIT(12));
}

/* What the two assert meanwhile is there when they have their lines back. */
static void the_hpet_takes_two_lines_over(void **state)
{
	(void)state;
	board_lines_replaceable(&lines, LAYOUT_IRQ_TIMER, true);
	assert_int_equal(pic_inputs(), BIT(LAYOUT_IRQ_TIMER));
	board_lines_replace(&lines, true);
	assert_int_equal(pic_inputs(), 0);
	board_lines_replaceable(&lines, LAYOUT_IRQ_RTC, true);
	board_lines_replaceable(&lines, LAYOUT_IRQ_TIMER, false);
	assert_int_equal(pic_inputs(), 0);
	board_lines_isa(&lines, LAYOUT_IRQ_TIMER, true);
	assert_int_equal(io.lines, BIT(LAYOUT_GSI_TIMER));
	board_lines_replace(&lines, false);
	assert_int_equal(pic_inputs(), BIT(LAYOUT_IRQ_RTC));
	assert_int_equal(io.lines, BIT(LAYOUT_IRQ_RTC));
}

static void a_shared_input_is_up_while_one_asserts_it(void **state)
{
	(void)state;
	board_lines_pci(&lines, 20, true);
	board_lines_hpet(&lines, 20, true);
	board_lines_hpet(&lines, 21, true);
	board_lines_pci(&lines, 20, false);
	assert_int_equal(io.lines, BIT(20) | BIT(21));
	board_lines_hpet(&lines, 20, false);
	assert_int_equal(io.lines, BIT(21));
	assert_int_equal(pic_inputs(), 0);
}

static void pci_devices_share_isa_inputs(void **state)
{
	(void)state;
	board_lines_pci_inputs(&lines, BIT(10) | BIT(5));
	assert_int_equal(pic_inputs(), BIT(10) | BIT(5));
	assert_int_equal(io.shared, BIT(10) | BIT(5));
	assert_int_equal(io.lines, 0);
}

static void lines_that_cannot_be_are_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&lines.saved, struct board_lines_saved, field, value)
	assert_true(TAKES(gsis[BOARD_LINE_PCI], 1u << 23));
	assert_false(TAKES(gsis[BOARD_LINE_HPET], 1u << 24));
	assert_true(TAKES(isa, 0x101));
	assert_false(TAKES(isa, 0x102));
	assert_false(TAKES(replaced, 2));
	assert_false(TAKES(zero[2], 1));
#undef TAKES
}

/* The controllers have their own records of the levels, and are not told. */
static void they_can_be_loaded(void **state)
{
	struct board_lines_saved bytes;

	board_lines_hpet(&lines, 20, true);
	board_lines_replaceable(&lines, LAYOUT_IRQ_RTC, true);
	board_lines_replace(&lines, true);
	lines.saved.ops->save(&lines, &bytes);
	(void)setup(state);
	lines.saved.ops->load(&lines, &bytes);
	assert_int_equal(io.lines, 0);
	board_lines_pci(&lines, 20, false);
	assert_int_equal(io.lines, BIT(20));
	board_lines_replace(&lines, false);
	assert_int_equal(pic_inputs(), BIT(LAYOUT_IRQ_RTC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(isa_lines_go_to_both_controllers, setup),
		cmocka_unit_test_setup(the_hpet_takes_two_lines_over, setup),
		cmocka_unit_test_setup(a_shared_input_is_up_while_one_asserts_it, setup),
		cmocka_unit_test_setup(pci_devices_share_isa_inputs, setup),
		cmocka_unit_test_setup(lines_that_cannot_be_are_refused, setup),
		cmocka_unit_test_setup(they_can_be_loaded, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
