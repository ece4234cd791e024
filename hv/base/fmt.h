/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small printf. Conversions: %c %s %d %i %u %x %X %p %%, lengths hh h l ll z, flags '-' and '0',
 * width and precision as numbers or '*' (precision for %s only). No floating point.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define FMT_PRINTF(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

/*
 * Writes at most cap-1 characters and a terminator (nothing at all when cap is 0). Returns the
 * length the whole text would have had.
 */
size_t fmt_vsnprintf(char *buf, size_t cap, const char *fmt, va_list args);
size_t fmt_snprintf(char *buf, size_t cap, const char *fmt, ...) FMT_PRINTF(3, 4);
