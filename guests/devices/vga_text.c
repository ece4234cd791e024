/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode 3. Source: IBM VGA XGA Technical Reference Manual, "Register Values for BIOS modes" and the
 * DAC's default colours.
 */
#include "guests/devices/vga_text.h"

#include "guests/devices/vga_regs.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define FONT_PLANE 2u
#define FONT_HEIGHT 32u
#define DAC_COLOURS 64u
#define CELL_BYTES ((size_t)2 * VGA_PLANES) /* odd/even: every second place of the planes */

static const uint8_t sequencer[] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
			       0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
			       0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t graphics[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
static const uint8_t attribute[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
				    0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
				    0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
static_assert(sizeof(crtc) == VGA_CRTC_COUNT, "one value per register");

/* Two bits each of red, green and blue: rgbRGB, where capitals weigh two thirds. */
static void fill_dac(struct vga_dac *d)
{
	for (unsigned i = 0; i < DAC_COLOURS; i++) {
		for (unsigned c = 0; c < 3; c++) {
			bool strong = (i >> (2 - c) & 1) != 0;
			bool weak = (i >> (5 - c) & 1) != 0;

			d->colour[i * 3 + c] = (uint8_t)((strong ? 0x2a : 0) + (weak ? 0x15 : 0));
		}
	}
	d->mask = 0xff;
}

static void fill_memory(const struct vga_memory *m, const struct vga_font *font)
{
	const size_t cells = (size_t)VGA_TEXT_COLUMNS * VGA_TEXT_ROWS;

	for (size_t i = 0; i < cells; i++) {
		m->bytes[i * CELL_BYTES] = ' ';
		m->bytes[i * CELL_BYTES + 1] = 0x07;
	}
	for (unsigned i = 0; i < font->count; i++) {
		for (unsigned y = 0; y < VGA_TEXT_POINTS; y++) {
			size_t place = (size_t)(font->first + i) * FONT_HEIGHT + y;

			m->bytes[place * VGA_PLANES + FONT_PLANE] = font->glyphs[i][y];
		}
	}
}

void vga_text_mode(struct vga_state *s, const struct vga_memory *m, const struct vga_font *font)
{
	vga_regs_reset(s);
	s->misc = 0x67;
	memcpy(s->sequencer, sequencer, sizeof(sequencer));
	memcpy(s->crtc, crtc, sizeof(crtc));
	memcpy(s->graphics, graphics, sizeof(graphics));
	memcpy(s->attribute, attribute, sizeof(attribute));
	s->attribute_index = VGA_ATTR_SHOW;
	fill_dac(&s->dac);
	fill_memory(m, font);
}
