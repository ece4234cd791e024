/* SPDX-License-Identifier: Apache-2.0 */
/* Registers after RESET. */
#include "hv/api/reset.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"

/* Attributes: present, accessed; code, data, LDT and busy 32-bit TSS. */
#define ATTR_CODE 0x9bu
#define ATTR_DATA 0x93u
#define ATTR_LDT 0x82u
#define ATTR_TSS 0x8bu

#define PAT_RESET 0x0007040600070406ull
/* The first instruction: 16 bytes below 4 GiB. */
#define RESET_CS 0xf000u
#define RESET_CS_BASE 0xffff0000u
#define RESET_RIP 0xfff0u

static const uint8_t segment_attrs[VCPU_SEG_COUNT] = {
	[VCPU_SEG_ES] = ATTR_DATA, [VCPU_SEG_CS] = ATTR_CODE,  [VCPU_SEG_SS] = ATTR_DATA,
	[VCPU_SEG_DS] = ATTR_DATA, [VCPU_SEG_FS] = ATTR_DATA,  [VCPU_SEG_GS] = ATTR_DATA,
	[VCPU_SEG_TR] = ATTR_TSS,  [VCPU_SEG_LDTR] = ATTR_LDT,
};

static uint64_t reset_value(enum vcpu_reg reg)
{
	switch ((int)reg) {
	case VCPU_REG_CR0:
		return CR0_CD | CR0_NW | CR0_ET;
	case VCPU_REG_DR6:
		return DR6_RESET;
	case VCPU_REG_DR7:
		return DR7_RESET;
	case VCPU_REG_PAT:
		return PAT_RESET;
	default:
		return 0; /* RFLAGS: bit 1 is the backend's affair */
	}
}

void vcpu_reset_registers(struct vcpu *vcpu, uint32_t signature,
			  void (*set_reg)(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value),
			  void (*set_seg)(struct vcpu *vcpu, enum vcpu_seg seg,
					  const struct vcpu_segment *in))
{
	for (unsigned i = 0; i < VCPU_REG_COUNT; i++) {
		set_reg(vcpu, (enum vcpu_reg)i, reset_value((enum vcpu_reg)i));
	}
	for (unsigned i = 0; i < VCPU_SEG_COUNT; i++) {
		struct vcpu_segment s = {.limit = 0xffff, .attr = segment_attrs[i]};

		if (i == VCPU_SEG_CS) {
			s.selector = RESET_CS;
			s.base = RESET_CS_BASE;
		}
		set_seg(vcpu, (enum vcpu_seg)i, &s);
	}
	memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
	vcpu->gpr[GPR_RDX] = signature;
	vcpu->rip = RESET_RIP;
}
