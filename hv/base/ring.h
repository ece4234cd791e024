/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte ring with monotonic positions. Writing never fails: the oldest bytes give way. A reader
 * holds its own position, so one ring serves scrollback and several readers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ring {
	char *buf;
	size_t cap;   /* power of two */
	uint64_t end; /* bytes ever written */
};

/* `cap` must be a power of two; `buf` has that many bytes and outlives the ring. */
void ring_init(struct ring *r, char *buf, size_t cap);
void ring_write(struct ring *r, const char *data, size_t n);
/* The position of the oldest byte still held. */
uint64_t ring_start(const struct ring *r);
/*
 * Copies up to `n` bytes from *pos on and moves *pos past them; a position that fell out of the
 * ring starts at the oldest byte. Returns the bytes copied, 0 when *pos has caught up.
 */
size_t ring_read(const struct ring *r, uint64_t *pos, char *out, size_t n);
