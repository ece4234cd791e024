/* SPDX-License-Identifier: Apache-2.0 */
/* MSR and I/O permission maps. */
#include "svm/permissions.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/msr.h"

#define RANGE_MSRS 0x2000u
#define PORTS 0x10000u

/* First MSR of each covered range; range i takes map bytes i * 0x800 on. */
static const uint32_t range_first[] = {0, 0xc0000000u, 0xc0010000u};

/* Never passed: SVME must stay set, and the others point the CPU at host memory. */
static const uint32_t always_exit[] = {MSR_EFER, MSR_AMD_VM_CR, MSR_AMD_VM_HSAVE_PA};

/* The number of the MSR's read bit in the map; false when the map does not cover it. */
static bool msr_bit(uint32_t index, uint32_t *bit)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(range_first); i++) {
		if (index - range_first[i] < RANGE_MSRS) {
			*bit = (i * RANGE_MSRS + (index - range_first[i])) * 2;
			return true;
		}
	}
	return false;
}

/* Clears the exit bits that `pass` names for the MSRs first .. last inside one covered range. */
static void pass_in_range(uint8_t *map, uint32_t first, uint32_t last, enum msr_pass pass)
{
	uint32_t bit;

	if (!msr_bit(first, &bit)) {
		return;
	}
	for (uint32_t n = last - first + 1; n != 0; n--, bit += 2) {
		map[bit / 8] = (uint8_t)(map[bit / 8] & ~((uint32_t)pass << bit % 8));
	}
}

/* The part of `r` that lies in the range beginning at `base`, if any. */
static void pass_overlap(uint8_t *map, const struct msr_pass_range *r, uint32_t base)
{
	uint64_t first = max_u64(r->first, base);
	uint64_t end = min_u64((uint64_t)r->first + r->count, (uint64_t)base + RANGE_MSRS);

	if (first < end) {
		pass_in_range(map, (uint32_t)first, (uint32_t)(end - 1), r->pass & MSR_PASS_BOTH);
	}
}

void svm_msrpm_build(uint8_t *map, const struct msr_pass_range *pass)
{
	uint32_t bit;

	memset(map, 0xff, SVM_MSRPM_SIZE);
	for (; pass != NULL && pass->count != 0; pass++) {
		for (unsigned i = 0; i < ARRAY_SIZE(range_first); i++) {
			pass_overlap(map, pass, range_first[i]);
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(always_exit); i++) {
		if (msr_bit(always_exit[i], &bit)) {
			map[bit / 8] |= (uint8_t)(MSR_PASS_BOTH << bit % 8);
		}
	}
}

bool svm_msrpm_passes(const uint8_t *map, uint32_t index, bool write)
{
	uint32_t bit;

	return msr_bit(index, &bit) && (map[bit / 8] >> (bit % 8 + write) & 1) == 0;
}

void svm_iopm_build(uint8_t *map, const struct port_pass_range *pass)
{
	memset(map, 0xff, SVM_IOPM_SIZE);
	for (; pass != NULL && pass->count != 0; pass++) {
		uint64_t end = min_u64((uint64_t)pass->first + pass->count, PORTS);

		for (uint64_t port = pass->first; port < end; port++) {
			map[port / 8] = (uint8_t)(map[port / 8] & ~(1u << port % 8));
		}
	}
}
