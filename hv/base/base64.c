/* SPDX-License-Identifier: Apache-2.0 */
/* Base 64. */
#include "hv/base/base64.h"

static const char digits[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M',
				'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
				'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
				'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
				'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'};

void base64_encode(const uint8_t *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i += 3) {
		uint32_t group = (uint32_t)p[i] << 16;

		group |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		group |= i + 2 < n ? (uint32_t)p[i + 2] : 0;
		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = (char)(i + 1 < n ? digits[group >> 6 & 63] : '=');
		*out++ = (char)(i + 2 < n ? digits[group & 63] : '=');
	}
	*out = '\0';
}
