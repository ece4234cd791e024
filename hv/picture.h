/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's picture, drawn row by row in pieces that nobody waits for: registers as they were when
 * it began, video memory as it is. With the baton.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/vga_screen.h"

struct guest;

struct picture {
	struct vga_state state;
	struct vga_mode mode;
	unsigned blink; /* VGA_BLINK_* */
};

/* Whether the guest has a picture now; then *out is how to draw it. Phases of what blinks follow
 * the clock. */
bool picture_begin(struct guest *g, struct picture *out);
/*
 * Draws rows from `first` on, at most `count` and no more than exist, and hands each to `row`. The
 * guest has a picture still.
 */
void picture_rows(struct guest *g, const struct picture *p, uint32_t first, uint32_t count,
		  void (*row)(void *ctx, uint32_t y, const uint32_t *pixels), void *ctx);
