/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/pic8259.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

#define MASTER 0x20u
#define SLAVE 0xa0u
#define EOI 0x20u

static struct rig_line intr;
static struct pic8259 pic;

static uint8_t in(unsigned port)
{
	return rig_in(&pic.dev, (uint16_t)port);
}

static void out(unsigned port, unsigned value)
{
	rig_out(&pic.dev, (uint16_t)port, (uint8_t)value);
}

/* As a PC's firmware does: vectors 0x08 and 0x70, `icw4` to both, nothing masked. */
static void program(unsigned icw4)
{
	out(MASTER, 0x11);
	out(MASTER + 1, 0x08);
	out(MASTER + 1, 0x04);
	out(MASTER + 1, icw4);
	out(SLAVE, 0x11);
	out(SLAVE + 1, 0x70);
	out(SLAVE + 1, 0x02);
	out(SLAVE + 1, icw4);
	out(MASTER + 1, 0);
	out(SLAVE + 1, 0);
}

static int setup(void **state)
{
	struct irq_line line = rig_irq(&intr);

	(void)state;
	intr = (struct rig_line){0};
	pic8259_init(&pic, &line);
	program(0x01);
	return 0;
}

static void set(unsigned irq, bool level)
{
	pic8259_set_irq(&pic, irq, level);
}

static void pulse(unsigned irq)
{
	set(irq, false);
	set(irq, true);
	set(irq, false);
}

static uint8_t isr(unsigned port)
{
	out(port, 0x0b);
	return in(port);
}

static uint8_t irr(unsigned port)
{
	out(port, 0x0a);
	return in(port);
}

static void test_masked_after_reset(void **state)
{
	(void)state;
	pic.dev.ops->reset(&pic.dev);
	assert_int_equal(in(MASTER + 1), 0xff);
	assert_int_equal(in(SLAVE + 1), 0xff);
	pulse(0);
	assert_false(intr.level);
}

static void test_edge(void **state)
{
	(void)state;
	set(1, true);
	assert_true(intr.level);
	assert_int_equal(irr(MASTER), 0x02);
	assert_int_equal(pic_ack(&pic), 0x09);
	assert_false(intr.level);
	assert_int_equal(irr(MASTER), 0);
	assert_int_equal(isr(MASTER), 0x02);
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 0);
	/* The line is still high: no new edge. */
	assert_false(intr.level);
	set(1, false);
	set(1, true);
	assert_true(intr.level);
}

static void test_priorities_and_eoi_order(void **state)
{
	(void)state;
	pulse(5);
	assert_int_equal(pic_ack(&pic), 0x0d);
	/* Lower waits, higher interrupts. */
	pulse(6);
	assert_false(intr.level);
	pulse(3);
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x0b);
	assert_int_equal(isr(MASTER), 0x28);
	/* Non-specific EOI ends the highest. */
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 0x20);
	assert_false(intr.level);
	out(MASTER, EOI);
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x0e);
	/* Specific EOI of something else ends nothing here. */
	out(MASTER, 0x60 | 2);
	assert_int_equal(isr(MASTER), 0x40);
	out(MASTER, 0x60 | 6);
	assert_int_equal(isr(MASTER), 0);
	out(MASTER, EOI);
}

static void test_mask(void **state)
{
	(void)state;
	out(MASTER + 1, 0x10);
	assert_int_equal(in(MASTER + 1), 0x10);
	pulse(4);
	/* The edge is kept while masked. */
	assert_false(intr.level);
	assert_false(pic8259_waiting(&pic, 4));
	assert_int_equal(irr(MASTER), 0x10);
	out(MASTER + 1, 0);
	assert_true(intr.level);
	assert_true(pic8259_waiting(&pic, 4));
	out(MASTER + 1, 0x10);
	assert_false(intr.level);
	out(MASTER + 1, 0);
	assert_int_equal(pic_ack(&pic), 0x0c);
	assert_false(pic8259_waiting(&pic, 4));
}

static void test_cascade(void **state)
{
	(void)state;
	pulse(12);
	assert_true(intr.level);
	assert_int_equal(irr(SLAVE), 0x10);
	assert_int_equal(irr(MASTER), 0x04);
	assert_int_equal(pic_ack(&pic), 0x74);
	assert_int_equal(isr(MASTER), 0x04);
	assert_int_equal(isr(SLAVE), 0x10);
	/* The slave's inputs stand between IRQ 1 and 3. */
	pulse(3);
	assert_false(intr.level);
	/* Without special full nesting even a higher slave input waits for the master's EOI. */
	pulse(8);
	assert_false(intr.level);
	out(MASTER, EOI);
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x70);
	out(SLAVE, EOI);
	out(MASTER, EOI);
	assert_int_equal(isr(SLAVE), 0x10);
	out(SLAVE, EOI);
	assert_int_equal(pic_ack(&pic), 0x0b);
}

