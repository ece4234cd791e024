/* SPDX-License-Identifier: Apache-2.0 */
/* A line of text for programs without libc. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tests/load/sys.h"

struct line {
	char text[256];
	size_t n;
};

static inline void add(struct line *l, const char *s)
{
	for (; *s != 0 && l->n < sizeof(l->text); s++) {
		l->text[l->n++] = *s;
	}
}

static inline void add_number(struct line *l, int64_t number)
{
	uint64_t v = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	char text[24];
	size_t at = sizeof(text) - 1;

	text[at] = 0;
	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	add(l, number < 0 ? "-" : "");
	add(l, text + at);
}

/* In one piece, so that the kernel's messages do not part it. */
static inline void say(struct line *l)
{
	add(l, "\n");
	(void)sys3(SYS_WRITE, 1, address_of(l->text), l->n);
}

/* The decimal number that `s` begins with. */
static inline uint64_t number_of(const char *s)
{
	uint64_t v = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint64_t)(*s - '0');
	}
	return v;
}

static inline int same(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}
