/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few instructions the loader needs as functions. boot_insn.c holds the inline assembly; host
 * programs link tests/fakes/boot_insn.c in its place.
 */
#pragma once

#include <stdint.h>

struct boot_cpuid {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

struct boot_cpuid boot_cpuid(uint32_t leaf, uint32_t subleaf);
/* The MSR must exist: #GP ends in the firmware's exception handler. */
uint64_t boot_rdmsr(uint32_t index);
void boot_wrmsr(uint32_t index, uint64_t value);
uint64_t boot_read_cr4(void);
uint64_t boot_rdtsc(void);
uint8_t boot_in8(uint16_t port);
void boot_out8(uint16_t port, uint8_t value);
