/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the capability MSRs to control words, decided from plain values. Each control word is what
 * Bulkhead cannot do without, what it takes where it is offered, and what the CPU insists on.
 *
 * Sources: Intel SDM volume 3 "VMX Capability Reporting Facility" and "Discovering Support for
 * VMX".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/bits.h"

#define MSR_IA32_VMX_BASIC 0x480u
#define MSR_IA32_VMX_PINBASED_CTLS 0x481u
#define MSR_IA32_VMX_PROCBASED_CTLS 0x482u
#define MSR_IA32_VMX_EXIT_CTLS 0x483u
#define MSR_IA32_VMX_ENTRY_CTLS 0x484u
#define MSR_IA32_VMX_MISC 0x485u
#define MSR_IA32_VMX_CR0_FIXED0 0x486u
#define MSR_IA32_VMX_CR0_FIXED1 0x487u
#define MSR_IA32_VMX_CR4_FIXED0 0x488u
#define MSR_IA32_VMX_CR4_FIXED1 0x489u
#define MSR_IA32_VMX_PROCBASED_CTLS2 0x48bu
#define MSR_IA32_VMX_EPT_VPID_CAP 0x48cu
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS 0x48du
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x48eu
#define MSR_IA32_VMX_TRUE_EXIT_CTLS 0x48fu
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS 0x490u

/* IA32_FEATURE_CONTROL. */
#define VMX_FEATURE_LOCKED BIT(0)
#define VMX_FEATURE_VMXON BIT(2) /* outside SMX */

/* IA32_VMX_BASIC. */
#define VMX_BASIC_REVISION MASK(30, 0)
#define VMX_BASIC_32BIT BIT(48)
#define VMX_BASIC_IO_INFO BIT(54)
#define VMX_BASIC_TRUE BIT(55)

/* IA32_VMX_MISC: the preemption timer counts when this bit of the TSC changes. */
#define VMX_MISC_TIMER_SHIFT MASK(4, 0)

/* Pin-based VM-execution controls. */
#define VMX_PIN_INTERRUPT BIT32(0)
#define VMX_PIN_NMI BIT32(3)
#define VMX_PIN_VIRTUAL_NMI BIT32(5)
#define VMX_PIN_PREEMPTION_TIMER BIT32(6)
#define VMX_PIN_POSTED_INTERRUPTS BIT32(7)

/* Primary processor-based VM-execution controls. */
#define VMX_PROC_INTERRUPT_WINDOW BIT32(2)
#define VMX_PROC_TSC_OFFSET BIT32(3)
#define VMX_PROC_HLT BIT32(7)
#define VMX_PROC_INVLPG BIT32(9)
#define VMX_PROC_MWAIT BIT32(10)
#define VMX_PROC_RDPMC BIT32(11)
#define VMX_PROC_CR3_LOAD BIT32(15)
#define VMX_PROC_CR3_STORE BIT32(16)
#define VMX_PROC_CR8_LOAD BIT32(19)
#define VMX_PROC_CR8_STORE BIT32(20)
#define VMX_PROC_TPR_SHADOW BIT32(21)
#define VMX_PROC_NMI_WINDOW BIT32(22)
#define VMX_PROC_IO_BITMAPS BIT32(25)
#define VMX_PROC_MSR_BITMAPS BIT32(28)
#define VMX_PROC_MONITOR BIT32(29)
#define VMX_PROC_SECONDARY BIT32(31)

/* Secondary processor-based VM-execution controls. */
#define VMX_PROC2_APIC_ACCESSES BIT32(0)
#define VMX_PROC2_EPT BIT32(1)
#define VMX_PROC2_RDTSCP BIT32(3)
#define VMX_PROC2_X2APIC BIT32(4)
#define VMX_PROC2_VPID BIT32(5)
#define VMX_PROC2_UNRESTRICTED BIT32(7)
#define VMX_PROC2_APIC_REGISTERS BIT32(8)
#define VMX_PROC2_VIRTUAL_INTERRUPTS BIT32(9)
#define VMX_PROC2_PAUSE_LOOP BIT32(10)
#define VMX_PROC2_INVPCID BIT32(12)
#define VMX_PROC2_TSC_SCALING BIT32(25)

