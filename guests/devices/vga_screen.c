/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawing the VGA's picture. Sources: IBM VGA XGA Technical Reference Manual, "CRT Controller
 * Registers", "Attribute Controller Registers", "Alphanumeric Modes", "Graphics Modes", "Video
 * Memory Organization"; for packed modes the VBE DISPI interface.
 *
 *	scan line -> counter of the row -> address in the planes -> four bytes -> colour numbers
 *	     -> palette of the attribute controller -> DAC -> pixel
 */
#include "guests/devices/vga_screen.h"

#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/str.h"

#define PLANE_MASK 0xffffu
#define FONT_HEIGHT 32u /* bytes of a character in plane 2 */

/* ---- which mode ---- */

/* Scan lines of one row of characters, or one row of pixels. */
static uint32_t row_lines(const struct vga_state *s)
{
	return (s->crtc[VGA_CRTC_MAX_SCAN] & 0x1fu) + 1;
}

static bool scans_twice(const struct vga_state *s)
{
	return (s->crtc[VGA_CRTC_MAX_SCAN] & VGA_SCAN_DOUBLE) != 0;
}

/* Whether the scan line within a row is a part of the address, so that all of them differ. */
static bool rows_interleave(const struct vga_state *s)
{
	uint8_t both = VGA_CRTC_MODE_ROW_0 | VGA_CRTC_MODE_ROW_1;

	return (s->crtc[VGA_CRTC_MODE] & both) != both;
}

static uint32_t shown_lines(const struct vga_state *s)
{
	uint32_t overflow = s->crtc[VGA_CRTC_OVERFLOW];

	return (s->crtc[VGA_CRTC_VERTICAL_END] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) +
	       1;
}

static enum vga_picture picture_of(const struct vga_state *s)
{
	if ((s->attribute_index & VGA_ATTR_SHOW) == 0) {
		return VGA_PICTURE_BLANK;
	}
	if (vga_dispi_on(s)) {
		return vga_dispi_packed(s) ? VGA_PICTURE_DISPI_PACKED : VGA_PICTURE_DISPI_PLANES;
	}
	if ((s->sequencer[VGA_SEQ_RESET] & VGA_RESET_RUN) != VGA_RESET_RUN ||
	    (s->sequencer[VGA_SEQ_CLOCKING] & VGA_CLOCKING_SCREEN_OFF) != 0) {
		return VGA_PICTURE_BLANK;
	}
	if ((s->graphics[VGA_GC_MISC] & VGA_MISC_GRAPHICS) == 0) {
		return VGA_PICTURE_TEXT;
	}
	if ((s->graphics[VGA_GC_MODE] & VGA_MODE_SHIFT_256) != 0) {
		return VGA_PICTURE_BYTES;
	}
	return (s->graphics[VGA_GC_MODE] & VGA_MODE_SHIFT_4) != 0 ? VGA_PICTURE_PAIRS
								  : VGA_PICTURE_PLANES;
}

void vga_mode_of(const struct vga_state *s, struct vga_mode *out)
{
	uint32_t characters = s->crtc[VGA_CRTC_DISPLAY_END] + 1u;
	bool text = (s->graphics[VGA_GC_MISC] & VGA_MISC_GRAPHICS) == 0;
	bool bytes = (s->graphics[VGA_GC_MODE] & VGA_MODE_SHIFT_256) != 0;

	*out = (struct vga_mode){.picture = picture_of(s), .lines_per_row = 1, .dots = 8};
	if (vga_dispi_on(s)) {
		out->width = s->dispi[VGA_DISPI_XRES];
		out->height = s->dispi[VGA_DISPI_YRES];
		return;
	}
	if (text && (s->sequencer[VGA_SEQ_CLOCKING] & VGA_CLOCKING_8_DOTS) == 0) {
		out->dots = 9;
	}
	out->lines_per_row = scans_twice(s) ? 2 : 1;
	if (!text && !rows_interleave(s)) {
		out->lines_per_row *= row_lines(s);
	}
	out->width = characters * (!text && bytes ? 4 : out->dots);
	out->height = (shown_lines(s) + out->lines_per_row - 1) / out->lines_per_row;
}

