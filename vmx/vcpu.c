/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs and vCPUs of the VT-x backend: their memory, and their state after reset.
 *
 * What the guest owns: CR3 and CR8 entirely, most bits of CR0 and CR4 (vmx/state.c), debug
 * registers, the MSRs that the policy passes. What always exits is in the control words of
 * vmx/caps.c and in what VT-x does not let a guest have: CPUID, XSETBV, INVD, task switches and the
 * VMX instructions.
 */
#include "hv/api/reset.h"
#include "hv/api/vm.h"
#include "hv/base/check.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"
#include "mm/pool.h"
#include "vmx/apicv.h"
#include "vmx/internal.h"
#include "vmx/permissions.h"
#include "vmx/vmx_insn.h"
#include "vmx/vpid.h"

/* PAUSE exits when it runs in a loop this long, each at most this many cycles after the one before.
 */
#define PAUSE_LOOP_GAP 128u
#define PAUSE_LOOP_WINDOW 4096u

/* A guest whose #AC or #DB handler raises the same again keeps the CPU in microcode, deaf to
 * interrupts, for ever (CVE-2015-5307, CVE-2015-8104): each round must exit. #UD: VMMCALL may be a
 * hypercall here, too. */
#define EXCEPTIONS (BIT32(EXC_DB) | BIT32(EXC_UD) | BIT32(EXC_AC) | BIT32(EXC_MC))

static enum hv_status init_apic(struct vm *vm, struct vmx_vm *vmx_vm)
{
	if (!vmx.caps.virtual_interrupts) {
		return HV_OK;
	}
	vmx_vm->msrpm_x2apic = pool_pages(VMX_MSRPM_ORDER);
	if (vmx_vm->msrpm_x2apic == NULL) {
		return HV_E_NO_MEMORY;
	}
	vmx_msrpm_build_x2apic(vmx_vm->msrpm_x2apic, vmx.policy->msrs);
	return vmx_apic_map(vm, &vmx_vm->apic_access);
}

enum hv_status vmx_vm_init(struct vm *vm)
{
	struct vmx_vm *vmx_vm = pool_alloc(sizeof(*vmx_vm));
	enum hv_status status;

	if (vmx_vm == NULL) {
		return HV_E_NO_MEMORY;
	}
	vm->backend_vm = vmx_vm;
	vmx_vm->msrpm = pool_pages(VMX_MSRPM_ORDER);
	vmx_vm->iopm = pool_pages(VMX_IOPM_ORDER);
	if (vmx_vm->msrpm == NULL || vmx_vm->iopm == NULL) {
		vmx_vm_fini(vm);
		return HV_E_NO_MEMORY;
	}
	vmx_msrpm_build(vmx_vm->msrpm, vmx.policy->msrs);
	vmx_iopm_build(vmx_vm->iopm, vmx.policy->ports);
	vmx_vm->eptp = vmx.caps.eptp | pool_hpa(vm->gspace.stage2.root).v;
	status = init_apic(vm, vmx_vm);
	if (status != HV_OK) {
		vmx_vm_fini(vm);
	}
	return status;
}

void vmx_vm_fini(struct vm *vm)
{
	struct vmx_vm *vmx_vm = vm->backend_vm;

	if (vmx_vm == NULL) {
		return;
	}
	if (vmx_vm->msrpm != NULL) {
		pool_pages_free(vmx_vm->msrpm, VMX_MSRPM_ORDER);
	}
	if (vmx_vm->msrpm_x2apic != NULL) {
		pool_pages_free(vmx_vm->msrpm_x2apic, VMX_MSRPM_ORDER);
	}
	if (vmx_vm->iopm != NULL) {
		pool_pages_free(vmx_vm->iopm, VMX_IOPM_ORDER);
	}
	pool_free(vmx_vm, sizeof(*vmx_vm));
	vm->backend_vm = NULL;
}

static void free_vcpu(struct vmx_vcpu *v)
{
	if (v->vmcs != NULL) {
		pool_pages_free(v->vmcs, VMX_REGION_ORDER);
	}
	if (v->apic != NULL) {
		pool_pages_free(v->apic, VMX_REGION_ORDER);
	}
	vpid_give(v->vpid);
	pool_free(v->vcpu.post, sizeof(*v->vcpu.post));
	pool_free(v, sizeof(*v));
}

/* Its size is its alignment: the pool's objects of 64 bytes lie so. */
static bool create_post(struct vmx_vcpu *v)
{
	if (vmx.caps.posts_interrupts) {
		v->vcpu.post = pool_alloc(sizeof(*v->vcpu.post));
	}
	return v->vcpu.post != NULL || !vmx.caps.posts_interrupts;
}

struct vcpu *vmx_vcpu_create(struct vm *vm)
{
	struct vmx_vcpu *v = pool_alloc(sizeof(*v));
	enum vmx_result result;

	if (v == NULL) {
		return NULL;
	}
	v->vmcs = pool_pages(VMX_REGION_ORDER);
	v->apic = pool_pages(VMX_REGION_ORDER);
	if (v->vmcs == NULL || v->apic == NULL || !create_post(v)) {
		free_vcpu(v);
		return NULL;
	}
	if (vmx_caps_has(vmx.caps.proc2, VMX_PROC2_VPID)) {
		v->vpid = vpid_take();
	}
	memcpy(v->vmcs, &vmx.caps.revision, sizeof(vmx.caps.revision));
	v->vmcs_hpa = pool_hpa(v->vmcs);
	v->vcpu.vm = vm;
	v->window_vector = -1;
	if (vmx.caps.virtual_interrupts) {
		v->apic_mode = APIC_MODE_XAPIC; /* as a LAPIC comes out of reset */
	}
	/* Brings what the CPU keeps in a region into a defined state. */
	result = vmx_vmclear(v->vmcs_hpa);
	CHECK(result == VMX_OK);
	return &v->vcpu;
}