/* VM-exit controls. */
#define VMX_EXIT_SAVE_DEBUG BIT32(2)
#define VMX_EXIT_HOST64 BIT32(9)
#define VMX_EXIT_ACK_INTERRUPT BIT32(15)
#define VMX_EXIT_LOAD_PAT BIT32(19)
#define VMX_EXIT_SAVE_EFER BIT32(20)
#define VMX_EXIT_LOAD_EFER BIT32(21)

/* VM-entry controls. */
#define VMX_ENTRY_LOAD_DEBUG BIT32(2)
#define VMX_ENTRY_IA32E BIT32(9)
#define VMX_ENTRY_LOAD_PAT BIT32(14)
#define VMX_ENTRY_LOAD_EFER BIT32(15)

/* IA32_VMX_EPT_VPID_CAP. */
#define VMX_EPT_WALK_4 BIT(6)
#define VMX_EPT_WB BIT(14)
#define VMX_EPT_2M BIT(16)
#define VMX_EPT_1G BIT(17)
#define VMX_EPT_INVEPT BIT(20)
#define VMX_EPT_AD BIT(21)
#define VMX_EPT_INVEPT_SINGLE BIT(25)
#define VMX_EPT_INVEPT_ALL BIT(26)
#define VMX_VPID_INVVPID BIT(32)
#define VMX_VPID_INVVPID_SINGLE BIT(41)

/* EPT pointer. */
#define VMX_EPTP_WB 6u
#define VMX_EPTP_WALK_4 (3u << 3)
#define VMX_EPTP_AD BIT(6)

/* What the CPU says, unjudged. MSRs that do not exist are 0. */
struct vmx_facts {
	bool vmx; /* CPUID 1 ECX bit 5 */
	uint32_t signature;
	uint8_t phys_bits;
	uint64_t feature_control;
	uint64_t basic;
	/* The "true" MSRs where `basic` announces them, else the older ones. */
	uint64_t pin, proc, exit, entry;
	uint64_t proc2;
	uint64_t ept_vpid;
	uint64_t misc;
	uint64_t cr0_fixed0, cr0_fixed1;
	uint64_t cr4_fixed0, cr4_fixed1;
	uint32_t leaf7_edx;
	uint64_t arch_capabilities;
};

struct vmx_caps {
	uint32_t revision;
	uint32_t signature;
	uint8_t phys_bits;
	/* Control words with windows closed and 32-bit guests: what a vCPU starts from. */
	uint32_t pin, proc, proc2, exit, entry;
	uint64_t eptp; /* of an EPT pointer, all but the address */
	unsigned ept_max_level;
	bool preemption_timer;	 /* can be turned on */
	uint8_t timer_shift;	 /* TSC ticks per timer tick, as a power of two */
	bool virtual_interrupts; /* vmx/apicv.h */
	bool posts_interrupts;	 /* the same */
	bool io_info;		 /* string I/O exits tell address size and segment */
	bool invept_single;
	bool invvpid_single;
	uint64_t cr0_fixed0,
		cr0_fixed1; /* without PE and PG, which unrestricted guests may clear */
	uint64_t cr4_fixed0, cr4_fixed1;
};

/*
 * Fills *out and returns NULL, or returns why VT-x cannot be used here, with the remedy where there
 * is one. The text stays valid until the next call.
 */
const char *vmx_caps_judge(const struct vmx_facts *facts, struct vmx_caps *out);
/*
 * Leaves the APIC virtualization controls off, as for a CPU without them; before any use of them.
 */
void vmx_caps_forgo_apic(struct vmx_caps *caps);
/* The same of posted interrupts alone. */
void vmx_caps_forgo_posting(struct vmx_caps *caps);

/* Whether the optional control is in use. */
static inline bool vmx_caps_has(uint32_t word, uint32_t control)
{
	return (word & control) != 0;
}