/* ---- colours ---- */

static uint32_t dac_colour(const struct vga_state *s, uint8_t index)
{
	const uint8_t *c = &s->dac.colour[(size_t)(index & s->dac.mask) * 3];
	bool wide = (s->dispi[VGA_DISPI_ENABLE] & VGA_DISPI_8BIT_DAC) != 0;
	uint32_t rgb = 0;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t value = c[i];

		rgb = rgb << 8 | (wide ? value : (value << 2 | value >> 4) & 0xff);
	}
	return rgb;
}

/* Of a number of four bits, through the attribute controller. */
static uint32_t palette_colour(const struct vga_state *s, unsigned number)
{
	const uint8_t *a = s->attribute;
	uint8_t colour = a[number & a[VGA_ATTR_PLANES] & 0xfu];

	if ((a[VGA_ATTR_MODE] & VGA_ATTR_MODE_SELECT) != 0) {
		colour = (uint8_t)((colour & 0x0fu) | (a[VGA_ATTR_COLOUR_SELECT] & 3u) << 4);
	}
	colour |= (uint8_t)((a[VGA_ATTR_COLOUR_SELECT] & 0xcu) << 4);
	return dac_colour(s, colour);
}

/* All sixteen, for a row. */
static void fill_palette(const struct vga_state *s, uint32_t palette[16])
{
	for (unsigned i = 0; i < 16; i++) {
		palette[i] = palette_colour(s, i);
	}
}

/* ---- where a row of the CRTC's modes comes from ---- */

/* One row: the counter of its first character, its scan line within the row, pixels to skip. */
struct row {
	uint32_t counter;
	uint32_t scan;
	uint32_t pan;
	bool split; /* below the line compare */
};

static uint32_t line_compare(const struct vga_state *s)
{
	return s->crtc[VGA_CRTC_LINE_COMPARE] | (s->crtc[VGA_CRTC_OVERFLOW] & 0x10u) << 4 |
	       (s->crtc[VGA_CRTC_MAX_SCAN] & 0x40u) << 3;
}

/* Pixels that the row is moved to the left by, as the mode counts them. */
static uint32_t pan_pixels(const struct vga_state *s, const struct vga_mode *mode)
{
	uint32_t pan = s->attribute[VGA_ATTR_PAN];

	if (mode->dots == 9) {
		return pan < 8 ? pan + 1 : 0;
	}
	return mode->picture == VGA_PICTURE_BYTES ? (pan & 7) / 2 : pan & 7;
}

static struct row row_of(const struct vga_state *s, const struct vga_mode *mode, uint32_t y)
{
	uint32_t line = y * mode->lines_per_row;
	uint32_t compare = line_compare(s);
	struct row r = {.split = line > compare};

	if (r.split) {
		line -= compare + 1;
	} else {
		r.counter =
			(uint32_t)s->crtc[VGA_CRTC_START_HIGH] << 8 | s->crtc[VGA_CRTC_START_LOW];
		r.counter += (s->crtc[VGA_CRTC_PRESET_ROW] & 0x60u) >> 5;
	}
	line = scans_twice(s) ? line / 2 : line;
	line += r.split ? 0 : s->crtc[VGA_CRTC_PRESET_ROW] & 0x1fu;
	r.scan = line % row_lines(s);
	r.counter += line / row_lines(s) * (s->crtc[VGA_CRTC_OFFSET] * 2u);
	if (!r.split || (s->attribute[VGA_ATTR_MODE] & VGA_ATTR_MODE_SPLIT_PAN) == 0) {
		r.pan = pan_pixels(s, mode);
	}
	return r;
}

