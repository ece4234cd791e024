/* SPDX-License-Identifier: Apache-2.0 */
/* Text helpers over spans and terminated strings. */
#include "hv/base/str.h"

size_t str_len(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0') {
		n++;
	}
	return n;
}

bool str_eq(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool str_copy(char *dst, size_t cap, struct span s)
{
	size_t n = s.n < cap ? s.n : cap - 1;

	memcpy(dst, s.p, n);
	dst[n] = '\0';
	return n == s.n;
}

struct span span_of(const char *s)
{
	return (struct span){s, str_len(s)};
}

bool span_eq(struct span s, const char *text)
{
	return s.n == str_len(text) && memcmp(s.p, text, s.n) == 0;
}

bool span_starts(struct span s, const char *prefix)
{
	size_t n = str_len(prefix);

	return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1])) {
		s.n--;
	}
	return s;
}

bool span_next_line(struct span *rest, struct span *line)
{
	size_t n = 0;

	if (rest->n == 0) {
		return false;
	}
	while (n < rest->n && rest->p[n] != '\n') {
		n++;
	}
	*line = (struct span){rest->p, n};
	if (n < rest->n) {
		n++;
	}
	rest->p += n;
	rest->n -= n;
	if (line->n > 0 && line->p[line->n - 1] == '\r') {
		line->n--;
	}
	return true;
}

bool span_next_word(struct span *rest, struct span *word)
{
	size_t n = 0;

	*rest = span_trim(*rest);
	while (n < rest->n && !is_blank(rest->p[n])) {
		n++;
	}
	*word = (struct span){rest->p, n};
	rest->p += n;
	rest->n -= n;
	return n > 0;
}

/* The value of a digit in `base` (10 or 16), or -1. */
static int digit_value(char c, unsigned base)
{
	int value = -1;

	if (c >= '0' && c <= '9') {
		value = c - '0';
	} else if (c >= 'a' && c <= 'f') {
		value = c - 'a' + 10;
	} else if (c >= 'A' && c <= 'F') {
		value = c - 'A' + 10;
	}
	return value < (int)base ? value : -1;
}

enum hv_status span_to_u64(struct span s, uint64_t *out)
{
	unsigned base = 10;
	uint64_t value = 0;

	if (span_starts(s, "0x") || span_starts(s, "0X")) {
		base = 16;
		s.p += 2;
		s.n -= 2;
	}
	if (s.n == 0) {
		return HV_E_INVALID;
	}
	for (size_t i = 0; i < s.n; i++) {
		int digit = digit_value(s.p[i], base);

		if (digit < 0) {
			return HV_E_INVALID;
		}
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value)) {
			return HV_E_RANGE;
		}
	}
	*out = value;
	return HV_OK;
}

/* Bits to shift for a size suffix, 0 when `c` is none. */
static unsigned suffix_shift(char c)
{
	switch (c) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	case 't':
	case 'T':
		return 40;
	default:
		return 0;
	}
}

enum hv_status span_to_size(struct span s, uint64_t *out)
{
	unsigned shift = s.n > 0 ? suffix_shift(s.p[s.n - 1]) : 0;
	uint64_t value;
	enum hv_status status;

	if (shift != 0) {
		s.n--;
	}
	status = span_to_u64(s, &value);
	if (status != HV_OK) {
		return status;
	}
	if (shift != 0 && value > (~0ull >> shift)) {
		return HV_E_RANGE;
	}
	*out = value << shift;
	return HV_OK;
}
