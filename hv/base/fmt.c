/* SPDX-License-Identifier: Apache-2.0 */
/* The small printf behind the log, the monitor and every message. */
#include "hv/base/fmt.h"

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/str.h"

/* Where the text goes; `len` counts what would have been written. */
struct sink {
	char *buf;
	size_t cap;
	size_t len;
};

/* One parsed conversion. */
struct spec {
	bool left;
	bool zero;
	bool has_precision;
	size_t width;
	size_t precision;
	unsigned size; /* bytes of the integer argument */
	char conv;
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->cap) {
		s->buf[s->len] = c;
	}
	s->len++;
}

static void put_padded(struct sink *s, const struct spec *spec, const char *text, size_t n)
{
	size_t pad = spec->width > n ? spec->width - n : 0;

	for (size_t i = 0; !spec->left && i < pad; i++) {
		put(s, ' ');
	}
	for (size_t i = 0; i < n; i++) {
		put(s, text[i]);
	}
	for (size_t i = 0; spec->left && i < pad; i++) {
		put(s, ' ');
	}
}

static void put_number(struct sink *s, const struct spec *spec, uint64_t value, bool negative)
{
	const char *digits = spec->conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	uint64_t base = spec->conv == 'x' || spec->conv == 'X' || spec->conv == 'p' ? 16 : 10;
	char text[72];
	size_t at = sizeof(text);
	size_t least = spec->zero && !spec->left ? spec->width : 1;

	if (least > 64) {
		least = 64;
	}
	if (negative && least > 1) {
		least--;
	}
	do {
		text[--at] = digits[value % base];
		value /= base;
	} while (value != 0 || sizeof(text) - at < least);
	if (negative) {
		text[--at] = '-';
	}
	put_padded(s, spec, text + at, sizeof(text) - at);
}

static size_t parse_number(const char **fmt)
{
	size_t n = 0;

	while (**fmt >= '0' && **fmt <= '9') {
		n = n * 10 + (size_t)(**fmt - '0');
		(*fmt)++;
	}
	return n;
}

static void parse_length(const char **fmt, struct spec *spec)
{
	spec->size = sizeof(int);
	for (;; (*fmt)++) {
		switch (**fmt) {
		case 'h': /* narrower than int: promoted, then cut to its width */
			spec->size /= 2;
			break;
		case 'l':
		case 'z':
			spec->size = sizeof(long);
			break;
		default:
			return;
		}
	}
}

static int parse_star(const char **fmt, va_list *args, size_t *out)
{
	if (**fmt == '*') {
		int n = va_arg(*args, int);

		(*fmt)++;
		*out = n < 0 ? (size_t) - (long)n : (size_t)n;
		return n < 0;
	}
	*out = parse_number(fmt);
	return 0;
}

static void parse_spec(const char **fmt, va_list *args, struct spec *spec)
{
	*spec = (struct spec){0};
	for (; **fmt == '-' || **fmt == '0'; (*fmt)++) {
		spec->left |= **fmt == '-';
		spec->zero |= **fmt == '0';
	}
	if (parse_star(fmt, args, &spec->width)) {
		spec->left = true;
	}
	if (**fmt == '.') {
		(*fmt)++;
		spec->has_precision = !parse_star(fmt, args, &spec->precision);
	}
	parse_length(fmt, spec);
	spec->conv = **fmt;
}

static void put_string(struct sink *s, const struct spec *spec, const char *text)
{
	size_t n = 0;

	if (text == NULL) {
		text = "(null)";
	}
	while ((!spec->has_precision || n < spec->precision) && text[n] != '\0') {
		n++;
	}
	put_padded(s, spec, text, n);
}

static void put_signed(struct sink *s, const struct spec *spec, va_list *args)
{
	int64_t value = spec->size == 8 ? va_arg(*args, long) : va_arg(*args, int);

	if (spec->size < 4) {
		unsigned shift = 64 - spec->size * 8;

		value = (int64_t)((uint64_t)value << shift) >> shift;
	}
	put_number(s, spec, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

static void put_unsigned(struct sink *s, const struct spec *spec, va_list *args)
{
	uint64_t value = spec->size == 8 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);

	if (spec->size < 4) {
		value &= (1ull << (spec->size * 8)) - 1;
	}
	put_number(s, spec, value, false);
}

static void convert(struct sink *s, struct spec *spec, va_list *args)
{
	char c;

	switch (spec->conv) {
	case 'c':
		c = (char)va_arg(*args, int);
		put_padded(s, spec, &c, 1);
		break;
	case 's':
		put_string(s, spec, va_arg(*args, const char *));
		break;
	case 'd':
	case 'i':
		put_signed(s, spec, args);
		break;
	case 'u':
	case 'x':
	case 'X':
		put_unsigned(s, spec, args);
		break;
	case 'p':
		put(s, '0');
		put(s, 'x');
		put_number(s, spec, (uint64_t)(uintptr_t)va_arg(*args, void *), false);
		break;
	default:
		put(s, '%');
		put(s, spec->conv);
		break;
	}
}

size_t fmt_vsnprintf(char *buf, size_t cap, const char *fmt, va_list args)
{
	struct sink s = {buf, cap, 0};
	va_list ap;

	va_copy(ap, args);
	for (; *fmt != '\0'; fmt++) {
		struct spec spec;

		if (*fmt != '%') {
			put(&s, *fmt);
			continue;
		}
		fmt++;
		parse_spec(&fmt, &ap, &spec);
		if (spec.conv == '\0') {
			break;
		}
		if (spec.conv == '%') {
			put(&s, '%');
		} else {
			convert(&s, &spec, &ap);
		}
	}
	va_end(ap);
	if (cap > 0) {
		buf[s.len < cap ? s.len : cap - 1] = '\0';
	}
	return s.len;
}

size_t fmt_snprintf(char *buf, size_t cap, const char *fmt, ...)
{
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = fmt_vsnprintf(buf, cap, fmt, args);
	va_end(args);
	return n;
}