/* From a character's number in the row to the place in the planes (CRTC mode control register). */
static uint32_t plane_address(const struct vga_state *s, const struct row *r, uint32_t character)
{
	uint8_t mode = s->crtc[VGA_CRTC_MODE];
	uint32_t c = r->counter + ((mode & VGA_CRTC_MODE_COUNT_2) != 0 ? character / 2 : character);

	c &= PLANE_MASK;
	if ((s->crtc[VGA_CRTC_UNDERLINE] & VGA_UNDERLINE_DWORD) != 0) {
		/* Four addresses a place, as chain 4 counts them (vga_planes.c). */
		bool chained = (s->sequencer[VGA_SEQ_MEMORY_MODE] & VGA_MEMORY_CHAIN_4) != 0;

		c = chained ? c : c << 2 | c >> 14;
	} else if ((mode & VGA_CRTC_MODE_BYTE) == 0) {
		c = c << 1 | (c >> ((mode & VGA_CRTC_MODE_WRAP_15) != 0 ? 15 : 13) & 1);
	}
	if ((mode & VGA_CRTC_MODE_ROW_0) == 0) {
		c = (uint32_t)bits_set(c, BIT32(13), r->scan & 1);
	}
	if ((mode & VGA_CRTC_MODE_ROW_1) == 0) {
		c = (uint32_t)bits_set(c, BIT32(14), r->scan >> 1 & 1);
	}
	return c & PLANE_MASK;
}

/* The bytes of all planes there. */
static uint32_t fetch(const struct vga_memory *m, uint32_t address)
{
	uint32_t planes;

	memcpy(&planes, m->bytes + (size_t)address * VGA_PLANES, sizeof(planes));
	return planes;
}

/* ---- rows of the CRTC's modes ---- */

/* A row being drawn: the place of the next pixel, which may lie left or right of the picture. */
struct pen {
	uint32_t *pixels;
	uint32_t width;
	uint32_t x; /* wraps below 0 while the pixels that panning hides go by */
};

static void dot(struct pen *p, uint32_t colour)
{
	if (p->x < p->width) {
		p->pixels[p->x] = colour;
	}
	p->x++;
}

/* Bit `bit` of each plane as a number. */
static unsigned planes_pixel(uint32_t planes, unsigned bit)
{
	planes >>= bit;
	return (planes & 1) | (planes >> 7 & 2) | (planes >> 14 & 4) | (planes >> 21 & 8);
}

static void draw_planes(struct pen *p, const uint32_t palette[16], uint32_t planes)
{
	for (unsigned bit = 8; bit-- > 0;) {
		dot(p, palette[planes_pixel(planes, bit)]);
	}
}

/* Two bits of plane 0, and of 2 above them, for four pixels; then of 1 and 3. */
static void draw_pairs(struct pen *p, const uint32_t palette[16], uint32_t planes)
{
	for (unsigned half = 0; half < 2; half++) {
		for (unsigned shift = 8; shift > 0; shift -= 2) {
			unsigned low = planes >> (half * 8 + shift - 2) & 3;
			unsigned high = planes >> (half * 8 + 16 + shift - 2) & 3;

			dot(p, palette[high << 2 | low]);
		}
	}
}

static void draw_bytes(struct pen *p, const struct vga_state *s, uint32_t planes)
{
	for (unsigned plane = 0; plane < VGA_PLANES; plane++) {
		dot(p, dac_colour(s, (uint8_t)(planes >> plane * 8)));
	}
}

static void graphics_row(const struct vga_state *s, const struct vga_memory *m,
			 const struct vga_mode *mode, const struct row *r, struct pen *p)
{
	uint32_t palette[16];

	fill_palette(s, palette);
	for (uint32_t i = 0; p->x < p->width || p->x > UINT32_MAX - 16; i++) {
		uint32_t planes = fetch(m, plane_address(s, r, i));

		if (mode->picture == VGA_PICTURE_BYTES) {
			draw_bytes(p, s, planes);
		} else if (mode->picture == VGA_PICTURE_PAIRS) {
			draw_pairs(p, palette, planes);
		} else {
			draw_planes(p, palette, planes);
		}
	}
}

/* ---- text ---- */