static void test_masked_cascade(void **state)
{
	(void)state;
	out(MASTER + 1, 0x04);
	pulse(9);
	assert_false(intr.level);
	out(MASTER + 1, 0);
	assert_int_equal(pic_ack(&pic), 0x71);
}

static void test_special_fully_nested(void **state)
{
	(void)state;
	program(0x11);
	pulse(12);
	assert_int_equal(pic_ack(&pic), 0x74);
	pulse(13);
	assert_false(intr.level);
	pulse(8);
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x70);
	assert_int_equal(isr(SLAVE), 0x11);
	assert_int_equal(isr(MASTER), 0x04);
	/* Input 2 of the slave is no cascade: IRQ 10 holds back IRQ 11. */
	program(0x11);
	pulse(10);
	assert_int_equal(pic_ack(&pic), 0x72);
	pulse(11);
	assert_false(intr.level);
}

static void test_spurious(void **state)
{
	(void)state;
	/* Nothing at all. */
	assert_int_equal(pic_ack(&pic), 0x0f);
	assert_int_equal(isr(MASTER), 0);
	/* A level that went away. */
	out(0x4d0, 0x20);
	set(5, true);
	assert_true(intr.level);
	set(5, false);
	assert_false(intr.level);
	assert_int_equal(pic_ack(&pic), 0x0f);
	assert_int_equal(isr(MASTER), 0);
}

/* The slave lost its request between the master's choice and its own: IRQ 15, master in service. */
static void test_spurious_on_the_slave(void **state)
{
	(void)state;
	pic.chips[0].irr |= 0x04;
	assert_int_equal(pic_ack(&pic), 0x77);
	assert_int_equal(isr(SLAVE), 0);
	assert_int_equal(isr(MASTER), 0x04);
}

static void test_level(void **state)
{
	(void)state;
	out(0x4d0, 0x20);
	out(0x4d1, 0x0a);
	set(5, true);
	assert_int_equal(pic_ack(&pic), 0x0d);
	assert_false(intr.level);
	out(MASTER, EOI);
	/* Still asserted. */
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x0d);
	set(5, false);
	out(MASTER, EOI);
	assert_false(intr.level);
	set(11, true);
	assert_int_equal(pic_ack(&pic), 0x73);
	out(SLAVE, EOI);
	out(MASTER, EOI);
	assert_true(intr.level);
	set(11, false);
	assert_false(intr.level);
}

static void test_elcr(void **state)
{
	(void)state;
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	/* Timer, keyboard, cascade, RTC and FPU are edges. */
	assert_int_equal(in(0x4d0), 0xf8);
	assert_int_equal(in(0x4d1), 0xde);
	rig_write(&pic.dev, BUS_PIO, 0x4d0, 2, 0x0c20);
	assert_int_equal(rig_read(&pic.dev, BUS_PIO, 0x4d0, 2), 0x0c20);
	/* An asserted line asks when it becomes a level. */
	set(9, true);
	assert_int_equal(pic_ack(&pic), 0x71);
	out(SLAVE, EOI);
	out(MASTER, EOI);
	assert_false(intr.level);
	out(0x4d1, 0x02);
	assert_true(intr.level);
	/* Initialisation leaves the ELCR alone, and a level asks again. */
	program(0x01);
	assert_int_equal(in(0x4d1), 0x02);
	assert_int_equal(pic_ack(&pic), 0x71);
}

static void test_auto_eoi(void **state)
{
	(void)state;
	program(0x03);
	pulse(4);
	pulse(5);
	assert_int_equal(pic_ack(&pic), 0x0c);
	assert_int_equal(isr(MASTER), 0);
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x0d);
}

static void test_rotation(void **state)
{
	(void)state;
	/* Rotate on non-specific EOI: the one served becomes the lowest. */
	pulse(3);
	assert_int_equal(pic_ack(&pic), 0x0b);
	out(MASTER, 0xa0);
	pulse(3);
	pulse(4);
	pulse(1);
	assert_int_equal(pic_ack(&pic), 0x0c);
	out(MASTER, EOI);
	assert_int_equal(pic_ack(&pic), 0x09);
	out(MASTER, EOI);
	assert_int_equal(pic_ack(&pic), 0x0b);
	out(MASTER, EOI);
	/* Set priority: 5 is the lowest, so 6 the highest. */
	out(MASTER, 0xc0 | 5);
	pulse(0);
	pulse(6);
	assert_int_equal(pic_ack(&pic), 0x0e);
	assert_false(intr.level);
	out(MASTER, EOI);
	assert_int_equal(pic_ack(&pic), 0x08);
	/* Rotate on specific EOI. */
	out(MASTER, 0xe0 | 0);
	pulse(0);
	pulse(7);
	assert_int_equal(pic_ack(&pic), 0x0f);
	out(MASTER, EOI);
	assert_int_equal(pic_ack(&pic), 0x08);
}

