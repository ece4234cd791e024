/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MOV to and from control registers, CLTS and LMSW, where hardware exits on them. Source: Intel SDM
 * volume 3 "Control Registers".
 */
#include "hv/cpu/regs.h"
#include "hv/exit.h"
#include "hv/guest.h"
#include "hv/vcpu.h"

#define CR0_KNOWN \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR0_PAGING_BITS (CR0_PE | CR0_WP | CR0_PG)
#define CR4_PAGING_BITS (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR3_PCID 0xfffull
#define LMSW_BITS 0xfull

/* Bits 63:32 must be zero, PG needs PE, NW needs CD. */
static bool cr0_valid(uint64_t value)
{
	return value >> 32 == 0 && ((value & CR0_PG) == 0 || (value & CR0_PE) != 0) &&
	       ((value & CR0_NW) == 0 || (value & CR0_CD) != 0);
}

/* Turning paging on in long mode needs PAE; off is not possible from 64-bit code. */
static bool write_cr0(struct vcpu *vcpu, uint64_t value)
{
	uint64_t old = the_backend->get_reg(vcpu, VCPU_REG_CR0);
	uint64_t efer = the_backend->get_reg(vcpu, VCPU_REG_EFER);
	uint64_t cr4 = the_backend->get_reg(vcpu, VCPU_REG_CR4);

	if (!cr0_valid(value) || ((value & CR0_PG) == 0 && (cr4 & CR4_PCIDE) != 0)) {
		return false;
	}
	if (((old ^ value) & CR0_PG) != 0 && (efer & EFER_LME) != 0) {
		if ((value & CR0_PG) != 0 ? (cr4 & CR4_PAE) == 0
					  : vcpu_mode_now(vcpu) == INSN_LONG64) {
			return false;
		}
		efer = (value & CR0_PG) != 0 ? efer | EFER_LMA : efer & ~EFER_LMA;
		the_backend->set_reg(vcpu, VCPU_REG_EFER, efer);
	}
	the_backend->set_reg(vcpu, VCPU_REG_CR0, (value & CR0_KNOWN) | CR0_ET);
	if (((old ^ value) & CR0_PAGING_BITS) != 0) {
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
	}
	return true;
}

/* CR4 bits that the guest's CPUID lets it set. */
static uint64_t cr4_allowed(const struct guest *g)
{
	const struct cpuid_regs one = g->cpuid.basic[1];
	uint64_t allowed = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
			   CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	struct cpuid_vcpu_state none = {0};
	struct cpuid_regs seven = cpuid_read(&g->cpuid, &none, 7, 0);

	allowed |= (one.ecx & BIT32(17)) != 0 ? CR4_PCIDE : 0;
	allowed |= (one.ecx & BIT32(26)) != 0 ? CR4_OSXSAVE : 0;
	allowed |= (seven.ebx & BIT32(0)) != 0 ? CR4_FSGSBASE : 0;
	allowed |= (seven.ebx & BIT32(7)) != 0 ? CR4_SMEP : 0;
	allowed |= (seven.ebx & BIT32(20)) != 0 ? CR4_SMAP : 0;
	allowed |= (seven.ecx & BIT32(2)) != 0 ? CR4_UMIP : 0;
	allowed |= (seven.ecx & BIT32(3)) != 0 ? CR4_PKE : 0;
	return allowed;
}

/* SDM volume 3 "Process-Context Identifiers (PCIDs)": in long mode, and from PCID 0 only. */
static bool may_enable_pcid(struct vcpu *vcpu, bool long_mode)
{
	return long_mode && (the_backend->get_reg(vcpu, VCPU_REG_CR3) & CR3_PCID) == 0;
}

static bool write_cr4(struct vcpu *vcpu, uint64_t value)
{
	uint64_t old = the_backend->get_reg(vcpu, VCPU_REG_CR4);
	bool long_mode = (the_backend->get_reg(vcpu, VCPU_REG_EFER) & EFER_LMA) != 0;

	if ((value & ~cr4_allowed(guest_of(vcpu->vm))) != 0 ||
	    (long_mode && (value & CR4_PAE) == 0)) {
		return false;
	}
	if ((value & ~old & CR4_PCIDE) != 0 && !may_enable_pcid(vcpu, long_mode)) {
		return false;
	}
	the_backend->set_reg(vcpu, VCPU_REG_CR4, value);
	if (((old ^ value) & CR4_PAGING_BITS) != 0) {
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
	}
	return true;
}

static bool write_cr(struct vcpu *vcpu, unsigned cr, uint64_t value)
{
	switch (cr) {
	case 0:
		return write_cr0(vcpu, value);
	case 3:
		/* Bit 63 (do not flush) is not kept. */
		the_backend->set_reg(vcpu, VCPU_REG_CR3, value & ~BIT(63));
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
		return true;
	case 4:
		return write_cr4(vcpu, value);
	case 8:
		if (value > 15) {
			return false;
		}
		the_backend->set_reg(vcpu, VCPU_REG_CR8, value);
		vcpu_request(vcpu, VCPU_REQ_EVENT);
		return true;
	default:
		return false;
	}
}

static uint64_t read_cr(const struct vcpu *vcpu, unsigned cr)
{
	switch (cr) {
	case 0:
		return the_backend->get_reg(vcpu, VCPU_REG_CR0);
	case 3:
		return the_backend->get_reg(vcpu, VCPU_REG_CR3);
	case 4:
		return the_backend->get_reg(vcpu, VCPU_REG_CR4);
	default:
		return the_backend->get_reg(vcpu, VCPU_REG_CR8);
	}
}

void exit_cr(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct vm_exit_cr *access = &exit->cr;
	uint64_t cr0 = the_backend->get_reg(vcpu, VCPU_REG_CR0);
	uint64_t mask = vcpu_mode_now(vcpu) == INSN_LONG64 ? ~0ull : 0xffffffffull;
	bool ok = true;

	if (!access->decoded && !access->clts && !access->lmsw && !exit_decode_cr(vcpu, exit)) {
		return;
	}
	if (access->clts) {
		ok = write_cr0(vcpu, cr0 & ~CR0_TS);
	} else if (access->lmsw) {
		/* LMSW sets PE but cannot clear it. */
		ok = write_cr0(vcpu,
			       (cr0 & ~(LMSW_BITS & ~CR0_PE)) | (access->lmsw_value & LMSW_BITS));
	} else if (access->write) {
		ok = write_cr(vcpu, access->cr, vcpu->gpr[access->gpr & 15] & mask);
	} else {
		vcpu->gpr[access->gpr & 15] = read_cr(vcpu, access->cr) & mask;
	}
	if (!ok) {
		vcpu_raise_error(vcpu, EXC_GP, 0);
	} else {
		(void)vcpu_skip(vcpu, exit, 0);
	}
}
