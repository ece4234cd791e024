/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes for guests: one ChaCha20 generator for the machine. It is seeded from RDSEED, RDRAND
 * and how long the CPU takes for things, and goes on mixing those in; none of them alone is
 * trusted. Each block's first half becomes the next key, so what was handed out cannot be computed
 * from a later state.
 */
#pragma once

#include <stddef.h>

/* Seeds. Once, on the boot CPU; logs what there was to seed from. */
void random_init(void);
/* From any CPU. */
void random_fill(void *dst, size_t n);
