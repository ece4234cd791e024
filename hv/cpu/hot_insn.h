/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that the hot path executes again and again, without a call: whoever makes one has to
 * save registers and to build a frame. Which CPU this is each access to guest memory asks. Host
 * programs include tests/fakes/include/hv/cpu/hot_insn.h in its place.
 */
#pragma once

#include <stdint.h>

/* The quadword at GS:0. */
static inline uint64_t cpu_read_gs0(void)
{
	uint64_t value;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(value));
	return value;
}

static inline uint64_t cpu_rdtsc(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}
