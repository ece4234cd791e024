/* SPDX-License-Identifier: Apache-2.0 */
/* Writing PNG. */
#include "hv/base/png.h"

#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/crc32.h"
#include "hv/base/str.h"

#define ADLER_MODULUS 65521u
#define FILTER_UP 2u
#define RUN_MIN 3u
#define RUN_MAX 258u
#define END_OF_BLOCK 256u
#define PIXEL_BYTES 3u
#define DISTANCE_3 2u /* its code */

/* ---- chunks ---- */

static void write_chunk(struct png *p, const char *type, const uint8_t *data, size_t n)
{
	uint8_t head[8];
	uint8_t tail[4];

	put_be32(head, (uint32_t)n);
	memcpy(head + 4, type, 4);
	put_be32(tail, crc32(crc32(0, head + 4, 4), data, n));
	p->out(p->ctx, head, sizeof(head));
	if (n != 0) {
		p->out(p->ctx, data, n);
	}
	p->out(p->ctx, tail, sizeof(tail));
}

static void flush_chunk(struct png *p)
{
	if (p->chunk_used != 0) {
		write_chunk(p, "IDAT", p->chunk, p->chunk_used);
		p->chunk_used = 0;
	}
}

static void put_byte(struct png *p, uint8_t byte)
{
	p->chunk[p->chunk_used++] = byte;
	if (p->chunk_used == PNG_CHUNK) {
		flush_chunk(p);
	}
}

/* ---- deflate: one block of fixed codes ---- */

static void put_bits(struct png *p, uint32_t value, unsigned count)
{
	p->bits |= value << p->bit_count;
	p->bit_count += count;
	while (p->bit_count >= 8) {
		put_byte(p, (uint8_t)p->bits);
		p->bits >>= 8;
		p->bit_count -= 8;
	}
}

/* Codes go with their highest bit first, everything else with the lowest. */
static void put_code(struct png *p, uint32_t code, unsigned count)
{
	uint32_t turned = 0;

	for (unsigned i = 0; i < count; i++) {
		turned |= (code >> i & 1) << (count - 1 - i);
	}
	put_bits(p, turned, count);
}

/* A literal byte, the end of the block, or a length ("Compression with fixed Huffman codes"). */
static void put_symbol(struct png *p, unsigned symbol)
{
	if (symbol < 144) {
		put_code(p, 0x30 + symbol, 8);
	} else if (symbol < 256) {
		put_code(p, 0x190 + (symbol - 144), 9);
	} else if (symbol < 280) {
		put_code(p, symbol - 256, 7);
	} else {
		put_code(p, 0xc0 + (symbol - 280), 8);
	}
}

/* The pixel before again, `length` bytes of it and it again: a match at distance 3. */
static void put_match(struct png *p, unsigned length)
{
	unsigned l = length - RUN_MIN;
	unsigned extra = l < 8 ? 0 : 29 - (unsigned)__builtin_clz(l);

	if (length == RUN_MAX) {
		put_symbol(p, 285);
	} else {
		put_symbol(p, 257 + extra * 4 + (l >> extra));
		put_bits(p, l & (BIT32(extra) - 1), extra);
	}
	put_code(p, DISTANCE_3, 5);
}

static void end_run(struct png *p)
{
	if (p->run >= RUN_MIN) {
		put_match(p, p->run);
		p->run = 0;
	}
	for (; p->run != 0; p->run--) {
		put_symbol(p, p->last >> 8 * (p->run - 1) & 0xff);
	}
}

static void compress(struct png *p, uint8_t byte)
{
	p->adler_low = (p->adler_low + byte) % ADLER_MODULUS;
	p->adler_high = (p->adler_high + p->adler_low) % ADLER_MODULUS;
	if (p->last_count == PIXEL_BYTES && (p->last >> 16 & 0xff) == byte && p->run < RUN_MAX) {
		p->run++;
	} else {
		end_run(p);
		put_symbol(p, byte);
		p->last_count += p->last_count < PIXEL_BYTES;
	}
	p->last = p->last << 8 | byte;
}

/* ---- the file ---- */

void png_begin(struct png *p, uint32_t width, uint32_t height,
	       void (*out)(void *ctx, const uint8_t *bytes, size_t n), void *ctx)
{
	static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	uint8_t header[13] = {[8] = 8, [9] = 2}; /* eight bits each of red, green and blue */

	*p = (struct png){.out = out, .ctx = ctx, .width = width, .adler_low = 1};
	put_be32(header, width);
	put_be32(header + 4, height);
	out(ctx, signature, sizeof(signature));
	write_chunk(p, "IHDR", header, sizeof(header));
	put_byte(p, 0x78); /* deflate, window of 32 KiB */
	put_byte(p, 0x01);
	put_bits(p, 3, 3); /* the last block, fixed codes */
}

void png_row(struct png *p, const uint32_t *pixels)
{
	uint8_t *above = p->above;

	compress(p, FILTER_UP);
	for (uint32_t x = 0; x < p->width; x++) {
		for (unsigned shift = 24; shift > 0; shift -= 8) {
			uint8_t byte = (uint8_t)(pixels[x] >> (shift - 8));

			compress(p, (uint8_t)(byte - *above));
			*above++ = byte;
		}
	}
}

void png_end(struct png *p)
{
	uint8_t adler[4];

	end_run(p);
	put_symbol(p, END_OF_BLOCK);
	put_bits(p, 0, (8 - p->bit_count) % 8);
	put_be32(adler, p->adler_high << 16 | p->adler_low);
	for (unsigned i = 0; i < sizeof(adler); i++) {
		put_byte(p, adler[i]);
	}
	flush_chunk(p);
	write_chunk(p, "IEND", NULL, 0);
}
