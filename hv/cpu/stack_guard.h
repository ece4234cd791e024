/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler's stack protector: a value that each guarded function finds unchanged below its
 * return address, or the machine stops.
 */
#pragma once

#include <stdint.h>
#include <stdnoreturn.h>

/* Names the compiler expects. */
extern uintptr_t __stack_chk_guard;
noreturn void __stack_chk_fail(void);

/*
 * Replaces the built-in guard by a random one (the time stamp where there is no RDRAND). Only a
 * function that never returns may call it, before other CPUs run.
 */
void stack_guard_init(void);
