/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with AMD-V for unit tests of svm/: CPUID, MSRs, one VM with one vCPU, and a pool whose
 * physical addresses are its pointers. Defines the pool's functions, so include it once in a test
 * program.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/cpu/msr.h"
#include "mm/pool.h"
#include "svm/internal.h"
#include "svm/svm.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/fake_svm.h"

/* CPUID 8000_000A EDX. */
#define RIG_NP (1u << 0)
#define RIG_LBR (1u << 1)
#define RIG_NRIPS (1u << 3)
#define RIG_FLUSH_BY_ASID (1u << 6)
#define RIG_DECODE_ASSIST (1u << 7)
#define RIG_PAUSE_FILTER (1u << 10)
#define RIG_PAUSE_THRESHOLD (1u << 12)
/* QEMU's TCG: nested paging and virtual GIF. Bochs' ryzen. */
#define RIG_TCG 0x10001u
#define RIG_BOCHS 0x44fu
#define RIG_ALL 0x15dffu

static struct {
	struct vm vm;
	struct hv_backend_policy policy;
	const struct hv_backend *backend;
	struct vcpu *vcpu;
	int pool_live;	/* allocations not freed yet */
	int pool_limit; /* allocations still granted; negative: no limit */
} rig;

static void *rig_alloc(size_t size)
{
	size_t whole = (size + 4095) & ~(size_t)4095;
	void *p = rig.pool_limit != 0 ? aligned_alloc(4096, whole) : NULL;

	if (p == NULL) {
		return NULL;
	}
	if (rig.pool_limit > 0) {
		rig.pool_limit--;
	}
	rig.pool_live++;
	memset(p, 0, whole);
	return p;
}

static void rig_free(void *p)
{
	rig.pool_live -= p != NULL;
	free(p);
}

void *pool_pages(unsigned order)
{
	return rig_alloc((size_t)4096 << order);
}

void pool_pages_free(void *pages, unsigned order)
{
	(void)order;
	rig_free(pages);
}

void *pool_alloc(size_t size)
{
	return rig_alloc(size);
}

void pool_free(void *object, size_t size)
{
	(void)size;
	rig_free(object);
}

hpa_t pool_hpa(const void *p)
{
	return hpa((uint64_t)(uintptr_t)p);
}

void *pool_ptr(hpa_t p)
{
	return (void *)(uintptr_t)p.v;
}

/* A CPU with these SVM features and this many ASIDs, the host's included. */
static inline void rig_cpu(uint32_t svm_edx, uint32_t asids)
{
	fake_cpu_reset();
	fake_svm_reset();
	fake_cpuid_set(1, 0, (struct cpuid_regs){.eax = 0x00a20f10});
	fake_cpuid_set(0x80000000u, 0, (struct cpuid_regs){.eax = 0x8000000au});
	fake_cpuid_set(0x80000001u, 0,
		       (struct cpuid_regs){.ecx = 1u << 2, .edx = 1u << 26 | 1u << 27});
	fake_cpuid_set(0x80000008u, 0, (struct cpuid_regs){.eax = 48});
	fake_cpuid_set(0x8000000au, 0, (struct cpuid_regs){.ebx = asids, .edx = svm_edx});
	fake_msr_set(MSR_AMD_VM_CR, 0);
	fake_msr_set(MSR_AMD_VM_HSAVE_PA, 0);
	fake_msr_set(MSR_TSC_AUX, 0);
}

/* The CPU, the backend, CPUs 0 and 1 enabled, a VM and its vCPU after reset, loaded on CPU 0. */
static inline struct svm_vcpu *rig_start(uint32_t svm_edx, uint32_t asids)
{
	const char *why;

	rig.pool_limit = -1;
	rig_cpu(svm_edx, asids);
	rig.backend = svm_probe(&rig.policy, &why);
	if (rig.backend == NULL || rig.backend->cpu_enable(0) != HV_OK ||
	    rig.backend->cpu_enable(1) != HV_OK) {
		abort();
	}
	memset(&rig.vm, 0, sizeof(rig.vm));
	memcpy(rig.vm.name, "web", 4);
	rig.vm.gspace.stage2.root = rig_alloc(4096);
	if (rig.backend->vm_init(&rig.vm) != HV_OK) {
		abort();
	}
	rig.vcpu = rig.backend->vcpu_create(&rig.vm);
	if (rig.vcpu == NULL) {
		abort();
	}
	rig.backend->vcpu_reset(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 0);
	return svm_vcpu(rig.vcpu);
}

/* Takes it all down again; returns the allocations that were forgotten. */
static inline int rig_stop(void)
{
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_destroy(rig.vcpu);
	rig.backend->vm_fini(&rig.vm);
	rig_free(rig.vm.gspace.stage2.root);
	rig.backend->cpu_disable(0);
	rig.backend->cpu_disable(1);
	return rig.pool_live;
}
