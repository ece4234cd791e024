/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a picture as PNG, row by row, as it comes: 24 bits a pixel, each row as its difference to
 * the one above, runs of equal pixels shortened. That is little work and makes screens of text and
 * areas small. Sources: PNG Specification (ISO/IEC 15948), RFC 1950 (zlib), RFC 1951 (deflate).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PNG_WIDTH_MAX 4096u
#define PNG_CHUNK 4096u

struct png {
	/* Takes the file's next bytes. */
	void (*out)(void *ctx, const uint8_t *bytes, size_t n);
	void *ctx;
	uint32_t width;
	/* Of the zlib stream. */
	uint32_t adler_low, adler_high;
	uint32_t bits; /* not written yet, the first one lowest */
	unsigned bit_count;
	uint32_t last;	     /* the bytes before, the latest one lowest */
	unsigned last_count; /* of them, 3 at most */
	unsigned run;	     /* bytes that are as those of the pixel before, not written yet */
	/* The chunk that is being collected. */
	size_t chunk_used;
	uint8_t chunk[PNG_CHUNK];
	uint8_t above[3 * PNG_WIDTH_MAX];
};

/* `width` is 1 .. PNG_WIDTH_MAX. */
void png_begin(struct png *p, uint32_t width, uint32_t height,
	       void (*out)(void *ctx, const uint8_t *bytes, size_t n), void *ctx);
/* `width` pixels, 0x00rrggbb; `height` times. */
void png_row(struct png *p, const uint32_t *pixels);
void png_end(struct png *p);
