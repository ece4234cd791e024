/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one exit on the VT-x side: VMCS from struct vcpu, vmx_enter, raw exit, decoder. Kept
 * straight: this is what every exit pays for. A field is written when it changes, and read when the
 * exit's reason gives it a meaning.
 */
#include "hv/base/check.h"
#include "hv/base/log.h"
#include "hv/cpu/desc.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "vmx/check.h"
#include "vmx/decode.h"
#include "vmx/event.h"
#include "vmx/internal.h"
#include "vmx/permissions.h"
#include "vmx/vmx_insn.h"

/* What every exit on this CPU comes back to; CR3 follows the VM (vmx_vcpu_run). */
static void write_host_state(void)
{
	const struct cpu_local *cpu = cpu_this();
	struct desc_ptr gdt, idt;

	cpu_sgdt(&gdt);
	vmx_sidt(&idt);
	vmcs_write(VMCS_HOST_CR0, cpu_read_cr0());
	vmcs_write(VMCS_HOST_CR4, cpu_read_cr4());
	vmcs_write(VMCS_HOST_CS_SELECTOR, GDT_CODE);
	vmcs_write(VMCS_HOST_SS_SELECTOR, GDT_DATA);
	vmcs_write(VMCS_HOST_DS_SELECTOR, GDT_DATA);
	vmcs_write(VMCS_HOST_ES_SELECTOR, GDT_DATA);
	vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_TR_SELECTOR, GDT_TSS);
	vmcs_write(VMCS_HOST_FS_BASE, cpu_rdmsr(MSR_FS_BASE));
	vmcs_write(VMCS_HOST_GS_BASE, cpu_rdmsr(MSR_GS_BASE));
	vmcs_write(VMCS_HOST_TR_BASE, (uint64_t)(uintptr_t)&cpu->tss);
	vmcs_write(VMCS_HOST_GDTR_BASE, gdt.base);
	vmcs_write(VMCS_HOST_IDTR_BASE, idt.base);
	vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_PAT, cpu_rdmsr(MSR_IA32_PAT));
	vmcs_write(VMCS_HOST_EFER, cpu_rdmsr(MSR_EFER));
	vmcs_write(VMCS_HOST_RIP, vmx_exit_address());
}

void vmx_vcpu_load(struct vcpu *vcpu, unsigned cpu)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	enum vmx_result result = vmx_vmptrld(v->vmcs_hpa);

	CHECK(result == VMX_OK);
	v->cpu = vmx_cpu_get(cpu);
	if (v->cpu != v->last_cpu) {
		write_host_state();
		v->host_cr3 = 0;
		/* What was done elsewhere, by this vCPU and to its VM's tables, has not reached
		 * this CPU's TLB: both kinds of translations go. */
		v->flush = true;
		v->bound_end = 0; /* by the other CPU's TSC */
		v->last_cpu = v->cpu;
	}
	if (v->cpu->last_vm != vcpu->vm->id) {
		vmx_mitigations_apply(vmx.mitigations);
		v->cpu->last_vm = vcpu->vm->id;
	}
	vmx_load_msrs(v);
	if (vmx_caps_has(vmx.caps.proc2, VMX_PROC2_RDTSCP)) {
		cpu_wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
	}
}

void vmx_vcpu_put(struct vcpu *vcpu)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	const struct vmx_vm *vmx_vm = vcpu->vm->backend_vm;
	enum vmx_result result;

	/* Where the guest's writes exit, vcpu->tsc_aux is up to date already. */
	if (vmx_caps_has(vmx.caps.proc2, VMX_PROC2_RDTSCP) &&
	    vmx_msrpm_passes(vmx_vm->msrpm, MSR_TSC_AUX, true)) {
		vcpu->tsc_aux = cpu_rdmsr(MSR_TSC_AUX);
	}
	vmx_save_msrs(v);
	result = vmx_vmclear(v->vmcs_hpa);
	CHECK(result == VMX_OK);
	v->launched = false;
	v->cpu = NULL;
}

void vmx_tlb_flush(struct vcpu *vcpu)
{
	vmx_vcpu(vcpu)->flush = true;
}

/* INVEPT drops what came through this VM's tables, for every VPID. */
static void flush(struct vmx_vcpu *v)
{
	const struct vmx_vm *vmx_vm = v->vcpu.vm->backend_vm;
	enum vmx_result result = vmx_invept(
		vmx.caps.invept_single ? VMX_INVEPT_SINGLE : VMX_INVEPT_ALL, vmx_vm->eptp);

	CHECK(result == VMX_OK);
	v->flush = false;
}