void vmx_vcpu_destroy(struct vcpu *vcpu)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);

	CHECK(v->cpu == NULL); /* nothing of the VMCS is left in a CPU */
	free_vcpu(v);
}

struct setting {
	uint16_t field;
	uint64_t value;
};

static void write_all(const struct setting *settings, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		vmcs_write(settings[i].field, settings[i].value);
	}
}

/* SDM "Initializing a Virtual-Machine Control Structure": nothing is left to what lay there. */
static void reset_controls(struct vmx_vcpu *v)
{
	const struct vmx_vm *vmx_vm = v->vcpu.vm->backend_vm;
	uint64_t iopm = pool_hpa(vmx_vm->iopm).v;
	const struct setting settings[] = {
		{VMCS_PIN_CONTROLS, vmx.caps.pin},
		{VMCS_PROC_CONTROLS, vmx.caps.proc},
		{VMCS_EXIT_CONTROLS, vmx.caps.exit},
		{VMCS_ENTRY_CONTROLS, vmx.caps.entry},
		{VMCS_EXCEPTION_BITMAP, EXCEPTIONS},
		{VMCS_PF_ERROR_MASK, 0},
		{VMCS_PF_ERROR_MATCH, 0},
		{VMCS_CR3_TARGET_COUNT, 0},
		{VMCS_EXIT_MSR_STORE_COUNT, 0},
		{VMCS_EXIT_MSR_LOAD_COUNT, 0},
		{VMCS_ENTRY_MSR_LOAD_COUNT, 0},
		{VMCS_ENTRY_INTERRUPTION, 0},
		{VMCS_ENTRY_ERROR_CODE, 0},
		{VMCS_ENTRY_INSN_LENGTH, 0},
		{VMCS_TPR_THRESHOLD, 0},
		{VMCS_IO_BITMAP_A, iopm},
		{VMCS_IO_BITMAP_B, iopm + PAGE_SIZE},
		{VMCS_MSR_BITMAP, pool_hpa(vmx_vm->msrpm).v},
		{VMCS_VIRTUAL_APIC, pool_hpa(v->apic).v},
		{VMCS_TSC_OFFSET, v->tsc_offset}, /* set_tsc_offset alone decides it */
		{VMCS_EPTP, vmx_vm->eptp},
	};
	uint32_t proc2 = vmx.caps.proc2;

	write_all(settings, ARRAY_SIZE(settings));
	if (v->vpid == 0) {
		proc2 &= ~VMX_PROC2_VPID;
	} else {
		vmcs_write(VMCS_VPID, v->vpid);
	}
	vmcs_write(VMCS_PROC2_CONTROLS, proc2);
	if (vmx_caps_has(proc2, VMX_PROC2_PAUSE_LOOP)) {
		vmcs_write(VMCS_PLE_GAP, PAUSE_LOOP_GAP);
		vmcs_write(VMCS_PLE_WINDOW, PAUSE_LOOP_WINDOW);
	}
	v->proc = vmx.caps.proc;
	v->proc2 = proc2;
	vmx_apic_reset(v);
	v->tpr_threshold = 0;
	v->bounded = false;
	v->bound_end = 0;
}

static void reset_registers(struct vmx_vcpu *v)
{
	struct vcpu *vcpu = &v->vcpu;
	const struct setting settings[] = {
		{VMCS_GUEST_LINK, VMX_NO_LINK},
		{VMCS_GUEST_ACTIVITY, 0},
		{VMCS_GUEST_INTERRUPTIBILITY, 0},
		{VMCS_GUEST_PENDING_DEBUG, 0},
		{VMCS_GUEST_PDPTE0, 0},
		{VMCS_GUEST_PDPTE1, 0},
		{VMCS_GUEST_PDPTE2, 0},
		{VMCS_GUEST_PDPTE3, 0},
		/* CR0 and CR4 look at each other. */
		{VMCS_GUEST_CR0, 0},
		{VMCS_GUEST_CR4, 0},
	};

	write_all(settings, ARRAY_SIZE(settings));
	vcpu_reset_registers(vcpu, vmx.caps.signature, vmx_set_reg, vmx_set_seg);
	v->rip = vcpu->rip;
	v->rsp = 0;
	vmcs_write(VMCS_GUEST_RIP, v->rip);
	vmcs_write(VMCS_GUEST_RSP, v->rsp);
}

void vmx_vcpu_reset(struct vcpu *vcpu)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	struct vmx_loan loan = vmx_borrow(v);

	reset_controls(v);
	reset_registers(v);
	vmx_give_back(v, loan);
	v->event_info = 0;
	v->window_vector = -1;
	v->window_nmi = false;
	v->flush = true;
}

void vmx_set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	struct vmx_loan loan = vmx_borrow(v);

	v->tsc_offset = offset;
	vmcs_write(VMCS_TSC_OFFSET, offset);
	vmx_give_back(v, loan);
}
