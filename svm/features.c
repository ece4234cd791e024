/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID bits of AMD-V, judged. */
#include "svm/features.h"

#include "hv/base/bits.h"

#define LEAF_SVM 0x8000000au
#define LEAF_SIZES 0x80000008u

/* CPUID 8000_0001. */
#define ECX_SVM BIT32(2)
#define EDX_PAGE_1G BIT32(26)
#define EDX_RDTSCP BIT32(27)

/* CPUID 8000_0008 EBX. */
#define SIZES_RDPRU BIT32(4)

/* CPUID 8000_000A EDX. */
#define SVM_NP BIT32(0)
#define SVM_LBR BIT32(1)
#define SVM_LOCK BIT32(2)
#define SVM_NRIPS BIT32(3)
#define SVM_TSC_RATIO BIT32(4)
#define SVM_FLUSH_BY_ASID BIT32(6)
#define SVM_DECODE_ASSIST BIT32(7)
#define SVM_PAUSE_FILTER BIT32(10)
#define SVM_PAUSE_THRESHOLD BIT32(12)
#define SVM_VGIF BIT32(16)

#define PHYS_BITS_DEFAULT 40u
#define PHYS_BITS_MAX 52u

/* "TCGT", the beginning of QEMU's name for its own emulation. */
#define BELOW_TCG 0x54474354u

static const char *refusal(const struct svm_facts *f)
{
	if (f->max_extended_leaf < LEAF_SVM || (f->extended_ecx & ECX_SVM) == 0) {
		return "this CPU has no AMD-V (SVM)";
	}
	if ((f->vm_cr & SVM_VM_CR_SVMDIS) != 0) {
		return (f->svm_edx & SVM_LOCK) != 0
			       ? "AMD-V is disabled and locked: enable \"SVM Mode\" in firmware setup"
			       : "AMD-V is disabled: enable \"SVM Mode\" in firmware setup";
	}
	if ((f->svm_edx & SVM_NP) == 0) {
		return "this CPU has AMD-V but no nested paging (NPT), which Bulkhead needs";
	}
	if (f->svm_ebx < 2) {
		return "this CPU offers no address-space identifier (ASID) for guests";
	}
	return NULL;
}

static uint8_t phys_bits(const struct svm_facts *f)
{
	uint32_t bits = f->max_extended_leaf >= LEAF_SIZES ? f->sizes_eax & 0xff : 0;

	if (bits < 32) {
		return PHYS_BITS_DEFAULT;
	}
	return (uint8_t)(bits < PHYS_BITS_MAX ? bits : PHYS_BITS_MAX);
}

const char *svm_features_judge(const struct svm_facts *facts, struct svm_features *out)
{
	const char *why = refusal(facts);
	uint32_t edx = facts->svm_edx;

	if (why != NULL) {
		return why;
	}
	*out = (struct svm_features){
		.asid_count = facts->svm_ebx - 1, /* ASID 0 is the host's */
		.signature = facts->signature,
		.phys_bits = phys_bits(facts),
		.lbr = (edx & SVM_LBR) != 0,
		.nrips = (edx & SVM_NRIPS) != 0,
		.tsc_ratio = (edx & SVM_TSC_RATIO) != 0,
		.flush_by_asid = (edx & SVM_FLUSH_BY_ASID) != 0,
		.decode_assist = (edx & SVM_DECODE_ASSIST) != 0,
		.pause_filter = (edx & SVM_PAUSE_FILTER) != 0,
		.pause_threshold = (edx & SVM_PAUSE_THRESHOLD) != 0,
		.vgif = (edx & SVM_VGIF) != 0,
		.rdtscp = (facts->extended_edx & EDX_RDTSCP) != 0,
		.rdpru = (facts->sizes_ebx & SIZES_RDPRU) != 0,
		.pages_1g = (facts->extended_edx & EDX_PAGE_1G) != 0,
		.injects_twice = facts->below == BELOW_TCG,
		.loses_paging = facts->below == BELOW_TCG,
		.loses_shadow = facts->below == BELOW_TCG,
	};
	return NULL;
}
