/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/vga_planes.h"
#include "guests/devices/vga_regs.h"
#include "hv/base/bits.h"

static uint8_t bytes[0x80000];
static const struct vga_memory memory = {bytes, sizeof(bytes)};
static struct vga_state s;

/* Planes at 0xa0000, as mode 12h: nothing is done to what is written. */
static int setup(void **state)
{
	(void)state;
	memset(bytes, 0, sizeof(bytes));
	vga_regs_reset(&s);
	s.misc = VGA_MISC_RAM;
	s.sequencer[VGA_SEQ_MAP_MASK] = 0x0f;
	s.sequencer[VGA_SEQ_MEMORY_MODE] = VGA_MEMORY_SEQUENTIAL;
	s.graphics[VGA_GC_MISC] = 0x05;
	s.graphics[VGA_GC_DONT_CARE] = 0x0f;
	s.graphics[VGA_GC_BIT_MASK] = 0xff;
	return 0;
}

static void put(uint32_t offset, uint8_t value)
{
	vga_window_write(&s, &memory, offset, value);
}

static uint8_t get(uint32_t offset)
{
	return vga_window_read(&s, &memory, offset);
}

static uint32_t planes(uint32_t offset)
{
	uint32_t value;

	memcpy(&value, bytes + offset * 4, sizeof(value));
	return value;
}

static void the_map_mask_chooses_planes(void **state)
{
	(void)state;
	s.sequencer[VGA_SEQ_MAP_MASK] = 0x05;
	put(0x1234, 0xa5);
	assert_int_equal(planes(0x1234), 0x00a500a5);
	for (unsigned p = 0; p < 4; p++) {
		s.graphics[VGA_GC_READ_MAP] = (uint8_t)p;
		assert_int_equal(get(0x1234), p % 2 == 0 ? 0xa5 : 0);
	}
	assert_int_equal(s.latch, 0x00a500a5);
}

static void write_mode_0_sets_turns_and_masks(void **state)
{
	(void)state;
	s.graphics[VGA_GC_SET_RESET] = 0x06;
	s.graphics[VGA_GC_ENABLE_SET_RESET] = 0x0c;
	s.graphics[VGA_GC_ROTATE] = 4;
	put(0, 0x1f);
	assert_int_equal(planes(0), 0x00fff1f1);
	(void)get(0);
	s.graphics[VGA_GC_ENABLE_SET_RESET] = 0;
	s.graphics[VGA_GC_ROTATE] = 0;
	s.graphics[VGA_GC_BIT_MASK] = 0x0f;
	put(0, 0x55);
	assert_int_equal(planes(0), 0x05f5f5f5);
}

static void functions_combine_with_the_latches(void **state)
{
	static const uint32_t expected[] = {0x0f0f0f0f, 0x000c000f, 0x0f3fff0f, 0x0f33ff00};

	(void)state;
	for (unsigned f = 0; f < 4; f++) {
		s.latch = 0x003cf00f;
		s.graphics[VGA_GC_ROTATE] = (uint8_t)(f << 3);
		put(8, 0x0f);
		assert_int_equal(planes(8), expected[f]);
	}
}

static void write_mode_1_copies_latches(void **state)
{
	(void)state;
	s.latch = 0x12345678;
	s.graphics[VGA_GC_MODE] = 1;
	s.graphics[VGA_GC_BIT_MASK] = 0;
	put(7, 0xff);
	assert_int_equal(planes(7), 0x12345678);
	(void)get(7);
	put(8, 0);
	assert_int_equal(planes(8), 0x12345678);
}

static void write_mode_2_takes_a_colour(void **state)
{
	(void)state;
	s.latch = 0xffffffff;
	s.graphics[VGA_GC_MODE] = 2;
	s.graphics[VGA_GC_BIT_MASK] = 0xf0;
	put(3, 0x09);
	assert_int_equal(planes(3), 0xff0f0fff);
}

