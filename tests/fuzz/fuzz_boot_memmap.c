/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as a firmware's memory map. The first byte sets the stride, the second how many
 * leading records are claims of ours; what comes out must keep every promise of boot/handoff.h.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "boot/memmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sweep takes quadratic time: enough to meet every kind of neighbour. */
#define INPUT_MAX 2048
#define CLAIMS_MAX 4
#define CLAIM_BYTES 9

static void require(int condition)
{
	if (!condition) {
		abort();
	}
}

static void check(const struct handoff_memory *m, const struct handoff_memory *previous)
{
	require(m->size != 0 && m->base % 4096 == 0 && m->size % 4096 == 0);
	require(m->base < MEMMAP_LIMIT && m->size <= MEMMAP_LIMIT - m->base);
	require(m->type >= HANDOFF_MEM_FREE && m->type <= HANDOFF_MEM_RESERVED);
	require(m->type != HANDOFF_MEM_FREE || m->base != 0);
	if (previous != NULL) {
		require(previous->base + previous->size <= m->base);
		require(previous->base + previous->size < m->base || previous->type != m->type ||
			previous->attributes != m->attributes);
	}
}

static size_t take_claims(const uint8_t *data, size_t *size, struct memmap_claim *claims)
{
	size_t count = 0;

	while (count < CLAIMS_MAX && *size >= CLAIM_BYTES) {
		uint64_t base;

		*size -= CLAIM_BYTES;
		memcpy(&base, data + *size, sizeof(base));
		claims[count].base = base % MEMMAP_LIMIT & ~0xfffull;
		claims[count].size = 4096 * (1ull + data[*size + 8] / 3);
		claims[count].type = HANDOFF_MEM_LOADER + data[*size + 8] % 3u;
		count++;
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memmap_claim claims[CLAIMS_MAX];
	struct memmap_input in = {.claims = claims};
	struct handoff_memory *out;
	size_t bound;
	size_t count;

	if (size < 2 || size > INPUT_MAX) {
		return 0;
	}
	in.stride = data[0];
	size -= 2;
	if (data[1] % 2 != 0) {
		in.claim_count = take_claims(data + 2, &size, claims);
	}
	in.descriptors = data + 2;
	in.bytes = size;

	bound = memmap_bound(&in);
	out = calloc(bound + 1, sizeof(*out));
	require(out != NULL);
	count = memmap_build(&in, out, bound);
	require(count <= bound);
	for (size_t i = 0; i < count; i++) {
		check(&out[i], i > 0 ? &out[i - 1] : NULL);
	}
	require(memmap_build(&in, NULL, 0) == count);
	free(out);
	return 0;
}
