/* SPDX-License-Identifier: Apache-2.0 */
/* The screen console's font, which tools/mkfont makes from a console font of the build machine. */
#pragma once

#include <stdint.h>

#define FONT_FIRST 0x20u /* Latin-1 from the blank on */
#define FONT_COUNT 224u
#define FONT_ROWS 16u
#define FONT_WIDTH 8u

/* Rows from top to bottom; the leftmost pixel is bit 7. */
extern const uint8_t font_glyphs[FONT_COUNT][FONT_ROWS];