/* Where in plane 2 the font begins that attribute bit 3 chooses. */
static uint32_t font_at(const struct vga_state *s, bool a)
{
	unsigned map = s->sequencer[VGA_SEQ_CHARACTER_MAP];
	unsigned select = a ? (map >> 2 & 3) | (map >> 3 & 4) : (map & 3) | (map >> 2 & 4);

	return (select & 3) * 0x4000u + (select >> 2) * 0x2000u;
}

static bool cursor_here(const struct vga_state *s, uint32_t counter, uint32_t scan)
{
	uint32_t at = (uint32_t)s->crtc[VGA_CRTC_CURSOR_HIGH] << 8 | s->crtc[VGA_CRTC_CURSOR_LOW];

	return (counter & PLANE_MASK) == at &&
	       (s->crtc[VGA_CRTC_CURSOR_START] & VGA_CURSOR_OFF) == 0 &&
	       scan >= (s->crtc[VGA_CRTC_CURSOR_START] & 0x1fu) &&
	       scan <= (s->crtc[VGA_CRTC_CURSOR_END] & 0x1fu);
}

struct cell {
	uint8_t character;
	uint8_t attribute;
	uint8_t glyph; /* the scan line's dots */
	bool solid;    /* all dots are set: cursor, underline */
};

static struct cell cell_of(const struct vga_state *s, const struct vga_memory *m,
			   const struct row *r, uint32_t i, unsigned blink)
{
	uint32_t planes = fetch(m, plane_address(s, r, i));
	struct cell c = {.character = (uint8_t)planes, .attribute = (uint8_t)(planes >> 8)};
	uint32_t glyph = font_at(s, (c.attribute & 0x08) != 0) + c.character * FONT_HEIGHT;
	bool underlined = (c.attribute & 0x77) == 0x01 &&
			  (s->attribute[VGA_ATTR_MODE] & VGA_ATTR_MODE_MONO) != 0 &&
			  (s->crtc[VGA_CRTC_UNDERLINE] & 0x1fu) == r->scan;

	c.glyph = (uint8_t)(fetch(m, glyph + r->scan) >> 16);
	c.solid = underlined ||
		  ((blink & VGA_BLINK_CURSOR) != 0 && cursor_here(s, r->counter + i, r->scan));
	return c;
}

static void draw_cell(const struct vga_state *s, const struct cell *c, unsigned blink,
		      const uint32_t palette[16], uint32_t dots, struct pen *p)
{
	uint8_t mode = s->attribute[VGA_ATTR_MODE];
	bool blinks = (mode & VGA_ATTR_MODE_BLINK) != 0;
	uint32_t back = palette[c->attribute >> 4 & (blinks ? 7 : 15)];
	uint32_t front = palette[c->attribute & 15];
	/* Line drawings go on into the ninth column. */
	bool ninth = (mode & VGA_ATTR_MODE_LINE_GRAPHICS) != 0 && c->character >= 0xc0 &&
		     c->character <= 0xdf && (c->glyph & 1) != 0;

	if (c->solid) {
		back = front;
	} else if (blinks && (c->attribute & 0x80) != 0 && (blink & VGA_BLINK_TEXT) == 0) {
		front = back;
	}
	for (unsigned bit = 8; bit-- > 0;) {
		dot(p, (c->glyph >> bit & 1) != 0 ? front : back);
	}
	if (dots == 9) {
		dot(p, ninth ? front : back);
	}
}

static void text_row(const struct vga_state *s, const struct vga_memory *m,
		     const struct vga_mode *mode, const struct row *r, unsigned blink,
		     struct pen *p)
{
	uint32_t palette[16];

	fill_palette(s, palette);
	for (uint32_t i = 0; p->x < p->width || p->x > UINT32_MAX - 16; i++) {
		struct cell c = cell_of(s, m, r, i, blink);

		draw_cell(s, &c, blink, palette, mode->dots, p);
	}
}

/* ---- rows of DISPI modes ---- */

static uint32_t get16(const uint8_t *p, bool big)
{
	return big ? get_be16(p) : get_le16(p);
}

static uint32_t get32(const uint8_t *p, bool big)
{
	return big ? get_be32(p) : get_le32(p);
}

