/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and segments of the VMCB by their neutral names. */
#include "svm/vmcb.h"

#include "hv/base/check.h"
#include "hv/cpu/regs.h"

struct place {
	uint16_t offset;
	uint16_t clean;
};

#define AT(field, bits) \
	{ \
		offsetof(struct vmcb, field), (bits) \
	}

static const struct place reg_places[VCPU_REG_COUNT] = {
	[VCPU_REG_RFLAGS] = AT(rflags, 0),
	[VCPU_REG_CR0] = AT(_cr0, SVM_CLEAN_CR),
	[VCPU_REG_CR2] = AT(_cr2, SVM_CLEAN_CR2),
	[VCPU_REG_CR3] = AT(_cr3, SVM_CLEAN_CR),
	[VCPU_REG_CR4] = AT(_cr4, SVM_CLEAN_CR),
	[VCPU_REG_CR8] = AT(_int_ctl, SVM_CLEAN_INT_CTL),
	[VCPU_REG_DR6] = AT(_dr6, SVM_CLEAN_DR),
	[VCPU_REG_DR7] = AT(_dr7, SVM_CLEAN_DR),
	[VCPU_REG_EFER] = AT(_efer, SVM_CLEAN_CR),
	[VCPU_REG_PAT] = AT(_pat, SVM_CLEAN_NP),
	[VCPU_REG_STAR] = AT(star, 0),
	[VCPU_REG_LSTAR] = AT(lstar, 0),
	[VCPU_REG_CSTAR] = AT(cstar, 0),
	[VCPU_REG_SFMASK] = AT(sfmask, 0),
	[VCPU_REG_FS_BASE] = AT(fs.base, 0),
	[VCPU_REG_GS_BASE] = AT(gs.base, 0),
	[VCPU_REG_KERNEL_GS_BASE] = AT(kernel_gs_base, 0),
	[VCPU_REG_SYSENTER_CS] = AT(sysenter_cs, 0),
	[VCPU_REG_SYSENTER_ESP] = AT(sysenter_esp, 0),
	[VCPU_REG_SYSENTER_EIP] = AT(sysenter_eip, 0),
	[VCPU_REG_DEBUGCTL] = AT(_debugctl, SVM_CLEAN_LBR),
};

static const struct place seg_places[VCPU_SEG_COUNT] = {
	[VCPU_SEG_ES] = AT(_es, SVM_CLEAN_SEG),
	[VCPU_SEG_CS] = AT(_cs, SVM_CLEAN_SEG),
	[VCPU_SEG_SS] = AT(_ss, SVM_CLEAN_SEG),
	[VCPU_SEG_DS] = AT(_ds, SVM_CLEAN_SEG),
	[VCPU_SEG_FS] = AT(fs, 0),
	[VCPU_SEG_GS] = AT(gs, 0),
	[VCPU_SEG_LDTR] = AT(ldtr, 0),
	[VCPU_SEG_TR] = AT(tr, 0),
	[VCPU_SEG_GDTR] = AT(_gdtr, SVM_CLEAN_DT),
	[VCPU_SEG_IDTR] = AT(_idtr, SVM_CLEAN_DT),
};

static const void *field_at(const struct vmcb *vmcb, struct place place)
{
	return (const char *)vmcb + place.offset;
}

uint64_t vmcb_get_reg(const struct vmcb *vmcb, enum vcpu_reg reg)
{
	uint64_t value;

	CHECK((unsigned)reg < VCPU_REG_COUNT);
	value = *(const uint64_t *)field_at(vmcb, reg_places[reg]);
	return reg == VCPU_REG_CR8 ? bits_get(value, SVM_INT_V_TPR) : value;
}

void vmcb_set_reg(struct vmcb *vmcb, enum vcpu_reg reg, uint64_t value)
{
	struct place place;

	CHECK((unsigned)reg < VCPU_REG_COUNT);
	place = reg_places[reg];
	if (reg == VCPU_REG_CR8) {
		value = bits_set(vmcb->_int_ctl, SVM_INT_V_TPR, value);
	}
	vmcb_write(vmcb, (uint64_t *)(void *)((char *)vmcb + place.offset), value, place.clean);
}

/* AVL, L, D/B and G stand four bits lower here than in a descriptor. */
static uint32_t attr_to_neutral(uint16_t attr)
{
	uint32_t out = attr & (uint32_t)SVM_SEG_LOW;

	out |= (attr & (uint32_t)SVM_SEG_HIGH) << 4;
	return (attr & SVM_SEG_P) != 0 ? out : out | (uint32_t)SEG_UNUSABLE;
}

static uint16_t attr_from_neutral(uint32_t attr)
{
	uint32_t out = (attr & (uint32_t)SVM_SEG_LOW) | (attr >> 4 & (uint32_t)SVM_SEG_HIGH);

	return (uint16_t)((attr & SEG_UNUSABLE) != 0 ? out & ~SVM_SEG_P : out);
}

void vmcb_get_context(const struct vmcb *vmcb, struct vcpu_context *out)
{
	out->cr0 = vmcb->_cr0;
	out->cr3 = vmcb->_cr3;
	out->cr4 = vmcb->_cr4;
	out->efer = vmcb->_efer;
	out->rflags = vmcb->rflags;
	out->cs_base = vmcb->_cs.base;
	out->cs_attr = attr_to_neutral(vmcb->_cs.attr);
	out->cpl = vmcb->_cpl;
}

void vmcb_get_seg(const struct vmcb *vmcb, enum vcpu_seg seg, struct vcpu_segment *out)
{
	const struct vmcb_seg *s;

	CHECK((unsigned)seg < VCPU_SEG_COUNT);
	s = field_at(vmcb, seg_places[seg]);
	*out = (struct vcpu_segment){.base = s->base, .limit = s->limit};
	if (seg == VCPU_SEG_GDTR || seg == VCPU_SEG_IDTR) {
		return;
	}
	out->selector = s->selector;
	out->attr = attr_to_neutral(s->attr);
	if (seg == VCPU_SEG_SS) {
		/* A null SS has no DPL of its own; the CPL is kept apart from it. */
		out->attr = (uint32_t)bits_set(out->attr, SEG_DPL, vmcb->_cpl);
	}
}

void vmcb_set_seg(struct vmcb *vmcb, enum vcpu_seg seg, const struct vcpu_segment *in)
{
	struct vmcb_seg *s;

	CHECK((unsigned)seg < VCPU_SEG_COUNT);
	s = (struct vmcb_seg *)(void *)((char *)vmcb + seg_places[seg].offset);
	*s = (struct vmcb_seg){.base = in->base, .limit = in->limit};
	if (seg != VCPU_SEG_GDTR && seg != VCPU_SEG_IDTR) {
		s->selector = in->selector;
		s->attr = attr_from_neutral(in->attr);
	}
	if (seg == VCPU_SEG_SS) {
		vmcb_set_cpl(vmcb, (uint8_t)bits_get(in->attr, SEG_DPL));
	}
	vmcb->clean &= ~(uint32_t)seg_places[seg].clean;
}
