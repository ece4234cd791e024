/* SPDX-License-Identifier: Apache-2.0 */
/*
 * APIC virtualization: the CPU works on a vCPU's LAPIC registers, in the virtual-APIC page, and
 * delivers what its IRR holds. All four controls are used or none (vmx/caps.c):
 *
 *	mode	controls on top of register virtualization and virtual-interrupt delivery
 *	off	none: the LAPIC hears nothing
 *	xAPIC	virtualize APIC accesses: the page at APIC_PAGE_GPA
 *	x2APIC	virtualize x2APIC mode, and an MSR bitmap that lets the guest reach its registers
 *
 * In the other two modes the guest finds all ones at APIC_PAGE_GPA, as where there is nothing, but
 * in a page of its own that it can write to: second-stage tables are the VM's, the mode is each
 * vCPU's.
 *
 * Where the CPU processes posted interrupts, each vCPU has a descriptor (vcpu->post): the host
 * interrupt with the notification vector does not end a run, it has the CPU move what was posted
 * into the page's IRR. That vector's handler finds a CPU that was in the hypervisor, and has no
 * work.
 *
 * Source: Intel SDM volume 3 "APIC Virtualization and Virtual Interrupts", of it "Posted-Interrupt
 * Processing", which demands virtual-interrupt delivery and "acknowledge interrupt on exit".
 */
#pragma once

#include "hv/api/apic_page.h"
#include "vmx/internal.h"

/* The bitmap of a vCPU in x2APIC mode: `pass` and the registers that need no exit. */
void vmx_msrpm_build_x2apic(uint8_t *map, const struct msr_pass_range *pass);

/* The page behind APIC_PAGE_GPA, and where it lies. */
enum hv_status vmx_apic_map(struct vm *vm, hpa_t *out) HV_MUST_CHECK;
/*
 * Brings the vCPU's VMCS, which is current, into the state after reset: nothing waits. The mode is
 * the LAPIC's, which keeps it over an INIT: vmx_apic_load alone changes it.
 */
void vmx_apic_reset(struct vmx_vcpu *v);

uint32_t *vmx_apic_page(struct vcpu *vcpu);
void vmx_apic_load(struct vcpu *vcpu, const struct apic_entry *entry);
