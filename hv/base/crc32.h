/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 as Ethernet, GUID partition tables and PNG have it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which is 0 at first. */
uint32_t crc32(uint32_t crc, const void *data, size_t n);