static void test_rotation_in_auto_eoi(void **state)
{
	(void)state;
	program(0x03);
	out(MASTER, 0x80);
	pulse(3);
	assert_int_equal(pic_ack(&pic), 0x0b);
	pulse(3);
	pulse(4);
	assert_int_equal(pic_ack(&pic), 0x0c);
	out(MASTER, 0x00);
	pulse(4);
	assert_int_equal(pic_ack(&pic), 0x0b);
	pulse(3);
	assert_int_equal(pic_ack(&pic), 0x0b);
	assert_int_equal(pic_ack(&pic), 0x0c);
}

/* An EOI with nothing in service rotates nothing. */
static void test_empty_rotation(void **state)
{
	(void)state;
	out(MASTER, 0xa0);
	pulse(0);
	pulse(7);
	assert_int_equal(pic_ack(&pic), 0x08);
}

static void test_special_mask(void **state)
{
	(void)state;
	pulse(2 + 1);
	assert_int_equal(pic_ack(&pic), 0x0b);
	pulse(6);
	assert_false(intr.level);
	/* Masking what is in service lets lower ones in. */
	out(MASTER + 1, 0x08);
	assert_false(intr.level);
	out(MASTER, 0x68);
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x0e);
	/* What is in service and not masked still holds back what is below it. */
	pulse(7);
	assert_false(intr.level);
	pulse(4);
	assert_true(intr.level);
	/* A non-specific EOI passes over the masked one. */
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 0x08);
	out(MASTER, 0x60 | 3);
	assert_int_equal(isr(MASTER), 0);
	out(MASTER, 0x48);
	assert_false(pic.chips[0].special_mask);
}

static void test_poll(void **state)
{
	(void)state;
	out(MASTER, 0x0c);
	assert_int_equal(in(MASTER)&0x80, 0);
	pulse(6);
	out(MASTER, 0x0c);
	assert_int_equal(in(MASTER), 0x86);
	assert_false(intr.level);
	/* One read polls; the next reads the register. */
	assert_int_equal(in(MASTER + 1), 0);
	assert_int_equal(isr(MASTER), 0x40);
	out(MASTER, EOI);
	/* The slave alone. */
	pulse(10);
	out(SLAVE, 0x0c);
	assert_int_equal(in(SLAVE), 0x82);
	assert_int_equal(isr(SLAVE), 0x04);
	assert_false(intr.level);
}

static void test_initialisation(void **state)
{
	(void)state;
	/* ICW1 forgets edges, masks, service and special modes. */
	pulse(4);
	pulse(5);
	assert_int_equal(pic_ack(&pic), 0x0c);
	out(MASTER + 1, 0xaa);
	out(MASTER, 0x6b);
	out(MASTER, 0x11);
	assert_false(intr.level);
	/* Until ICW2-4 are complete the data port takes them. */
	out(MASTER + 1, 0x47);
	out(MASTER + 1, 0x04);
	out(MASTER + 1, 0x01);
	assert_int_equal(in(MASTER + 1), 0);
	assert_int_equal(in(MASTER), 0);
	out(MASTER + 1, 0x55);
	assert_int_equal(in(MASTER + 1), 0x55);
	out(MASTER + 1, 0);
	/* The low bits of ICW2 are the input's. */
	pulse(4);
	assert_int_equal(pic_ack(&pic), 0x44);
	assert_int_equal(isr(MASTER), 0x10);
}

static void test_short_initialisations(void **state)
{
	(void)state;
	/* Cascaded without ICW4. */
	out(MASTER, 0x10);
	out(MASTER + 1, 0x20);
	out(MASTER + 1, 0x04);
	out(MASTER + 1, 0xf0);
	assert_int_equal(in(MASTER + 1), 0xf0);
	/* Single with ICW4. */
	out(MASTER, 0x13);
	out(MASTER + 1, 0x30);
	out(MASTER + 1, 0x01);
	out(MASTER + 1, 0x0f);
	assert_int_equal(in(MASTER + 1), 0x0f);
	/* Single without. */
	out(MASTER, 0x12);
	out(MASTER + 1, 0x50);
	out(MASTER + 1, 0x3c);
	assert_int_equal(in(MASTER + 1), 0x3c);
	pulse(6);
	assert_int_equal(pic_ack(&pic), 0x56);
}

