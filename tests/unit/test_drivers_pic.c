/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/pic.h"
#include "hv/cpu/trap.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

static struct {
	uint16_t command;
	uint8_t icw[4];
	unsigned icw_expected; /* next one; 0: not initialising */
	uint8_t mask;
	uint8_t isr;
	bool read_isr;
	unsigned eois;
} chip[2] = {{.command = 0x20}, {.command = 0xa0}};

static uint32_t pic_in(void *ctx, uint16_t port, unsigned size)
{
	unsigned i = *(unsigned *)ctx;

	(void)size;
	if (port == chip[i].command) {
		return chip[i].read_isr ? chip[i].isr : 0;
	}
	return chip[i].mask;
}

static void pic_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	unsigned i = *(unsigned *)ctx;

	(void)size;
	if (port == chip[i].command) {
		if ((value & 0x10) != 0) {
			chip[i].icw[0] = (uint8_t)value;
			chip[i].icw_expected = 1;
		} else if ((value & 0x08) != 0) {
			chip[i].read_isr = (value & 3) == 3;
		} else if (value == 0x20) {
			chip[i].eois++;
		}
	} else if (chip[i].icw_expected != 0) {
		chip[i].icw[chip[i].icw_expected] = (uint8_t)value;
		chip[i].icw_expected = (chip[i].icw_expected + 1) % 4;
	} else {
		chip[i].mask = (uint8_t)value;
	}
}

static unsigned zero = 0, one = 1;
static const struct fake_port_hook hooks[2] = {
	{0x20, 0x21, pic_in, pic_out, &zero},
	{0xa0, 0xa1, pic_in, pic_out, &one},
};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	for (unsigned i = 0; i < 2; i++) {
		fake_port_hook(&hooks[i]);
		chip[i].mask = 0;
		chip[i].isr = 0;
		chip[i].eois = 0;
		chip[i].read_isr = false;
	}
	host_pic_disable(0x20);
	return 0;
}

static void pair_is_remapped_and_masked(void **state)
{
	(void)state;
	assert_int_equal(chip[0].icw[0], 0x11);
	assert_int_equal(chip[0].icw[1], 0x20);
	assert_int_equal(chip[0].icw[2], 4);
	assert_int_equal(chip[0].icw[3], 1);
	assert_int_equal(chip[1].icw[1], 0x28);
	assert_int_equal(chip[1].icw[2], 2);
	assert_int_equal(chip[0].mask, 0xff);
	assert_int_equal(chip[1].mask, 0xff);
}

static void spurious_interrupts_get_no_eoi(void **state)
{
	(void)state;
	trap_irq_dispatch(0x27);
	assert_int_equal(chip[0].eois, 0);
	chip[0].isr = 0x80;
	trap_irq_dispatch(0x27);
	assert_int_equal(chip[0].eois, 1);
	/* The slave's: the cascade line is in service at the master. */
	chip[0].isr = 0x04;
	trap_irq_dispatch(0x2f);
	assert_int_equal(chip[0].eois, 2);
	assert_int_equal(chip[1].eois, 0);
	chip[1].isr = 0x80;
	trap_irq_dispatch(0x2f);
	assert_int_equal(chip[1].eois, 1);
}

static void exception_vectors_are_refused(void **state)
{
	(void)state;
	EXPECT_CHECK(host_pic_disable(0x18));
	EXPECT_CHECK(host_pic_disable(0x21));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pair_is_remapped_and_masked, setup),
		cmocka_unit_test_setup(spurious_interrupts_get_no_eoi, setup),
		cmocka_unit_test_setup(exception_vectors_are_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
