/* SPDX-License-Identifier: Apache-2.0 */
/* The VT-x backend's probe and its table. */
#include "vmx/vmx.h"

#include "hv/base/log.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "vmx/apicv.h"
#include "vmx/event.h"
#include "vmx/internal.h"
#include "vmx/vpid.h"

#define LEAF1_ECX_VMX BIT32(5)
#define LEAF7_EDX_ARCH_CAPABILITIES BIT32(29)
#define LEAF_SIZES 0x80000008u
#define PHYS_BITS_DEFAULT 36u
#define PHYS_BITS_MAX 52u

struct vmx vmx;

static struct hv_backend backend;

static void forgo_virtual_interrupts(void)
{
	vmx_caps_forgo_apic(&vmx.caps);
	backend.info.virtual_interrupts = false;
	backend.info.posts_interrupts = false;
}

static void forgo_posted_interrupts(void)
{
	vmx_caps_forgo_posting(&vmx.caps);
	backend.info.posts_interrupts = false;
}

static struct hv_backend backend = {
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vm_init = vmx_vm_init,
	.vm_fini = vmx_vm_fini,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.vcpu_run = vmx_vcpu_run,
	.get_context = vmx_get_context,
	.get_reg = vmx_get_reg,
	.set_reg = vmx_set_reg,
	.get_seg = vmx_get_seg,
	.set_seg = vmx_set_seg,
	.set_tsc_offset = vmx_set_tsc_offset,
	.blocked = vmx_blocked,
	.inject = vmx_inject,
	.code_root = vmx_code_root,
	.clear_shadow = vmx_clear_shadow,
	.set_windows = vmx_set_windows,
	.forgo_virtual_interrupts = forgo_virtual_interrupts,
	.forgo_posted_interrupts = forgo_posted_interrupts,
	.apic_page = vmx_apic_page,
	.apic_load = vmx_apic_load,
	.tlb_flush = vmx_tlb_flush,
	.dump = vmx_dump,
};

/* 0 for an MSR that does not exist. */
static uint64_t msr(uint32_t index)
{
	uint64_t value = 0;

	return cpu_rdmsr_safe(index, &value) ? value : 0;
}

static uint8_t phys_bits(void)
{
	uint32_t bits = 0;

	if (cpu_cpuid(0x80000000u, 0).eax >= LEAF_SIZES) {
		bits = cpu_cpuid(LEAF_SIZES, 0).eax & 0xff;
	}
	if (bits < 32) {
		return PHYS_BITS_DEFAULT;
	}
	return (uint8_t)min_u64(bits, PHYS_BITS_MAX);
}

static struct vmx_facts gather(void)
{
	struct cpuid_regs one = cpu_cpuid(1, 0);
	struct vmx_facts f = {.vmx = (one.ecx & LEAF1_ECX_VMX) != 0, .signature = one.eax};
	bool newer;

	if (!f.vmx) {
		return f;
	}
	f.phys_bits = phys_bits();
	f.feature_control = msr(MSR_IA32_FEATURE_CONTROL);
	f.basic = msr(MSR_IA32_VMX_BASIC);
	newer = (f.basic & VMX_BASIC_TRUE) != 0;
	f.pin = msr(newer ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS);
	f.proc = msr(newer ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS);
	f.exit = msr(newer ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS);
	f.entry = msr(newer ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS);
	f.proc2 = msr(MSR_IA32_VMX_PROCBASED_CTLS2);
	f.ept_vpid = msr(MSR_IA32_VMX_EPT_VPID_CAP);
	f.misc = msr(MSR_IA32_VMX_MISC);
	f.cr0_fixed0 = msr(MSR_IA32_VMX_CR0_FIXED0);
	f.cr0_fixed1 = msr(MSR_IA32_VMX_CR0_FIXED1);
	f.cr4_fixed0 = msr(MSR_IA32_VMX_CR4_FIXED0);
	f.cr4_fixed1 = msr(MSR_IA32_VMX_CR4_FIXED1);
	f.leaf7_edx = cpu_cpuid(0, 0).eax >= 7 ? cpu_cpuid(7, 0).edx : 0;
	if ((f.leaf7_edx & LEAF7_EDX_ARCH_CAPABILITIES) != 0) {
		f.arch_capabilities = msr(MSR_IA32_ARCH_CAPABILITIES);
	}
	return f;
}

static struct vmx_mitigations mitigations(const struct vmx_facts *f)
{
	if (vmx_mitigations_lacking(f->leaf7_edx, f->arch_capabilities)) {
		log_warn(
			"VT-x: this CPU may leak data between guests (L1TF, MDS) and its microcode "
			"offers no flush: update the firmware");
	}
	return vmx_mitigations_judge(f->leaf7_edx, f->arch_capabilities);
}

const struct hv_backend *vmx_probe(const struct hv_backend_policy *policy, const char **why)
{
	struct vmx_facts facts = gather();
	const struct vmx_caps *c = &vmx.caps;

	*why = vmx_caps_judge(&facts, &vmx.caps);
	if (*why != NULL) {
		return NULL;
	}
	vmx.policy = policy;
	vmx.mitigations = mitigations(&facts);
	backend.info = (struct hv_backend_info){
		.vendor = "VT-x",
		.stage2_format = &pt_format_ept,
		.stage2_max_level = c->ept_max_level,
		.small_code = vmx_small_code_needed(facts.arch_capabilities),
		.tag_count = vmx_caps_has(c->proc2, VMX_PROC2_VPID) ? VPID_COUNT : 0,
		.next_rip = true,
		.flush_by_tag = c->invvpid_single,
		.pause_filter = vmx_caps_has(c->proc2, VMX_PROC2_PAUSE_LOOP),
		.virtual_interrupts = c->virtual_interrupts,
		.posts_interrupts = c->posts_interrupts,
		.could_post = (facts.pin >> 32 & VMX_PIN_POSTED_INTERRUPTS) != 0,
		.tsc_scaling = (facts.proc2 >> 32 & VMX_PROC2_TSC_SCALING) != 0,
		.no_rdtscp = !vmx_caps_has(c->proc2, VMX_PROC2_RDTSCP),
		.no_invpcid = !vmx_caps_has(c->proc2, VMX_PROC2_INVPCID),
	};
	return &backend;
}
