/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing a guest's picture. */
#include "hv/picture.h"

#include "guests/devices/vga.h"
#include "hv/api/clock.h"
#include "hv/guest.h"

/* As a VGA at 60 pictures a second: 16 of them, and 32. */
#define CURSOR_PHASE_MS 267u
#define TEXT_PHASE_MS 533u

bool picture_begin(struct guest *g, struct picture *out)
{
	uint64_t ms = clock_ticks_to_ns(clock_now()) / 1000000;

	if (g->vga == NULL) {
		return false;
	}
	space_switch(&g->vm.gspace.host);
	vga_copy_state(g->vga, &out->state);
	space_switch(space_core());
	vga_mode_of(&out->state, &out->mode);
	out->blink = (ms / CURSOR_PHASE_MS % 2 != 0 ? VGA_BLINK_CURSOR : 0) |
		     (ms / TEXT_PHASE_MS % 2 != 0 ? VGA_BLINK_TEXT : 0);
	return true;
}

void picture_rows(struct guest *g, const struct picture *p, uint32_t first, uint32_t count,
		  void (*row)(void *ctx, uint32_t y, const uint32_t *pixels), void *ctx)
{
	static uint32_t line[VGA_WIDTH_MAX]; /* only who has the baton draws */
	uint32_t end = (uint32_t)min_u64((uint64_t)first + count, p->mode.height);

	space_switch(&g->vm.gspace.host);
	for (uint32_t y = first; y < end; y++) {
		vga_row(&p->state, &g->vga->cfg.memory, &p->mode, y, p->blink, line);
		row(ctx, y, line);
	}
	space_switch(space_core());
}
