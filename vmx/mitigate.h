/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one VM could read of another through the CPU's caches and buffers (L1TF, MDS), and what the
 * CPU offers against it. Decided from plain values; applied when a CPU passes from one VM to
 * another, and only where the CPU says that it is affected. And whether large pages may hold code.
 *
 * Source: Intel, "Deep Dive: Intel Analysis of L1 Terminal Fault" and "Deep Dive: Intel Analysis of
 * Microarchitectural Data Sampling", "Deep Dive: Machine Check Error Avoidance on Page Size
 * Change".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vmx_mitigations {
	bool flush_l1d;	    /* by IA32_FLUSH_CMD */
	bool clear_buffers; /* by VERW; the flush of the L1D does it as well */
};

/*
 * From CPUID 7.0 EDX and IA32_ARCH_CAPABILITIES (0 where it does not exist). A CPU that is affected
 * and offers nothing gets nothing: its microcode is too old.
 */
struct vmx_mitigations vmx_mitigations_judge(uint32_t leaf7_edx, uint64_t arch_capabilities);
/* Whether such a CPU is affected by L1TF or MDS and left open, for a warning. */
bool vmx_mitigations_lacking(uint32_t leaf7_edx, uint64_t arch_capabilities);
/*
 * Whether a guest could end in a machine check, and with it the machine, by executing from a large
 * page of its EPT mapping while the page's size changes (CVE-2018-12207).
 */
bool vmx_small_code_needed(uint64_t arch_capabilities);
/* On this CPU, now. */
void vmx_mitigations_apply(struct vmx_mitigations m);