/* Each colour of a 15-bit or 16-bit pixel widened so that all ones is white. */
static uint32_t widen(uint32_t value, unsigned bits)
{
	value &= BIT32(bits) - 1;
	return value << (8 - bits) | value >> (2 * bits - 8);
}

static uint32_t packed_pixel(const struct vga_state *s, const uint8_t *p)
{
	uint32_t v;

	switch (s->dispi[VGA_DISPI_BPP]) {
	case 8:
		return dac_colour(s, *p);
	case 15:
		v = get16(p, s->big_endian);
		return widen(v >> 10, 5) << 16 | widen(v >> 5, 5) << 8 | widen(v, 5);
	case 16:
		v = get16(p, s->big_endian);
		return widen(v >> 11, 5) << 16 | widen(v >> 5, 6) << 8 | widen(v, 5);
	case 24:
		return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
	default:
		return get32(p, s->big_endian) & 0xffffff;
	}
}

static uint64_t dispi_start(const struct vga_state *s, uint32_t y)
{
	return (uint64_t)(s->dispi[VGA_DISPI_Y_OFFSET] + y) * vga_dispi_line_bytes(s) +
	       s->dispi[VGA_DISPI_X_OFFSET] * vga_dispi_pixel_bits(s) / 8;
}

static void dispi_packed_row(const struct vga_state *s, const struct vga_memory *m, uint32_t y,
			     uint32_t width, uint32_t *pixels)
{
	uint64_t start = dispi_start(s, y);
	unsigned bytes = vga_dispi_pixel_bits(s) / 8;

	if (!range_fits(start, (uint64_t)width * bytes, m->size)) {
		memset(pixels, 0, width * sizeof(*pixels));
		return;
	}
	if (s->dispi[VGA_DISPI_BPP] == 32 && !s->big_endian) {
		/* Most pictures are these, and nearly all of them are what memory holds. */
		memcpy(pixels, m->bytes + start, width * sizeof(*pixels));
		for (uint32_t x = 0; x < width; x++) {
			pixels[x] &= 0xffffffu;
		}
		return;
	}
	for (uint32_t x = 0; x < width; x++) {
		pixels[x] = packed_pixel(s, m->bytes + start + (uint64_t)x * bytes);
	}
}

/* Eight pixels are four bytes, one in each plane. */
static void dispi_planes_row(const struct vga_state *s, const struct vga_memory *m, uint32_t y,
			     struct pen *p)
{
	uint32_t palette[16];
	uint64_t start = align_down(dispi_start(s, y), VGA_PLANES);

	fill_palette(s, palette);
	p->x -= s->dispi[VGA_DISPI_X_OFFSET] % 8u;
	for (; p->x < p->width || p->x > UINT32_MAX - 16; start += VGA_PLANES) {
		draw_planes(p, palette, fetch(m, (uint32_t)(start & (m->size - 1)) / VGA_PLANES));
	}
}

void vga_row(const struct vga_state *s, const struct vga_memory *m, const struct vga_mode *mode,
	     uint32_t y, unsigned blink, uint32_t *pixels)
{
	struct row r = row_of(s, mode, y);
	struct pen pen = {.pixels = pixels, .width = mode->width, .x = 0 - r.pan};

	switch (mode->picture) {
	case VGA_PICTURE_BLANK:
		memset(pixels, 0, mode->width * sizeof(*pixels));
		break;
	case VGA_PICTURE_TEXT:
		text_row(s, m, mode, &r, blink, &pen);
		break;
	case VGA_PICTURE_PLANES:
	case VGA_PICTURE_PAIRS:
	case VGA_PICTURE_BYTES:
		graphics_row(s, m, mode, &r, &pen);
		break;
	case VGA_PICTURE_DISPI_PLANES:
		pen.x = 0;
		dispi_planes_row(s, m, y, &pen);
		break;
	case VGA_PICTURE_DISPI_PACKED:
		dispi_packed_row(s, m, y, mode->width, pixels);
		break;
	}
}
