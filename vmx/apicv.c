/* SPDX-License-Identifier: Apache-2.0 */
/* APIC virtualization. */
#include "vmx/apicv.h"

#include "hv/base/str.h"
#include "mm/pool.h"
#include "vmx/permissions.h"

#define X2APIC(reg) (0x800u + (reg))
/* Guest interrupt status: RVI and SVI. */
#define STATUS_REQUESTED MASK(7, 0)
#define STATUS_IN_SERVICE MASK(15, 8)

/*
 * What the CPU does right by itself. Reads of registers that do not exist would not raise #GP,
 * other writes would reach the physical APIC, the current count is not in the page: all these exit.
 */
static const struct msr_pass_range x2apic_registers[] = {
	{X2APIC(0x02), 2, MSR_PASS_READ},  /* ID, version */
	{X2APIC(0x08), 1, MSR_PASS_BOTH},  /* TPR */
	{X2APIC(0x0a), 1, MSR_PASS_READ},  /* PPR */
	{X2APIC(0x0b), 1, MSR_PASS_WRITE}, /* EOI */
	{X2APIC(0x0d), 1, MSR_PASS_READ},  /* LDR */
	{X2APIC(0x0f), 1, MSR_PASS_READ},  /* SVR */
	{X2APIC(0x10), 25, MSR_PASS_READ}, /* ISR, TMR, IRR, ESR */
	{X2APIC(0x30), 1, MSR_PASS_READ},  /* ICR */
	{X2APIC(0x32), 7, MSR_PASS_READ},  /* LVT, initial count */
	{X2APIC(0x3e), 1, MSR_PASS_READ},  /* divide configuration */
	{X2APIC(0x3f), 1, MSR_PASS_WRITE}, /* SELF IPI */
	{0, 0, MSR_PASS_NONE},
};

void vmx_msrpm_build_x2apic(uint8_t *map, const struct msr_pass_range *pass)
{
	vmx_msrpm_build(map, pass);
	vmx_msrpm_pass(map, x2apic_registers);
}

enum hv_status vmx_apic_map(struct vm *vm, hpa_t *out)
{
	void *ones = pool_pages(0);
	enum hv_status status = HV_E_NO_MEMORY;

	if (ones != NULL) {
		memset(ones, 0xff, PAGE_SIZE);
		status = gspace_add_page(&vm->gspace, APIC_PAGE_GPA, pool_hpa(ones), out);
		pool_pages_free(ones, 0);
	}
	return status;
}

static void set_mode(struct vmx_vcpu *v, enum apic_mode mode)
{
	const struct vmx_vm *vmx_vm = v->vcpu.vm->backend_vm;
	uint32_t proc2 = v->proc2 & ~(VMX_PROC2_APIC_ACCESSES | VMX_PROC2_X2APIC);
	const uint8_t *msrpm = vmx_vm->msrpm;

	if (mode == APIC_MODE_XAPIC) {
		proc2 |= VMX_PROC2_APIC_ACCESSES;
	} else if (mode == APIC_MODE_X2APIC) {
		proc2 |= VMX_PROC2_X2APIC;
		msrpm = vmx_vm->msrpm_x2apic;
	}
	vmcs_write(VMCS_PROC2_CONTROLS, proc2);
	vmcs_write(VMCS_MSR_BITMAP, pool_hpa(msrpm).v);
	v->proc2 = proc2;
	v->apic_mode = mode;
	/* A cached translation may not know what the page means now. */
	v->flush = true;
}

static void set_eoi_exits(struct vmx_vcpu *v, const uint64_t exits[4])
{
	static const enum vmcs_field fields[] = {VMCS_EOI_EXITS0, VMCS_EOI_EXITS1, VMCS_EOI_EXITS2,
						 VMCS_EOI_EXITS3};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		if (v->eoi_exits[i] != exits[i]) {
			v->eoi_exits[i] = exits[i];
			vmcs_write(fields[i], exits[i]);
		}
	}
}

void vmx_apic_reset(struct vmx_vcpu *v)
{
	const struct vmx_vm *vmx_vm = v->vcpu.vm->backend_vm;
	static const uint64_t none[4];

	if (!vmx.caps.virtual_interrupts) {
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(v->eoi_exits); i++) {
		v->eoi_exits[i] = UINT64_MAX;
	}
	set_eoi_exits(v, none);
	if (v->vcpu.post != NULL) {
		vmcs_write(VMCS_POST_VECTOR, vmx.policy->post_vector);
		vmcs_write(VMCS_POST_DESCRIPTOR, pool_hpa(v->vcpu.post).v);
	}
	vmcs_write(VMCS_APIC_ACCESS, vmx_vm->apic_access.v);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
	set_mode(v, v->apic_mode);
}

uint32_t *vmx_apic_page(struct vcpu *vcpu)
{
	return vmx_vcpu(vcpu)->apic;
}

void vmx_apic_load(struct vcpu *vcpu, const struct apic_entry *entry)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	struct vmx_loan loan = vmx_borrow(v);

	if (entry->mode != v->apic_mode) {
		set_mode(v, entry->mode);
	}
	set_eoi_exits(v, entry->eoi_exits);
	/* Each run changes it, and the page with it. */
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS,
		   bits_set(bits_set(0, STATUS_REQUESTED, entry->requested), STATUS_IN_SERVICE,
			    entry->in_service));
	vmx_give_back(v, loan);
}
