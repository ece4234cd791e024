/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A screen in modes of each class, for somebody to look at from outside: each is announced on the
 * serial port and stays until the key A comes from the keyboard.
 */
#include "guests/layout.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"
#include "tests/payloads/rt_smp.h"

#define VGA_ID 0x11111234u
#define TEXT 0xb8000u
#define WINDOW 0xa0000u
#define COLUMNS 80u
#define ROWS 25u
#define ROW_BYTES (2 * COLUMNS)
#define SCROLLS 20u
#define RACES 20u
#define KEY_A 0x1eu
#define KEY_UP 0x80u

#define DISPI_INDEX 0x1ceu
#define DISPI_DATA 0x1cfu
#define WIDTH 640u
#define HEIGHT 480u
#define FILLS 20u

static uint8_t next_code(void)
{
	while ((in8(LAYOUT_I8042_STATUS) & 1) == 0) {
	}
	return in8(LAYOUT_I8042_DATA);
}

static void wait_for_key(const char *what)
{
	rt_print("shown: %s\n", what);
	EXPECT(next_code() == KEY_A, "another key than A");
	EXPECT(next_code() == (KEY_A | KEY_UP), "A was not released");
}

static void set_indexed(uint16_t port, const uint8_t *values, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		out16(port, (uint16_t)(values[i] << 8 | i));
	}
}

struct mode {
	uint8_t misc;
	uint8_t sequencer[5];
	uint8_t crtc[25];
	uint8_t graphics[9];
	uint8_t attribute_mode;
};

static void set_mode(const struct mode *m)
{
	out8(0x3c2, m->misc);
	set_indexed(0x3c4, m->sequencer, sizeof(m->sequencer));
	out16(0x3d4, 0x0e11); /* opens registers 0 to 7 */
	set_indexed(0x3d4, m->crtc, sizeof(m->crtc));
	set_indexed(0x3ce, m->graphics, sizeof(m->graphics));
	(void)in8(0x3da);
	for (unsigned i = 0; i < 16; i++) {
		out8(0x3c0, (uint8_t)i);
		out8(0x3c0, (uint8_t)i);
	}
	out8(0x3c0, 0x10);
	out8(0x3c0, m->attribute_mode);
	out8(0x3c0, 0x13);
	out8(0x3c0, 0);
	out8(0x3c0, 0x20);
	/* Shades of grey, so that a number is a colour. */
	out8(0x3c8, 0);
	for (unsigned i = 0; i < 3 * 256; i++) {
		out8(0x3c9, (uint8_t)(i / 3 % 64));
	}
}