static void write_mode_3_masks_with_the_byte(void **state)
{
	(void)state;
	s.latch = 0;
	s.graphics[VGA_GC_MODE] = 3;
	s.graphics[VGA_GC_SET_RESET] = 0x0a;
	s.graphics[VGA_GC_BIT_MASK] = 0x3c;
	s.graphics[VGA_GC_ROTATE] = 1;
	put(3, 0x0f);
	assert_int_equal(planes(3), 0x04000400);
}

static void read_mode_1_compares_colours(void **state)
{
	(void)state;
	put(0, 0x0f);
	s.sequencer[VGA_SEQ_MAP_MASK] = 0x02;
	put(0, 0x55);
	s.graphics[VGA_GC_MODE] = VGA_MODE_READ_COMPARE;
	s.graphics[VGA_GC_COLOUR_COMPARE] = 0x0f;
	assert_int_equal(get(0), 0x05);
	s.graphics[VGA_GC_COLOUR_COMPARE] = 0x0d;
	assert_int_equal(get(0), 0x0a);
	s.graphics[VGA_GC_DONT_CARE] = 0x0d;
	assert_int_equal(get(0), 0x0f);
	s.graphics[VGA_GC_DONT_CARE] = 0;
	assert_int_equal(get(0), 0xff);
}

static void odd_and_even_addresses_are_different_planes(void **state)
{
	(void)state;
	s.sequencer[VGA_SEQ_MEMORY_MODE] = 0;
	s.sequencer[VGA_SEQ_MAP_MASK] = 0x03;
	s.graphics[VGA_GC_MODE] = VGA_MODE_ODD_EVEN;
	s.graphics[VGA_GC_MISC] = 0x0e;
	put(0x18000, 'A');
	put(0x18001, 0x1f);
	put(0x18002, 'B');
	assert_int_equal(planes(0), 0x1f00 | 'A');
	assert_int_equal(planes(1), 0);
	assert_int_equal(planes(2), 'B');
	assert_int_equal(get(0x18000), 'A');
	assert_int_equal(get(0x18001), 0x1f);
	assert_int_equal(get(0x18003), 0);
}

static void chain_4_is_a_run_of_bytes(void **state)
{
	uint32_t at = 1;

	(void)state;
	s.sequencer[VGA_SEQ_MEMORY_MODE] = VGA_MEMORY_CHAIN_4 | VGA_MEMORY_SEQUENTIAL;
	for (unsigned i = 0; i < 64000; i++) {
		put(i, (uint8_t)(i * 7));
	}
	for (unsigned i = 0; i < 64000; i++) {
		assert_int_equal(bytes[i], (uint8_t)(i * 7));
		assert_int_equal(get(i), (uint8_t)(i * 7));
	}
	assert_true(vga_window_linear(&s, &memory, &at));
	assert_int_equal(at, 0);
}

static void what_is_done_to_bytes_keeps_the_window_closed(void **state)
{
	static const struct {
		uint8_t reg, value;
	} changes[] = {{VGA_GC_ENABLE_SET_RESET, 1},
		       {VGA_GC_ROTATE, 1},
		       {VGA_GC_ROTATE, 0x08},
		       {VGA_GC_MODE, 1},
		       {VGA_GC_MODE, 8},
		       {VGA_GC_BIT_MASK, 0xfe},
		       {VGA_GC_MISC, 0x09},
		       {VGA_GC_MISC, 0x0d}};
	uint32_t at;

	(void)state;
	assert_false(vga_window_linear(&s, &memory, &at));
	s.sequencer[VGA_SEQ_MEMORY_MODE] = VGA_MEMORY_CHAIN_4;
	assert_true(vga_window_linear(&s, &memory, &at));
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		uint8_t before = s.graphics[changes[i].reg];

		s.graphics[changes[i].reg] = changes[i].value;
		assert_false(vga_window_linear(&s, &memory, &at));
		s.graphics[changes[i].reg] = before;
	}
	s.sequencer[VGA_SEQ_MAP_MASK] = 7;
	assert_false(vga_window_linear(&s, &memory, &at));
	s.sequencer[VGA_SEQ_MAP_MASK] = 15;
	s.misc = 0;
	assert_false(vga_window_linear(&s, &memory, &at));
}

