/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest sees of video memory by itself: the framebuffer's BAR, and the legacy window while
 * the registers make plain memory of it.
 *
 *	mode			 the window shows		     from when on
 *	chain 4, packed banks	 video memory itself		     at once
 *	text (odd/even)		 a buffer with the text, 32 KiB,     accesses to VGA_TEXT_PATIENCE
 *				 as planes have it in other places   bytes
 *	others			 nothing: each access is emulated
 *
 * While the buffer is shown it holds what belongs into planes 0 and 1. It is spread there when a
 * register makes something else of the window, before a picture is drawn and before it is saved;
 * the framebuffer's BAR has it then, too.
 *
 * The device's lock is held unless said otherwise; it goes before the PCI host's.
 */
#pragma once

#include "guests/devices/vga.h"

/*
 * Bytes whose accesses are emulated in text mode before the buffer is filled and shown, 64 cells:
 * so that a program which leaves the mode again and again does not pay for loops over all of it.
 */
#define VGA_TEXT_PATIENCE 128u

/* After a change of registers: most change nothing here. */
void vga_views_update(struct vga *v);
/* After the DISPI registers have changed, of whose picture `bytes` are to be cleared. */
void vga_views_begin(struct vga *v, uint32_t bytes);
/* The BAR has changed, or may be seen again. The host's lock is held, the device's need not be. */
void vga_views_show_framebuffer(const struct vga *v);
/* Before an emulated access to `bytes` of video memory at `at`. */
void vga_views_settle(struct vga *v, uint32_t at, uint32_t bytes);
/*
 * Before an emulated access to a byte of the window, `offset` from its begin. Where it is if that
 * is in the buffer; NULL: vga_window_read and vga_window_write know.
 */
uint8_t *vga_views_window(struct vga *v, uint32_t offset);
/* Makes video memory hold all that it is to hold, before it is saved: of any size. */
void vga_views_complete(struct vga *v);
/* Makes it hold the text that is shown. */
void vga_views_sync(struct vga *v);
/* Video memory and registers are others: what was shown or to be cleared means nothing any more. */
void vga_views_restart(struct vga *v);
