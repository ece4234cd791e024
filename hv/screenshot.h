/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One picture of a guest's screen as a PNG file in memory: made in bounded steps (hv/work.h), kept
 * until it has been read. With the baton.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest;

enum screenshot_state {
	SCREENSHOT_NONE,
	SCREENSHOT_DRAWING,
	SCREENSHOT_READY,
	SCREENSHOT_FAILED, /* no memory, or the guest is gone */
};

/* False: the guest has no picture. Drops the picture before. */
bool screenshot_begin(struct guest *g);
enum screenshot_state screenshot_state(void);
/* Copies at most `n` bytes of the file from `at` on; returns how many, 0 at its end. */
size_t screenshot_read(size_t at, uint8_t *out, size_t n);
/* Forgets the picture. */
void screenshot_end(void);
