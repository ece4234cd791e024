/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK: our own invariants, always compiled in. Nothing that a guest, a file or firmware does may
 * reach one; such input gets an hv_status, an architectural fault or a stopped guest instead.
 */
#pragma once

#include <stdnoreturn.h>

#define CHECK(cond) \
	do { \
		if (__builtin_expect(!(cond), 0)) { \
			check_failed(__FILE__, __LINE__, #cond); \
		} \
	} while (0)

/*
 * Prints where the invariant broke and stops the machine. Defined by hv/panic.c in the hypervisor
 * and by tests/fakes in host programs.
 */
noreturn void check_failed(const char *file, int line, const char *what);
