/* SPDX-License-Identifier: Apache-2.0 */
/* The AMD-V backend's probe and its table. */
#include "svm/svm.h"

#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "svm/event.h"
#include "svm/internal.h"

struct svm svm;

static struct hv_backend backend = {
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vm_init = svm_vm_init,
	.vm_fini = svm_vm_fini,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.vcpu_run = svm_vcpu_run,
	.get_reg = svm_get_reg,
	.set_reg = svm_set_reg,
	.get_context = svm_get_context,
	.get_seg = svm_get_seg,
	.set_seg = svm_set_seg,
	.set_tsc_offset = svm_set_tsc_offset,
	.blocked = svm_blocked,
	.inject = svm_inject,
	.code_root = svm_code_root,
	.clear_shadow = svm_clear_shadow,
	.set_windows = svm_set_windows,
	.tlb_flush = svm_tlb_flush,
	.dump = svm_dump,
};

/* Leaves beyond the highest read as zero, so that the judge sees no leftovers. */
static struct cpuid_regs extended_leaf(uint32_t max, uint32_t leaf)
{
	return leaf <= max ? cpu_cpuid(leaf, 0) : (struct cpuid_regs){0};
}

/* CPUID 1 ECX. */
#define CPUID_HYPERVISOR BIT32(31)

static struct svm_facts gather(void)
{
	uint32_t max = cpu_cpuid(0x80000000u, 0).eax;
	struct cpuid_regs ids = extended_leaf(max, 0x80000001u);
	struct cpuid_regs sizes = extended_leaf(max, 0x80000008u);
	struct cpuid_regs features = extended_leaf(max, 0x8000000au);
	struct svm_facts facts = {
		.max_extended_leaf = max,
		.extended_ecx = ids.ecx,
		.extended_edx = ids.edx,
		.sizes_eax = sizes.eax,
		.sizes_ebx = sizes.ebx,
		.svm_ebx = features.ebx,
		.svm_edx = features.edx,
		.signature = cpu_cpuid(1, 0).eax,
		.below = (cpu_cpuid(1, 0).ecx & CPUID_HYPERVISOR) != 0
				 ? cpu_cpuid(0x40000000u, 0).ebx
				 : 0,
	};

	if (!cpu_rdmsr_safe(MSR_AMD_VM_CR, &facts.vm_cr)) {
		facts.vm_cr = 0;
	}
	return facts;
}

const struct hv_backend *svm_probe(const struct hv_backend_policy *policy, const char **why)
{
	struct svm_facts facts = gather();
	const struct svm_features *f = &svm.features;

	*why = svm_features_judge(&facts, &svm.features);
	if (*why != NULL) {
		return NULL;
	}
	svm.policy = policy;
	backend.info = (struct hv_backend_info){
		.vendor = "AMD-V",
		.stage2_format = &pt_format_npt,
		.stage2_max_level = f->pages_1g ? 3 : 2,
		.tag_count = f->asid_count,
		.next_rip = f->nrips,
		.decode_assist = f->decode_assist,
		.flush_by_tag = f->flush_by_asid,
		.virtual_gif = f->vgif,
		.pause_filter = f->pause_filter,
		.could_post = f->avic,
		.tsc_scaling = f->tsc_ratio,
	};
	return &backend;
}
