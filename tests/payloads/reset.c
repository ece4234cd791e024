/* SPDX-License-Identifier: Apache-2.0 */
/* Each way of resetting the machine and of switching it off, which is by the sleep type `type`.
 * `delay` seconds come before. */
#include "guests/layout.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define PORT_A 0x92u
#define KBD_PULSE_RESET 0xfeu

static void announce(void)
{
	rt_delay_us(rt_option("delay", 0) * 1000000);
	rt_print("resetting\n");
}

/* Hardware may take a moment; a guest's machine is reset before the next instruction. */
static void survived(const char *what)
{
	rt_fail("%s did not reset the machine", what);
}

void case_reset_cf9(void)
{
	announce();
	out8(LAYOUT_RESET_PORT, 0x02);
	out8(LAYOUT_RESET_PORT, LAYOUT_RESET_VALUE);
	survived("port 0xcf9");
}

void case_reset_keyboard(void)
{
	announce();
	out8(LAYOUT_I8042_STATUS, KBD_PULSE_RESET);
	survived("the keyboard controller");
}

void case_reset_port92(void)
{
	announce();
	out8(PORT_A, 0x01);
	survived("port 0x92");
}

void case_power_off(void)
{
	rt_delay_us(rt_option("delay", 0) * 1000000);
	out16(LAYOUT_PM1_CNT, (uint16_t)(0x2000 | rt_option("type", LAYOUT_SLP_TYP_S5) << 10));
	rt_fail("PM1_CNT did not switch the machine off");
}
