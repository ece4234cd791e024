/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit decoding of arbitrary exit fields: the result is always a kind that exists, lengths an
 * instruction can have, an event that may be injected again, and no state from before.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/backend.h"
#include "tests/fakes/exit_meaning.h"
#include "vmx/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(cond) \
	do { \
		if (!(cond)) { \
			abort(); \
		} \
	} while (0)

/* Words, then a flag: a layout of our own, so that padding and bools are sound. */
static struct vmx_raw_exit raw_from(const uint8_t *data, size_t size)
{
	uint64_t wide[3] = {0};
	uint32_t words[9] = {0};
	uint8_t bytes[sizeof(wide) + sizeof(words)] = {0};

	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
	memcpy(words, bytes, sizeof(words));
	memcpy(wide, bytes + sizeof(words), sizeof(wide));
	return (struct vmx_raw_exit){
		.reason = words[0],
		.interruption = words[1],
		.error_code = words[2],
		.vectoring = words[3],
		.vectoring_error = words[4],
		.insn_length = words[5],
		.insn_info = words[6],
		.ecx = words[7],
		.io_info = (words[8] & 1) != 0,
		.qualification = wide[0],
		.gpa = wide[1],
		.gva = wide[2],
	};
}

/* What is handed back for injection must be what a VM entry takes. */
static void check_vectoring(const struct vcpu_event *e)
{
	uint32_t info = vmx_event_encode(e);
	struct vcpu_event again = vmx_event_decode(info, e->error, e->insn_len);

	NEED(e->type <= VCPU_EVENT_SOFT_EXC);
	NEED(e->insn_len <= INSN_BYTES_MAX);
	if (e->type == VCPU_EVENT_NONE) {
		NEED(info == 0);
		return;
	}
	NEED(again.type == e->type && again.vector == e->vector);
	NEED(again.has_error == e->has_error && again.error == e->error);
	NEED(e->type != VCPU_EVENT_EXCEPTION || (e->vector < 32 && e->vector != 2));
	NEED(e->type != VCPU_EVENT_NMI || e->vector == 2);
}

static void check_payload(const struct vm_exit *exit)
{
	switch ((int)exit->kind) {
	case VM_EXIT_IO:
		NEED(exit->io.size == 1 || exit->io.size == 2 || exit->io.size == 4);
		NEED(exit->io.addr_size <= 8);
		NEED(exit->io.segment <= VCPU_SEG_GS || exit->io.segment == 0xff);
		break;
	case VM_EXIT_EXCEPTION:
		NEED(exit->exception.vector < 32);
		break;
	case VM_EXIT_CR_ACCESS:
		NEED(exit->cr.cr == 0 || exit->cr.cr == 3 || exit->cr.cr == 4 || exit->cr.cr == 8);
		NEED(exit->cr.gpr < 16);
		NEED(exit->cr.decoded + exit->cr.clts + exit->cr.lmsw == 1);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmx_raw_exit raw = raw_from(data, size);
	struct vm_exit a, b;
	struct vm_exit meaning_a, meaning_b;

	memset(&a, 0x00, sizeof(a));
	memset(&b, 0xff, sizeof(b));
	vmx_decode(&raw, &a);
	vmx_decode(&raw, &b);
	NEED(a.kind != VM_EXIT_INVALID && (unsigned)a.kind < VM_EXIT_KIND_COUNT);
	NEED(a.insn_len <= INSN_BYTES_MAX);
	NEED(a.insn_bytes_count == 0 && b.insn_bytes_count == 0);
	/* Nothing that means something is left of what was there before. */
	meaning_a = exit_meaning(&a);
	meaning_b = exit_meaning(&b);
	NEED(memcmp(&meaning_a, &meaning_b, sizeof(meaning_a)) == 0);
	(void)vmx_iret_faulted(&raw);
	check_vectoring(&a.vectoring);
	check_payload(&a);
	return 0;
}
