/* SPDX-License-Identifier: Apache-2.0 */
/* A bitmap of the VPIDs that are taken. */
#include "vmx/vpid.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/lock.h"

#define WORD_BITS 64u

static struct {
	struct spinlock lock;
	uint64_t taken[(VPID_COUNT + 1) / WORD_BITS];
	unsigned next; /* word to look at first */
} pool = {.taken = {1}};

uint16_t vpid_take(void)
{
	uint16_t vpid = 0;

	lock_acquire(&pool.lock);
	for (unsigned i = 0; i < ARRAY_SIZE(pool.taken) && vpid == 0; i++) {
		unsigned word = (pool.next + i) % (unsigned)ARRAY_SIZE(pool.taken);

		if (pool.taken[word] != ~0ull) {
			unsigned bit = (unsigned)__builtin_ctzll(~pool.taken[word]);

			pool.taken[word] |= BIT(bit);
			pool.next = word;
			vpid = (uint16_t)(word * WORD_BITS + bit);
		}
	}
	lock_release(&pool.lock);
	return vpid;
}

void vpid_give(uint16_t vpid)
{
	uint64_t bit = BIT(vpid % WORD_BITS);

	if (vpid == 0) {
		return;
	}
	lock_acquire(&pool.lock);
	CHECK((pool.taken[vpid / WORD_BITS] & bit) != 0);
	pool.taken[vpid / WORD_BITS] &= ~bit;
	lock_release(&pool.lock);
}
