/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with VT-x for unit tests of vmx/: CPUID, MSRs, one VM with one vCPU, and a pool whose
 * physical addresses are its pointers. Defines the pool's functions, so include it once in a test
 * program.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "mm/pool.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/fake_vmx.h"
#include "tests/fakes/vmx_machines.h"
#include "vmx/internal.h"
#include "vmx/vmx.h"

static struct {
	struct vm vm;
	struct hv_backend_policy policy;
	const struct hv_backend *backend;
	struct vcpu *vcpu;
	int pool_live;	      /* allocations not freed yet */
	int pool_limit;	      /* allocations still granted; negative: no limit */
	unsigned pages_added; /* gspace_add_page */
	uint64_t page_gpa;    /* the last one, and what it begins with */
	uint8_t page_byte;
} rig;

/*
 * Addresses the checks take as physical must fit the machine's width: host memory lies higher, so
 * what the pool hands out is counted from the first page it ever gave.
 */
#define RIG_POOL_PAGES 64u
static _Alignas(4096) uint8_t rig_memory[RIG_POOL_PAGES * 4096];
static bool rig_used[RIG_POOL_PAGES];
#define RIG_POOL_HPA 0x100000u

static void *rig_alloc(size_t size)
{
	size_t pages = (size + 4095) / 4096;

	if (rig.pool_limit == 0) {
		return NULL;
	}
	for (size_t i = 0; i + pages <= RIG_POOL_PAGES; i++) {
		size_t n = 0;

		while (n < pages && !rig_used[i + n]) {
			n++;
		}
		if (n == pages) {
			memset(rig_memory + i * 4096, 0, pages * 4096);
			memset(&rig_used[i], 1, pages);
			rig.pool_limit -= rig.pool_limit > 0;
			rig.pool_live++;
			return rig_memory + i * 4096;
		}
	}
	return NULL;
}

static void rig_free(void *p, size_t size)
{
	size_t first = (size_t)((uint8_t *)p - rig_memory) / 4096;

	if (p != NULL) {
		memset(&rig_used[first], 0, (size + 4095) / 4096);
		rig.pool_live--;
	}
}

void *pool_pages(unsigned order)
{
	return rig_alloc((size_t)4096 << order);
}

void pool_pages_free(void *pages, unsigned order)
{
	rig_free(pages, (size_t)4096 << order);
}

void *pool_alloc(size_t size)
{
	return rig_alloc(size);
}

void pool_free(void *object, size_t size)
{
	rig_free(object, size);
}

hpa_t pool_hpa(const void *p)
{
	return hpa(RIG_POOL_HPA + (uint64_t)((const uint8_t *)p - rig_memory));
}

void *pool_ptr(hpa_t p)
{
	return rig_memory + (p.v - RIG_POOL_HPA);
}

/* The guest's memory, from address 0 on. */
static uint8_t rig_ram[0x4000];

enum hv_status guest_mem_read(struct vm *vm, gpa_t addr, void *dst, size_t n)
{
	(void)vm;
	if (!range_fits(addr.v, n, sizeof(rig_ram))) {
		return HV_E_RANGE;
	}
	memcpy(dst, rig_ram + addr.v, n);
	return HV_OK;
}

#define RIG_PAGE_HPA 0x700000u

enum hv_status gspace_add_page(struct gspace *g, uint64_t addr, hpa_t contents, hpa_t *frame)
{
	(void)g;
	if (rig.pool_limit == 0) {
		return HV_E_NO_MEMORY;
	}
	rig.pages_added++;
	rig.page_gpa = addr;
	rig.page_byte = *(const uint8_t *)pool_ptr(contents);
	*frame = hpa(RIG_PAGE_HPA);
	return HV_OK;
}

/* A CPU with the capability MSRs of `m`, feature control open. */
static inline void rig_cpu(const struct vmx_machine *m)
{
	struct cpu_local *cpu;

	fake_cpu_reset();
	fake_vmx_reset();
	cpu = percpu_init_boot(0, 0, 0);
	fake_msr_set(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
	fake_cpuid_set(1, 0, (struct cpuid_regs){.eax = 0x000506e3, .ecx = 1u << 5});
	fake_cpuid_set(0x80000000u, 0, (struct cpuid_regs){.eax = 0x80000008u});
	fake_cpuid_set(0x80000008u, 0, (struct cpuid_regs){.eax = 39});
	fake_msr_set(MSR_TSC_AUX, 0);
	vmx_machine_msrs(m, fake_msr_set);
	clock_init(1000000000);
	fake_cpu.cr0 = CR0_PG | CR0_PE | CR0_NE | CR0_WP | CR0_ET;
	fake_cpu.cr3 = 0x1000;
	fake_cpu.cr4 = CR4_PAE | CR4_MCE;
}

/* The CPU, the backend, CPU 0 enabled, a VM and its vCPU after reset, loaded on CPU 0. */
static inline struct vmx_vcpu *rig_start(const struct vmx_machine *m)
{
	const char *why;

	rig.pool_limit = -1;
	rig.pages_added = 0;
	rig_cpu(m);
	rig.backend = vmx_probe(&rig.policy, &why);
	if (rig.backend == NULL || rig.backend->cpu_enable(0) != HV_OK) {
		abort();
	}
	fake_vmx.caps = &vmx.caps;
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
	return vmx_vcpu(rig.vcpu);
}

/* Takes it all down again; returns the allocations that were forgotten. */
static inline int rig_stop(void)
{
	if (vmx_vcpu(rig.vcpu)->cpu != NULL) {
		rig.backend->vcpu_put(rig.vcpu);
	}
	rig.backend->vcpu_destroy(rig.vcpu);
	rig.backend->vm_fini(&rig.vm);
	rig_free(rig.vm.gspace.stage2.root, 4096);
	rig.backend->cpu_disable(0);
	return rig.pool_live;
}