static void only_what_the_mode_decodes_answers(void **state)
{
	/* The first and the last byte of each of the four maps, and those around them. */
	static const struct {
		uint32_t first, last;
	} maps[] = {{0, 0x1ffff}, {0, 0xffff}, {0x10000, 0x17fff}, {0x18000, 0x1ffff}};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		memset(bytes, 0x77, sizeof(bytes));
		s.graphics[VGA_GC_MISC] = (uint8_t)(i << 2);
		assert_int_equal(get(maps[i].first), 0x77);
		assert_int_equal(get(maps[i].last), 0x77);
		if (maps[i].first != 0) {
			assert_int_equal(get(maps[i].first - 1), 0xff);
			put(maps[i].first - 1, 0);
		}
		if (maps[i].last != 0x1ffff) {
			assert_int_equal(get(maps[i].last + 1), 0xff);
			put(maps[i].last + 1, 0);
		}
		for (unsigned at = 0; at < sizeof(bytes); at++) {
			assert_int_equal(bytes[at], 0x77);
		}
	}
	s.misc = 0;
	assert_int_equal(get(0x18000), 0xff);
}

static void banks_reach_all_memory_of_packed_modes(void **state)
{
	uint32_t at = 1;

	(void)state;
	s.misc = 0;
	s.dispi[VGA_DISPI_ENABLE] = VGA_DISPI_ENABLED;
	s.dispi[VGA_DISPI_BPP] = 8;
	for (uint16_t bank = 0; bank < sizeof(bytes) / VGA_WINDOW_BANK; bank++) {
		s.dispi[VGA_DISPI_BANK] = bank;
		put(0xffff, (uint8_t)(bank + 1));
		assert_int_equal(get(0xffff), bank + 1);
		assert_int_equal(get(0x10000), 0xff);
		assert_true(vga_window_linear(&s, &memory, &at));
		assert_int_equal(at, bank * VGA_WINDOW_BANK);
		assert_int_equal(bytes[at + 0xffff], bank + 1);
	}
	s.dispi[VGA_DISPI_BPP] = 4;
	s.dispi[VGA_DISPI_BANK] = 1;
	assert_false(vga_window_linear(&s, &memory, &at));
	put(3, 0x42);
	assert_int_equal(planes(0x10003), 0x42424242);
	s.dispi[VGA_DISPI_BANK] = 0xffff; /* wraps: nothing beyond the memory is touched */
	put(0xffff, 0x43);
	assert_int_equal(planes(sizeof(bytes) / 4 - 1), 0x43434343);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_map_mask_chooses_planes, setup),
		cmocka_unit_test_setup(write_mode_0_sets_turns_and_masks, setup),
		cmocka_unit_test_setup(functions_combine_with_the_latches, setup),
		cmocka_unit_test_setup(write_mode_1_copies_latches, setup),
		cmocka_unit_test_setup(write_mode_2_takes_a_colour, setup),
		cmocka_unit_test_setup(write_mode_3_masks_with_the_byte, setup),
		cmocka_unit_test_setup(read_mode_1_compares_colours, setup),
		cmocka_unit_test_setup(odd_and_even_addresses_are_different_planes, setup),
		cmocka_unit_test_setup(chain_4_is_a_run_of_bytes, setup),
		cmocka_unit_test_setup(what_is_done_to_bytes_keeps_the_window_closed, setup),
		cmocka_unit_test_setup(only_what_the_mode_decodes_answers, setup),
		cmocka_unit_test_setup(banks_reach_all_memory_of_packed_modes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
