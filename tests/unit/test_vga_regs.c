/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/vga_regs.h"
#include "hv/base/bits.h"

static struct vga_state s;

static int setup(void **state)
{
	(void)state;
	vga_regs_reset(&s);
	vga_regs_write(&s, 0x3c2, VGA_MISC_COLOUR);
	return 0;
}

static uint8_t in(uint16_t port)
{
	return vga_regs_read(&s, port, 0);
}

static void out(uint16_t port, uint8_t value)
{
	vga_regs_write(&s, port, value);
}

static uint8_t indexed(uint16_t port, uint8_t index)
{
	out(port, index);
	return in((uint16_t)(port + 1));
}

static void set_indexed(uint16_t port, uint8_t index, uint8_t value)
{
	out(port, index);
	out((uint16_t)(port + 1), value);
}

static void registers_keep_the_bits_that_exist(void **state)
{
	static const uint8_t sequencer[] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0};
	static const uint8_t graphics[] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff, 0};

	(void)state;
	for (uint8_t i = 0; i < ARRAY_SIZE(sequencer); i++) {
		set_indexed(0x3c4, i, 0xff);
		assert_int_equal(indexed(0x3c4, i), sequencer[i]);
	}
	for (uint8_t i = 0; i < ARRAY_SIZE(graphics); i++) {
		set_indexed(0x3ce, i, 0xff);
		assert_int_equal(indexed(0x3ce, i), graphics[i]);
	}
	for (uint8_t i = 0; i < 64; i++) {
		set_indexed(0x3d4, i, 0x5a);
		assert_int_equal(indexed(0x3d4, i), i < VGA_CRTC_COUNT ? 0x5a : 0);
	}
	out(0x3c2, 0xff);
	assert_int_equal(in(0x3cc), 0xef);
	out(0x3da, 0xff);
	assert_int_equal(in(0x3ca), 0x0b);
	assert_int_equal(in(0x3cb), 0xff);
	assert_int_equal(in(0x3c2), 0x10);
}

static void the_crtc_is_where_misc_output_says(void **state)
{
	(void)state;
	set_indexed(0x3d4, 0x0c, 0x12);
	assert_int_equal(in(0x3b5), 0xff);
	out(0x3b4, 0x0d);
	assert_int_equal(in(0x3d4), 0x0c);
	out(0x3c2, 0);
	assert_int_equal(in(0x3d4), 0xff);
	assert_int_equal(in(0x3b4), 0x0c);
	assert_int_equal(in(0x3b5), 0x12);
	assert_int_equal(in(0x3da), 0xff);
	assert_int_not_equal(in(0x3ba), 0xff);
}

static void protection_leaves_the_line_compare(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 8; i++) {
		set_indexed(0x3d4, i, 0x22);
	}
	set_indexed(0x3d4, VGA_CRTC_RETRACE_END, 0x8e);
	for (uint8_t i = 0; i < 12; i++) {
		set_indexed(0x3d4, i, 0xff);
		assert_int_equal(indexed(0x3d4, i), i < 7 ? 0x22 : i == 7 ? 0x32 : 0xff);
	}
	set_indexed(0x3d4, VGA_CRTC_RETRACE_END, 0x0e);
	set_indexed(0x3d4, 7, 0);
	assert_int_equal(indexed(0x3d4, 7), 0);
}

static void one_port_is_index_and_data_of_attributes(void **state)
{
	(void)state;
	(void)in(0x3da);
	out(0x3c0, 0x03);
	out(0x3c0, 0xff);
	assert_int_equal(in(0x3c0), 0x03);
	assert_int_equal(in(0x3c1), 0x3f);
	assert_int_equal(indexed(0x3d4, VGA_CRTC_FLIP_FLOP), 0);
	out(0x3c0, 0x10);
	assert_int_equal(in(0x3d5), 0x80);
	(void)in(0x3da); /* back to the index */
	out(0x3c0, 0x14);
	out(0x3c0, 0xff);
	assert_int_equal(in(0x3c1), 0x0f);
	/* While the screen is on the palette is closed, and nothing else. */
	out(0x3c0, 0x23);
	out(0x3c0, 0x05);
	assert_int_equal(in(0x3c1), 0x3f);
	out(0x3c0, 0x31);
	out(0x3c0, 0xa5);
	assert_int_equal(in(0x3c1), 0xa5);
	assert_int_equal(in(0x3c0), 0x31);
}

