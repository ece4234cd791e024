/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/cpu/rep_movs.h"

#include <stdint.h>

#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/cpu/insn.h"

#define LEAF_FEATURES 7u
#define ERMS BIT32(9) /* leaf 7.0 EBX */
#define COPIED 4096u
/* The best of so many: another machine's work, or an SMI, may fall into some. */
#define ROUNDS 8u
/* Fast strings take about as long by bytes as by quadwords, a step a byte eight times as long. */
#define SLOW_RATIO 4u

static bool slow;

bool rep_movsb_is_fast(void)
{
	return !slow;
}

static uint64_t best_ticks(void (*copy)(void *to, const void *from, uint64_t count), uint64_t count)
{
	static _Alignas(64) uint8_t from[COPIED];
	static _Alignas(64) uint8_t to[COPIED];
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start = cpu_rdtsc_ordered();

		copy(to, from, count);
		best = min_u64(best, cpu_rdtsc_ordered() - start);
	}
	return best;
}

void rep_movs_try(void)
{
	uint64_t bytes;
	uint64_t quads;

	slow = false;
	if (cpu_cpuid(0, 0).eax < LEAF_FEATURES || (cpu_cpuid(LEAF_FEATURES, 0).ebx & ERMS) == 0) {
		return;
	}
	quads = best_ticks(cpu_movsq, COPIED / 8);
	bytes = best_ticks(cpu_movsb, COPIED);
	slow = bytes / SLOW_RATIO > quads;
	if (slow) {
		log_info("cpu: REP MOVSB takes %lu times as long as REP MOVSQ: guests are not "
			 "told that it is fast",
			 bytes / (quads | 1));
	}
}
