/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake behind vmx/vmx_insn.h: VMCSs as tables of fields, with the rules of the instructions
 * around them (current, launched, read-only, revision), and a VM entry whose guest is a C function.
 * An entry makes the checks of vmx/check.c, so state that a real CPU would refuse is refused here.
 */
#pragma once

#include "vmx/caps.h"
#include "vmx/vmcs.h"
#include "vmx/vmx_insn.h"

#define FAKE_VMCS_MAX 8

struct fake_vmcs {
	uint64_t hpa;
	bool active; /* VMPTRLD without VMCLEAR since */
	bool launched;
	struct vmcs_image image;
};

struct fake_vmx {
	/* The guest: sets exit fields and state. NULL: exits with an external interrupt. */
	void (*guest)(struct vcpu *vcpu);
	/* Entries are checked against these; NULL: not at all. */
	const struct vmx_caps *caps;
	bool on;		      /* VMX operation */
	bool refuse_vmxon;	      /* VMXON fails */
	enum vmx_result refuse_entry; /* the next entries fail like this */
	struct fake_vmcs store[FAKE_VMCS_MAX];
	unsigned store_count;
	struct fake_vmcs *current; /* NULL: none */
	uint32_t missing;	   /* this field does not exist; 0: all do */
	uint64_t dr6;

	/* What was executed. */
	struct vmcs_image entered; /* as it was when the last run began */
	unsigned enter_count;
	bool entered_by_launch;
	unsigned vmread_count, vmwrite_count;
	unsigned vmptrld_count, vmclear_count;
	unsigned invept_count;
	uint64_t invept_type, invept_eptp;
	unsigned host_nmi_count;
	unsigned verw_count;
};

extern struct fake_vmx fake_vmx;

/* "Structure of VMCS Component Encoding": bits 14:13. */
enum fake_vmcs_width {
	FAKE_VMCS_WIDTH_16,
	FAKE_VMCS_WIDTH_64,
	FAKE_VMCS_WIDTH_32,
	FAKE_VMCS_WIDTH_NATURAL,
};

static inline enum fake_vmcs_width fake_vmcs_width(uint32_t encoding)
{
	return (enum fake_vmcs_width)bits_get(encoding, MASK(14, 13));
}

void fake_vmx_reset(void);
/* The list's position of an encoding; VMCS_FIELD_COUNT when it is not listed. */
enum vmcs_index fake_vmcs_find(uint32_t encoding);
/* Fields of the current VMCS, read-only ones too. */
uint64_t fake_vmcs_get(enum vmcs_field field);
void fake_vmcs_set(enum vmcs_field field, uint64_t value);
/* The VMCS at `hpa`, current or not; NULL when it was never cleared or loaded. */
struct fake_vmcs *fake_vmcs_at(hpa_t hpa);
