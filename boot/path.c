/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 names to UTF-8 paths (the Unicode standard, "Unicode Encoding Forms"). */
#include "boot/path.h"

#include <stddef.h>

#define REPLACEMENT 0xfffdu

static bool is_surrogate(uint16_t unit, uint16_t first)
{
	return (unit & 0xfc00) == first;
}

/* Takes the next character off *name. */
static uint32_t next_character(const uint16_t **name)
{
	uint16_t unit = *(*name)++;

	if (is_surrogate(unit, 0xd800) && is_surrogate(**name, 0xdc00)) {
		return 0x10000u + ((uint32_t)(unit & 0x3ff) << 10) + (*(*name)++ & 0x3ffu);
	}
	if (is_surrogate(unit, 0xd800) || is_surrogate(unit, 0xdc00)) {
		return REPLACEMENT;
	}
	return unit;
}

/* The character's 1 to 4 bytes; returns their number. */
static size_t encode(uint32_t c, char bytes[4])
{
	static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--) {
		bytes[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	bytes[0] = (char)(lead[n] | c);
	return n;
}

/* Appends `n` bytes at *used, all or none, and keeps the terminator. */
static bool append(char out[HANDOFF_PATH_MAX], size_t *used, const char *bytes, size_t n)
{
	if (n > HANDOFF_PATH_MAX - 1 - *used) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		out[(*used)++] = bytes[i];
	}
	out[*used] = '\0';
	return true;
}

bool path_join(char out[HANDOFF_PATH_MAX], const char *folder, const uint16_t *name)
{
	size_t used = 0;
	bool whole = true;
	char bytes[4];

	out[0] = '\0';
	for (size_t i = 0; whole && folder[i] != '\0'; i++) {
		whole = append(out, &used, &folder[i], 1);
	}
	if (used > 0) {
		whole = whole && append(out, &used, "/", 1);
	}
	while (whole && *name != 0) {
		size_t n = encode(next_character(&name), bytes);

		whole = append(out, &used, bytes, n);
	}
	return whole;
}
