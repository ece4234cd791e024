/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ASID allocator against a model of a tagged TLB: no run may see an entry that another vCPU, or
 * the same vCPU before a flush or on another CPU, left behind.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "svm/asid.h"
#include "svm/vmcb.h"

#define CPUS 2
#define VCPUS 5
#define ASIDS 8

/* What the TLB of a CPU holds per ASID: entries of this vCPU, made in this epoch of it. */
struct tlb_entry {
	int vcpu; /* -1: nothing */
	uint64_t epoch;
};

struct machine {
	struct tlb_entry tlb[CPUS][ASIDS + 1];
	struct asid_pool pools[CPUS];
	struct asid_slot slots[VCPUS];
	uint64_t epoch[VCPUS]; /* bumped when old translations become wrong */
	int last_cpu[VCPUS];
	unsigned flush_alls;
};

static void machine_init(struct machine *m, uint32_t count, bool by_asid)
{
	memset(m, 0, sizeof(*m));
	for (int c = 0; c < CPUS; c++) {
		asid_pool_init(&m->pools[c], count, by_asid);
		for (int a = 0; a <= ASIDS; a++) {
			m->tlb[c][a].vcpu = 99; /* rubbish from before */
		}
	}
}

static void run(struct machine *m, int cpu, int vcpu, bool flush)
{
	struct asid_pool *pool = &m->pools[cpu];
	struct tlb_entry *e;
	uint8_t control;

	/* The guest changes its tables on another CPU: what this one holds is stale. */
	if (flush || m->last_cpu[vcpu] != cpu) {
		m->epoch[vcpu]++;
	}
	m->last_cpu[vcpu] = cpu;
	control = asid_assign(pool, &m->slots[vcpu], flush);
	assert_in_range(m->slots[vcpu].asid, 1, pool->count);
	e = &m->tlb[cpu][m->slots[vcpu].asid];
	switch (control) {
	case SVM_TLB_NOTHING:
		break;
	case SVM_TLB_FLUSH_ALL:
		m->flush_alls++;
		for (int a = 0; a <= ASIDS; a++) {
			m->tlb[cpu][a].vcpu = -1;
		}
		break;
	case SVM_TLB_FLUSH_ASID:
		assert_true(pool->flush_by_asid);
		e->vcpu = -1;
		break;
	default:
		fail_msg("TLB control %u", control);
	}
	if (e->vcpu != -1) {
		assert_int_equal(e->vcpu, vcpu);
		assert_int_equal(e->epoch, m->epoch[vcpu]);
	}
	*e = (struct tlb_entry){vcpu, m->epoch[vcpu]};
}

static void random_runs(uint32_t count, bool by_asid)
{
	struct machine m;

	machine_init(&m, count, by_asid);
	srand(count * 2 + by_asid);
	for (int i = 0; i < 20000; i++) {
		run(&m, rand() % CPUS, rand() % VCPUS, rand() % 5 == 0);
	}
}

static void no_stale_translation_is_ever_used(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= ASIDS; count++) {
		random_runs(count, false);
		random_runs(count, true);
	}
}

static void steady_state_flushes_nothing(void **state)
{
	struct machine m;

	(void)state;
	machine_init(&m, ASIDS, false);
	for (int i = 0; i < 1000; i++) {
		run(&m, 0, i % VCPUS, false);
	}
	assert_int_equal(m.flush_alls, 1);
	assert_int_equal(m.pools[0].next, VCPUS + 1);
}

static void flush_by_asid_keeps_the_asid(void **state)
{
	struct asid_pool pool = {0};
	struct asid_slot slot = {0};

	(void)state;
	asid_pool_init(&pool, 3, true);
	assert_int_equal(asid_assign(&pool, &slot, true), SVM_TLB_FLUSH_ALL);
	assert_int_equal(slot.asid, 1);
	assert_int_equal(asid_assign(&pool, &slot, true), SVM_TLB_FLUSH_ASID);
	assert_int_equal(slot.asid, 1);
	assert_int_equal(asid_assign(&pool, &slot, false), SVM_TLB_NOTHING);
	assert_int_equal(slot.asid, 1);
}

static void without_it_a_flush_takes_the_next(void **state)
{
	struct asid_pool pool = {0};
	struct asid_slot slot = {0};

	(void)state;
	asid_pool_init(&pool, 3, false);
	assert_int_equal(asid_assign(&pool, &slot, false), SVM_TLB_FLUSH_ALL);
	for (uint32_t asid = 2; asid <= 3; asid++) {
		assert_int_equal(asid_assign(&pool, &slot, true), SVM_TLB_NOTHING);
		assert_int_equal(slot.asid, asid);
	}
	/* Used up: the next generation begins with one flush of everything. */
	assert_int_equal(asid_assign(&pool, &slot, true), SVM_TLB_FLUSH_ALL);
	assert_int_equal(slot.asid, 1);
	assert_int_equal(pool.generation, 3);
}

static void a_pool_started_over_knows_no_old_slot(void **state)
{
	struct asid_pool pool = {0};
	struct asid_slot slot = {0};

	(void)state;
	asid_pool_init(&pool, 3, true);
	(void)asid_assign(&pool, &slot, false);
	asid_pool_init(&pool, 3, true);
	assert_int_equal(asid_assign(&pool, &slot, false), SVM_TLB_FLUSH_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_stale_translation_is_ever_used),
		cmocka_unit_test(steady_state_flushes_nothing),
		cmocka_unit_test(flush_by_asid_keeps_the_asid),
		cmocka_unit_test(without_it_a_flush_takes_the_next),
		cmocka_unit_test(a_pool_started_over_knows_no_old_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
