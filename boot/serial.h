/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's 16550 at COM1, written without interrupts and never waited for in vain. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Looks for a UART at 0x3f8 and returns its port, or 0. With `keep_settings` its speed and format
 * stay as the firmware's own console set them; else it is set to 115200 8N1.
 */
uint16_t serial_init(bool keep_settings);
/* Writes `n` bytes, '\n' as CR LF. Nothing when there is no UART, or after it once hung. */
void serial_write(const char *text, size_t n);
