/* SPDX-License-Identifier: Apache-2.0 */
/* What exit handlers do to a vCPU. */
#include "hv/vcpu.h"

#include "hv/base/check.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/regs.h"
#include "hv/event.h"
#include "hv/exit.h"
#include "hv/fetch.h"
#include "hv/fpu.h"
#include "hv/msr_policy.h"
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
	atomic_init(&vcpu->loaded_on, VCPU_NOT_LOADED);
	atomic_init(&vcpu->executes_on, VCPU_NOT_LOADED);
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
	vcpu->tsc_adjust = 0;
	vcpu->tsc_aux = 0;
	vcpu->misc_enable = MISC_ENABLE_RESET;
	fpu_reset(vcpu);
	vcpu_init(vcpu);
	vcpu->wait_for_sipi = vcpu->index != 0;
	atomic_store(&vcpu->stranded, vcpu->wait_for_sipi);
}

void vcpu_init(struct vcpu *vcpu)
{
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->halted = false;
	vcpu->resting = false;
	vcpu->wait_for_sipi = true;
	atomic_store(&vcpu->stranded, true);
	fetch_clear(vcpu);
	pv_reset(vcpu);
	event_reset(vcpu);
	the_backend->vcpu_reset(vcpu);
	if (atomic_load_explicit(&vcpu->loaded_on, memory_order_relaxed) != VCPU_NOT_LOADED) {
		cpu_write_dr03(vcpu->dr);
	}
}

static void start_real_mode(struct vcpu *vcpu, uint16_t selector, uint16_t ip)
{
	struct vcpu_segment cs;

	if (!vcpu->wait_for_sipi) {
		return;
	}
	vcpu->wait_for_sipi = false;
	atomic_store(&vcpu->stranded, false);
	the_backend->get_seg(vcpu, VCPU_SEG_CS, &cs);
	cs.selector = selector;
	cs.base = (uint64_t)selector << 4;
	the_backend->set_seg(vcpu, VCPU_SEG_CS, &cs);
	vcpu->rip = ip;
}

void vcpu_startup(struct vcpu *vcpu, uint8_t vector)
{
	start_real_mode(vcpu, (uint16_t)(vector << 8), 0);
}

/* Source: ACPI specification, "Firmware ACPI Control Structure (FACS)", Firmware_Waking_Vector. */
void vcpu_wake(struct vcpu *vcpu, uint32_t address)
{
	start_real_mode(vcpu, (uint16_t)(address >> 4), address & 0xf);
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

static __attribute__((noinline)) void raise_step(struct vcpu *vcpu)
{
	static const struct vcpu_event step = {.type = VCPU_EVENT_EXCEPTION, .vector = EXC_DB};

	raise(vcpu, &step, DR6_BS);
}

static inline bool completed(struct vcpu *vcpu)
{
	if ((the_backend->clear_shadow(vcpu) & RFLAGS_TF) != 0) {
		raise_step(vcpu);
	}
	return true;
}

/*
 * Of an instruction whose length is not found quickly, or that ends where RIP may wrap. Out of
 * line: the context would cost every exit a stack check.
 */
static __attribute__((noinline)) bool skip_by_context(struct vcpu *vcpu, const struct vm_exit *exit,
						      uint32_t fixed)
{
	struct vcpu_context context;
	unsigned length = exit->insn_len;
	uint64_t rip;

	the_backend->get_context(vcpu, &context);
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
	return completed(vcpu);
}

/* The next time it will be quick. */
static __attribute__((noinline)) bool skip_by_walk(struct vcpu *vcpu, const struct vm_exit *exit,
						   uint32_t fixed, uint64_t root)
{
	(void)fetch_fill(vcpu, root);
	return skip_by_context(vcpu, exit, fixed);
}

/* Quickly when it is 64-bit code without a prefix. */
bool vcpu_skip_untold(struct vcpu *vcpu, const struct vm_exit *exit, uint32_t fixed, uint32_t mask)
{
	uint64_t root = the_backend->code_root(vcpu);
	const uint8_t *code = fetch_held(vcpu, root);
	uint32_t bytes;

	static_assert(sizeof(bytes) == FETCH_HELD_BYTES, "one load");
	if (code == NULL) {
		return skip_by_walk(vcpu, exit, fixed, root);
	}
	/* At any offset; the built-in is one load. */
	__builtin_memcpy(&bytes, code, sizeof(bytes));
	if (mask == 0 || ((bytes ^ fixed) & mask) != 0) {
		return skip_by_context(vcpu, exit, fixed);
	}
	/* The code is not at the end of its page: this does not wrap. */
	vcpu->rip += fixed >> 24;
	return completed(vcpu);
}

bool vcpu_skip_told(struct vcpu *vcpu, const struct vm_exit *exit)
{
	uint64_t rip = vcpu->rip + exit->insn_len;

	if ((rip ^ vcpu->rip) >> 32 != 0) {
		return skip_by_context(vcpu, exit, 0);
	}
	vcpu->rip = rip;
	return completed(vcpu);
}
