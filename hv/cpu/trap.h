/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions, NMIs and external interrupts of the machine. The hypervisor runs with interrupts
 * masked and takes them only at its windows (cpu_interrupt_window, cpu_idle) or, acknowledged by a
 * VM exit, through trap_irq_dispatch. Exceptions and NMIs can arrive at any instruction.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/mce.h"

#define TRAP_IRQ_FIRST 0x20u

/* What trap.S leaves on the stack. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error; /* 0 for vectors without an error code */
	/* Pushed by the CPU. */
	uint64_t rip, cs, rflags, rsp, ss;
};
static_assert(sizeof(struct trap_frame) == 22 * 8, "trap.S pushes this much");
static_assert(offsetof(struct trap_frame, vector) == 15 * 8, "trap.S pushes these first");

struct trap_hooks {
	/* Shows one line of a report (no '\n'); must not rely on locks or on memory. */
	void (*print)(const char *line);
	/* Stops the machine after the report of an unforeseen exception; not expected to return. */
	void (*fatal)(void);
	/*
	 * On each NMI, on the NMI stack. May touch only what is NMI-safe, and raise no exceptions:
	 * the return from one would let the next NMI in, onto the same stack. NULL: only counted.
	 */
	void (*nmi)(void);
	/* An external vector without a handler. Must end the interrupt. NULL: only counted. */
	void (*stray_irq)(unsigned vector);
};

/* Builds the IDT, once. Without hooks an unforeseen exception stops its CPU silently. */
void trap_init(void);
/* `hooks` must stay alive. */
void trap_set_hooks(const struct trap_hooks *hooks);
/* Loads the IDT on this CPU; percpu_activate comes first (the gates name its stacks). */
void trap_load(void);

/*
 * `fn` handles external vector 0x20..0xff on every CPU; it ends the interrupt (EOI) itself, where
 * its kind needs that. NULL takes it back.
 */
void trap_set_irq(unsigned vector, void (*fn)(void));
/*
 * `fn` handles those vectors of first .. last that have no handler of their own, on the same terms;
 * one range.
 */
void trap_set_irq_range(unsigned first, unsigned last, void (*fn)(unsigned vector));
/* Handles an external interrupt that was acknowledged without going through the IDT. */
void trap_irq_dispatch(unsigned vector);

/*
 * Handles a machine check that made a guest exit instead of coming through the IDT. Stops the
 * machine when it must, else says whether the guest can go on (MCE_HARMLESS) or not.
 */
enum mce_verdict trap_guest_machine_check(void);

/* Called by trap.S with interrupts masked. */
void trap_handle(struct trap_frame *frame);

/* Shows the return addresses from frame pointer `rbp` on, staying inside [low, high). */
void trap_backtrace(uint64_t rbp, uint64_t low, uint64_t high);
/* The same from the caller on, on this CPU's stack: for panic. */
void trap_backtrace_here(void);
/* "#GP" and so on for vectors 0..31; "?" where the manual has none. */
const char *trap_name(unsigned vector);

/* The 256 entry points of trap.S, TRAP_STUB_SIZE bytes each. */
#define TRAP_STUB_SIZE 16u
extern const char trap_stubs[];
