/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that the guest writes without an exit, and every way back to the planes. The guest's own
 * accesses are those of the test to the buffer.
 */
#include "guests/devices/vga_views.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_text.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

#define MEMORY 0x400000u
#define TEXT 0xb8000u

static uint8_t bytes[MEMORY];
static uint8_t text[VGA_TEXT_BYTES];
static struct device_rig rig;
static struct pci_host host;
static struct vga v;

static struct {
	struct vga_window now;
	unsigned calls;
} window;

static void show(void *ctx, enum vga_view view, uint64_t address, uint32_t offset, uint32_t size)
{
	(void)ctx;
	if (view != VGA_VIEW_WINDOW) {
		return;
	}
	/* Another vCPU writes until the window is gone. */
	if (window.now.size == VGA_TEXT_BYTES && size == 0) {
		text[2] = 'L';
	}
	window.now = (struct vga_window){address, offset, size};
	window.calls++;
}

static int setup(void **state)
{
	static const uint8_t glyphs[1][16];
	const struct vga_font font = {glyphs, 'A', 1};
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE};
	const struct vga_config vga = {.time = &rig.time,
				       .host = &host,
				       .devfn = LAYOUT_DEVFN_VGA,
				       .memory = {bytes, MEMORY},
				       .text = text,
				       .show = show};

	(void)state;
	rig_init(&rig, 1000000000);
	memset(bytes, 0, sizeof(bytes));
	memset(text, 0x99, sizeof(text));
	memset(&window, 0, sizeof(window));
	pci_host_init(&host, &cfg);
	assert_int_equal(vga_init(&v, &vga), HV_OK);
	vga_text_mode(&v.state, &v.cfg.memory, &font);
	return 0;
}

static void out16(uint16_t port, uint16_t value)
{
	rig_write(&v.dev, BUS_PIO, port, 2, value);
}

static void put(uint32_t offset, uint16_t cell)
{
	rig_write(&v.dev, BUS_MMIO, TEXT + offset, 2, cell);
}

static uint64_t get(uint32_t offset)
{
	return rig_read(&v.dev, BUS_MMIO, TEXT + offset, 2);
}

static bool text_is_shown(void)
{
	return window.now.address == TEXT && window.now.offset == MEMORY &&
	       window.now.size == VGA_TEXT_BYTES;
}

/* By writing the first 64 cells, or some of them. */
static void make_shown(void)
{
	for (unsigned i = 0; i < VGA_TEXT_PATIENCE && !text_is_shown(); i += 2) {
		put(i, (uint16_t)(0x1e00 | i));
	}
	assert_true(text_is_shown());
}

static uint16_t in_planes(unsigned cell)
{
	uint16_t value;

	memcpy(&value, bytes + 8 * (size_t)cell, 2);
	return value;
}

static void many_accesses_show_it(void **state)
{
	(void)state;
	make_shown();
	assert_int_equal(window.calls, 1);
	/* Not before all of these. */
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(text[2 * i + 1] << 8 | text[2 * i], 0x1e00 | 2 * i);
	}
	assert_int_equal(text[2 * 1999] | text[2 * 1999 + 1] << 8, 0x0720);
	/* What is emulated all the same finds the guest's text, and the guest finds that. */
	text[700] = 'x';
	assert_int_equal(get(700) & 0xff, 'x');
	put(VGA_TEXT_BYTES - 2, 0x1234);
	assert_int_equal(text[VGA_TEXT_BYTES - 1], 0x12);
	/* Outside of it nothing answers. */
	assert_int_equal(rig_read(&v.dev, BUS_MMIO, TEXT - 1, 1), 0xff);
}

static void reads_count_as_well(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VGA_TEXT_PATIENCE; i += 2) {
		(void)get(0);
	}
	assert_true(text_is_shown());
}

