/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and segments by their neutral names. Where each lives:
 *
 *	VMCS			RFLAGS, CR3, DR7, EFER, PAT, SYSENTER_*, DEBUGCTL, segments
 *	VMCS, mask and shadow	CR0, CR4: the mask's bits are the host's, the guest reads the shadow
 *	virtual-APIC page	CR8
 *	the CPU while loaded	DR6, STAR .. KERNEL_GS_BASE
 *	struct vmx_vcpu		CR2
 *
 * A vCPU that is not loaded has its VMCS in memory; whoever asks borrows it for the one access.
 *
 * Source: Intel SDM volume 3 "Guest/Host Masks and Read Shadows for CR0 and CR4", "Guest Register
 * State".
 */
#include "hv/api/gmem.h"
#include "hv/base/check.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "vmx/internal.h"
#include "vmx/vmx_insn.h"

/*
 * Bits a guest changes without an exit. Not CD and NW: neither entry nor exit switches them, so
 * they would outlive the guest's run. Not NE, which VMX operation fixes.
 */
#define CR0_GUEST (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_WP | CR0_AM | CR0_PG)
#define CR0_NEVER (CR0_CD | CR0_NW)
/* Not MCE: without it a machine check would shut the whole machine down. Not LA57 and SMXE. */
#define CR4_GUEST \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | \
	 CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | \
	 CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR4_NEVER (CR4_LA57 | CR4_SMXE)

#define PDPTE_COUNT 4u
#define PDPTE_RESERVED (MASK(2, 1) | MASK(8, 5))
#define PAE_CR3_TABLE MASK(31, 5)

#define RIGHTS_DEFINED (MASK(7, 0) | MASK(16, 12))

/* Both lists are in the order of enum vcpu_seg. */
static_assert(VMCS_GUEST_TR_SELECTOR - VMCS_GUEST_ES_SELECTOR == 2 * VCPU_SEG_TR, "order");
static_assert(VMCS_GUEST_IDTR_LIMIT - VMCS_GUEST_ES_LIMIT == 2 * VCPU_SEG_IDTR, "order");
static_assert(VMCS_GUEST_IDTR_BASE - VMCS_GUEST_ES_BASE == 2 * VCPU_SEG_IDTR, "order");
static_assert(VMCS_GUEST_TR_RIGHTS - VMCS_GUEST_ES_RIGHTS == 2 * VCPU_SEG_TR, "order");

