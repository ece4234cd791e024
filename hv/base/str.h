/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory and text helpers. The four mem* functions have their standard meaning: hv/cpu/mem.S
 * provides them in the hypervisor, the C library in host programs. Text is handled as spans,
 * which need no terminator and never allocate.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/status.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* A run of bytes somebody else owns. */
struct span {
	const char *p;
	size_t n;
};

size_t str_len(const char *s);
bool str_eq(const char *a, const char *b);

/* Copies at most cap-1 bytes and terminates; returns false if `s` was cut. cap >= 1. */
bool str_copy(char *dst, size_t cap, struct span s);

struct span span_of(const char *s);
bool span_eq(struct span s, const char *text);
bool span_starts(struct span s, const char *prefix);
/* Without leading and trailing blanks, tabs, CR and LF. */
struct span span_trim(struct span s);
/* Cuts the first line (without its line end) off *rest; false when nothing is left. */
bool span_next_line(struct span *rest, struct span *line);
/* Cuts the first blank-separated word off *rest; false when only blanks are left. */
bool span_next_word(struct span *rest, struct span *word);

/* Decimal, or hexadecimal after 0x; the whole span must be digits. HV_E_INVALID or HV_E_RANGE. */
enum hv_status span_to_u64(struct span s, uint64_t *out) HV_MUST_CHECK;
/* As span_to_u64 with an optional suffix K, M, G or T (powers of 1024); out is in bytes. */
enum hv_status span_to_size(struct span s, uint64_t *out) HV_MUST_CHECK;
