/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VT-x on and off, per physical CPU. Firmware may leave IA32_FEATURE_CONTROL open: then it is set
 * and locked, so that nothing that runs later can change it.
 */
#include "hv/api/clock.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "mm/pool.h"
#include "vmx/internal.h"
#include "vmx/vmx_insn.h"

/* What a guest may run with interrupts off, where the emulator needs a bound at all. */
#define BOUND_NS 1000000u

static struct vmx_cpu cpus[CPU_MAX];

struct vmx_cpu *vmx_cpu_get(unsigned index)
{
	return &cpus[index];
}

/* False when firmware locked VT-x off on this CPU. */
static bool open_feature_control(unsigned cpu)
{
	uint64_t control = 0;

	if (!cpu_rdmsr_safe(MSR_IA32_FEATURE_CONTROL, &control)) {
		return true; /* some virtual machines lack it and mean "on" */
	}
	if ((control & VMX_FEATURE_LOCKED) == 0) {
		control |= VMX_FEATURE_LOCKED | VMX_FEATURE_VMXON;
		cpu_wrmsr(MSR_IA32_FEATURE_CONTROL, control);
		log_debug("CPU %u: VT-x enabled and locked", cpu);
	}
	if ((control & VMX_FEATURE_VMXON) == 0) {
		log_error(
			"CPU %u: firmware disabled and locked VT-x on this CPU only: enable it in "
			"firmware setup",
			cpu);
		return false;
	}
	return true;
}

static void leave(struct vmx_cpu *c)
{
	cpu_write_cr4(cpu_read_cr4() & ~CR4_VMXE);
	pool_pages_free(c->vmxon, VMX_REGION_ORDER);
	c->vmxon = NULL;
	c->last_vm = 0;
}

enum hv_status vmx_cpu_enable(unsigned cpu)
{
	struct vmx_cpu *c = &cpus[cpu];

	if (!open_feature_control(cpu)) {
		return HV_E_UNSUPPORTED;
	}
	c->vmxon = pool_pages(VMX_REGION_ORDER);
	if (c->vmxon == NULL) {
		log_error("CPU %u: no memory for the VMXON region", cpu);
		return HV_E_NO_MEMORY;
	}
	memcpy(c->vmxon, &vmx.caps.revision, sizeof(vmx.caps.revision));
	cpu_write_cr0((cpu_read_cr0() | vmx.caps.cr0_fixed0) & vmx.caps.cr0_fixed1);
	cpu_write_cr4(cpu_read_cr4() | vmx.caps.cr4_fixed0 | CR4_VMXE);
	if (vmx_vmxon(pool_hpa(c->vmxon)) != VMX_OK) {
		log_error("CPU %u: VMXON failed: VMX operation is on already, or the CPU is not as "
			  "its capabilities say",
			  cpu);
		leave(c);
		return HV_E_BUSY;
	}
	vmx.bound_ticks = clock_ns_to_ticks(BOUND_NS);
	/* What an earlier user of VT-x left in this CPU's caches. */
	if (vmx_invept(VMX_INVEPT_ALL, 0) != VMX_OK) {
		log_debug("CPU %u: INVEPT knows single contexts only", cpu);
	}
	return HV_OK;
}

void vmx_cpu_disable(unsigned cpu)
{
	struct vmx_cpu *c = &cpus[cpu];

	if (c->vmxon == NULL) {
		return;
	}
	vmx_vmxoff();
	leave(c);
}
