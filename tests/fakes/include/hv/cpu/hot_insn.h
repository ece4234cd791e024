/* SPDX-License-Identifier: Apache-2.0 */
/* For host programs, in place of hv/cpu/hot_insn.h: tests/fakes/cpu_insn.c has the functions. */
#pragma once

#include <stdint.h>

uint64_t cpu_read_gs0(void);
uint64_t cpu_rdtsc(void);
