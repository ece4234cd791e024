/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a hypercall comes in and its result goes out:
 *
 *	           64-bit code  32-bit code
 *	control    RCX          EDX:EAX      code, fast, header size, repetitions
 *	input      RDX          EBX:ECX      address, or the first 8 bytes of a fast call
 *	output     R8           EDI:ESI      address, or the next 8; then XMM0 to XMM5
 *	result     RAX          EDX:EAX      status, repetitions done
 *
 * Input is read once, before the call looks at it. The elements of a list are not read at all: a
 * flush of some pages is a flush of all. Source: TLFS, "Hypercall Interface".
 */
#include "hv/api/gmem.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/regs.h"
#include "hv/hyperv_internal.h"
#include "hv/vcpu.h"

#define WORD sizeof(uint64_t)
/* RDX, R8 and six XMM registers. */
#define FAST_BYTES (2 * WORD + FAST_XMM_BYTES)
#define FAST_XMM_BYTES 96u
#define FX_XMM 160u /* "Layout of the 64-bit-mode FXSAVE64 Map" */

struct fx_area {
	uint8_t bytes[FXSAVE_BYTES];
} __attribute__((aligned(16)));

/* Two halves of a 64-bit value in 32-bit code. */
static uint64_t pair(const struct vcpu *vcpu, enum gpr high, enum gpr low)
{
	return vcpu->gpr[high] << 32 | (uint32_t)vcpu->gpr[low];
}

static uint64_t control_of(const struct vcpu *vcpu, bool wide)
{
	return wide ? vcpu->gpr[GPR_RCX] : pair(vcpu, GPR_RDX, GPR_RAX);
}

static uint64_t input_of(const struct vcpu *vcpu, bool wide)
{
	return wide ? vcpu->gpr[GPR_RDX] : pair(vcpu, GPR_RBX, GPR_RCX);
}

static uint64_t output_of(const struct vcpu *vcpu, bool wide)
{
	return wide ? vcpu->gpr[GPR_R8] : pair(vcpu, GPR_RDI, GPR_RSI);
}

static void set_result(struct vcpu *vcpu, bool wide, uint64_t result)
{
	if (wide) {
		vcpu->gpr[GPR_RAX] = result;
	} else {
		vcpu->gpr[GPR_RAX] = (uint32_t)result;
		vcpu->gpr[GPR_RDX] = result >> 32;
	}
}

/* The vCPU's vector registers are in this CPU while it is the one that runs here. */
static void read_fast(struct hyperv_call *call, bool wide, size_t bytes)
{
	struct fx_area fx;

	call->in[0] = input_of(call->vcpu, wide);
	call->in[1] = output_of(call->vcpu, wide);
	if (bytes > 2 * WORD) {
		cpu_fxsave(&fx);
		memcpy(&call->in[2], fx.bytes + FX_XMM, FAST_XMM_BYTES);
	}
}

/* `all` bytes are there, of which `head` are wanted. */
static enum hv_call_status read_memory(struct hyperv_call *call, uint64_t address, size_t head,
				       size_t all)
{
	uint64_t offset = address % PAGE_SIZE;
	enum hv_status status;

	if (!is_aligned(address, WORD) || offset + all > PAGE_SIZE) {
		return HV_CALL_INVALID_ALIGNMENT;
	}
	status = guest_mem_read(call->vcpu->vm, gpa(address), call->in, head);
	if (status == HV_E_NO_MEMORY) {
		return HV_CALL_INSUFFICIENT_MEMORY;
	}
	return status == HV_OK ? HV_CALL_SUCCESS : HV_CALL_INVALID_PARAMETER;
}

static enum hv_call_status read_input(struct hyperv_call *call, const struct hyperv_call_rule *rule,
				      bool wide)
{
	size_t head = rule->header + call->variable * WORD;
	size_t all = head + (size_t)call->rep_count * rule->rep_size;

	if (head > sizeof(call->in)) {
		return HV_CALL_INVALID_INPUT;
	}
	if ((call->control & HV_CONTROL_FAST) == 0) {
		return read_memory(call, input_of(call->vcpu, wide), head, all);
	}
	if (all > FAST_BYTES) {
		return HV_CALL_INVALID_INPUT;
	}
	read_fast(call, wide, all);
	return HV_CALL_SUCCESS;
}

/* Whether the control word fits the call. A rep call goes on where it says; it never has to. */
static bool control_valid(const struct hyperv_call *call, const struct hyperv_call_rule *rule)
{
	unsigned start = (unsigned)bits_get(call->control, HV_CONTROL_REP_START);
	bool reps =
		rule->rep_size != 0 ? start < call->rep_count : call->rep_count == 0 && start == 0;

	return reps && (call->control & HV_CONTROL_RESERVED) == 0 &&
	       (call->variable == 0 || rule->variable_header);
}

static enum hv_call_status perform(struct hyperv_call *call, bool wide)
{
	const struct hyperv_call_rule *rule =
		hyperv_call_rule((unsigned)bits_get(call->control, HV_CONTROL_CODE));
	enum hv_call_status status;

	if (rule == NULL) {
		lacks_note(&call->vcpu->vm->lacks, "Hyper-V", LACKS_CALL,
			   (uint32_t)bits_get(call->control, HV_CONTROL_CODE));
		return HV_CALL_INVALID_CODE;
	}
	call->rep_count = (unsigned)bits_get(call->control, HV_CONTROL_REP_COUNT);
	call->variable = (unsigned)bits_get(call->control, HV_CONTROL_VARIABLE);
	if (!control_valid(call, rule)) {
		return HV_CALL_INVALID_INPUT;
	}
	status = read_input(call, rule, wide);
	return status == HV_CALL_SUCCESS ? rule->fn(call) : status;
}

/* Source: TLFS, "Legal Hypercall Environments". */
static bool may_call(struct vcpu *vcpu)
{
	struct vcpu_context context;

	the_backend->get_context(vcpu, &context);
	return vcpu->vm->hyperv != NULL &&
	       (hyperv_hypercall_msr(vcpu->vm->hyperv) & HV_PAGE_ENABLE) != 0 &&
	       (context.cr0 & CR0_PE) != 0 && context.cpl == 0;
}

void hyperv_hypercall(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct hyperv_call call = {.vcpu = vcpu};
	uint64_t result;
	bool wide;

	if (!may_call(vcpu)) {
		vcpu_raise(vcpu, EXC_UD);
		return;
	}
	if (!vcpu_skip(vcpu, exit, INSN_VMMCALL)) {
		return;
	}
	wide = vcpu_mode_now(vcpu) == INSN_LONG64;
	call.control = control_of(vcpu, wide);
	result = perform(&call, wide);
	set_result(vcpu, wide, bits_set(result, HV_RESULT_REPS, call.reps_done));
}