/* Each makes something else of the window than text. */
static const struct {
	uint16_t port, value, back;
} changes[] = {
	{0x3ce, 0x0101, 0x0001}, /* set/reset for plane 0 */
	{0x3ce, 0x0103, 0x0003}, /* rotated */
	{0x3ce, 0x0104, 0x0004}, /* the same: address bit 0 chooses */
	{0x3ce, 0x0204, 0x0004}, /* plane 2 is read */
	{0x3ce, 0x1105, 0x1005}, /* write mode 1 */
	{0x3ce, 0x1805, 0x1005}, /* reads compare */
	{0x3ce, 0x0005, 0x1005}, /* no odd/even for reads */
	{0x3ce, 0x0406, 0x0e06}, /* at 0xa0000 */
	{0x3ce, 0x0a06, 0x0e06}, /* at 0xb0000: text, elsewhere */
	{0x3ce, 0x7f08, 0xff08}, /* a bit is masked */
	{0x3c4, 0x0402, 0x0302}, /* plane 2 is written */
	{0x3c4, 0x0f02, 0x0302}, /* all planes are written */
	{0x3c4, 0x0604, 0x0204}, /* no odd/even for writes */
	{0x3c4, 0x0a04, 0x0204}, /* chain 4 */
};
#define SAME 2u

static void registers_take_it_back(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		assert_int_equal(setup(state), 0);
		make_shown();
		text[160] = (uint8_t)('a' + i);
		assert_int_not_equal(in_planes(80) & 0xff, 'a' + i);
		out16(changes[i].port, changes[i].value);
		assert_int_equal(text_is_shown(), i == SAME);
		if (i != SAME) {
			assert_int_equal(in_planes(80) & 0xff, 'a' + i);
			/* What came until it was gone is there as well. */
			assert_int_equal(in_planes(1) & 0xff, 'L');
		}
		out16(changes[i].port, changes[i].back);
		assert_int_equal(get(160) & 0xff, 'a' + i);
	}
}

static void other_registers_do_not(void **state)
{
	(void)state;
	make_shown();
	out16(0x3d4, 0x050f); /* the cursor */
	out16(0x3d4, 0x010c); /* the start, as for scrolling */
	rig_out(&v.dev, 0x3c8, 7);
	rig_out(&v.dev, 0x3c9, 7);
	out16(0x3c4, 0x0503); /* another font */
	assert_int_equal(window.calls, 1);
}

/* A font, as a BIOS or a console loads it: into plane 2, which the text is not in. */
static void a_font_is_loaded_beside_the_text(void **state)
{
	(void)state;
	make_shown();
	text[0] = 'F';
	out16(0x3c4, 0x0402);
	out16(0x3c4, 0x0704);
	out16(0x3ce, 0x0204);
	out16(0x3ce, 0x0005);
	out16(0x3ce, 0x0006);
	rig_write(&v.dev, BUS_MMIO, LAYOUT_VIDEO_BASE + 'F' * 32, 4, 0x183c7eff);
	assert_int_equal(rig_read(&v.dev, BUS_MMIO, LAYOUT_VIDEO_BASE + 'F' * 32, 4), 0x183c7eff);
	out16(0x3c4, 0x0302);
	out16(0x3c4, 0x0304);
	out16(0x3ce, 0x0004);
	out16(0x3ce, 0x1005);
	out16(0x3ce, 0x0e06);
	assert_false(text_is_shown());
	assert_int_equal(get(0) & 0xff, 'F');
	assert_int_equal(bytes['F' * 32 * 4 + 2], 0xff);
	make_shown();
	assert_int_equal(bytes['F' * 32 * 4 + 2], 0xff);
}

/* As a program does that writes characters in another mode than it reads them. */
static void it_does_not_come_and_go(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		put(2 * (i % 2000), 0x0741);
		out16(0x3ce, 0x1105);
		out16(0x3ce, 0x1005);
	}
	assert_int_equal(window.calls, 0);
}

