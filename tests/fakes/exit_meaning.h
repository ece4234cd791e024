/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of a decoded exit what its kind gives a meaning, the rest zero: for tests that compare whole
 * exits. Decoders leave the rest as it was (svm/decode.h).
 */
#pragma once

#include <string.h>

#include "hv/api/exit.h"

/* Member by member: what lies between them means nothing either. */
static inline void exit_meaning_fault(const struct vm_exit_nested_fault *in,
				      struct vm_exit_nested_fault *out)
{
	out->gpa = in->gpa;
	out->gva = in->gva;
	out->gva_valid = in->gva_valid;
	out->write = in->write;
	out->fetch = in->fetch;
	out->present = in->present;
	out->table_walk = in->table_walk;
	out->misconfigured = in->misconfigured;
}

static inline void exit_meaning_event(const struct vcpu_event *in, struct vcpu_event *out)
{
	out->type = in->type;
	out->vector = in->vector;
	out->has_error = in->has_error;
	out->error = in->error;
	out->insn_len = in->insn_len;
}

static inline void exit_meaning_payload(const struct vm_exit *exit, struct vm_exit *out)
{
	switch ((int)exit->kind) {
	case VM_EXIT_HOST_INTERRUPT:
		out->host_interrupt.acknowledged = exit->host_interrupt.acknowledged;
		if (exit->host_interrupt.acknowledged) {
			out->host_interrupt.vector = exit->host_interrupt.vector;
		}
		break;
	case VM_EXIT_IO:
		out->io = exit->io;
		break;
	case VM_EXIT_MSR_READ:
	case VM_EXIT_MSR_WRITE:
		out->msr.index = exit->msr.index;
		break;
	case VM_EXIT_NESTED_FAULT:
		exit_meaning_fault(&exit->fault, &out->fault);
		break;
	case VM_EXIT_EXCEPTION:
		out->exception.vector = exit->exception.vector;
		out->exception.has_error = exit->exception.has_error;
		out->exception.error = exit->exception.error;
		out->exception.cr2 = exit->exception.vector == 14 ? exit->exception.cr2 : 0;
		out->exception.dr6 = exit->exception.vector == 1 ? exit->exception.dr6 : 0;
		break;
	case VM_EXIT_CR_ACCESS:
		out->cr = exit->cr;
		break;
	case VM_EXIT_INVLPG:
		out->invlpg.addr = exit->invlpg.addr;
		break;
	case VM_EXIT_TASK_SWITCH:
		out->task.selector = exit->task.selector;
		out->task.source = exit->task.source;
		out->task.has_error = exit->task.has_error;
		out->task.error = exit->task.error;
		break;
	case VM_EXIT_ENTRY_FAILED:
	case VM_EXIT_UNKNOWN:
		out->raw.reason = exit->raw.reason;
		out->raw.info = exit->raw.info;
		break;
	default:
		break;
	}
}

static inline struct vm_exit exit_meaning(const struct vm_exit *exit)
{
	struct vm_exit out;

	memset(&out, 0, sizeof(out));
	out.kind = exit->kind;
	out.insn_len = exit->insn_len;
	out.insn_bytes_count = exit->insn_bytes_count;
	memcpy(out.insn_bytes, exit->insn_bytes, exit->insn_bytes_count);
	if (exit->vectoring.type != VCPU_EVENT_NONE) {
		exit_meaning_event(&exit->vectoring, &out.vectoring);
	}
	exit_meaning_payload(exit, &out);
	return out;
}
