/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_regs.h"
#include "guests/devices/vga_saved.h"

#define MEMORY 0x100000u

static uint8_t bytes[MEMORY];
static const struct vga_memory memory = {bytes, MEMORY};
static struct vga_state s;
static struct vga_state_saved good;

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	vga_regs_reset(&s);
	memset(&good, 0, sizeof(good));
	vga_state_save(&s, &good);
	return 0;
}

static bool refuses(const struct vga_state_saved *saved)
{
	return vga_state_check(saved, &memory) != NULL;
}

/* Whatever is written to any port, it can be saved, and is the same when it is loaded. */
static void every_register_is_saved(void **state)
{
	struct vga_state_saved before = {0};
	struct vga_state_saved after = {0};
	uint32_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1664525 + 1013904223;
		vga_regs_write(&s, (uint16_t)(0x3b0 + (seed >> 24) % 48), (uint8_t)(seed >> 16));
		vga_dispi_write(&s, &memory, (seed >> 20) % 16, (uint16_t)(seed >> 8));
	}
	s.latch = 0x12345678;
	s.dispi_index = 0xffff;
	s.big_endian = true;
	vga_state_save(&s, &before);
	assert_false(refuses(&before));
	vga_regs_reset(&s);
	vga_state_load(&s, &before);
	vga_state_save(&s, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(s.latch, 0x12345678);
}

#define REFUSES(field, value) (bad = good, bad.field = (value), refuses(&bad))

static void what_no_program_can_make_of_it_is_refused(void **state)
{
	struct vga_state_saved bad;

	(void)state;
	assert_false(refuses(&good));
	assert_true(REFUSES(misc, 0x10));
	assert_true(REFUSES(feature, 0x04));
	assert_true(REFUSES(sequencer_index, 8));
	assert_true(REFUSES(graphics_index, 16));
	assert_true(REFUSES(crtc_index, 0x40));
	assert_true(REFUSES(attribute_index, 0x40));
	assert_true(REFUSES(attribute_data, 2));
	assert_true(REFUSES(big_endian, 2));
	assert_true(REFUSES(sequencer[4], 0x01));
	assert_true(REFUSES(graphics[4], 0x04));
	assert_true(REFUSES(crtc[VGA_CRTC_COUNT], 1));
	assert_true(REFUSES(attribute[0x15], 1));
	assert_true(REFUSES(dac.step, 3));
	assert_true(REFUSES(dac.reading, 2));
	assert_true(REFUSES(zero[1], 1));
}

/* Drawing relies on a picture that fits the memory. */
static void a_picture_larger_than_the_memory_is_refused(void **state)
{
	struct vga_state_saved bad;

	(void)state;
	vga_dispi_write(&s, &memory, VGA_DISPI_BPP, 32);
	vga_dispi_write(&s, &memory, VGA_DISPI_YRES, 400);
	vga_dispi_write(&s, &memory, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	vga_state_save(&s, &good);
	assert_false(refuses(&good));
	assert_true(REFUSES(dispi[VGA_DISPI_YRES], 500));
	assert_true(REFUSES(dispi[VGA_DISPI_XRES], 0));
	assert_true(REFUSES(dispi[VGA_DISPI_XRES], 641));
	assert_true(REFUSES(dispi[VGA_DISPI_BPP], 7));
	assert_true(REFUSES(dispi[VGA_DISPI_Y_OFFSET], 100));
	assert_true(REFUSES(dispi[VGA_DISPI_BANK], 16));
	assert_true(REFUSES(dispi[VGA_DISPI_ID], 0xb0c6));
	assert_true(REFUSES(dispi[VGA_DISPI_ENABLE], 0x101));
	assert_true(REFUSES(dispi[VGA_DISPI_COUNT], 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_register_is_saved, setup),
		cmocka_unit_test_setup(what_no_program_can_make_of_it_is_refused, setup),
		cmocka_unit_test_setup(a_picture_larger_than_the_memory_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
