/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit decoding of arbitrary VMCB bytes: the result is always a kind that exists, lengths an
 * instruction can have, an event that may be injected again, and no state from before.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/backend.h"
#include "svm/check.h"
#include "svm/decode.h"
#include "tests/fakes/exit_meaning.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(cond) \
	do { \
		if (!(cond)) { \
			abort(); \
		} \
	} while (0)

/* Seven words, then flags, then bytes: a layout of our own, so that padding and bools are sound. */
static struct svm_raw_exit raw_from(const uint8_t *data, size_t size)
{
	uint64_t words[7] = {0};
	uint8_t rest[2 + INSN_BYTES_MAX] = {0};
	struct svm_raw_exit raw = {0};

	memcpy(words, data, size < sizeof(words) ? size : sizeof(words));
	if (size > sizeof(words)) {
		size -= sizeof(words);
		memcpy(rest, data + sizeof(words), size < sizeof(rest) ? size : sizeof(rest));
	}
	raw.code = words[0];
	raw.info1 = words[1];
	raw.info2 = words[2];
	raw.int_info = words[3];
	raw.rip = words[4];
	raw.nrip = words[5];
	raw.dr6 = words[6];
	raw.ecx = (uint32_t)words[6];
	raw.has_nrip = (rest[0] & 2) != 0;
	raw.decode_assist = (rest[0] & 4) != 0;
	raw.window_early = (rest[0] & 8) != 0;
	raw.nmi_window = (rest[0] & 16) != 0;
	raw.insn_count = rest[1];
	memcpy(raw.insn, rest + 2, INSN_BYTES_MAX);
	return raw;
}

/* What is handed back for injection must be what VMRUN takes. */
static void check_vectoring(const struct vcpu_event *e)
{
	uint64_t inj = svm_event_encode(e);
	struct vcpu_event again = svm_event_decode(inj);

	NEED(e->type <= VCPU_EVENT_SOFT_EXC);
	if (e->type == VCPU_EVENT_NONE) {
		NEED(inj == 0);
		return;
	}
	NEED(again.type == e->type && again.vector == e->vector);
	NEED(again.has_error == e->has_error && again.error == e->error);
	NEED(e->type != VCPU_EVENT_EXCEPTION || (e->vector < 32 && e->vector != 2));
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
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct svm_raw_exit raw = raw_from(data, size);
	struct vm_exit a, b;
	struct vm_exit meaning_a, meaning_b;

	memset(&a, 0x00, sizeof(a));
	memset(&b, 0xff, sizeof(b));
	svm_decode(&raw, &a);
	svm_decode(&raw, &b);
	NEED(a.kind != VM_EXIT_INVALID && (unsigned)a.kind < VM_EXIT_KIND_COUNT);
	NEED(a.insn_len <= INSN_BYTES_MAX);
	NEED(a.insn_bytes_count <= INSN_BYTES_MAX && b.insn_bytes_count <= INSN_BYTES_MAX);
	/* Nothing that means something is left of what was there before. */
	meaning_a = exit_meaning(&a);
	meaning_b = exit_meaning(&b);
	NEED(memcmp(&meaning_a, &meaning_b, sizeof(meaning_a)) == 0);
	check_vectoring(&a.vectoring);
	check_payload(&a);
	return 0;
}
