/* SPDX-License-Identifier: Apache-2.0 */
/* Text on the machine's framebuffer. */
#include "drivers/fbcon.h"

#include "drivers/font.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

/* Equal parts of each colour, so that RGBX and BGRX are the same. */
#define FOREGROUND 0x00c0c0c0u
#define BACKGROUND 0x00000000u
#define TAB_WIDTH 8u
#define SIDE_MAX 16384u
#define REPLACEMENT '?'

enum escape_state { ESC_NONE, ESC_START, ESC_CSI, ESC_STRING, ESC_STRING_END, ESC_ONE_MORE };

#define CHAR_BEL 0x07
#define CHAR_ESC 0x1b

static uint32_t columns_of(const struct fbcon_config *g)
{
	return g->width / FONT_WIDTH;
}

static uint32_t rows_of(const struct fbcon_config *g)
{
	return g->height / FONT_ROWS;
}

size_t fbcon_memory(const struct fbcon_config *g)
{
	uint64_t needed;

	if (g->pixels == NULL || g->width < FONT_WIDTH || g->height < FONT_ROWS ||
	    g->width > SIDE_MAX || g->height > SIDE_MAX || g->stride < g->width ||
	    g->stride > 2 * SIDE_MAX) {
		return 0;
	}
	needed = ((uint64_t)g->stride * (g->height - 1) + g->width) * sizeof(uint32_t);
	return needed <= g->bytes ? (size_t)columns_of(g) * rows_of(g) * 2 : 0;
}

static uint8_t *text_row(const struct fbcon *c, uint32_t row)
{
	return c->text + (size_t)((c->top + row) % c->rows) * c->columns;
}

bool fbcon_init(struct fbcon *c, const struct fbcon_config *config, void *memory)
{
	size_t bytes = fbcon_memory(config);

	*c = (struct fbcon){.config = *config};
	if (bytes == 0 || memory == NULL) {
		return false;
	}
	c->columns = columns_of(config);
	c->rows = rows_of(config);
	c->text = memory;
	c->shown = c->text + bytes / 2;
	memset(c->text, ' ', bytes / 2);
	memset(c->shown, 0, bytes / 2);
	c->dirty = true;
	c->present = true;
	return true;
}

static void line_feed(struct fbcon *c)
{
	if (c->row + 1 < c->rows) {
		c->row++;
		return;
	}
	c->top = (c->top + 1) % c->rows;
	memset(text_row(c, c->row), ' ', c->columns);
}

static void put(struct fbcon *c, uint32_t code)
{
	bool drawable = code >= FONT_FIRST && code < FONT_FIRST + FONT_COUNT &&
			!(code >= 0x7f && code < 0xa0);

	if (c->column == c->columns) {
		c->column = 0;
		line_feed(c);
	}
	text_row(c, c->row)[c->column++] = (uint8_t)(drawable ? code : REPLACEMENT);
}

static void tab(struct fbcon *c)
{
	uint32_t target = (c->column / TAB_WIDTH + 1) * TAB_WIDTH;

	c->column = target < c->columns ? target : c->columns - 1;
}

static void control(struct fbcon *c, uint8_t byte)
{
	switch (byte) {
	case '\r':
		c->column = 0;
		break;
	case '\n':
		c->column = 0;
		line_feed(c);
		break;
	case '\b':
		c->column -= c->column != 0;
		break;
	case '\t':
		tab(c);
		break;
	case CHAR_ESC:
		c->escape = ESC_START;
		break;
	default:
		break;
	}
}

static enum escape_state escape_start(uint8_t byte)
{
	switch (byte) {
	case '[':
		return ESC_CSI;
	case ']':
	case 'P':
	case '^':
	case '_':
		return ESC_STRING;
	case '(':
	case ')':
	case '#':
	case '%':
		return ESC_ONE_MORE;
	default:
		return ESC_NONE;
	}
}

/* ECMA-48 "Control functions": a CSI sequence ends in 0x40..0x7e, a string in BEL or ESC \. */
static void swallow(struct fbcon *c, uint8_t byte)
{
	switch ((enum escape_state)c->escape) {
	case ESC_START:
		c->escape = (uint8_t)escape_start(byte);
		break;
	case ESC_CSI:
		c->escape = byte >= 0x40 && byte <= 0x7e ? ESC_NONE : ESC_CSI;
		break;
	case ESC_STRING:
		c->escape = byte == CHAR_BEL   ? ESC_NONE
			    : byte == CHAR_ESC ? ESC_STRING_END
					       : ESC_STRING;
		break;
	case ESC_STRING_END:
	case ESC_ONE_MORE:
	case ESC_NONE:
		c->escape = ESC_NONE;
		break;
	}
}

/* Sequences of three and four bytes are beyond Latin-1: one replacement for each. */
static void utf8(struct fbcon *c, uint8_t byte)
{
	if (c->utf8_left != 0 && (byte & 0xc0) == 0x80) {
		c->utf8_code = c->utf8_code << 6 | (byte & 0x3fu);
		if (--c->utf8_left == 0) {
			put(c, c->utf8_code);
		}
	} else if (byte >= 0xc2 && byte < 0xf5) {
		c->utf8_left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
		c->utf8_code = byte < 0xe0 ? byte & 0x1fu : byte < 0xf0 ? byte & 0xfu : byte & 0x7u;
	} else {
		c->utf8_left = 0;
		put(c, REPLACEMENT);
	}
}

