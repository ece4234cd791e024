/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction emulator: completes in software what a guest's instruction wanted to do to memory
 * that is a device, to a string of port accesses, or (decoding only) to a control register. It
 * touches no hardware: guest memory, devices, ports and segment registers are callbacks.
 *
 * All translations and checks come before the first access, so an exception leaves no half-done
 * work; only repeated string instructions show the iterations they finished.
 *
 * Sources: Intel SDM volume 2 (each instruction's "Operation"), volume 1 "Operand Addressing",
 * volume 3 "Limit Checking", "Type Checking"; AMD APM volumes 2 and 3.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/backend.h"
#include "hv/api/exit.h"
#include "hv/base/addr.h"
#include "hv/emul/decode.h"
#include "hv/emul/gwalk.h"

enum emul_status {
	EMUL_OK,	/* done: registers, RFLAGS and RIP are those after the instruction */
	EMUL_EXCEPTION, /* ctx->exception is to be injected; RIP is still at the instruction */
	EMUL_RESTART,	/* run the guest at the same RIP: a repeated instruction made some progress,
			 * or another CPU interfered and nothing happened */
	EMUL_UNHANDLED, /* not an instruction this emulator knows; nothing happened */
	EMUL_STOP,	/* a callback refused; nothing but finished iterations happened */
};

/* At most this many iterations of a string instruction per call. */
#define EMUL_REP_MAX 256u
#define EMUL_STRING_BYTES 512u

/* Answers of callbacks. */
enum emul_access {
	EMUL_ACCESS_OK,
	EMUL_ACCESS_CHANGED, /* compare_exchange only: memory no longer held `expected` */
	EMUL_ACCESS_STOP,    /* not possible: emulate() returns EMUL_STOP */
};

struct emul_ctx;

/*
 * Addresses are guest-physical; an access lies inside one page and has 1, 2, 4 or 8 bytes. The
 * callee finds out whether that is RAM or a device. Values are in the low bytes, the others 0.
 */
struct emul_ops {
	enum emul_access (*read)(struct emul_ctx *c, gpa_t addr, unsigned size, uint64_t *value);
	enum emul_access (*write)(struct emul_ctx *c, gpa_t addr, unsigned size, uint64_t value);
	/* For LOCK and XCHG. In RAM it must be atomic; a device just takes `desired`. */
	enum emul_access (*compare_exchange)(struct emul_ctx *c, gpa_t addr, unsigned size,
					     uint64_t expected, uint64_t desired);
	/* Copies `n` bytes of code, 1..15, inside one page. */
	enum emul_access (*fetch)(struct emul_ctx *c, gpa_t addr, uint8_t *bytes, size_t n);
	enum emul_access (*io_in)(struct emul_ctx *c, uint16_t port, unsigned size,
				  uint64_t *value);
	enum emul_access (*io_out)(struct emul_ctx *c, uint16_t port, unsigned size,
				   uint64_t value);
	/*
	 * As `count` values of io_in that are written from `addr` upwards, or read there for
	 * io_out: EMUL_STRING_BYTES at most, in one page. False: that is no memory, or it cannot be
	 * written, and nothing has happened; they are done one by one then. Both may be NULL.
	 */
	bool (*io_in_string)(struct emul_ctx *c, uint16_t port, unsigned size, gpa_t addr,
			     unsigned count);
	bool (*io_out_string)(struct emul_ctx *c, uint16_t port, unsigned size, gpa_t addr,
			      unsigned count);
	/*
	 * May be NULL, for gwalk(): a translation with the same meaning, which a caller builds from
	 * gwalk_with and a reader that the compiler can inline.
	 */
	enum gwalk_status (*walk)(const struct gwalk *w, gva_t va, unsigned access,
				  struct gwalk_result *out);
	void (*get_segment)(struct emul_ctx *c, enum vcpu_seg seg, struct vcpu_segment *out);
	/* NULL when the caller does not want segment registers loaded. */
	void (*set_segment)(struct emul_ctx *c, enum vcpu_seg seg, const struct vcpu_segment *s);
	/* The 128-bit registers, and as EMUL_MMX_FIRST + n the low half of MMn; both NULL when the
	 * caller does not want SSE moves emulated. Setting MMn does to the x87 state what MMX
	 * does. */
	void (*get_xmm)(struct emul_ctx *c, unsigned reg, uint64_t value[2]);
	void (*set_xmm)(struct emul_ctx *c, unsigned reg, const uint64_t value[2]);
};

#define EMUL_SEGS 6u
#define EMUL_MMX_FIRST 16u

/* Embedded by the caller, who finds his own data around it. Set the first group, then call
 * emul_begin, then set what is known of the second group. */
struct emul_ctx {
	/* --- the vCPU */
	const struct emul_ops *ops;
	struct gwalk walk; /* ops, CR0, CR3, CR4, EFER, phys_bits, gib_pages, amd */
	uint64_t *gpr;	   /* sixteen, in the order of enum gpr */
	uint64_t rip;
	uint64_t rflags;
	enum insn_mode mode;
	uint8_t cpl; /* 0..3 */

	/* --- the exit: what hardware told; emul_begin sets "nothing" */
	/* For a second-stage fault on data (not on a table walk or a fetch): saves a walk. */
	bool fault_valid;
	bool fault_write;
	gpa_t fault_gpa;
	/* For a string port exit: the port and the size the CPU checked the right to. Without it
	 * INS and OUTS are unhandled, so that a guest's user program that swaps the instruction
	 * behind the hypervisor's back gains no port. */
	uint8_t io_size;
	uint16_t io_port;
	/* Instruction bytes the CPU fetched; 0 when it does not tell. */
	uint8_t bytes_count;
	const uint8_t *bytes;

	/* --- results */
	/* The instruction finished with RFLAGS.TF set: a #DB trap (DR6.BS) is due. With
	 * EMUL_RESTART: one iteration finished and the trap is due. */
	bool single_step;
	struct vcpu_event exception;
	uint64_t exception_payload; /* CR2 for #PF */
	struct insn insn;	    /* valid once decoded is set */

	/* --- the emulator's own */
	bool decoded;
	uint8_t segs_known;
	uint8_t access; /* GWALK_USER and GWALK_AC as they apply */
	struct vcpu_segment segs[EMUL_SEGS];
};

/* Prepares for one instruction. */
static inline void emul_begin(struct emul_ctx *c)
{
	gwalk_prepare(&c->walk);
	c->fault_valid = false;
	c->io_size = 0;
	c->bytes_count = 0;
	c->single_step = false;
	c->exception.type = VCPU_EVENT_NONE;
	c->decoded = false;
	c->segs_known = 0;
	c->access = c->cpl == 3 ? GWALK_USER : 0;
	c->access |= (c->rflags & RFLAGS_AC) != 0 ? GWALK_AC : 0;
}

/*
 * Fetches (unless c->bytes suffice) and decodes the instruction at RIP into c->insn. EMUL_OK,
 * EMUL_EXCEPTION (#PF of the fetch, #GP, #UD), EMUL_RESTART, EMUL_STOP.
 */
enum emul_status emul_decode(struct emul_ctx *c);

/*
 * Decodes and completes the instruction at RIP. After EMUL_OK the caller clears the interrupt
 * shadow (backend clear_shadow), writes back c->rip and c->rflags, and queues #DB if single_step.
 * After EMUL_RESTART he writes back c->rflags: RF is set there once an iteration was finished.
 */
enum emul_status emulate(struct emul_ctx *c);

/* Completes an instruction that the caller carried out himself: RIP past it, RF off, TF noted. */
void emul_advance(struct emul_ctx *c, unsigned length);

/*
 * For control-register exits without decode assists: MOV CR, CLTS or LMSW at RIP. Fills *out
 * (LMSW's operand included); EMUL_UNHANDLED when it is something else. Nothing is carried out.
 */
enum emul_status emul_cr_access(struct emul_ctx *c, struct vm_exit_cr *out);
