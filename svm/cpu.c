/* SPDX-License-Identifier: Apache-2.0 */
/* AMD-V on and off, per physical CPU. */
#include "hv/base/log.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "mm/pool.h"
#include "svm/internal.h"
#include "svm/svm_insn.h"

static struct svm_cpu cpus[CPU_MAX];

struct svm_cpu *svm_cpu_get(unsigned index)
{
	return &cpus[index];
}

static void free_pages(struct svm_cpu *c)
{
	if (c->hsave != NULL) {
		pool_pages_free(c->hsave, SVM_VMCB_ORDER);
	}
	if (c->host != NULL) {
		pool_pages_free(c->host, SVM_VMCB_ORDER);
	}
	c->hsave = NULL;
	c->host = NULL;
}

/* LFENCE waits for all earlier instructions: what guests read in DE_CFG, and what Spectre
 * mitigations build on. Not every family has the bit; some have it set for good. */
static void serialize_lfence(void)
{
	uint64_t de_cfg = 0;

	if (cpu_rdmsr_safe(MSR_AMD_DE_CFG, &de_cfg) && (de_cfg & DE_CFG_LFENCE_SERIALIZES) == 0) {
		(void)cpu_wrmsr_safe(MSR_AMD_DE_CFG, de_cfg | DE_CFG_LFENCE_SERIALIZES);
	}
}

enum hv_status svm_cpu_enable(unsigned cpu)
{
	struct svm_cpu *c = &cpus[cpu];
	uint64_t vm_cr = 0;

	if (cpu_rdmsr_safe(MSR_AMD_VM_CR, &vm_cr) && (vm_cr & SVM_VM_CR_SVMDIS) != 0) {
		log_error("CPU %u: firmware disabled AMD-V on this CPU only", cpu);
		return HV_E_UNSUPPORTED;
	}
	c->hsave = pool_pages(SVM_VMCB_ORDER);
	c->host = pool_pages(SVM_VMCB_ORDER);
	if (c->hsave == NULL || c->host == NULL) {
		log_error("CPU %u: no memory for the AMD-V host save area", cpu);
		free_pages(c);
		return HV_E_NO_MEMORY;
	}
	c->host_hpa = pool_hpa(c->host);
	cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_SVME);
	cpu_wrmsr(MSR_AMD_VM_HSAVE_PA, pool_hpa(c->hsave).v);
	svm_vmsave(c->host_hpa);
	serialize_lfence();
	asid_pool_init(&c->asids, svm.features.asid_count, svm.features.flush_by_asid);
	return HV_OK;
}

void svm_cpu_disable(unsigned cpu)
{
	struct svm_cpu *c = &cpus[cpu];

	if (c->hsave == NULL) {
		return;
	}
	cpu_wrmsr(MSR_AMD_VM_HSAVE_PA, 0);
	cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) & ~EFER_SVME);
	free_pages(c);
}
