/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest sees of CPUID. A feature bit is shown only when it is on the allow-list below, the
 * hardware has it and Bulkhead supports it; leaves not listed are zero. The table of a VM is
 * computed once from the host's leaves and read on every CPUID exit.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/bits.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/regs.h"

#define CPUID_SUBLEAVES_MAX 40u

/* Highest leaves of the three ranges that a table holds. */
#define CPUID_BASIC_MAX 0x16u
#define CPUID_HYPERVISOR_BASE 0x40000000u
#define CPUID_HYPERVISOR_MAX 0x10u
#define CPUID_EXTENDED_BASE 0x80000000u
#define CPUID_EXTENDED_MAX 0x1eu

/* Leaves that show a vCPU's state and are asked for often; every table has them. */
#define CPUID_LEAF_TOPOLOGY 0xbu
#define CPUID_LEAF_XSAVE 0xdu
#define CPUID_LEAF_ADDRESS_SIZES 0x80000008u

/* KVM_FEATURE_* bits of leaf 0x40000001 EAX (Linux: virt/kvm/x86/cpuid.rst). */
#define KVM_FEATURE_CLOCKSOURCE 0u
#define KVM_FEATURE_NOP_IO_DELAY 1u
#define KVM_FEATURE_CLOCKSOURCE2 3u
#define KVM_FEATURE_STEAL_TIME 5u
#define KVM_FEATURE_PV_EOI 6u
#define KVM_FEATURE_PV_UNHALT 7u
#define KVM_FEATURE_PV_TLB_FLUSH 9u
#define KVM_FEATURE_PV_SEND_IPI 11u
#define KVM_FEATURE_POLL_CONTROL 12u
#define KVM_FEATURE_PV_SCHED_YIELD 13u
#define KVM_FEATURE_CLOCKSOURCE_STABLE 24u

struct cpuid_subleaf {
	uint32_t leaf;
	uint32_t subleaf;
	struct cpuid_regs regs;
};

struct cpuid_table {
	struct cpuid_regs basic[CPUID_BASIC_MAX + 1];
	struct cpuid_regs hypervisor[CPUID_HYPERVISOR_MAX + 1];
	struct cpuid_regs extended[CPUID_EXTENDED_MAX + 1];
	/* Leaves with subleaves (4, 7, 0xb, 0xd, 0x8000001d), ascending. */
	struct cpuid_subleaf sub[CPUID_SUBLEAVES_MAX];
	unsigned sub_count;
	/* Where a leaf's begin; the last one is that of 0x8000001d. */
	uint8_t sub_first[CPUID_BASIC_MAX + 2];
	/* Of each component below 32 that is offered: where it ends in a standard XSAVE area. */
	uint32_t xsave_end[32];
	/* Leaves that are the same at each read, as bits: see cpuid_plain. */
	uint32_t plain_basic, plain_extended;
	bool intel;	    /* leaves past the end repeat the last basic leaf */
	uint64_t xcr0_mask; /* components the guest may enable */
};

/* What the VM adds to the host's facts. */
struct cpuid_config {
	unsigned vcpu_count;
	uint64_t tsc_hz;
	uint64_t apic_hz;	 /* of the LAPIC timer's input clock */
	bool paravirt;		 /* offer the KVM interfaces */
	bool hyperv;		 /* offer Microsoft's in their place */
	bool virtual_interrupts; /* the CPU works on the LAPIC's registers by itself */
	uint64_t xcr0_supported; /* what the host saves and restores */
	/* What the CPU has, and cannot give to a guest. */
	bool no_rdtscp; /* nor RDPID */
	bool no_invpcid;
	bool no_xsavec;	 /* the CPU has it and does it wrong */
	bool slow_movsb; /* it says that it is fast, and it is not */
};

/* Per-vCPU state that some leaves reflect. */
struct cpuid_vcpu_state {
	uint32_t apic_id;
	uint64_t cr4;
	uint64_t xcr0;
	bool apic_enabled;
};

/* Of leaf 1. */
#define CPUID_FEATURES_ECX_OSXSAVE BIT32(27)
#define CPUID_FEATURES_EDX_APIC BIT32(9)

void cpuid_table_build(struct cpuid_table *t, const struct cpuid_config *config);
/*
 * The answer where the leaf alone decides it; NULL: ask cpuid_read. Inline for the sake of the
 * usual leaves (12 instructions; cpuid_read takes 40).
 */
static inline const struct cpuid_regs *cpuid_plain(const struct cpuid_table *t, uint32_t leaf)
{
	uint32_t in_range = leaf - CPUID_EXTENDED_BASE;

	if (leaf <= CPUID_BASIC_MAX) {
		return (t->plain_basic >> leaf & 1) != 0 ? &t->basic[leaf] : NULL;
	}
	if (in_range <= CPUID_EXTENDED_MAX) {
		return (t->plain_extended >> in_range & 1) != 0 ? &t->extended[in_range] : NULL;
	}
	in_range = leaf - CPUID_HYPERVISOR_BASE;
	return in_range <= CPUID_HYPERVISOR_MAX ? &t->hypervisor[in_range] : NULL;
}
/* Leaf 1 as the vCPU sees it. Inline: it is asked for as often as the plain ones. */
static inline struct cpuid_regs cpuid_features(const struct cpuid_table *t, uint32_t apic_id,
					       uint64_t cr4, bool apic_enabled)
{
	struct cpuid_regs r = t->basic[1];

	r.ebx |= apic_id << 24;
	r.ecx |= (cr4 & CR4_OSXSAVE) != 0 ? CPUID_FEATURES_ECX_OSXSAVE : 0;
	r.edx &= apic_enabled ? ~0u : ~CPUID_FEATURES_EDX_APIC;
	return r;
}
/* Leaves 0xb and 0xd as the vCPU sees them: what cpuid_read says, without the way there. */
struct cpuid_regs cpuid_topology(const struct cpuid_table *t, uint32_t apic_id, uint32_t subleaf);
struct cpuid_regs cpuid_xsave(const struct cpuid_table *t, uint64_t xcr0, uint32_t subleaf);
/* The guest's view of a leaf; total over all inputs. */
struct cpuid_regs cpuid_read(const struct cpuid_table *t, const struct cpuid_vcpu_state *vcpu,
			     uint32_t leaf, uint32_t subleaf);
/* Whether a leaf reflects struct cpuid_vcpu_state (1, 7, 0xb, 0xd, 0x8000001e). */
bool cpuid_is_dynamic(uint32_t leaf);
