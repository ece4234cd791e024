/* SPDX-License-Identifier: Apache-2.0 */
/* What exit handlers do to a vCPU. */
#include "hv/vcpu.h"

#include "hv/base/check.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"
#include "hv/event.h"
#include "hv/exit.h"
#include "hv/fetch.h"
#include "hv/fpu.h"
#include "hv/pv.h"
#include "mm/pool.h"

const struct hv_backend *the_backend;

#define RECORDER_ORDER 4u
static_assert((PAGE_SIZE << RECORDER_ORDER) == RECORDER_ENTRIES * sizeof(struct recorder_entry),
	      "the recorder is a block of pages");

void vcpu_set_backend(const struct hv_backend *backend)
{
	the_backend = backend;
}

struct vcpu *vcpu_new(struct vm *vm, unsigned index)
{
	struct vcpu *vcpu = the_backend->vcpu_create(vm);

	if (vcpu == NULL) {
		return NULL;
	}
	vcpu->vm = vm;
	vcpu->index = index;
	/* A multiple of 64 bytes, so that the pool aligns it as XSAVE wants. */
	vcpu->fpu = pool_alloc(align_up(fpu_area_size(), 64));
	vcpu->recorder.entries = pool_pages(RECORDER_ORDER);
	if (vcpu->fpu == NULL || vcpu->recorder.entries == NULL) {
		vcpu_delete(vcpu);
		return NULL;
	}
	vcpu_reset(vcpu);
	return vcpu;
}

void vcpu_delete(struct vcpu *vcpu)
{
	pool_free(vcpu->fpu, align_up(fpu_area_size(), 64));
	if (vcpu->recorder.entries != NULL) {
		pool_pages_free(vcpu->recorder.entries, RECORDER_ORDER);
	}
	the_backend->vcpu_destroy(vcpu);
}

void vcpu_reset(struct vcpu *vcpu)
{
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->halted = false;
	vcpu->fetch.code = NULL;
	vcpu->tsc_adjust = 0;
	vcpu->tsc_aux = 0;
	pv_reset(vcpu);
	fpu_reset(vcpu);
	event_reset(vcpu);
	the_backend->vcpu_reset(vcpu);
}

static void raise(struct vcpu *vcpu, const struct vcpu_event *event, uint64_t payload)
{
	if (event_exception(vcpu, event, payload) == EVENT_TRIPLE_FAULT) {
		exit_stop(vcpu, "triple fault");
	}
}

void vcpu_raise(struct vcpu *vcpu, uint8_t vector)
{
	struct vcpu_event event = {.type = VCPU_EVENT_EXCEPTION, .vector = vector};

	raise(vcpu, &event, 0);
}

void vcpu_raise_error(struct vcpu *vcpu, uint8_t vector, uint32_t error)
{
	struct vcpu_event event = {
		.type = VCPU_EVENT_EXCEPTION, .vector = vector, .has_error = true, .error = error};

	raise(vcpu, &event, 0);
}

void vcpu_raise_page_fault(struct vcpu *vcpu, uint32_t error, uint64_t cr2)
{
	struct vcpu_event event = {
		.type = VCPU_EVENT_EXCEPTION, .vector = EXC_PF, .has_error = true, .error = error};

	raise(vcpu, &event, cr2);
}

enum insn_mode vcpu_mode_now(const struct vcpu *vcpu)
{
	struct vcpu_context context;

	the_backend->get_context(vcpu, &context);
	return vcpu_insn_mode(&context);
}

unsigned vcpu_cpl(const struct vcpu *vcpu)
{
	struct vcpu_context context;

	the_backend->get_context(vcpu, &context);
	return context.cpl;
}

size_t vcpu_fetch(struct vcpu *vcpu, uint8_t bytes[INSN_BYTES_MAX])
{
	struct vcpu_context context;

	the_backend->get_context(vcpu, &context);
	return fetch_code(vcpu, &context, bytes, INSN_BYTES_MAX);
}

/*
 * The length of the exiting instruction where hardware does not tell; 0: not `fixed` any more. Kept
 * out of line: its buffer would cost every exit a stack check.
 */
static __attribute__((noinline)) unsigned find_length(struct vcpu *vcpu, const struct vm_exit *exit,
						      const struct vcpu_context *context,
						      uint32_t fixed)
{
	enum insn_mode mode = vcpu_insn_mode(context);
	uint8_t fetched[INSN_BYTES_MAX];
	const uint8_t *bytes = exit->insn_bytes;
	size_t n = exit->insn_bytes_count;
	struct insn insn;

	if (n == 0) {
		bytes = fetched;
		n = fetch_code(vcpu, context, fetched, INSN_BYTES_MAX);
	}
	if (fixed != 0) {
		return insn_length_fixed(bytes, n, mode, fixed);
	}
	return insn_decode(bytes, n, mode, &insn) == DECODE_OK ? insn.length : 0;
}

/* The same for the usual case: 64-bit code, no prefix, bytes in one page. 0: take the long way. */
static unsigned find_length_quick(struct vcpu *vcpu, const struct vm_exit *exit,
				  const struct vcpu_context *context, uint32_t fixed)
{
	unsigned count = fixed >> 24;
	uint32_t mask = (uint32_t)size_mask(count);
	uint32_t bytes;

	if (count == 0 || exit->insn_bytes_count != 0 || !fetch_quick(vcpu, context, &bytes)) {
		return 0;
	}
	return (bytes & mask) == (fixed & mask) ? count : 0;
}

static void completed(struct vcpu *vcpu, uint64_t rflags)
{
	static const struct vcpu_event step = {.type = VCPU_EVENT_EXCEPTION, .vector = EXC_DB};

	the_backend->clear_shadow(vcpu);
	if ((rflags & RFLAGS_TF) != 0) {
		raise(vcpu, &step, DR6_BS);
	}
}

/* Of an instruction whose length hardware does not tell, or that ends where RIP may wrap. */
static bool skip_by_context(struct vcpu *vcpu, const struct vm_exit *exit, uint32_t fixed)
{
	struct vcpu_context context;
	unsigned length = exit->insn_len;
	uint64_t rip;

	the_backend->get_context(vcpu, &context);
	if (length == 0) {
		length = find_length_quick(vcpu, exit, &context, fixed);
	}
	if (length == 0) {
		length = find_length(vcpu, exit, &context, fixed);
		if (length == 0) {
			return false;
		}
	}
	rip = vcpu->rip + length;
	if (vcpu_insn_mode(&context) != INSN_LONG64) {
		rip = (uint32_t)rip;
	}
	vcpu->rip = rip;
	completed(vcpu, context.rflags);
	return true;
}

bool vcpu_skip(struct vcpu *vcpu, const struct vm_exit *exit, uint32_t fixed)
{
	uint64_t rip = vcpu->rip + exit->insn_len;

	if (exit->insn_len == 0 || (rip ^ vcpu->rip) >> 32 != 0) {
		return skip_by_context(vcpu, exit, fixed);
	}
	vcpu->rip = rip;
	completed(vcpu, the_backend->get_reg(vcpu, VCPU_REG_RFLAGS));
	return true;
}
