/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parts of AMD-V this CPU has, decided from plain CPUID and MSR values. Required are SVM
 * itself, not disabled by firmware, nested paging and one ASID for guests; the rest is optional.
 *
 * Sources: AMD APM volume 2 "Enabling SVM"; volume 3 "Function 8000_000Ah: SVM Features".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What the CPU says, unjudged. */
struct svm_facts {
	uint32_t max_extended_leaf; /* CPUID 8000_0000 EAX */
	uint32_t extended_ecx;	    /* CPUID 8000_0001 ECX */
	uint32_t extended_edx;	    /* CPUID 8000_0001 EDX */
	uint32_t sizes_eax;	    /* CPUID 8000_0008 EAX */
	uint32_t sizes_ebx;	    /* CPUID 8000_0008 EBX */
	uint32_t svm_ebx;	    /* CPUID 8000_000A EBX */
	uint32_t svm_edx;	    /* CPUID 8000_000A EDX */
	uint32_t signature;	    /* CPUID 1 EAX */
	uint64_t vm_cr;		    /* MSR VM_CR; 0 when it does not exist */
	uint32_t below;		    /* CPUID 4000_0000 EBX; 0 when no hypervisor shows */
};

struct svm_features {
	uint32_t asid_count; /* for guests: ASIDs 1 .. asid_count */
	uint32_t signature;
	uint8_t phys_bits;
	bool lbr;
	bool nrips;
	bool tsc_ratio;
	bool flush_by_asid;
	bool decode_assist;
	bool pause_filter;
	bool pause_threshold;
	bool vgif;
	bool rdtscp;
	bool rdpru;
	bool pages_1g;
	bool injects_twice; /* QEMU's TCG: see svm/event.h */
	bool loses_paging;  /* QEMU's TCG: see hold_lme in svm/vcpu.c */
	bool loses_shadow;  /* QEMU's TCG: see svm/nmi.h */
};

#define SVM_VM_CR_SVMDIS (1ull << 4)

/*
 * Fills *out and returns NULL, or returns why AMD-V cannot be used here, with the remedy where
 * there is one.
 */
const char *svm_features_judge(const struct svm_facts *facts, struct svm_features *out);