static void feed(struct fbcon *c, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)text[i];

		if (c->escape != ESC_NONE) {
			swallow(c, byte);
		} else if (byte >= 0x80) {
			utf8(c, byte);
		} else {
			c->utf8_left = 0;
			if (byte < ' ') {
				control(c, byte);
			} else if (byte != 0x7f) {
				put(c, byte);
			}
		}
	}
	c->dirty = true;
}

/* Four pixels by the bits of a glyph, the leftmost in the highest. */
#define PIXEL(bits, n) (((bits) >> (n)&1) != 0 ? FOREGROUND : BACKGROUND)
#define PIXELS(bits) \
	{ \
		PIXEL(bits, 3), PIXEL(bits, 2), PIXEL(bits, 1), PIXEL(bits, 0) \
	}
#define FOUR_PIXELS 4u
_Static_assert(FONT_WIDTH == 2 * FOUR_PIXELS, "a glyph's line is a byte");
static const uint32_t pixels[1u << FOUR_PIXELS][FOUR_PIXELS] = {
	PIXELS(0),  PIXELS(1),	PIXELS(2),  PIXELS(3),	PIXELS(4),  PIXELS(5),
	PIXELS(6),  PIXELS(7),	PIXELS(8),  PIXELS(9),	PIXELS(10), PIXELS(11),
	PIXELS(12), PIXELS(13), PIXELS(14), PIXELS(15),
};

/*
 * Only the lines that differ from `shown`, what the cell shows, or 0 if that is not known: this is
 * most of what a scrolling screen costs, and much of it is white space above and below letters.
 */
static void draw_cell(const struct fbcon *c, uint32_t row, uint32_t column, uint8_t shown,
		      uint8_t code)
{
	const uint8_t *glyph = font_glyphs[code - FONT_FIRST];
	const uint8_t *old = shown != 0 ? font_glyphs[shown - FONT_FIRST] : NULL;
	uint32_t *line = c->config.pixels + (size_t)row * FONT_ROWS * c->config.stride +
			 (size_t)column * FONT_WIDTH;

	for (unsigned y = 0; y < FONT_ROWS; y++, line += c->config.stride) {
		if (old != NULL && old[y] == glyph[y]) {
			continue;
		}
		__builtin_memcpy(line, pixels[glyph[y] >> FOUR_PIXELS], sizeof(pixels[0]));
		__builtin_memcpy(line + FOUR_PIXELS, pixels[glyph[y] % ARRAY_SIZE(pixels)],
				 sizeof(pixels[0]));
	}
}

static uint32_t draw_row(struct fbcon *c, uint32_t row)
{
	const uint8_t *want = text_row(c, row);
	uint8_t *have = c->shown + (size_t)row * c->columns;
	uint32_t drawn = 0;

	for (uint32_t column = 0; column < c->columns; column++) {
		if (want[column] != have[column]) {
			draw_cell(c, row, column, have[column], want[column]);
			have[column] = want[column];
			drawn++;
		}
	}
	return drawn;
}

/* Whole rows, going round, so that a limit does not starve the lower part of the screen. */
static bool draw(struct fbcon *c, uint32_t max_cells)
{
	uint32_t drawn = 0;

	if (c->hidden) {
		return true;
	}
	if (c->draw_row == 0) {
		if (!c->dirty) {
			return true;
		}
		c->dirty = false;
	}
	while (c->draw_row < c->rows) {
		if (drawn >= max_cells) {
			return false;
		}
		drawn += draw_row(c, c->draw_row++);
	}
	c->draw_row = 0;
	return !c->dirty;
}

void fbcon_write(struct fbcon *c, const char *text, size_t n)
{
	if (!c->present) {
		return;
	}
	lock_acquire(&c->lock);
	feed(c, text, n);
	lock_release(&c->lock);
}

bool fbcon_draw(struct fbcon *c, uint32_t max_cells)
{
	bool done;

	if (!c->present) {
		return true;
	}
	lock_acquire(&c->lock);
	done = draw(c, max_cells);
	lock_release(&c->lock);
	return done;
}

static void blank(const struct fbcon *c)
{
	for (uint32_t y = 0; y < c->config.height; y++) {
		memset(c->config.pixels + (size_t)y * c->config.stride, 0,
		       c->config.width * sizeof(uint32_t));
	}
}

/* Nothing is known of what the screen shows. */
static void take_back(struct fbcon *c)
{
	c->hidden = false;
	blank(c);
	memset(c->shown, 0, (size_t)c->rows * c->columns);
	c->draw_row = 0;
	c->dirty = true;
}

void fbcon_hide(struct fbcon *c)
{
	if (c->present) {
		lock_acquire(&c->lock);
		c->hidden = true;
		blank(c);
		lock_release(&c->lock);
	}
}

void fbcon_show(struct fbcon *c)
{
	if (c->present) {
		lock_acquire(&c->lock);
		take_back(c);
		lock_release(&c->lock);
	}
}

void fbcon_blank(struct fbcon *c)
{
	if (c->present) {
		blank(c);
	}
}

void fbcon_emergency_write(struct fbcon *c, const char *text, size_t n)
{
	if (c->present) {
		if (c->hidden) {
			take_back(c);
		}
		feed(c, text, n);
		c->draw_row = 0;
		(void)draw(c, UINT32_MAX);
	}
}
