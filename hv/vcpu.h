/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What exit handlers do to a vCPU: fetch its instruction, step over it, raise exceptions, and
 * create or reset it. Neutral of the backend.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/vm.h"
#include "hv/emul/decode.h"

/* The one backend of this machine, set once by vcpu_set_backend before any VM exists. */
extern const struct hv_backend *the_backend;
void vcpu_set_backend(const struct hv_backend *backend);

/* Creates vCPU `index` of the VM with everything it needs; NULL when memory is used up. */
struct vcpu *vcpu_new(struct vm *vm, unsigned index);
void vcpu_delete(struct vcpu *vcpu);
/* Architectural RESET state; all but the first vCPU then wait for a start-up message. */
void vcpu_reset(struct vcpu *vcpu);
/*
 * INIT: as RESET, but the TSC and extended state stay, and it waits for a start-up message. Source:
 * SDM "Processor State After Reset" and "MP Initialization Protocol Algorithm".
 */
void vcpu_init(struct vcpu *vcpu);
/* A start-up message: real-mode code at `vector` << 12. Ignored unless it waits for one. */
void vcpu_startup(struct vcpu *vcpu, uint8_t vector);
/* The end of S3: as a start-up message, to real-mode code at any `address` below 1 MiB. */
void vcpu_wake(struct vcpu *vcpu, uint32_t address);

/* Queues an exception without and with an error code. A triple fault stops the VM. */
void vcpu_raise(struct vcpu *vcpu, uint8_t vector);
void vcpu_raise_error(struct vcpu *vcpu, uint8_t vector, uint32_t error);

/* The width in which code is decoded in this context. */
static inline enum insn_mode vcpu_insn_mode(const struct vcpu_context *context)
{
	return insn_mode_of(context->cr0, context->efer, context->rflags, context->cs_attr);
}

/* The same for the vCPU as it is now. */
enum insn_mode vcpu_mode_now(const struct vcpu *vcpu);
/* 0..3; 3 in virtual-8086 mode. */
unsigned vcpu_cpl(const struct vcpu *vcpu);
/*
 * Reads up to INSN_BYTES_MAX bytes at RIP. Returns how many could be read before a page that does
 * not translate; 0 when none.
 */
size_t vcpu_fetch(struct vcpu *vcpu, uint8_t bytes[INSN_BYTES_MAX]);
/* The two ways of vcpu_skip: hardware tells the length, or it does not. `mask` is of the opcode. */
bool vcpu_skip_told(struct vcpu *vcpu, const struct vm_exit *exit);
bool vcpu_skip_untold(struct vcpu *vcpu, const struct vm_exit *exit, uint32_t fixed, uint32_t mask);

/*
 * Completes the exiting instruction: RIP behind it, STI shadow over, single-step trap raised.
 * `fixed` is its opcode (INSN_* of hv/emul/decode.h), used where hardware gives no length. When
 * the bytes are not that instruction any more the guest simply runs again from the same RIP; false.
 * Inline, so that the opcode is a constant and neither way saves registers for the other: 25
 * instructions of each exit.
 */
static inline bool vcpu_skip(struct vcpu *vcpu, const struct vm_exit *exit, uint32_t fixed)
{
	if (exit->insn_len != 0) {
		return vcpu_skip_told(vcpu, exit);
	}
	return vcpu_skip_untold(vcpu, exit, fixed, (uint32_t)size_mask(fixed >> 24));
}
