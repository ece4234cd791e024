/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hypercalls do: flushes and interrupts of other virtual processors, yielding, messages and
 * events. Source: TLFS, "Virtual Address Translation" and "Virtual Interrupt Control".
 */
#include "hv/base/str.h"
#include "hv/hyperv_internal.h"
#include "hv/run.h"

/* --- sets of virtual processors --- */

static uint64_t everyone(struct vm *vm)
{
	return guest_vcpus(guest_of(vm));
}

static unsigned count_of(uint64_t mask)
{
	unsigned count = 0;

	for (; mask != 0; mask &= mask - 1) {
		count++;
	}
	return count;
}

/*
 * HV_VP_SET at word `at` of the input: format, which banks of 64 VPs follow, the banks. There is
 * one bank of VPs here; others name nobody. Source: TLFS, "Sparse Virtual Processor Set".
 */
static enum hv_call_status take_set(const struct hyperv_call *call, unsigned at, uint64_t *set)
{
	uint64_t banks = call->in[at + 1];

	if (call->in[at] == HV_SET_ALL) {
		*set = everyone(call->vcpu->vm);
		return HV_CALL_SUCCESS;
	}
	if (call->in[at] != HV_SET_SPARSE || count_of(banks) != call->variable) {
		return HV_CALL_INVALID_INPUT;
	}
	*set = (banks & 1) != 0 ? call->in[at + 2] & everyone(call->vcpu->vm) : 0;
	return HV_CALL_SUCCESS;
}

/* --- flushes --- */

static void flush(struct hyperv_call *call, uint64_t set)
{
	guest_flush(guest_of(call->vcpu->vm), set);
	call->reps_done = call->rep_count;
}

/* Words of the input: address space, flags, then whom it is for. The space says nothing here: all
 * of a vCPU's translations go. */
enum { FLUSH_FLAGS = 1, FLUSH_WHOM = 2 };

static enum hv_call_status flush_some(struct hyperv_call *call)
{
	uint64_t flags = call->in[FLUSH_FLAGS];
	uint64_t all = everyone(call->vcpu->vm);

	if ((flags & ~HV_FLUSH_DEFINED) != 0) {
		return HV_CALL_INVALID_PARAMETER;
	}
	flush(call, (flags & HV_FLUSH_ALL_PROCESSORS) != 0 ? all : call->in[FLUSH_WHOM] & all);
	return HV_CALL_SUCCESS;
}

static enum hv_call_status flush_set(struct hyperv_call *call)
{
	uint64_t flags = call->in[FLUSH_FLAGS];
	uint64_t set = everyone(call->vcpu->vm);
	enum hv_call_status status = HV_CALL_SUCCESS;

	if ((flags & ~HV_FLUSH_DEFINED) != 0) {
		return HV_CALL_INVALID_PARAMETER;
	}
	if ((flags & HV_FLUSH_ALL_PROCESSORS) == 0) {
		status = take_set(call, FLUSH_WHOM, &set);
	}
	if (status == HV_CALL_SUCCESS) {
		flush(call, set);
	}
	return status;
}

/* --- interrupts --- */

#define FIRST_VECTOR 16u
#define LAST_VECTOR 255u
/* Word 0: a vector, then the trust level it is for, of which there is one. */
#define IPI_VECTOR MASK(31, 0)
#define IPI_LEVEL MASK(39, 32)

static enum hv_call_status send_ipi(const struct hyperv_call *call, uint64_t set)
{
	const struct guest *g = guest_of(call->vcpu->vm);
	uint64_t vector = bits_get(call->in[0], IPI_VECTOR);

	if (vector < FIRST_VECTOR || vector > LAST_VECTOR ||
	    bits_get(call->in[0], IPI_LEVEL) != 0) {
		return HV_CALL_INVALID_PARAMETER;
	}
	for (; set != 0; set &= set - 1) {
		lapic_interrupt(board_lapic(g->board, (unsigned)__builtin_ctzll(set)),
				(uint8_t)vector);
	}
	return HV_CALL_SUCCESS;
}

static enum hv_call_status ipi_some(struct hyperv_call *call)
{
	return send_ipi(call, call->in[1] & everyone(call->vcpu->vm));
}

static enum hv_call_status ipi_set(struct hyperv_call *call)
{
	uint64_t set;
	enum hv_call_status status = take_set(call, 1, &set);

	return status == HV_CALL_SUCCESS ? send_ipi(call, set) : status;
}

/* --- the rest --- */

/* How long the guest has spun says nothing here. */
static enum hv_call_status spin_wait(struct hyperv_call *call)
{
	(void)call;
	run_yield();
	return HV_CALL_SUCCESS;
}

static enum hv_call_status post_message(struct hyperv_call *call)
{
	struct hv_post_message post;

	memcpy(&post, call->in, sizeof(post));
	return port_post(call->vcpu->vm->hyperv, &post);
}

#define EVENT_CONNECTION MASK(31, 0)
#define EVENT_FLAG MASK(47, 32)
#define EVENT_RESERVED MASK(63, 48)

static enum hv_call_status signal_event(struct hyperv_call *call)
{
	uint64_t word = call->in[0];

	if ((word & EVENT_RESERVED) != 0) {
		return HV_CALL_INVALID_PARAMETER;
	}
	return port_signal(call->vcpu->vm->hyperv, (uint32_t)bits_get(word, EVENT_CONNECTION),
			   (uint16_t)bits_get(word, EVENT_FLAG));
}

static const struct hyperv_call_rule rules[] = {
	{HV_CALL_FLUSH_SPACE, 24, 0, false, flush_some},
	{HV_CALL_FLUSH_LIST, 24, 8, false, flush_some},
	{HV_CALL_LONG_SPIN_WAIT, 8, 0, false, spin_wait},
	{HV_CALL_CLUSTER_IPI, 16, 0, false, ipi_some},
	{HV_CALL_FLUSH_SPACE_EX, 32, 0, true, flush_set},
	{HV_CALL_FLUSH_LIST_EX, 32, 8, true, flush_set},
	{HV_CALL_CLUSTER_IPI_EX, 24, 0, true, ipi_set},
	{HV_CALL_POST_MESSAGE, sizeof(struct hv_post_message), 0, false, post_message},
	{HV_CALL_SIGNAL_EVENT, 8, 0, false, signal_event},
};

const struct hyperv_call_rule *hyperv_call_rule(unsigned code)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if ((unsigned)rules[i].code == code) {
			return &rules[i];
		}
	}
	return NULL;
}