/* As the BIOS' modes 12h and 13h. */
static const struct mode planes_mode = {0xe3,
					{0x03, 0x01, 0x0f, 0x00, 0x06},
					{0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00,
					 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xea, 0x0c,
					 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
					{0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
					0x01};
static const struct mode bytes_mode = {0x63,
				       {0x03, 0x01, 0x0f, 0x00, 0x0e},
				       {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00,
					0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x0e,
					0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
				       {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
				       0x41};

static void show_text(void)
{
	const char *text = "Bulkhead shows text";

	for (unsigned i = 0; text[i] != '\0'; i++) {
		mmio_write16(TEXT + 160 + 2 * i, (uint16_t)(0x1e00 | (uint8_t)text[i]));
	}
	wait_for_key("text");
}

/* Sixteen bars of 40 pixels, each in the colour of its number. */
static void show_planes(void)
{
	set_mode(&planes_mode);
	for (unsigned at = 0; at < 480 * 80; at += 4) {
		mmio_write32(WINDOW + at, 0);
	}
	for (unsigned colour = 0; colour < 16; colour++) {
		out16(0x3c4, (uint16_t)(colour << 8 | 2));
		for (unsigned y = 0; y < 64; y++) {
			for (unsigned x = 0; x < 5; x++) {
				mmio_write8(WINDOW + y * 80 + colour * 5 + x, 0xff);
			}
		}
	}
	wait_for_key("planes");
}

static void show_bytes(void)
{
	set_mode(&bytes_mode);
	for (unsigned y = 0; y < 200; y++) {
		for (unsigned x = 0; x < 320; x++) {
			mmio_write8(WINDOW + y * 320 + x, (uint8_t)(x + y));
		}
	}
	wait_for_key("bytes");
}

static void dispi(uint16_t index, uint16_t value)
{
	out16(DISPI_INDEX, index);
	out16(DISPI_DATA, value);
}

static uint64_t framebuffer(void)
{
	uint32_t command = pci_config(LAYOUT_DEVFN_VGA, PCI_COMMAND);

	EXPECT(pci_config(LAYOUT_DEVFN_VGA, PCI_VENDOR_ID) == VGA_ID, "no VGA at 01.0");
	pci_set_config(LAYOUT_DEVFN_VGA, PCI_COMMAND, (command & 0xffff) | PCI_COMMAND_MEMORY);
	return pci_bar(LAYOUT_DEVFN_VGA, 0);
}

/* How often the picture is written says how often it is not by exits. */
static void show_pixels(void)
{
	uint64_t base = framebuffer();

	dispi(1, WIDTH);
	dispi(2, HEIGHT);
	dispi(3, 32);
	dispi(4, 0x41);
	mmio_write32(base, 0);
	wait_for_key("black");
	for (unsigned i = 0; i < FILLS; i++) {
		for (uint32_t at = 0; at < WIDTH * HEIGHT; at++) {
			uint32_t pixel = 0x400000 + (at / WIDTH & 0xff) * 256 + (at % WIDTH & 0xff);

			mmio_write32(base + at * 4, pixel);
		}
	}
	wait_for_key("pixels");
}

void case_vga(void)
{
	show_text();
	show_planes();
	show_bytes();
	show_pixels();
}

/* --- text --- */

/*
 * Four times the row's letter; the rest is empty, as pictures of much text are large. Without the
 * cursor, which blinks.
 */
static void fill_text(void)
{
	out16(0x3d4, 0x200a);
	for (unsigned at = 0; at < ROWS * ROW_BYTES; at += 2) {
		unsigned letter = at % ROW_BYTES < 8 ? 'A' + at / ROW_BYTES : ' ';

		mmio_write16(TEXT + at, (uint16_t)(0x1e00 | letter));
	}
	wait_for_key("lines");
}

static void copy_row(unsigned to, unsigned from)
{
	for (unsigned at = 0; at < ROW_BYTES; at += 4) {
		mmio_write32(TEXT + to * ROW_BYTES + at, mmio_read32(TEXT + from * ROW_BYTES + at));
	}
}

/* Down and up again: the last row becomes what was above it. */
static void scroll_text(void)
{
	for (unsigned i = 0; i < SCROLLS; i++) {
		for (unsigned row = ROWS - 1; row > 0; row--) {
			copy_row(row, row - 1);
		}
		for (unsigned row = 0; row < ROWS - 1; row++) {
			copy_row(row, row + 1);
		}
	}
	wait_for_key("scrolled");
}

/* The letter A becomes a block, by the way that a BIOS takes to load fonts. */
static void load_font(void)
{
	static const uint16_t open[] = {0x0402, 0x0704}, close[] = {0x0302, 0x0204};

	for (unsigned i = 0; i < 2; i++) {
		out16(0x3c4, open[i]);
	}
	out16(0x3ce, 0x0005);
	out16(0x3ce, 0x0406);
	for (unsigned i = 0; i < 16; i += 4) {
		mmio_write32(WINDOW + 'A' * 32 + i, 0xffffffff);
	}
	for (unsigned i = 0; i < 2; i++) {
		out16(0x3c4, close[i]);
	}
	out16(0x3ce, 0x1005);
	out16(0x3ce, 0x0e06);
	wait_for_key("font");
}

static _Atomic unsigned asked, written;

/* Each cell once in each round. */
static void write_rounds(unsigned cpu)
{
	(void)cpu;
	for (unsigned round = 1; round <= RACES; round++) {
		RT_WAIT(atomic_load(&asked) == round, "no round %u", round);
		for (unsigned i = 0; i < ROWS * COLUMNS; i++) {
			mmio_write16(TEXT + 2 * i, (uint16_t)(round << 8 | (i & 0xff)));
		}
		atomic_store(&written, round);
	}
}

/*
 * One processor writes while another makes the window something else than text, in a way that
 * writes need not know of, and text again: nothing may be lost on the way.
 */
static void race(void)
{
	rt_give(1, write_rounds);
	for (unsigned round = 1; round <= RACES; round++) {
		atomic_store(&asked, round);
		while (atomic_load(&written) != round) {
			out16(0x3ce, 0x0204); /* plane 2 would be read */
			out16(0x3ce, 0x0004);
			for (unsigned i = 0; i < 64; i++) {
				(void)mmio_read16(TEXT);
			}
		}
		for (unsigned i = 0; i < ROWS * COLUMNS; i++) {
			EXPECT(mmio_read16(TEXT + 2 * i) == (uint16_t)(round << 8 | (i & 0xff)),
			       "round %u: cell %u is lost", round, i);
		}
	}
	rt_finish(1);
}

void case_vga_text(void)
{
	fill_text();
	scroll_text();
	load_font();
	if (rt_option("cpus", 1) > 1) {
		rt_start_others();
		race();
	}
}
