/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "hv/base/png.h"

#define FILE_MAX 0x100000u
#define RAW_MAX 0x100000u

static struct png png;
static uint8_t file[FILE_MAX];
static size_t file_size;
static uint8_t raw[RAW_MAX];
static size_t raw_size;

static void take(void *ctx, const uint8_t *bytes, size_t n)
{
	assert_ptr_equal(ctx, file);
	assert_true(file_size + n <= FILE_MAX);
	memcpy(file + file_size, bytes, n);
	file_size += n;
}

/* ---- a reader, by the specifications and slow ---- */

static uint32_t be32(size_t at)
{
	return (uint32_t)file[at] << 24 | (uint32_t)file[at + 1] << 16 |
	       (uint32_t)file[at + 2] << 8 | file[at + 3];
}

static uint32_t crc(size_t at, size_t n)
{
	uint32_t c = ~0u;

	for (size_t i = 0; i < n; i++) {
		c ^= file[at + i];
		for (unsigned k = 0; k < 8; k++) {
			c = (c & 1) != 0 ? 0xedb88320u ^ c >> 1 : c >> 1;
		}
	}
	return ~c;
}

static uint8_t packed[FILE_MAX];
static size_t packed_size;

/* Checks all chunks and joins the data. */
static void read_chunks(uint32_t width, uint32_t height)
{
	size_t at = 8;
	bool end = false;

	packed_size = 0;
	assert_memory_equal(file, "\x89PNG\r\n\x1a\n", 8);
	while (at < file_size) {
		size_t n = be32(at);

		assert_false(end);
		assert_int_equal(be32(at + 8 + n), crc(at + 4, n + 4));
		if (at == 8) {
			assert_memory_equal(file + at + 4, "IHDR", 4);
			assert_int_equal(be32(at + 8), width);
			assert_int_equal(be32(at + 12), height);
			assert_memory_equal(file + at + 16, "\x08\x02\0\0\0", 5);
		} else if (memcmp(file + at + 4, "IDAT", 4) == 0) {
			memcpy(packed + packed_size, file + at + 8, n);
			packed_size += n;
		} else {
			assert_memory_equal(file + at + 4, "IEND", 4);
			end = true;
		}
		at += 12 + n;
	}
	assert_true(end && at == file_size);
}

static size_t bit_at;

static uint32_t get_bit(void)
{
	uint32_t bit = packed[bit_at / 8] >> (bit_at % 8) & 1;

	assert_true(bit_at / 8 < packed_size);
	bit_at++;
	return bit;
}

static uint32_t get_bits(unsigned n)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < n; i++) {
		value |= get_bit() << i;
	}
	return value;
}

static unsigned get_symbol(void)
{
	uint32_t code = 0;

	for (unsigned n = 1;; n++) {
		code = code << 1 | get_bit();
		if (n == 7 && code <= 0x17) {
			return 256 + code;
		}
		if (n == 8 && code >= 0x30 && code <= 0xbf) {
			return code - 0x30;
		}
		if (n == 8 && code >= 0xc0 && code <= 0xc7) {
			return 280 + code - 0xc0;
		}
		if (n == 9) {
			return 144 + code - 0x190;
		}
	}
}

static void copy_back(unsigned symbol)
{
	static const uint16_t bases[] = {3,  4,	 5,  6,	  7,   8,   9,	 10,  11, 13,
					 15, 17, 19, 23,  27,  31,  35,	 43,  51, 59,
					 67, 83, 99, 115, 131, 163, 195, 227, 258};
	unsigned i = symbol - 257;
	unsigned length = bases[i] + get_bits(i < 8 || i == 28 ? 0 : i / 4 - 1);
	uint32_t distance = 0;

	for (unsigned k = 0; k < 5; k++) {
		distance = distance << 1 | get_bit();
	}
	assert_true(distance < 4);
	for (; length > 0; length--, raw_size++) {
		raw[raw_size] = raw[raw_size - distance - 1];
	}
}

static void inflate(void)
{
	uint32_t low = 1, high = 0;
	unsigned symbol;

	assert_int_equal((packed[0] << 8 | packed[1]) % 31, 0);
	bit_at = 16;
	raw_size = 0;
	assert_int_equal(get_bits(3), 3);
	while ((symbol = get_symbol()) != 256) {
		if (symbol < 256) {
			raw[raw_size++] = (uint8_t)symbol;
		} else {
			copy_back(symbol);
		}
	}
	for (size_t i = 0; i < raw_size; i++) {
		low = (low + raw[i]) % 65521;
		high = (high + low) % 65521;
	}
	memcpy(file, packed + (bit_at + 7) / 8, 4);
	assert_int_equal(be32(0), high << 16 | low);
	assert_int_equal((bit_at + 7) / 8 + 4, packed_size);
}

/* ---- pictures ---- */

static uint32_t plain(uint32_t x, uint32_t y)
{
	(void)x;
	(void)y;
	return 0x123456;
}

static uint32_t noise(uint32_t x, uint32_t y)
{
	return (x * 2654435761u ^ y * 40503u) * 2246822519u >> 8;
}

/* Runs of every length, alone and behind each other. */
static uint32_t runs(uint32_t x, uint32_t y)
{
	uint32_t period = y + 1;

	return x / period % 2 != 0 ? 0xffffff : (x % period == 0 ? 0x010203 : 0);
}

static uint32_t shades(uint32_t x, uint32_t y)
{
	return (x & 0xff) << 16 | (y & 0xff) << 8 | ((x + y) & 0xff);
}

static void round_trip(uint32_t width, uint32_t height, uint32_t (*pixel)(uint32_t, uint32_t))
{
	static uint32_t row[PNG_WIDTH_MAX];
	static uint8_t above[3 * PNG_WIDTH_MAX];

	file_size = 0;
	png_begin(&png, width, height, take, file);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			row[x] = pixel(x, y) | 0xff000000; /* which means nothing */
		}
		png_row(&png, row);
	}
	png_end(&png);
	read_chunks(width, height);
	inflate();
	assert_int_equal(raw_size, (3 * width + 1) * height);
	memset(above, 0, sizeof(above));
	for (uint32_t y = 0; y < height; y++) {
		const uint8_t *line = raw + (size_t)y * (3 * width + 1);

		assert_int_equal(line[0], 2);
		for (uint32_t i = 0; i < 3 * width; i++) {
			above[i] = (uint8_t)(above[i] + line[1 + i]);
			assert_int_equal(above[i], (pixel(i / 3, y) >> (16 - i % 3 * 8)) & 0xff);
		}
	}
}

static void pictures_come_back(void **state)
{
	(void)state;
	round_trip(1, 1, plain);
	round_trip(1, 7, noise);
	round_trip(2, 2, noise);
	round_trip(640, 100, plain);
	round_trip(300, 300, runs);
	round_trip(123, 45, noise);
	round_trip(PNG_WIDTH_MAX, 3, shades);
}

static void screens_become_small(void **state)
{
	(void)state;
	round_trip(640, 400, plain);
	assert_true(packed_size < 640 * 400 * 3 / 60);
	round_trip(640, 480, shades);
	assert_true(packed_size < 640 * 480 * 3 / 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_back),
		cmocka_unit_test(screens_become_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