static const uint16_t reg_fields[VCPU_REG_COUNT] = {
	[VCPU_REG_CR3] = VMCS_GUEST_CR3,
	[VCPU_REG_DR7] = VMCS_GUEST_DR7,
	[VCPU_REG_EFER] = VMCS_GUEST_EFER,
	[VCPU_REG_PAT] = VMCS_GUEST_PAT,
	[VCPU_REG_FS_BASE] = VMCS_GUEST_FS_BASE,
	[VCPU_REG_GS_BASE] = VMCS_GUEST_GS_BASE,
	[VCPU_REG_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS,
	[VCPU_REG_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[VCPU_REG_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP,
	[VCPU_REG_DEBUGCTL] = VMCS_GUEST_DEBUGCTL,
};

static const uint32_t msr_numbers[VMX_MSR_COUNT] = {
	[VMX_MSR_STAR] = MSR_STAR,
	[VMX_MSR_LSTAR] = MSR_LSTAR,
	[VMX_MSR_CSTAR] = MSR_CSTAR,
	[VMX_MSR_SFMASK] = MSR_SFMASK,
	[VMX_MSR_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
};

/* --- borrowing --- */

struct vmx_loan vmx_borrow_vmcs(const struct vmx_vcpu *v)
{
	struct vmx_loan loan;
	enum vmx_result result;

	loan.before = vmx_vmptrst();
	loan.taken = loan.before.v != v->vmcs_hpa.v;
	if (loan.taken) {
		result = vmx_vmptrld(v->vmcs_hpa);
		CHECK(result == VMX_OK);
	}
	return loan;
}

void vmx_give_back_vmcs(const struct vmx_vcpu *v, struct vmx_loan loan)
{
	enum vmx_result result = vmx_vmclear(v->vmcs_hpa);

	CHECK(result == VMX_OK);
	if (loan.before.v != VMX_NO_VMCS) {
		result = vmx_vmptrld(loan.before);
		CHECK(result == VMX_OK);
	}
}

/* --- MSRs and DR6 --- */

void vmx_load_msrs(struct vmx_vcpu *v)
{
	for (unsigned i = 0; i < VMX_MSR_COUNT; i++) {
		cpu_wrmsr(msr_numbers[i], v->msrs[i]);
	}
	vmx_write_dr6(v->dr6);
}

void vmx_save_msrs(struct vmx_vcpu *v)
{
	for (unsigned i = 0; i < VMX_MSR_COUNT; i++) {
		v->msrs[i] = cpu_rdmsr(msr_numbers[i]);
	}
	v->dr6 = vmx_read_dr6();
}

/* The place of `reg` among the switched MSRs; VMX_MSR_COUNT when it is none. */
static enum vmx_msr msr_of(enum vcpu_reg reg)
{
	switch ((int)reg) {
	case VCPU_REG_STAR:
		return VMX_MSR_STAR;
	case VCPU_REG_LSTAR:
		return VMX_MSR_LSTAR;
	case VCPU_REG_CSTAR:
		return VMX_MSR_CSTAR;
	case VCPU_REG_SFMASK:
		return VMX_MSR_SFMASK;
	case VCPU_REG_KERNEL_GS_BASE:
		return VMX_MSR_KERNEL_GS_BASE;
	default:
		return VMX_MSR_COUNT;
	}
}

/* Bits 63:47 equal: what these MSRs take without a fault. */
static uint64_t canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16);
}

static void set_msr(struct vmx_vcpu *v, enum vmx_msr msr, uint64_t value)
{
	if (msr == VMX_MSR_SFMASK) {
		value &= UINT32_MAX;
	} else if (msr != VMX_MSR_STAR) {
		value = canonical(value);
	}
	if (v->cpu != NULL) {
		cpu_wrmsr(msr_numbers[msr], value);
	} else {
		v->msrs[msr] = value;
	}
}

/* --- control registers --- */

/* Outside long mode, PAE paging takes its four topmost entries when CR3 is loaded. */
static void load_pdptes(struct vmx_vcpu *v)
{
	uint64_t entries[PDPTE_COUNT] = {0};
	uint64_t table = vmcs_read(VMCS_GUEST_CR3) & PAE_CR3_TABLE;
	uint64_t reserved = PDPTE_RESERVED | ~(BIT(vmx.caps.phys_bits) - 1);

	if ((vmcs_read(VMCS_GUEST_CR0) & CR0_PG) == 0 ||
	    (vmcs_read(VMCS_GUEST_CR4) & CR4_PAE) == 0 ||
	    (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) != 0) {
		return;
	}
	if (guest_mem_read(v->vcpu.vm, gpa(table), entries, sizeof(entries)) != HV_OK) {
		entries[0] = 0; /* no memory there: nothing is mapped */
	}
	vmcs_write(VMCS_GUEST_PDPTE0, entries[0] & ~reserved);
	vmcs_write(VMCS_GUEST_PDPTE1, entries[1] & ~reserved);
	vmcs_write(VMCS_GUEST_PDPTE2, entries[2] & ~reserved);
	vmcs_write(VMCS_GUEST_PDPTE3, entries[3] & ~reserved);
}

static void set_cr0(struct vmx_vcpu *v, uint64_t value)
{
	uint64_t real = (value & ~CR0_NEVER) | vmx.caps.cr0_fixed0;

	vmcs_write(VMCS_CR0_MASK, ~CR0_GUEST);
	vmcs_write(VMCS_CR0_SHADOW, value);
	vmcs_write(VMCS_GUEST_CR0, real & vmx.caps.cr0_fixed1);
	load_pdptes(v);
}

static void set_cr4(struct vmx_vcpu *v, uint64_t value)
{
	uint64_t real =
		(value & ~(CR4_NEVER | CR4_MCE)) | vmx.caps.cr4_fixed0 | (cpu_read_cr4() & CR4_MCE);

	vmcs_write(VMCS_CR4_MASK, ~(CR4_GUEST & vmx.caps.cr4_fixed1));
	vmcs_write(VMCS_CR4_SHADOW, value);
	vmcs_write(VMCS_GUEST_CR4, real & vmx.caps.cr4_fixed1);
	load_pdptes(v);
}

static uint64_t merge(enum vmcs_field real, enum vmcs_field mask, enum vmcs_field shadow)
{
	uint64_t hosts = vmcs_read(mask);

	return (vmcs_read(real) & ~hosts) | (vmcs_read(shadow) & hosts);
}

static void set_efer(uint64_t value)
{
	uint64_t entry = vmcs_read(VMCS_ENTRY_CONTROLS) & ~(uint64_t)VMX_ENTRY_IA32E;

	vmcs_write(VMCS_GUEST_EFER, value);
	vmcs_write(VMCS_ENTRY_CONTROLS, (value & EFER_LMA) != 0 ? entry | VMX_ENTRY_IA32E : entry);
}

/* --- the neutral names --- */

static uint64_t read_vmcs_reg(const struct vmx_vcpu *v, enum vcpu_reg reg)
{
	struct vmx_loan loan = vmx_borrow(v);
	uint64_t value;

	if (reg == VCPU_REG_CR0) {
		value = merge(VMCS_GUEST_CR0, VMCS_CR0_MASK, VMCS_CR0_SHADOW);
	} else if (reg == VCPU_REG_CR4) {
		value = merge(VMCS_GUEST_CR4, VMCS_CR4_MASK, VMCS_CR4_SHADOW);
	} else {
		value = vmcs_read(reg_fields[reg]);
	}
	vmx_give_back(v, loan);
	return value;
}

uint64_t vmx_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg)
{
	const struct vmx_vcpu *v = vmx_vcpu_const(vcpu);
	enum vmx_msr msr;

	/* Asked after every instruction that exited: first. */
	if (reg == VCPU_REG_RFLAGS) {
		return v->rflags;
	}
	CHECK((unsigned)reg < VCPU_REG_COUNT);
	msr = msr_of(reg);
	if (msr != VMX_MSR_COUNT) {
		return v->cpu != NULL ? cpu_rdmsr(msr_numbers[msr]) : v->msrs[msr];
	}
	switch ((int)reg) {
	case VCPU_REG_CR2:
		return v->cr2;
	case VCPU_REG_CR8:
		return v->apic[VMX_APIC_TPR] >> 4;
	case VCPU_REG_DR6:
		return v->cpu != NULL ? vmx_read_dr6() : v->dr6;
	default:
		return read_vmcs_reg(v, reg);
	}
}

uint64_t vmx_code_root(const struct vcpu *vcpu)
{
	const struct vmx_vcpu *v = vmx_vcpu_const(vcpu);
	struct vmx_loan loan = vmx_borrow(v);
	bool plain = (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) != 0 &&
		     (vmcs_read(VMCS_GUEST_CS_RIGHTS) & SEG_L) != 0;
	uint64_t root = plain ? vmcs_read(VMCS_GUEST_CR3) : CODE_ROOT_NONE;

	/* CR4_NEVER: there are no five-level tables here. */
	vmx_give_back(v, loan);
	return root;
}

void vmx_get_context(const struct vcpu *vcpu, struct vcpu_context *out)
{
	const struct vmx_vcpu *v = vmx_vcpu_const(vcpu);
	struct vmx_loan loan = vmx_borrow(v);

	*out = (struct vcpu_context){
		.cr0 = merge(VMCS_GUEST_CR0, VMCS_CR0_MASK, VMCS_CR0_SHADOW),
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = merge(VMCS_GUEST_CR4, VMCS_CR4_MASK, VMCS_CR4_SHADOW),
		.efer = vmcs_read(VMCS_GUEST_EFER),
		.rflags = v->rflags,
		.cs_base = vmcs_read(VMCS_GUEST_CS_BASE),
		.cs_attr = (uint32_t)vmcs_read(VMCS_GUEST_CS_RIGHTS),
		/* The CPU keeps the CPL in SS.DPL, even of an unusable SS. */
		.cpl = (uint8_t)bits_get(vmcs_read(VMCS_GUEST_SS_RIGHTS), SEG_DPL),
	};
	vmx_give_back(v, loan);
}

static void write_vmcs_reg(struct vmx_vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	struct vmx_loan loan = vmx_borrow(v);

	switch ((int)reg) {
	case VCPU_REG_CR0:
		set_cr0(v, value);
		break;
	case VCPU_REG_CR4:
		set_cr4(v, value);
		break;
	case VCPU_REG_EFER:
		set_efer(value);
		break;
	case VCPU_REG_RFLAGS:
		v->rflags = value | RFLAGS_FIXED1;
		vmcs_write(VMCS_GUEST_RFLAGS, v->rflags);
		break;
	case VCPU_REG_DR7:
		vmcs_write(VMCS_GUEST_DR7, (value & UINT32_MAX) | DR7_RESET);
		break;
	case VCPU_REG_CR3:
		vmcs_write(VMCS_GUEST_CR3, value);
		load_pdptes(v);
		break;
	default:
		vmcs_write(reg_fields[reg], value);
		break;
	}
	vmx_give_back(v, loan);
}

void vmx_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	enum vmx_msr msr = msr_of(reg);

	CHECK((unsigned)reg < VCPU_REG_COUNT);
	if (msr != VMX_MSR_COUNT) {
		set_msr(v, msr, value);
		return;
	}
	switch ((int)reg) {
	case VCPU_REG_CR2:
		v->cr2 = value;
		break;
	case VCPU_REG_CR8:
		v->apic[VMX_APIC_TPR] = (uint32_t)(value & 0xf) << 4;
		break;
	case VCPU_REG_DR6:
		value = (value & UINT32_MAX);
		if (v->cpu != NULL) {
			vmx_write_dr6(value);
		} else {
			v->dr6 = value;
		}
		break;
	default:
		write_vmcs_reg(v, reg, value);
		break;
	}
}

