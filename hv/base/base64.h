/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text (RFC 4648, "Base 64 Encoding"). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Characters for `n` bytes, padding included, without a terminator. */
#define BASE64_CHARS(n) (((n) + 2) / 3 * 4)

/* Writes BASE64_CHARS(n) characters and a terminator. */
void base64_encode(const uint8_t *p, size_t n, char *out);
