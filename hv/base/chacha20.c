/* SPDX-License-Identifier: Apache-2.0 */
/* ChaCha20. Words are little-endian, as the CPU's. */
#include "hv/base/chacha20.h"

#include "hv/base/str.h"

#define WORDS 16u
#define DOUBLE_ROUNDS 10u

static uint32_t rotl(uint32_t value, unsigned n)
{
	return value << n | value >> (32 - n);
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b;
	*d = rotl(*d ^ *a, 16);
	*c += *d;
	*b = rotl(*b ^ *c, 12);
	*a += *b;
	*d = rotl(*d ^ *a, 8);
	*c += *d;
	*b = rotl(*b ^ *c, 7);
}

static void double_round(uint32_t s[WORDS])
{
	for (unsigned i = 0; i < 4; i++) {
		quarter_round(&s[i], &s[4 + i], &s[8 + i], &s[12 + i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		quarter_round(&s[i], &s[4 + (i + 1) % 4], &s[8 + (i + 2) % 4],
			      &s[12 + (i + 3) % 4]);
	}
}

void chacha20_block(const uint32_t key[CHACHA20_KEY_WORDS], uint32_t counter,
		    const uint32_t nonce[3], uint8_t out[CHACHA20_BLOCK_BYTES])
{
	uint32_t start[WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	uint32_t s[WORDS];

	memcpy(&start[4], key, CHACHA20_KEY_WORDS * sizeof(key[0]));
	start[12] = counter;
	memcpy(&start[13], nonce, 3 * sizeof(nonce[0]));
	memcpy(s, start, sizeof(s));
	for (unsigned i = 0; i < DOUBLE_ROUNDS; i++) {
		double_round(s);
	}
	for (unsigned i = 0; i < WORDS; i++) {
		s[i] += start[i];
	}
	memcpy(out, s, sizeof(s));
}