/*
 * A physical interrupt ends a guest's run whatever its RFLAGS.IF says. Bochs 2.7 forgets that for a
 * guest that is entered with IF clear, until it sets it: such a guest's runs end by themselves when
 * together they have lasted a while, as if by an interrupt that nobody acknowledged. On other
 * machines interrupts come first, and that much time with IF clear does not pass. True: time is up.
 * The timer is written once and bounds each run; at worst they last twice as long together, and
 * every exit is spared a VMWRITE and 20 instructions.
 */
static bool bound_runs(struct vmx_vcpu *v)
{
	bool bound = vmx.caps.preemption_timer && (v->rflags & RFLAGS_IF) == 0;
	uint64_t now;

	if (bound != v->bounded) {
		v->bounded = bound;
		v->bound_end = 0;
		vmcs_write(VMCS_PIN_CONTROLS,
			   bound ? vmx.caps.pin | VMX_PIN_PREEMPTION_TIMER : vmx.caps.pin);
		if (bound) {
			vmcs_write(VMCS_GUEST_PREEMPTION_TIMER,
				   min_u64(vmx.bound_ticks >> vmx.caps.timer_shift, UINT32_MAX) |
					   1);
		}
	}
	if (!bound) {
		return false;
	}
	now = cpu_rdtsc();
	if (v->bound_end == 0) {
		v->bound_end = now + vmx.bound_ticks;
	} else if (v->event_info == 0 && (int64_t)(v->bound_end - now) <= 0) {
		/* Not while an event is on its way: a second one might be asked for before it. */
		v->bound_end = 0;
		return true;
	}
	return false;
}

static void fill_vmcs(struct vmx_vcpu *v)
{
	uint64_t cr3 = cpu_read_cr3();

	if (v->rip != v->vcpu.rip) {
		v->rip = v->vcpu.rip;
		vmcs_write(VMCS_GUEST_RIP, v->rip);
	}
	if (v->rsp != v->vcpu.gpr[GPR_RSP]) {
		v->rsp = v->vcpu.gpr[GPR_RSP];
		vmcs_write(VMCS_GUEST_RSP, v->rsp);
	}
	if (v->host_cr3 != cr3) {
		v->host_cr3 = cr3;
		vmcs_write(VMCS_HOST_CR3, cr3);
	}
	if (v->event_info != 0) {
		vmcs_write(VMCS_ENTRY_INTERRUPTION, v->event_info);
		vmcs_write(VMCS_ENTRY_ERROR_CODE, v->event_error);
		vmcs_write(VMCS_ENTRY_INSN_LENGTH, v->event_length);
	}
	if (v->cr2 != cpu_read_cr2()) {
		cpu_write_cr2(v->cr2);
	}
	vmx_windows_program(v);
	if (v->flush) {
		flush(v);
	}
}

static void drain_vmcs(struct vmx_vcpu *v)
{
	v->rip = vmcs_read(VMCS_GUEST_RIP);
	v->rsp = vmcs_read(VMCS_GUEST_RSP);
	v->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	v->vcpu.rip = v->rip;
	v->vcpu.gpr[GPR_RSP] = v->rsp;
	v->cr2 = cpu_read_cr2();
	v->event_info = 0; /* delivered, or in the vectoring information */
}

static void read_vectoring(struct vmx_raw_exit *raw)
{
	raw->vectoring = (uint32_t)vmcs_read(VMCS_VECTORING);
	if ((raw->vectoring & VMX_EVENT_VALID) != 0) {
		raw->vectoring_error = (uint32_t)vmcs_read(VMCS_VECTORING_ERROR_CODE);
		raw->insn_length = (uint32_t)vmcs_read(VMCS_EXIT_INSN_LENGTH);
	}
}

static __attribute__((noinline)) void read_everything(struct vmx_raw_exit *raw)
{
	raw->interruption = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION);
	raw->error_code = (uint32_t)vmcs_read(VMCS_EXIT_ERROR_CODE);
	raw->insn_length = (uint32_t)vmcs_read(VMCS_EXIT_INSN_LENGTH);
	raw->insn_info = (uint32_t)vmcs_read(VMCS_EXIT_INSN_INFO);
	raw->qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
}