static enum vmcs_field seg_field(enum vmcs_field es, enum vcpu_seg seg)
{
	return (enum vmcs_field)((unsigned)es + 2 * (unsigned)seg);
}

void vmx_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out)
{
	const struct vmx_vcpu *v = vmx_vcpu_const(vcpu);
	struct vmx_loan loan = vmx_borrow(v);

	CHECK((unsigned)seg < VCPU_SEG_COUNT);
	*out = (struct vcpu_segment){
		.base = vmcs_read(seg_field(VMCS_GUEST_ES_BASE, seg)),
		.limit = (uint32_t)vmcs_read(seg_field(VMCS_GUEST_ES_LIMIT, seg)),
	};
	if (seg != VCPU_SEG_GDTR && seg != VCPU_SEG_IDTR) {
		out->selector = (uint16_t)vmcs_read(seg_field(VMCS_GUEST_ES_SELECTOR, seg));
		out->attr = (uint32_t)vmcs_read(seg_field(VMCS_GUEST_ES_RIGHTS, seg));
	}
	vmx_give_back(v, loan);
}

/* The CPU wants G to say what the limit says; of a limit that neither value fits, entry fails. */
static uint32_t rights_for(const struct vcpu_segment *s)
{
	uint32_t rights = s->attr & (uint32_t)RIGHTS_DEFINED;

	if ((s->limit & 0xfff) != 0xfff) {
		rights &= ~(uint32_t)SEG_G;
	} else if (s->limit >> 20 != 0) {
		rights |= (uint32_t)SEG_G;
	}
	return (rights & SEG_P) != 0 ? rights : rights | (uint32_t)SEG_UNUSABLE;
}

void vmx_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	struct vmx_loan loan = vmx_borrow(v);

	CHECK((unsigned)seg < VCPU_SEG_COUNT);
	vmcs_write(seg_field(VMCS_GUEST_ES_BASE, seg), in->base);
	if (seg == VCPU_SEG_GDTR || seg == VCPU_SEG_IDTR) {
		vmcs_write(seg_field(VMCS_GUEST_ES_LIMIT, seg), in->limit & 0xffff);
	} else {
		vmcs_write(seg_field(VMCS_GUEST_ES_LIMIT, seg), in->limit);
		vmcs_write(seg_field(VMCS_GUEST_ES_SELECTOR, seg), in->selector);
		vmcs_write(seg_field(VMCS_GUEST_ES_RIGHTS, seg), rights_for(in));
	}
	vmx_give_back(v, loan);
}
