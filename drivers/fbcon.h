/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text on the machine's framebuffer. Writing changes a grid of characters in memory only; drawing
 * compares it with what the screen shows and touches the cells that differ, so scrolling never
 * reads the framebuffer and a flood of lines costs no more than the frames that are drawn.
 *
 * Understands CR, LF (which returns, too), BS, TAB and UTF-8 for Latin-1; escape sequences are
 * swallowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/lock.h"

struct fbcon_config {
	uint32_t *pixels; /* mapped framebuffer, 32 bits per pixel, either byte order */
	uint64_t bytes;	  /* of the mapping */
	uint32_t width;	  /* pixels */
	uint32_t height;
	uint32_t stride; /* pixels per scan line */
};

struct fbcon {
	struct spinlock lock; /* covers all below but config, columns and rows */
	struct fbcon_config config;
	bool present;
	bool hidden; /* the pixels are somebody else's for now */
	uint32_t columns;
	uint32_t rows;
	uint8_t *text;	/* rows x columns characters (Latin-1), the first line at row `top` */
	uint8_t *shown; /* the same as the screen has it; 0: unknown */
	uint32_t top;
	uint32_t column; /* of the next character; = columns: wrap first */
	uint32_t row;
	uint32_t draw_row; /* where the next partial drawing goes on */
	bool dirty;	   /* the grid changed since the last complete drawing began */
	uint8_t escape;	   /* state of the escape sequence being swallowed */
	uint8_t utf8_left; /* continuation bytes still to come */
	uint32_t utf8_code;
};

/* Bytes of memory fbcon_init needs for this geometry; 0 when it cannot show text. */
size_t fbcon_memory(const struct fbcon_config *config);
/*
 * `memory` has fbcon_memory(config) bytes, zeroed, and lives as long as the console. False when the
 * geometry is impossible: all other calls are then harmless.
 */
bool fbcon_init(struct fbcon *c, const struct fbcon_config *config, void *memory);

/* Writes into the grid; nothing is drawn. */
void fbcon_write(struct fbcon *c, const char *text, size_t n);
/*
 * Draws up to about `max_cells` cells; for a timer, some 30 ms apart. True when the screen is up to
 * date.
 */
bool fbcon_draw(struct fbcon *c, uint32_t max_cells);
/* Blanks the screen and draws nothing until fbcon_show; what is written is kept. */
void fbcon_hide(struct fbcon *c);
/* Blanks the screen; the next drawings fill it again. */
void fbcon_show(struct fbcon *c);
/* All pixels black. Only while it is hidden. */
void fbcon_blank(struct fbcon *c);
/* For panic: takes no lock, takes the screen back, writes and draws at once. */
void fbcon_emergency_write(struct fbcon *c, const char *text, size_t n);
