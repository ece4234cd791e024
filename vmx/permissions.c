/* SPDX-License-Identifier: Apache-2.0 */
/* MSR and I/O permission maps. */
#include "vmx/permissions.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/msr.h"

#define RANGE_MSRS 0x2000u
#define PORTS 0x10000u
#define WRITE_MAP 0x800u /* bytes from a read bit to the write bit of the same MSR */

/* First MSR of each covered range; range i takes map bytes i * 0x400 on. */
static const uint32_t range_first[] = {0, 0xc0000000u};

/* The number of the MSR's read bit in the map; false when the map does not cover it. */
static bool msr_bit(uint32_t index, uint32_t *bit)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(range_first); i++) {
		if (index - range_first[i] < RANGE_MSRS) {
			*bit = i * RANGE_MSRS + (index - range_first[i]);
			return true;
		}
	}
	return false;
}

static void clear_bit(uint8_t *map, uint32_t bit)
{
	map[bit / 8] = (uint8_t)(map[bit / 8] & ~(1u << bit % 8));
}

/* The part of `r` that lies in the range beginning at `base`, if any. */
static void pass_overlap(uint8_t *map, const struct msr_pass_range *r, uint32_t base)
{
	uint64_t first = max_u64(r->first, base);
	uint64_t end = min_u64((uint64_t)r->first + r->count, (uint64_t)base + RANGE_MSRS);
	uint32_t bit;

	for (uint64_t index = first; index < end; index++) {
		if (!msr_bit((uint32_t)index, &bit)) {
			continue;
		}
		if ((r->pass & MSR_PASS_READ) != 0) {
			clear_bit(map, bit);
		}
		if ((r->pass & MSR_PASS_WRITE) != 0) {
			clear_bit(map + WRITE_MAP, bit);
		}
	}
}

void vmx_msrpm_pass(uint8_t *map, const struct msr_pass_range *pass)
{
	for (; pass != NULL && pass->count != 0; pass++) {
		for (unsigned i = 0; i < ARRAY_SIZE(range_first); i++) {
			pass_overlap(map, pass, range_first[i]);
		}
	}
}

void vmx_msrpm_build(uint8_t *map, const struct msr_pass_range *pass)
{
	uint32_t efer = 0;

	memset(map, 0xff, VMX_MSRPM_SIZE);
	vmx_msrpm_pass(map, pass);
	/* LME decides together with CR0.PG and the entry controls: never the guest's alone. */
	if (msr_bit(MSR_EFER, &efer)) {
		map[efer / 8] |= (uint8_t)(1u << efer % 8);
		map[WRITE_MAP + efer / 8] |= (uint8_t)(1u << efer % 8);
	}
}

bool vmx_msrpm_passes(const uint8_t *map, uint32_t index, bool write)
{
	uint32_t bit;

	return msr_bit(index, &bit) && (map[(write ? WRITE_MAP : 0) + bit / 8] >> bit % 8 & 1) == 0;
}

void vmx_iopm_build(uint8_t *map, const struct port_pass_range *pass)
{
	memset(map, 0xff, VMX_IOPM_SIZE);
	for (; pass != NULL && pass->count != 0; pass++) {
		uint64_t end = min_u64((uint64_t)pass->first + pass->count, PORTS);

		for (uint64_t port = pass->first; port < end; port++) {
			clear_bit(map, (uint32_t)port);
		}
	}
}
