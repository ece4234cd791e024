/* SPDX-License-Identifier: Apache-2.0 */
/* Files over the monitor: lines of base64 that a person with only a serial line can save. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Bytes to a line, 76 characters. */
#define MONITOR_DUMP_LINE 57u

/*
 * Prints `n` bytes as lines of `KIND NAME BASE64`, each of which can be read without the others;
 * all but the last are full.
 */
void monitor_dump(const char *kind, const char *name, const uint8_t *bytes, size_t n);
