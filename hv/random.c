/* SPDX-License-Identifier: Apache-2.0 */
/* The generator of random bytes. */
#include "hv/random.h"

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/bits.h"
#include "hv/base/chacha20.h"
#include "hv/base/lock.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"

#define KEY_BYTES 32u
#define OUTPUT_BYTES (CHACHA20_BLOCK_BYTES - KEY_BYTES)
/* Rounds of the seeding; each takes the CPU's numbers and the time. */
#define SEED_ROUNDS 64u
/* Accesses between two looks at the time, for caches and whoever else uses them to vary it. */
#define JITTER_BYTES 4096u
#define JITTER_STRIDE 64u
/* Blocks between two times that the CPU is asked for new numbers. */
#define RESEED_BLOCKS 1024u

static struct {
	struct spinlock lock; /* covers all below; nothing is taken under it */
	uint32_t key[CHACHA20_KEY_WORDS];
	uint32_t blocks;
	uint8_t jitter[JITTER_BYTES];
} generator;

/* The next block; its first half is the new key. The time goes in as nonce. */
static void step(uint8_t block[CHACHA20_BLOCK_BYTES])
{
	uint64_t now = cpu_rdtsc();
	const uint32_t nonce[3] = {(uint32_t)now, (uint32_t)(now >> 32), 0};

	chacha20_block(generator.key, generator.blocks++, nonce, block);
	memcpy(generator.key, block, KEY_BYTES);
	memset(block, 0, KEY_BYTES);
}

/* Makes the key depend on `value` as well. */
static void mix(uint64_t value)
{
	uint8_t block[CHACHA20_BLOCK_BYTES];

	generator.key[0] ^= (uint32_t)value;
	generator.key[1] ^= (uint32_t)(value >> 32);
	step(block);
}

/* Ticks that some work took. */
static uint64_t jitter(void)
{
	uint64_t start = cpu_rdtsc();

	for (unsigned i = 0; i < JITTER_BYTES; i += JITTER_STRIDE) {
		volatile uint8_t *p = &generator.jitter[(i + start) % JITTER_BYTES];

		*p = (uint8_t)(*p + i);
	}
	return cpu_rdtsc() - start;
}

struct sources {
	bool seed;
	bool number;
};

static struct sources mix_cpu(void)
{
	struct sources had = {0};
	uint64_t value;

	if (cpu_rdseed(&value)) {
		had.seed = true;
		mix(value);
	}
	if (cpu_rdrand(&value)) {
		had.number = true;
		mix(value);
	}
	return had;
}

void random_init(void)
{
	struct sources had = {0};

	lock_acquire(&generator.lock);
	for (unsigned i = 0; i < SEED_ROUNDS; i++) {
		struct sources now = mix_cpu();

		had.seed |= now.seed;
		had.number |= now.number;
		mix(jitter());
	}
	lock_release(&generator.lock);
	log_info("random: seeded from %s%sthe CPU's timing", had.seed ? "RDSEED, " : "",
		 had.number ? "RDRAND, " : "");
}

void random_fill(void *dst, size_t n)
{
	uint8_t block[CHACHA20_BLOCK_BYTES];
	uint8_t *to = dst;

	lock_acquire(&generator.lock);
	while (n != 0) {
		size_t part = min_u64(n, OUTPUT_BYTES);

		if (generator.blocks % RESEED_BLOCKS == 0) {
			(void)mix_cpu();
		}
		step(block);
		memcpy(to, block + KEY_BYTES, part);
		to += part;
		n -= part;
	}
	memset(block, 0, sizeof(block));
	lock_release(&generator.lock);
}