/* Nor does it where one register makes other text or pixels of it, and back. */
static void shown_once_it_waits_again(void **state)
{
	static const uint16_t on = VGA_DISPI_ENABLED | VGA_DISPI_NOCLEAR;

	(void)state;
	make_shown();
	window.calls = 0;
	for (unsigned i = 0; i < 100; i++) {
		out16(0x3ce, 0x0a06);
		out16(0x3ce, 0x0e06);
	}
	assert_int_equal(window.calls, 1);
	make_shown();
	window.calls = 0;
	out16(0x1ce, VGA_DISPI_ENABLE);
	out16(0x1cf, on);
	assert_int_equal(window.now.address, LAYOUT_VIDEO_BASE);
	out16(0x1cf, 0);
	assert_int_equal(window.now.size, 0);
	assert_int_equal(window.calls, 3);
	make_shown();
}

static void a_picture_has_what_is_shown(void **state)
{
	struct vga_state s;

	(void)state;
	make_shown();
	text[400] = 'p';
	vga_copy_state(&v, &s);
	assert_int_equal(in_planes(200) & 0xff, 'p');
	assert_true(text_is_shown());
	assert_int_equal(window.calls, 1);
}

static void saved_text_is_the_guests(void **state)
{
	(void)state;
	make_shown();
	text[402] = 's';
	saved_reload(&v.saved);
	assert_false(text_is_shown());
	assert_int_equal(get(402) & 0xff, 's');
	make_shown();
	assert_int_equal(text[402], 's');
}

/* Memory was loaded before: what the buffer holds is of another time. */
static void loading_forgets_what_was_shown(void **state)
{
	struct vga_saved saved;

	(void)state;
	make_shown();
	v.saved.ops->save(&v, &saved);
	bytes[8 * 300] = 'm';
	v.saved.ops->load(&v, &saved);
	assert_false(text_is_shown());
	assert_int_equal(get(600) & 0xff, 'm');
}

static void a_reset_leaves_it_in_the_planes(void **state)
{
	(void)state;
	make_shown();
	text[404] = 'r';
	v.dev.ops->reset(&v.dev);
	assert_false(text_is_shown());
	assert_int_equal(in_planes(202) & 0xff, 'r');
}

/* It does not come back over a picture that begins black. */
static void a_mode_of_pixels_begins_without_it(void **state)
{
	(void)state;
	make_shown();
	out16(0x1ce, VGA_DISPI_BPP);
	out16(0x1cf, 16);
	out16(0x1ce, VGA_DISPI_ENABLE);
	out16(0x1cf, VGA_DISPI_ENABLED);
	for (unsigned i = 0; i < 640 * 480 * 2; i++) {
		assert_int_equal(bytes[i], 0);
	}
	assert_int_equal(window.now.address, LAYOUT_VIDEO_BASE);
	/* And is there when nothing is cleared. */
	assert_int_equal(setup(state), 0);
	make_shown();
	text[0] = 'k';
	out16(0x1ce, VGA_DISPI_ENABLE);
	out16(0x1cf, VGA_DISPI_ENABLED | VGA_DISPI_NOCLEAR);
	assert_int_equal(bytes[0], 'k');
}

static void without_a_buffer_it_is_emulated(void **state)
{
	(void)state;
	v.cfg.text = NULL;
	for (unsigned i = 0; i < 2000; i++) {
		put(2 * i, 0x0741);
	}
	assert_int_equal(window.calls, 0);
	assert_int_equal(in_planes(1999), 0x0741);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(many_accesses_show_it, setup),
		cmocka_unit_test_setup(reads_count_as_well, setup),
		cmocka_unit_test_setup(registers_take_it_back, setup),
		cmocka_unit_test_setup(other_registers_do_not, setup),
		cmocka_unit_test_setup(a_font_is_loaded_beside_the_text, setup),
		cmocka_unit_test_setup(it_does_not_come_and_go, setup),
		cmocka_unit_test_setup(shown_once_it_waits_again, setup),
		cmocka_unit_test_setup(a_picture_has_what_is_shown, setup),
		cmocka_unit_test_setup(saved_text_is_the_guests, setup),
		cmocka_unit_test_setup(loading_forgets_what_was_shown, setup),
		cmocka_unit_test_setup(a_reset_leaves_it_in_the_planes, setup),
		cmocka_unit_test_setup(a_mode_of_pixels_begins_without_it, setup),
		cmocka_unit_test_setup(without_a_buffer_it_is_emulated, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
