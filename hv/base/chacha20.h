/* SPDX-License-Identifier: Apache-2.0 */
/* The ChaCha20 block function (RFC 8439, "The ChaCha20 Block Function"). */
#pragma once

#include <stdint.h>

#define CHACHA20_KEY_WORDS 8u
#define CHACHA20_BLOCK_BYTES 64u

/* 64 bytes of key stream. `nonce` is what the RFC calls so, three words; `counter` comes before. */
void chacha20_block(const uint32_t key[CHACHA20_KEY_WORDS], uint32_t counter,
		    const uint32_t nonce[3], uint8_t out[CHACHA20_BLOCK_BYTES]);
