/* SPDX-License-Identifier: Apache-2.0 */
/* What hypercalls do to the other virtual processors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/hyperv_rig.h"

#define ALL (HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_SPACES)

/* A call as hyperv_hypercall makes it, with its words. */
static enum hv_call_status call(enum hv_call_code code, unsigned variable, const uint64_t *words,
				size_t count)
{
	const struct hyperv_call_rule *rule = hyperv_call_rule((unsigned)code);
	struct hyperv_call c = {.vcpu = vcpu, .variable = variable, .rep_count = 3};
	enum hv_call_status status;

	assert_non_null(rule);
	assert_int_equal(rule->code, code);
	memcpy(c.in, words, count * sizeof(words[0]));
	status = rule->fn(&c);
	if (rule->rep_size != 0 && status == HV_CALL_SUCCESS) {
		assert_int_equal(c.reps_done, 3);
	}
	return status;
}

#define CALL(code, variable, ...) \
	call(code, variable, (const uint64_t[]){__VA_ARGS__}, \
	     sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* Who was asked to flush, one bit each; takes it back. */
static unsigned flushed(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < HYPERV_CPUS; i++) {
		uint32_t requests = atomic_exchange(&g->vm.vcpus[i]->requests, 0);

		set |= (requests & VCPU_REQ_TLB_FLUSH) != 0 ? 1u << i : 0;
		/* Who sleeps is not woken for it. */
		assert_int_equal(requests & VCPU_REQ_EVENT, 0);
	}
	return set;
}

static void forget_requests(void)
{
	for (unsigned i = 0; i < HYPERV_CPUS; i++) {
		atomic_store(&g->vm.vcpus[i]->requests, 0);
	}
}

static unsigned interrupted(uint8_t vector)
{
	unsigned set = 0;

	for (unsigned i = 0; i < HYPERV_CPUS; i++) {
		set |= hyperv_got(i, vector) ? 1u << i : 0;
	}
	return set;
}

static void flushes_by_mask(void **state)
{
	static const enum hv_call_code codes[] = {HV_CALL_FLUSH_SPACE, HV_CALL_FLUSH_LIST};

	(void)state;
	forget_requests();
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_int_equal(CALL(codes[i], 0, 0x1000, 0, 6), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 6);
		assert_int_equal(CALL(codes[i], 0, 0x1000, HV_FLUSH_NON_GLOBAL_ONLY, 1),
				 HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 1);
		assert_int_equal(CALL(codes[i], 0, 0, ALL, 0), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 7);
		/* Those that there are not. */
		assert_int_equal(CALL(codes[i], 0, 0, 0, ~7ull), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 0);
		assert_int_equal(CALL(codes[i], 0, 0, BIT(3), 7), HV_CALL_INVALID_PARAMETER);
		assert_int_equal(CALL(codes[i], 0, 0, BIT(63), 7), HV_CALL_INVALID_PARAMETER);
		assert_int_equal(flushed(), 0);
	}
}

static void flushes_by_set(void **state)
{
	static const enum hv_call_code codes[] = {HV_CALL_FLUSH_SPACE_EX, HV_CALL_FLUSH_LIST_EX};

	(void)state;
	forget_requests();
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_int_equal(CALL(codes[i], 1, 0, 0, HV_SET_SPARSE, 1, 5), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 5);
		/* Two banks; the second has nobody. */
		assert_int_equal(CALL(codes[i], 2, 0, 0, HV_SET_SPARSE, 3, 2, 7), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 2);
		assert_int_equal(CALL(codes[i], 1, 0, 0, HV_SET_SPARSE, 2, 7), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 0);
		assert_int_equal(CALL(codes[i], 0, 0, 0, HV_SET_ALL, 0), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 7);
		assert_int_equal(CALL(codes[i], 0, 0, ALL, 0, 0), HV_CALL_SUCCESS);
		assert_int_equal(flushed(), 7);
		/* Banks and their number disagree; no such format. */
		assert_int_equal(CALL(codes[i], 0, 0, 0, HV_SET_SPARSE, 1, 5),
				 HV_CALL_INVALID_INPUT);
		assert_int_equal(CALL(codes[i], 1, 0, 0, HV_SET_SPARSE, 3, 5),
				 HV_CALL_INVALID_INPUT);
		assert_int_equal(CALL(codes[i], 1, 0, 0, 2, 1, 5), HV_CALL_INVALID_INPUT);
		assert_int_equal(CALL(codes[i], 1, 0, BIT(4), HV_SET_SPARSE, 1, 5),
				 HV_CALL_INVALID_PARAMETER);
		assert_int_equal(flushed(), 0);
	}
}

static void interrupts_by_mask_and_set(void **state)
{
	(void)state;
	assert_int_equal(CALL(HV_CALL_CLUSTER_IPI, 0, 0x41, 6), HV_CALL_SUCCESS);
	assert_int_equal(interrupted(0x41), 6);
	assert_int_equal(CALL(HV_CALL_CLUSTER_IPI, 0, 0xff, ~0ull), HV_CALL_SUCCESS);
	assert_int_equal(interrupted(0xff), 7);
	assert_int_equal(CALL(HV_CALL_CLUSTER_IPI_EX, 1, 0x41, HV_SET_SPARSE, 1, 5),
			 HV_CALL_SUCCESS);
	assert_int_equal(interrupted(0x41), 5);
	assert_int_equal(CALL(HV_CALL_CLUSTER_IPI_EX, 0, 0x41, HV_SET_ALL, 0), HV_CALL_SUCCESS);
	assert_int_equal(interrupted(0x41), 7);
	assert_int_equal(CALL(HV_CALL_CLUSTER_IPI_EX, 1, 0x41, HV_SET_SPARSE, 0, 5),
			 HV_CALL_INVALID_INPUT);
}

static void vectors_that_are_none(void **state)
{
	static const uint64_t words[] = {0, 15, 256, 0xffffffff, BIT(32) | 0x41};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(CALL(HV_CALL_CLUSTER_IPI, 0, words[i], 7),
				 HV_CALL_INVALID_PARAMETER);
		assert_int_equal(CALL(HV_CALL_CLUSTER_IPI_EX, 0, words[i], HV_SET_ALL, 0),
				 HV_CALL_INVALID_PARAMETER);
	}
	assert_int_equal(interrupted(0x41), 0);
}

static void a_spinner_yields(void **state)
{
	(void)state;
	assert_int_equal(CALL(HV_CALL_LONG_SPIN_WAIT, 0, 100), HV_CALL_SUCCESS);
}

static void messages_and_events_to_nobody(void **state)
{
	(void)state;
	assert_int_equal(CALL(HV_CALL_POST_MESSAGE, 0, 7, 1 | 8ull << 32, 0),
			 HV_CALL_INVALID_CONNECTION_ID);
	assert_int_equal(CALL(HV_CALL_SIGNAL_EVENT, 0, 0x1234), HV_CALL_INVALID_CONNECTION_ID);
	assert_int_equal(CALL(HV_CALL_SIGNAL_EVENT, 0, BIT(48) | 0x1234),
			 HV_CALL_INVALID_PARAMETER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(flushes_by_mask),
		HYPERV_TEST(flushes_by_set),
		HYPERV_TEST(interrupts_by_mask_and_set),
		HYPERV_TEST(vectors_that_are_none),
		HYPERV_TEST(a_spinner_yields),
		HYPERV_TEST(messages_and_events_to_nobody),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