static inline __attribute__((always_inline)) void read_raw(struct vmx_vcpu *v)
{
	struct vmx_raw_exit *raw = &v->raw;

	raw->reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
	raw->ecx = (uint32_t)v->vcpu.gpr[GPR_RCX];
	read_vectoring(raw);
	switch (raw->reason) {
	case VMX_EXIT_INTERRUPT:
		raw->interruption = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION);
		break;
	case VMX_EXIT_INTERRUPT_WINDOW:
	case VMX_EXIT_NMI_WINDOW:
	case VMX_EXIT_TPR_BELOW:
	case VMX_EXIT_PREEMPTION_TIMER:
		break;
	case VMX_EXIT_CPUID:
	case VMX_EXIT_HLT:
	case VMX_EXIT_RDMSR:
	case VMX_EXIT_WRMSR:
	case VMX_EXIT_PAUSE:
	case VMX_EXIT_VMCALL:
		raw->insn_length = (uint32_t)vmcs_read(VMCS_EXIT_INSN_LENGTH);
		break;
	case VMX_EXIT_IO:
		raw->insn_length = (uint32_t)vmcs_read(VMCS_EXIT_INSN_LENGTH);
		raw->qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
		if ((raw->qualification & VMX_IOQ_STRING) != 0) {
			raw->io_info = vmx.caps.io_info;
			raw->insn_info = (uint32_t)vmcs_read(VMCS_EXIT_INSN_INFO);
		}
		break;
	case VMX_EXIT_APIC_ACCESS:
	case VMX_EXIT_VIRTUAL_EOI:
	case VMX_EXIT_APIC_WRITE:
		raw->qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
		break;
	case VMX_EXIT_EPT_VIOLATION:
		raw->qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
		raw->gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
		raw->gva = vmcs_read(VMCS_GUEST_LINEAR_ADDRESS);
		break;
	case VMX_EXIT_EPT_MISCONFIG:
		raw->gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
		break;
	default:
		read_everything(raw);
		break;
	}
}

/*
 * Virtual-NMI blocking as the guest must find it. An NMI whose delivery was interrupted is injected
 * again, which blocking would forbid; an IRET that faulted is executed again, and until then NMIs
 * stay blocked.
 */
static void repair_nmi_blocking(const struct vmx_raw_exit *raw, const struct vm_exit *exit)
{
	uint64_t state;

	if (exit->vectoring.type == VCPU_EVENT_NMI) {
		state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~VMX_BLOCKED_NMI);
	} else if (vmx_iret_faulted(raw)) {
		state = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state | VMX_BLOCKED_NMI);
	}
}

/* What is left of an exit where exceptions and NMIs meet. */
static void finish(struct vmx_vcpu *v, const struct vmx_raw_exit *raw, struct vm_exit *exit)
{
	repair_nmi_blocking(raw, exit);
	if (exit->kind == VM_EXIT_HOST_NMI) {
		vmx_host_nmi();
	} else if (exit->kind == VM_EXIT_EXCEPTION && exit->insn_len != 0) {
		/* INT1 is a trap: its #DB points behind it. */
		v->vcpu.rip += exit->insn_len;
		exit->insn_len = 0;
	}
}

/* Says which check failed, and leaves nothing that would make the next entry fail as well. */
static void explain_refusal(struct vmx_vcpu *v, const char *how)
{
	struct vmcs_image image;
	const char *why;

	vmcs_snapshot(&image);
	why = vmx_check(&image, &vmx.caps);
	log_error("%s: vCPU %u: %s: %s", v->vcpu.vm->name, v->vcpu.index, how,
		  why != NULL ? why : "the VMCS breaks no rule of the manual known here");
	vmcs_write(VMCS_ENTRY_INTERRUPTION, 0);
	v->event_info = 0;
}

/* The instruction itself failed: nothing was executed, no exit information was stored. */
static void refused(struct vmx_vcpu *v, enum vmx_result result, struct vm_exit *exit)
{
	uint64_t error = result == VMX_FAIL_VALID ? vmcs_read(VMCS_INSN_ERROR) : 0;

	*exit = (struct vm_exit){.kind = VM_EXIT_ENTRY_FAILED};
	exit->raw.reason = error;
	exit->raw.info = result;
	log_error("%s: vCPU %u: VM entry failed: error %u, %s", v->vcpu.vm->name, v->vcpu.index,
		  (unsigned)error,
		  result == VMX_FAIL_VALID ? vmx_insn_error_name(error) : "no current VMCS");
	if (result == VMX_FAIL_VALID) {
		explain_refusal(v, "VM entry refused controls or host state");
	}
}

void vmx_vcpu_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct vmx_vcpu *v = vmx_vcpu(vcpu);
	const struct vmx_raw_exit *raw = &v->raw;
	enum vmx_result result;

	if (bound_runs(v)) {
		*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
		return;
	}
	fill_vmcs(v);
	result = vmx_enter(vcpu, v->launched);
	if (result != VMX_OK) {
		refused(v, result, exit);
		return;
	}
	read_raw(v);
	vmx_decode(raw, exit);
	if ((raw->reason & VMX_REASON_ENTRY_FAILED) != 0) {
		explain_refusal(v, "VM entry refused the guest's state");
		return;
	}
	v->launched = true;
	drain_vmcs(v);
	if (exit->kind == VM_EXIT_HOST_INTERRUPT) {
		v->bound_end = 0;
	}
	if (exit->vectoring.type != VCPU_EVENT_NONE || raw->reason == VMX_EXIT_EXCEPTION_NMI ||
	    raw->reason == VMX_EXIT_EPT_VIOLATION) {
		finish(v, raw, exit);
	}
}
