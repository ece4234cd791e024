/* SPDX-License-Identifier: Apache-2.0 */
/* The contents of the paravirtual clock page. */
#include "hv/pvclock.h"

#include "hv/api/clock.h"

#define NS_PER_S 1000000000ull

void pvclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift)
{
	uint64_t rate = tsc_hz;
	int8_t by = 0;

	/* Scale so that the multiplier, 2^32 * 1e9 / rate, lies in [2^31, 2^32). */
	while (rate > 2 * NS_PER_S) {
		rate >>= 1;
		by--;
	}
	while (rate <= NS_PER_S) {
		rate <<= 1;
		by++;
	}
	*shift = by;
	/* From the exact rate, not from the one that lost low bits. */
	*mul = by >= 0 ? (uint32_t)clock_muldiv(NS_PER_S, 1ull << 32, tsc_hz << by)
		       : (uint32_t)clock_muldiv(NS_PER_S << -by, 1ull << 32, tsc_hz);
}

void pvclock_fill(struct pvclock_vcpu_time_info *info, uint64_t tsc_hz, uint64_t guest_tsc,
		  uint64_t system_ns, uint8_t flags)
{
	*info = (struct pvclock_vcpu_time_info){
		.tsc_timestamp = guest_tsc,
		.system_time = system_ns,
		.flags = flags,
	};
	pvclock_scale(tsc_hz, &info->tsc_to_system_mul, &info->tsc_shift);
}
