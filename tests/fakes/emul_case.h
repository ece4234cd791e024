/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table-driven emulator tests: one instruction, the registers and the memory that matter before and
 * after. RBX and RSI point at `mem`, the other registers have fixed values that must survive.
 */
#pragma once

#include "tests/fakes/emul_guest.h"

#define EMUL_CASE_MEM 0x2000u
#define EMUL_CASE_RSP 0x5000u

struct emul_values {
	uint64_t rax, rcx, rdx;
	uint64_t mem;
	uint64_t flags; /* arithmetic flags, DF, TF, RF */
};

struct emul_case {
	const char *name;
	enum insn_mode mode;
	uint8_t code[15];
	struct emul_values before, after;
};

/* Each must end in EMUL_OK with RIP behind the instruction; fails the cmocka test otherwise. */
void emul_cases_run(const struct emul_case *cases, size_t n);
