/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executes one unprivileged instruction on the CPU that the test runs on, with given registers and
 * flags: the oracle that the emulator is compared with. Memory comes from below 4 GiB so that
 * 32-bit addresses work too. x86-64 hosts only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct native_state {
	uint64_t gpr[16]; /* in the order of enum gpr; RSP must stay inside native_stack */
	uint64_t rflags;  /* TF and AC must be clear */
};

/* Memory for operands; NULL when the host does not give it. */
uint8_t *native_alloc(size_t n);
/* A value for RSP with enough room on both sides for signal handlers of the host. */
uint64_t native_stack(void);
/* Runs the `n` bytes at `insn`, which must not branch, fault or leave RSP elsewhere. */
void native_run(const uint8_t *insn, size_t n, struct native_state *state);
