/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether REP MOVSB and REP STOSB move more than a byte a step, as CPUID's ERMS and FSRM promise
 * (Intel 64 and IA-32 Architectures Optimization Reference Manual, "Enhanced REP MOVSB and STOSB
 * Operation"). QEMU's TCG sets the bits and takes a step a byte; a kernel that believes it copies
 * and clears its pages in 4,096 steps instead of 512.
 */
#pragma once

#include <stdbool.h>

/* Times both, for a few microseconds; logs a promise that is not kept. Once per machine, with
 * interrupts off. */
void rep_movs_try(void);
/* What that found; true where CPUID promises nothing. */
bool rep_movsb_is_fast(void);
