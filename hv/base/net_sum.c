/* SPDX-License-Identifier: Apache-2.0 */
/* The Internet checksum. */
#include "hv/base/net_sum.h"

uint64_t net_sum(const uint8_t *p, size_t n, uint64_t sum)
{
	for (; n >= 4; p += 4, n -= 4) {
		sum += ((uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3]);
	}
	if (n >= 2) {
		sum += (uint64_t)p[0] << 8 | p[1];
		p += 2;
		n -= 2;
	}
	return n != 0 ? sum + ((uint64_t)*p << 8) : sum;
}

uint16_t net_sum_fold(uint64_t sum)
{
	while (sum >> 16 != 0) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}
