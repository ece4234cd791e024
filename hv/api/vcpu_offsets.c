/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets into struct vcpu for the entries in assembly. Compiled to assembly only; the Makefile
 * turns each
 * "@define NAME value" of it into a line of build/gen/vcpu_offsets.h. */
#include "hv/api/vm.h"

#define DEFINE(name, value) __asm__ volatile("#@define " #name " %c0" : : "i"(value))
#define GPR_OFFSET(name) DEFINE(VCPU_##name, offsetof(struct vcpu, gpr) + GPR_##name * 8)

void vcpu_offsets(void);

void vcpu_offsets(void)
{
	GPR_OFFSET(RAX);
	GPR_OFFSET(RCX);
	GPR_OFFSET(RDX);
	GPR_OFFSET(RBX);
	GPR_OFFSET(RBP);
	GPR_OFFSET(RSI);
	GPR_OFFSET(RDI);
	GPR_OFFSET(R8);
	GPR_OFFSET(R9);
	GPR_OFFSET(R10);
	GPR_OFFSET(R11);
	GPR_OFFSET(R12);
	GPR_OFFSET(R13);
	GPR_OFFSET(R14);
	GPR_OFFSET(R15);
}
