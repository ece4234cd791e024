/* SPDX-License-Identifier: Apache-2.0 */
/* The stack protector's guard value and what happens when it was overwritten. */
#include "hv/cpu/stack_guard.h"

#include "hv/base/check.h"
#include "hv/cpu/insn.h"

/* The lowest byte stays zero: a string that runs over its end cannot reproduce it. */
#define GUARD_MASK (~(uintptr_t)0xff)
#define SPREAD 0x9e3779b97f4a7c15ull

uintptr_t __stack_chk_guard = 0x5bd1e995a7c36d00ull;

noreturn void __stack_chk_fail(void)
{
	check_failed("stack", 0, "stack protector: a return address was about to be overwritten");
}

__attribute__((no_stack_protector)) void stack_guard_init(void)
{
	uint64_t value;

	if (!cpu_rdrand(&value)) {
		value = cpu_rdtsc() * SPREAD;
	}
	__stack_chk_guard = (uintptr_t)value & GUARD_MASK;
}