static void colours_go_by_threes(void **state)
{
	(void)state;
	out(0x3c8, 254);
	for (uint8_t i = 1; i <= 9; i++) {
		out(0x3c9, (uint8_t)(i | 0xc0));
	}
	assert_int_equal(in(0x3c8), 1);
	assert_int_equal(in(0x3c7), 0);
	out(0x3c7, 254);
	assert_int_equal(in(0x3c7), 3);
	for (uint8_t i = 1; i <= 9; i++) {
		assert_int_equal(in(0x3c9), i);
	}
	/* A colour is changed as a whole, and setting the index begins anew. */
	out(0x3c8, 10);
	out(0x3c9, 1);
	out(0x3c9, 2);
	assert_int_equal(s.dac.colour[30], 0);
	out(0x3c8, 10);
	out(0x3c9, 4);
	out(0x3c9, 5);
	out(0x3c9, 6);
	assert_memory_equal(&s.dac.colour[30], "\4\5\6", 3);
	s.dispi[VGA_DISPI_ENABLE] = VGA_DISPI_8BIT_DAC;
	out(0x3c8, 10);
	for (unsigned i = 0; i < 3; i++) {
		out(0x3c9, 0xfe);
	}
	assert_int_equal(s.dac.colour[32], 0xfe);
	out(0x3c6, 0x0f);
	assert_int_equal(in(0x3c6), 0x0f);
}

static void retrace_comes_and_goes(void **state)
{
	const uint64_t frame = 31778ull * 525;
	unsigned retraces = 0, changes = 0;
	uint8_t last = 0;

	(void)state;
	for (uint64_t ns = 0; ns < 3 * frame; ns += 1000) {
		uint8_t status = vga_regs_read(&s, 0x3da, ns);

		assert_int_equal(status & ~9, 0);
		assert_true((status & 8) == 0 || (status & 1) != 0);
		retraces += (status & ~last & 8) != 0;
		changes += (status ^ last) & 1;
		last = status;
	}
	assert_int_equal(retraces, 3);
	assert_in_range(changes, 480 * 5, 480 * 6 + 6);
}

static void the_latch_can_be_read(void **state)
{
	(void)state;
	s.latch = 0x44332211;
	for (uint8_t p = 0; p < 4; p++) {
		set_indexed(0x3ce, VGA_GC_READ_MAP, p);
		assert_int_equal(indexed(0x3d4, VGA_CRTC_LATCH), 0x11 * (p + 1));
	}
}

static enum lacks_kind lack(uint16_t port, bool write, uint32_t *what)
{
	return vga_regs_lack(&s, port, write, what);
}

static void what_is_not_there(void **state)
{
	uint32_t what;

	(void)state;
	for (uint16_t port = 0x3c0; port <= 0x3cf; port++) {
		bool read = port != 0x3cb && port != 0x3cd;
		bool write = read && port != 0x3c1 && port != 0x3ca && port != 0x3cc;

		assert_int_equal(lack(port, false, &what), read ? LACKS_NOTHING : LACKS_READ);
		assert_int_equal(lack(port, true, &what), write ? LACKS_NOTHING : LACKS_WRITE);
		assert_int_equal(what, port);
	}
	/* The group that is not there now. */
	assert_int_equal(lack(0x3d4, true, &what), LACKS_NOTHING);
	assert_int_equal(lack(0x3b4, true, &what), LACKS_WRITE);
	assert_int_equal(lack(0x3da, false, &what), LACKS_NOTHING);
	assert_int_equal(lack(0x3d8, true, &what), LACKS_WRITE);
}

static void registers_that_are_not_there(void **state)
{
	uint32_t what;

	(void)state;
	out(0x3d4, 0x18);
	assert_int_equal(lack(0x3d5, true, &what), LACKS_NOTHING);
	out(0x3d4, 0x19);
	assert_int_equal(lack(0x3d5, true, &what), LACKS_INDEX);
	assert_int_equal(what, 0x3d50019);
	out(0x3d4, VGA_CRTC_LATCH);
	assert_int_equal(lack(0x3d5, false, &what), LACKS_NOTHING);
	out(0x3ce, 9);
	assert_int_equal(lack(0x3cf, false, &what), LACKS_INDEX);
	assert_int_equal(what, 0x3cf0009);
	(void)in(0x3da);
	out(0x3c0, 0x15);
	assert_int_equal(lack(0x3c1, false, &what), LACKS_INDEX);
	assert_int_equal(lack(0x3c0, true, &what), LACKS_INDEX);
	assert_int_equal(what, 0x3c00015);
	(void)in(0x3da);
	assert_int_equal(lack(0x3c0, true, &what), LACKS_NOTHING); /* an index comes next */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_keep_the_bits_that_exist, setup),
		cmocka_unit_test_setup(the_crtc_is_where_misc_output_says, setup),
		cmocka_unit_test_setup(protection_leaves_the_line_compare, setup),
		cmocka_unit_test_setup(one_port_is_index_and_data_of_attributes, setup),
		cmocka_unit_test_setup(colours_go_by_threes, setup),
		cmocka_unit_test_setup(retrace_comes_and_goes, setup),
		cmocka_unit_test_setup(the_latch_can_be_read, setup),
		cmocka_unit_test_setup(what_is_not_there, setup),
		cmocka_unit_test_setup(registers_that_are_not_there, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