/* PCI lines that the chipset routes to an input, which may have a device of its own. */
static void test_shared_inputs(void **state)
{
	(void)state;
	out(0x4d1, 0x08); /* 11 is level-triggered */
	pic8259_set_shared(&pic, BIT32(11));
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x73);
	out(SLAVE, EOI);
	out(MASTER, EOI);
	assert_true(intr.level); /* and still pulled */
	set(11, true);
	pic8259_set_shared(&pic, 0);
	assert_true(intr.level);
	set(11, false);
	assert_false(intr.level);
	set(11, true);
	pic8259_set_shared(&pic, BIT32(11) | BIT32(2));
	set(11, false);
	assert_true(intr.level);
	assert_int_equal(irr(MASTER), 0x04); /* the slave's output, not input 2 */
	pic8259_set_shared(&pic, 0);
	assert_false(intr.level);
}

/* An edge of the input is one of what pulls it first. */
static void test_shared_edge(void **state)
{
	(void)state;
	set(5, true);
	assert_int_equal(pic_ack(&pic), 0x0d);
	out(MASTER, EOI);
	pic8259_set_shared(&pic, BIT32(5));
	assert_false(intr.level);
	pic8259_set_shared(&pic, 0);
	set(5, false);
	pic8259_set_shared(&pic, BIT32(5));
	assert_true(intr.level);
}

static void test_lines_that_do_not_exist(void **state)
{
	(void)state;
	set(2, true);
	set(16, true);
	set(UINT32_MAX, true);
	assert_false(intr.level);
	assert_int_equal(irr(MASTER), 0);
	assert_false(pic8259_waiting(&pic, 16));
}

/* The INTR line tells changes only (the rig asserts it) and falls on reset. */
static void test_reset_lowers_intr(void **state)
{
	(void)state;
	set(5, true);
	assert_true(intr.level);
	pic.dev.ops->reset(&pic.dev);
	assert_false(intr.level);
	program(0x01);
	/* The line did not move: no edge. */
	assert_false(intr.level);
	set(5, false);
	set(5, true);
	assert_true(intr.level);
}

#define T(name) cmocka_unit_test_setup(name, setup)

static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	rig_out(&pic.dev, 0x4d1, 0x0c); /* 10 and 11 are levels */
	set(4, true);
	assert_int_equal(pic_ack(&pic), 0x0c);
	set(10, true);
	pulse(1);
	assert_true(intr.level);
	out(SLAVE, 0xc3); /* input 3 of the slave is the lowest */
	saved_reload(&pic.saved);
	assert_true(intr.level);
	set(4, true); /* still up: no edge */
	assert_int_equal(pic_ack(&pic), 0x09);
	assert_int_equal(isr(MASTER), 0x12);
	out(MASTER, EOI);
	out(MASTER, EOI);
	assert_int_equal(pic_ack(&pic), 0x72);
	set(10, false);
	assert_int_equal(irr(SLAVE), 0);
	assert_int_equal(pic.chips[1].lowest, 3);
}

/* Between two words of an initialisation. */
static void half_an_initialisation_is_loaded(void **state)
{
	(void)state;
	out(MASTER, 0x11);
	out(MASTER + 1, 0x20);
	saved_reload(&pic.saved);
	out(MASTER + 1, 0x04);
	out(MASTER + 1, 0x01);
	pulse(3);
	assert_int_equal(pic_ack(&pic), 0x23);
}

static void what_no_driver_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&pic.saved, struct pic8259_saved, field, value)
	assert_false(TAKES(chips[0].init, 4));
	assert_false(TAKES(chips[0].lowest, 8));
	assert_false(TAKES(chips[1].base, 0x71));
	assert_false(TAKES(chips[0].elcr, 0x01));
	assert_false(TAKES(chips[1].elcr, 0x20));
	assert_false(TAKES(chips[0].own, 0x04)); /* the cascade */
	assert_false(TAKES(chips[1].poll, 2));
	assert_false(TAKES(chips[1].zero[0], 1));
#undef TAKES
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_masked_after_reset),
		T(test_edge),
		T(test_priorities_and_eoi_order),
		T(test_mask),
		T(test_cascade),
		T(test_masked_cascade),
		T(test_special_fully_nested),
		T(test_spurious),
		T(test_spurious_on_the_slave),
		T(test_level),
		T(test_elcr),
		T(test_auto_eoi),
		T(test_rotation),
		T(test_rotation_in_auto_eoi),
		T(test_empty_rotation),
		T(test_special_mask),
		T(test_poll),
		T(test_initialisation),
		T(test_short_initialisations),
		T(test_shared_inputs),
		T(test_shared_edge),
		T(test_lines_that_do_not_exist),
		T(test_reset_lowers_intr),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(half_an_initialisation_is_loaded, setup),
		cmocka_unit_test_setup(what_no_driver_can_make_of_it_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
