/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CPUs are threads of one core. The low bits of an APIC ID number the threads within a core;
 * how many bits that are is the same all over a machine, and CPUID tells it. Sources: Intel SDM
 * volume 2 "CPUID" and volume 3 "Detecting Hardware Multi-Threading Support and Topology"; AMD APM
 * volume 3 "CPUID Fn8000_001E" and "CPUID Fn8000_0008".
 */
#pragma once

#include <stdint.h>

#include "hv/cpu/insn.h"

/* Levels of an extended topology leaf that are looked at. */
#define TOPOLOGY_LEVELS 8u

/* What CPUID says, unjudged. A leaf that is not there is all zero. */
struct topology_facts {
	struct cpuid_regs features;	       /* leaf 1 */
	struct cpuid_regs cache;	       /* leaf 4, subleaf 0 */
	struct cpuid_regs v1[TOPOLOGY_LEVELS]; /* leaf 0xB */
	struct cpuid_regs v2[TOPOLOGY_LEVELS]; /* leaf 0x1F */
	struct cpuid_regs extended_features;   /* leaf 0x80000001 */
	struct cpuid_regs sizes;	       /* leaf 0x80000008 */
	struct cpuid_regs amd;		       /* leaf 0x8000001E */
};

/*
 * The number of low APIC ID bits that tell the threads of one core apart; 0 without threads, and
 * when CPUID does not say.
 */
unsigned topology_judge(const struct topology_facts *facts);

/* Keeps the boot CPU's answer, on the boot CPU. */
void topology_init(void);
/* What topology_init found. */
unsigned topology_thread_bits(void);
/* A key of the core that the CPU with this APIC ID belongs to: equal for its threads only. */
uint32_t topology_core_of(uint32_t apic_id);
