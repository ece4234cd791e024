/* SPDX-License-Identifier: Apache-2.0 */
/* VMRUN's consistency checks. */
#include "svm/check.h"

#include "hv/cpu/regs.h"
#include "svm/permissions.h"

/* Bits that some AMD64 processor defines; all others must be zero on every one. */
#define CR4_CET BIT(23)
#define CR4_DEFINED \
	(MASK(12, 0) | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_PKE | \
	 CR4_CET)
#define EFER_DEFINED \
	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME | EFER_LMSLE | EFER_FFXSR | \
	 MASK(15, 15) | MASK(18, 17) | MASK(21, 20))

/* Exceptions that may be injected with type 3: not NMI, none above 31. */
static bool event_is_legal(uint64_t event)
{
	uint64_t type = bits_get(event, SVM_EVENT_TYPE);
	uint64_t vector = bits_get(event, SVM_EVENT_VECTOR);

	if (type == SVM_EVENT_TYPE_EXCEPTION) {
		return vector != EXC_NMI && vector < 32;
	}
	return type == SVM_EVENT_TYPE_INTR || type == SVM_EVENT_TYPE_NMI ||
	       type == SVM_EVENT_TYPE_SOFT_INT;
}

static bool pat_is_legal(uint64_t pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t type = pat >> i & 0xff;

		if (type == 2 || type == 3 || type > 7) {
			return false;
		}
	}
	return true;
}

static const char *check_control(const struct vmcb *v, unsigned phys_bits)
{
	uint64_t top = BIT(phys_bits);

	if (!vmcb_intercepts(v, SVM_INTERCEPT_VMRUN)) {
		return "the VMRUN intercept is not set";
	}
	if (v->_asid == 0) {
		return "the ASID is zero";
	}
	if (!range_fits(align_down(v->_msrpm, PAGE_SIZE), SVM_MSRPM_SIZE, top)) {
		return "the MSR permission map lies beyond physical memory";
	}
	if (!range_fits(align_down(v->_iopm, PAGE_SIZE), SVM_IOPM_SIZE, top)) {
		return "the I/O permission map lies beyond physical memory";
	}
	if ((v->_np_ctl & SVM_NP_ENABLE) != 0 && v->_ncr3 >= top) {
		return "nested paging: nCR3 has bits above the physical address width";
	}
	if ((v->_np_ctl & SVM_NP_ENABLE) != 0 && !pat_is_legal(v->_pat)) {
		return "nested paging: the guest PAT has a reserved memory type";
	}
	if ((v->event_inj & SVM_EVENT_VALID) != 0 && !event_is_legal(v->event_inj)) {
		return "the injected event has a reserved type, or a vector that its type forbids";
	}
	return NULL;
}

static const char *check_registers(const struct vmcb *v, unsigned phys_bits)
{
	if ((v->_cr0 & CR0_CD) == 0 && (v->_cr0 & CR0_NW) != 0) {
		return "CR0.NW is set and CR0.CD is clear";
	}
	if (v->_cr0 >> 32 != 0) {
		return "CR0 bits 63:32 are not zero";
	}
	if ((v->_efer & EFER_LMA) != 0 && (v->_cr3 & MASK(62, 52)) != 0) {
		return "CR3 has reserved bits set";
	}
	if ((v->_efer & EFER_LMA) != 0 && (v->_cr3 & MASK(51, 0)) >= BIT(phys_bits)) {
		return "CR3 has bits above the physical address width";
	}
	if ((v->_cr4 & ~CR4_DEFINED) != 0) {
		return "CR4 has reserved bits set";
	}
	if ((v->_cr4 & CR4_CET) != 0 && (v->_cr0 & CR0_WP) == 0) {
		return "CR4.CET is set and CR0.WP is clear";
	}
	if (v->_dr6 >> 32 != 0) {
		return "DR6 bits 63:32 are not zero";
	}
	if (v->_dr7 >> 32 != 0) {
		return "DR7 bits 63:32 are not zero";
	}
	return NULL;
}

static const char *check_mode(const struct vmcb *v)
{
	bool long_paging = (v->_efer & EFER_LME) != 0 && (v->_cr0 & CR0_PG) != 0;

	if ((v->_efer & EFER_SVME) == 0) {
		return "EFER.SVME is clear";
	}
	if ((v->_efer & ~EFER_DEFINED) != 0) {
		return "EFER has reserved bits set";
	}
	if (long_paging && (v->_cr4 & CR4_PAE) == 0) {
		return "EFER.LME and CR0.PG are set and CR4.PAE is clear";
	}
	if (long_paging && (v->_cr0 & CR0_PE) == 0) {
		return "EFER.LME and CR0.PG are set and CR0.PE is clear";
	}
	if (long_paging && (v->_cs.attr & SVM_SEG_L) != 0 && (v->_cs.attr & SVM_SEG_D) != 0) {
		return "64-bit code segment with both CS.L and CS.D set";
	}
	return NULL;
}

const char *svm_check(const struct vmcb *vmcb, unsigned phys_bits)
{
	const char *broken = check_control(vmcb, phys_bits);

	if (broken == NULL) {
		broken = check_mode(vmcb);
	}
	if (broken == NULL) {
		broken = check_registers(vmcb, phys_bits);
	}
	return broken;
}
