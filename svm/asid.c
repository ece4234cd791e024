/* SPDX-License-Identifier: Apache-2.0 */
/* ASIDs in generations, per CPU. */
#include "svm/asid.h"

#include "svm/vmcb.h"

void asid_pool_init(struct asid_pool *pool, uint32_t count, bool flush_by_asid)
{
	/* Used up from the start: the first run begins a generation and flushes everything. */
	pool->generation++;
	pool->count = count;
	pool->next = count + 1;
	pool->flush_by_asid = flush_by_asid;
}

uint8_t asid_renew(struct asid_pool *pool, struct asid_slot *slot, bool flush)
{
	bool own = !asid_is_stale(pool, slot);
	uint8_t control = SVM_TLB_NOTHING;

	if (own && flush && pool->flush_by_asid) {
		return SVM_TLB_FLUSH_ASID;
	}
	if (pool->next > pool->count) {
		pool->generation++;
		pool->next = 1;
		control = SVM_TLB_FLUSH_ALL;
	}
	*slot = (struct asid_slot){
		.pool = pool, .generation = pool->generation, .asid = pool->next++};
	return control;
}
