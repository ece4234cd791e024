/* SPDX-License-Identifier: Apache-2.0 */
/* Video memory as the guest sees it by itself. */
#include "guests/devices/vga_views.h"

#include "guests/devices/vga_planes.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

/* Of guest time, from one piece that an access to registers clears to the next. */
#define CLEAR_REST_NS 1000000u

static void show(const struct vga *v, enum vga_view view, const struct vga_window *w)
{
	if (v->cfg.show != NULL) {
		v->cfg.show(v->cfg.ctx, view, w->address, w->offset, w->size);
	}
}

/* ---- the framebuffer ---- */

void vga_views_show_framebuffer(const struct vga *v)
{
	const struct pci_bar *b = &v->pci.function.bars[VGA_BAR_MEMORY];
	bool shown = b->mapped && !atomic_load(&v->clearing);
	const struct vga_window w = {.address = b->address, .size = shown ? v->cfg.memory.size : 0};

	show(v, VGA_VIEW_FRAMEBUFFER, &w);
}

static void update_framebuffer(struct vga *v)
{
	bool clearing = vga_clear_pending(&v->clear);

	if (atomic_exchange(&v->clearing, clearing) != clearing) {
		lock_acquire(&v->cfg.host->dev.lock);
		vga_views_show_framebuffer(v);
		lock_release(&v->cfg.host->dev.lock);
	}
}

/* ---- text ---- */

/* Bytes of video memory from one cell to the next: odd/even uses every second place. */
#define CELL_STRIDE ((size_t)2 * VGA_PLANES)
#define CELLS (VGA_TEXT_BYTES / 2)

static void gather(struct vga *v)
{
	for (unsigned i = 0; i < CELLS; i++) {
		memcpy(v->cfg.text + (size_t)2 * i, v->cfg.memory.bytes + i * CELL_STRIDE, 2);
	}
}

static bool text_is_shown(const struct vga *v)
{
	return v->window.size != 0 && v->window.offset == v->cfg.memory.size;
}

void vga_views_sync(struct vga *v)
{
	for (unsigned i = 0; i < CELLS && text_is_shown(v); i++) {
		memcpy(v->cfg.memory.bytes + i * CELL_STRIDE, v->cfg.text + (size_t)2 * i, 2);
	}
}

/* ---- the window ---- */

/* What it may show now; size 0: nothing. */
static struct vga_window wanted_window(struct vga *v)
{
	struct vga_window w = {.address = 0};
	uint32_t at;

	if (vga_clear_pending(&v->clear)) {
		return w;
	}
	if (vga_window_linear(&v->state, &v->cfg.memory, &at)) {
		return (struct vga_window){LAYOUT_VIDEO_BASE, at, VGA_WINDOW_BANK};
	}
	if (!vga_window_text(&v->state, &at)) {
		v->text_bytes = 0;
	} else if (v->cfg.text != NULL && v->text_bytes >= VGA_TEXT_PATIENCE) {
		w = (struct vga_window){LAYOUT_VIDEO_BASE + at, v->cfg.memory.size, VGA_TEXT_BYTES};
	}
	return w;
}

/* The text goes to the planes when no vCPU writes it any more; to be shown again it waits again. */
static void take_text_back(struct vga *v)
{
	const struct vga_window none = {.address = 0};

	show(v, VGA_VIEW_WINDOW, &none);
	vga_views_sync(v);
	v->window = none;
	v->text_bytes = 0;
}

static bool same_window(const struct vga_window *a, const struct vga_window *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void update_window(struct vga *v)
{
	struct vga_window w = wanted_window(v);

	if (text_is_shown(v) && !same_window(&w, &v->window)) {
		take_text_back(v);
		w = wanted_window(v);
	}
	if (same_window(&w, &v->window)) {
		return;
	}
	v->window = w;
	if (text_is_shown(v)) {
		gather(v);
	}
	show(v, VGA_VIEW_WINDOW, &w);
}

static void update(struct vga *v)
{
	update_framebuffer(v);
	update_window(v);
}

/*
 * Registers that are written by a string instruction, hundreds of times in one exit, could begin a
 * mode again and again: not each of them clears.
 */
void vga_views_update(struct vga *v)
{
	if (vga_clear_pending(&v->clear) && vtime_now_ns(v->cfg.time) >= v->clear_next) {
		vga_clear_some(&v->clear, &v->cfg.memory);
		v->clear_next = vtime_now_ns(v->cfg.time) + CLEAR_REST_NS;
	}
	update(v);
}

void vga_views_begin(struct vga *v, uint32_t bytes)
{
	uint32_t at;

	/* Text that was shown until now is cleared with the rest. */
	if (text_is_shown(v) && !vga_window_text(&v->state, &at)) {
		take_text_back(v);
	}
	vga_clear_begin(&v->clear, &v->cfg.memory, bytes);
}

/* ---- emulated accesses ---- */

void vga_views_settle(struct vga *v, uint32_t at, uint32_t bytes)
{
	if (vga_clear_pending(&v->clear)) {
		vga_clear_range(&v->clear, &v->cfg.memory, at, bytes);
		vga_clear_some(&v->clear, &v->cfg.memory);
		update(v);
	}
}

/* All that the window reaches at present. */
static void settle_window(struct vga *v)
{
	uint32_t bank = v->state.dispi[VGA_DISPI_BANK] * VGA_WINDOW_BANK;

	if (vga_dispi_packed(&v->state)) {
		vga_views_settle(v, bank, VGA_WINDOW_BANK);
	} else {
		vga_views_settle(v, bank * VGA_PLANES & (v->cfg.memory.size - 1),
				 VGA_WINDOW_BANK * VGA_PLANES);
	}
}

uint8_t *vga_views_window(struct vga *v, uint32_t offset)
{
	uint32_t at;

	settle_window(v);
	if (!text_is_shown(v) && vga_window_text(&v->state, &at) && offset - at < VGA_TEXT_BYTES) {
		v->text_bytes++;
		update_window(v);
	}
	at = (uint32_t)(v->window.address - LAYOUT_VIDEO_BASE);
	return text_is_shown(v) && offset - at < VGA_TEXT_BYTES ? v->cfg.text + (offset - at)
								: NULL;
}

/* ---- saved state ---- */

void vga_views_complete(struct vga *v)
{
	vga_views_settle(v, 0, v->cfg.memory.size);
	vga_views_sync(v);
}

void vga_views_restart(struct vga *v)
{
	if (text_is_shown(v)) {
		v->window = (struct vga_window){.address = 0};
		show(v, VGA_VIEW_WINDOW, &v->window);
	}
	v->text_bytes = 0;
	v->clear = (struct vga_clear){.count = 0};
	v->clear_next = 0;
	vga_views_update(v);
}
