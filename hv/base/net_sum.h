/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of IP, TCP and UDP. Source: RFC 1071. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One's complement sum of `n` bytes as big-endian words, the last one padded, added to `sum`. */
uint64_t net_sum(const uint8_t *p, size_t n, uint64_t sum);
/* The sum folded to 16 bits and complemented, in host order. */
uint16_t net_sum_fold(uint64_t sum);
